"""The model folder "lgfa" and what the dropdowns of the loaders list.

Files come from the bundled domains, from models/lgfa and from <output>/lgfa, where trainings put
their results; never from a path that somebody typed.
"""
from __future__ import annotations

import os
from pathlib import Path

import folder_paths

from ..lgfa.domains import MODELS, domains
from ..lgfa.errors import LGFAError
from ..lgfa.formats.names import domain_kinds
from ..lgfa.media.examples import FOLDER as EXAMPLES
from ..lgfa.registry import DOMAINS, KINDS

KEY = "lgfa"                                # of folder_paths
SUFFIX = ".safetensors"
BUNDLED = " (bundled)"
LATENTS = "latents"                         # folder in output, as of core's Save Latent


def register() -> None:
    """Makes the folder key known; extra_model_paths.yaml may have made it before."""
    folder_paths.add_model_folder_path(KEY, os.path.join(folder_paths.models_dir, KEY))
    output = os.path.join(folder_paths.get_output_directory(), KEY)
    folder_paths.add_model_folder_path(KEY, output)

    # A new key lists every file, and only safetensors can be read without running what they hold.
    folder_paths.folder_names_and_paths[KEY] = (folder_paths.get_folder_paths(KEY), {SUFFIX})


def bundled(kind: str | None = None) -> list[str]:
    """Choices that come with the pack: domains, or those of them that have a network of a kind."""
    return [name + BUNDLED for name in domains()
            if name in DOMAINS and (kind is None or kind in domain_kinds(name))]


def choices(kind: str) -> list[str]:
    """What a loader of networks of a kind offers: bundled ones first, then files."""
    return bundled(kind) + folder_paths.get_filename_list(KEY)


def domain_of(choice: str) -> str | None:
    """The bundled domain that a choice means, if it means one."""
    return choice.removesuffix(BUNDLED) if choice in bundled() else None


def locate(choice: str, kind: str) -> Path:
    """The file behind a choice of a dropdown; LGFAError where there is none (any more)."""
    if choice in bundled(kind):
        return MODELS / choice.removesuffix(BUNDLED) / f"{kind}{SUFFIX}"
    what = KINDS[kind].what
    if choice.endswith(BUNDLED):
        raise LGFAError(f"no {what} {choice!r} comes with this version of the pack: choose another "
                        f"one.")
    here = " or ".join(folder_paths.get_folder_paths(KEY))
    if not choice:
        raise LGFAError(f"no {what} is chosen: choose one, or put a {SUFFIX} file into {here}.")
    if not choice.lower().endswith(SUFFIX):
        raise LGFAError(f"{choice!r} is no {SUFFIX} file: turn other files into one with "
                        f"`python -m lgfa convert`, put it into {here}, and choose it.")
    path = folder_paths.get_full_path(KEY, choice)
    if path is None:
        raise LGFAError(f"there is no {what} {choice!r} in {here}: put the file there, or choose "
                        f"another one.")
    return Path(path)


def check(choice: str | None, kind: str) -> bool | str:
    """For validate_inputs: True, or what is wrong; None comes over a link and is not known yet."""
    try:
        return choice is None or bool(locate(choice, kind))
    except LGFAError as error:
        return str(error)


def check_domain(choice: str | None) -> bool | str:
    """The same for a bundled domain."""
    known = bundled()
    if choice is None or choice in known:
        return True
    return f"there is no bundled domain {choice!r}: choose {' or '.join(known)}."


def check_content(path: Path) -> Path:
    """The path, if its file is what its name says; other formats are not even looked into."""
    from ..lgfa.formats.safetensors_io import is_safetensors

    with open(path, "rb") as file:
        if not is_safetensors(file.read(16)):
            raise LGFAError(f"{path} is no safetensors file in spite of its name: if it is a "
                            f"network, turn it into one with `python -m lgfa convert`.")
    return path


# ---------------------------------------------------------------- files of latents
def latent_choices() -> list[str]:
    """The bundled ones, safetensors of the input folder, then what Save Latents wrote into
    output/latents."""
    examples = sorted(path.stem + BUNDLED for path in EXAMPLES.glob(f"*{SUFFIX}"))
    with os.scandir(folder_paths.get_input_directory()) as entries:
        given = sorted(one.name for one in entries if one.name.lower().endswith(SUFFIX))
    output = Path(folder_paths.get_output_directory())
    saved = sorted(one.relative_to(output).as_posix() for one in (output / LATENTS).rglob("*")
                   if one.name.lower().endswith(SUFFIX))
    return examples + given + [f"{name} [output]" for name in saved]


def locate_latents(choice: str) -> Path:
    """The file behind a choice, inside the input or output folder; LGFAError otherwise."""
    if choice.endswith(BUNDLED):
        name, base = choice.removesuffix(BUNDLED) + SUFFIX, str(EXAMPLES)
    else:
        name, base = folder_paths.annotated_filepath(choice)
    base = os.path.abspath(base or folder_paths.get_input_directory())
    path = os.path.abspath(os.path.join(base, name))
    if not choice:
        raise LGFAError(f"no file of latents is chosen: write one with Save Latents, or put a "
                        f"{SUFFIX} file into {base}.")
    if os.path.commonpath([base, path]) != base or not path.lower().endswith(SUFFIX):
        raise LGFAError(f"{choice!r} is no {SUFFIX} file in {base}: choose one of the list.")
    if not os.path.isfile(path):
        raise LGFAError(f"there is no file {name!r} in {base}: put it there, or choose another "
                        f"one.")
    return Path(path)


# ---------------------------------------------------------------- changes
def fingerprint(path: str | Path | None) -> str:
    """Changes when a file does."""
    try:
        stat = os.stat(path)
        return f"{stat.st_mtime_ns} {stat.st_size}"
    except (OSError, TypeError):
        return "missing"


def model_fingerprint(choice: str | None, kind: str) -> str:
    """Changes when the file behind a choice does."""
    try:
        return fingerprint(locate(choice, kind))
    except (LGFAError, TypeError, AttributeError):
        return "missing"
