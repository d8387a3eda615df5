"""Stills that a training animates: made up, from a batch of images, or from a folder."""
from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.utils
import folder_paths
import torch
from torch import Tensor

from . import folders
from .memory import Network, ready, stop_if_interrupted

RUNS = "lgfa_training"                      # folder in output: checkpoints, logs, strips
CACHE = "cache"                             # .. of encoded images, in RUNS
EVERYTHING = "(the input folder)"
CHUNK = 4                                   # images encoded at once


@dataclass(frozen=True)
class Stills:
    """What TrainingSource puts on its socket."""

    generator: str                          # Network.name of the generator that they belong to
    truncation: float                       # of samples
    source: Any = None                      # lgfa.training.data source; None = samples


def input_folders() -> list[str]:
    """Folders inside ComfyUI's input folder, and that one itself."""
    root, found = folder_paths.get_input_directory(), []
    for place, names, _ in os.walk(root):
        names[:] = sorted(name for name in names if not name.startswith("."))
        found += [os.path.relpath(os.path.join(place, name), root) for name in names]
    return [EVERYTHING, *sorted(found)]


def check_folder(choice: str) -> bool | str:
    """True, or what is wrong with a choice of input_folders."""
    if choice in input_folders():
        return True
    return (f"there is no folder {choice!r} in ComfyUI's input folder: make it there, put aligned "
            f"images into it, and choose it.")


def _folder(choice: str) -> Path:
    root = Path(folder_paths.get_input_directory())
    return root if choice == EVERYTHING else root / choice


def folder_fingerprint(choice: str | None) -> str:
    """Changes when an image of the folder does."""
    digest = hashlib.sha256()
    if choice is not None and check_folder(choice) is True:
        for path in sorted(path for path in _folder(choice).rglob("*") if path.is_file()):
            digest.update(f"{path} {folders.fingerprint(path)}\n".encode())
    return digest.hexdigest()


def encode_images(images: Tensor, encoder: Network, generator: Network) -> Any:
    """IMAGE [B, H, W, 3] -> a source of these stills."""
    from ..lgfa.media.images import read_batch, square
    from ..lgfa.training.data import ImageSource

    find, progress, codes = ready(encoder)[0], comfy.utils.ProgressBar(len(images)), []
    # What a training takes must not have been made in inference mode.
    with torch.inference_mode(False), torch.no_grad():
        x = read_batch(images.clone())
        for part in square(x, find.config.input_size).split(CHUNK):
            stop_if_interrupted()
            codes.append(find(part.to(encoder.device)).float().cpu())
            progress.update(len(part))
        return ImageSource(square(x, generator.config.resolution).clone(), torch.cat(codes))


def encode_folder(choice: str, encoder: Network, generator: Network) -> Any:
    """The images of a folder, their codes kept on the disk -> a source of these stills."""
    from ..lgfa.training.data import FolderSource

    bar: list[Any] = []

    def progress(done: int, total: int) -> None:
        stop_if_interrupted()
        bar[:] = bar or [comfy.utils.ProgressBar(total)]
        bar[0].update_absolute(done, total)

    find, cache = ready(encoder)[0], Path(confined(RUNS, CACHE))
    with torch.inference_mode(False), torch.no_grad():
        return FolderSource(_folder(choice), find, generator.config.resolution, cache,
                            progress=progress)


def confined(folder: str, name: str) -> str:
    """The path of a file in a folder of the output folder, and in no other."""
    place, file, *_ = folder_paths.get_save_image_path(
        os.path.join(folder, name), folder_paths.get_output_directory())
    return os.path.join(place, file)
