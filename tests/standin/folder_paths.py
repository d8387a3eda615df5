"""Folders of a ComfyUI that is not there; the tests point them to temporary ones."""
import atexit
import os
import shutil
import tempfile

base_path = tempfile.mkdtemp(prefix="lgfa_standin_")
atexit.register(shutil.rmtree, base_path, ignore_errors=True)
models_dir = os.path.join(base_path, "models")
output_directory = os.path.join(base_path, "output")
temp_directory = os.path.join(base_path, "temp")
input_directory = os.path.join(base_path, "input")
folder_names_and_paths: dict[str, tuple[list[str], set[str]]] = {}


def set_output_directory(output_dir: str) -> None:
    global output_directory
    output_directory = output_dir


def set_temp_directory(temp_dir: str) -> None:
    global temp_directory
    temp_directory = temp_dir


def set_input_directory(input_dir: str) -> None:
    global input_directory
    input_directory = input_dir


def get_output_directory() -> str:
    return output_directory


def get_temp_directory() -> str:
    return temp_directory


def get_input_directory() -> str:
    return input_directory


def get_annotated_filepath(name: str, default_dir: str | None = None) -> str:
    name, base = annotated_filepath(name)
    return os.path.join(base or default_dir or input_directory, name)


def annotated_filepath(name: str) -> tuple[str, str | None]:
    for tail, folder in (("[output]", output_directory), ("[input]", input_directory),
                         ("[temp]", temp_directory)):
        if name.endswith(tail):
            return name[:-len(tail) - 1], folder
    return name, None


def exists_annotated_filepath(name) -> bool:
    return os.path.exists(get_annotated_filepath(name))


def add_model_folder_path(folder_name: str, full_folder_path: str,
                          is_default: bool = False) -> None:
    paths = folder_names_and_paths.setdefault(folder_name, ([], set()))[0]
    if full_folder_path not in paths:
        paths.insert(0 if is_default else len(paths), full_folder_path)


def get_folder_paths(folder_name: str) -> list[str]:
    return list(folder_names_and_paths[folder_name][0])


def get_filename_list(folder_name: str) -> list[str]:
    paths, suffixes = folder_names_and_paths[folder_name]
    found = set()
    for path in paths:
        for folder, _, names in os.walk(path, followlinks=True):
            found |= {os.path.relpath(os.path.join(folder, name), path) for name in names
                      if not suffixes or os.path.splitext(name)[1].lower() in suffixes}
    return sorted(found)


def get_full_path(folder_name: str, filename: str) -> str | None:
    inside = os.path.relpath(os.path.join("/", filename), "/")
    files = (os.path.join(path, inside) for path in get_folder_paths(folder_name))
    return next((file for file in files if os.path.isfile(file)), None)


def get_full_path_or_raise(folder_name: str, filename: str) -> str:
    path = get_full_path(folder_name, filename)
    if path is None:
        raise FileNotFoundError(f"no {filename} in {folder_name}")
    return path


def get_save_image_path(filename_prefix: str, output_dir: str, image_width=0,
                        image_height=0) -> tuple[str, str, int, str, str]:
    subfolder, name = os.path.split(os.path.normpath(filename_prefix))
    folder = os.path.join(output_dir, subfolder)
    if os.path.commonpath((output_dir, os.path.abspath(folder))) != output_dir:
        raise Exception("saving outside the output folder is not allowed")
    os.makedirs(folder, exist_ok=True)
    numbers = [other[len(name) + 1:].split("_")[0] for other in os.listdir(folder)
               if other.startswith(name + "_")]
    counter = 1 + max((int(number) for number in numbers if number.isdigit()), default=0)
    return folder, name, counter, subfolder, filename_prefix
