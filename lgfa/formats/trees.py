"""From a file to a tree: plain data and tensors; nothing in a file is ever executed."""
from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..errors import LGFAError, reading
from . import safetensors_io


def tree_of(path: str | os.PathLike[str]) -> Any:
    """The tree of any file, the first half of `described`."""
    return described(path)[0]


def described(path: str | os.PathLike[str]) -> tuple[Any, dict[str, Any]]:
    """(tree, metadata) of any file: plain data, tensors, numpy arrays, and the texts that a
    safetensors file keeps beside its tensors; other files have none.

    Our own safetensors give {"lgfa": header, "state_dict": {name: tensor}}; other safetensors a
    plain {name: tensor}; `.pt`, `.pth` and `.pkl` what they hold (see unpickle/reader.py for
    the form that classes take). Raises LGFAError with one sentence for anything that is not a whole
    checkpoint.
    """
    from .unpickle import reader  # late: most users only ever read safetensors

    path = check_file(path)
    with reading(path):
        with open(path, "rb") as file:
            head = file.read(16)
        safe = safetensors_io.is_safetensors(head)
        return safetensors_io.read(path) if safe else (reader.read(path), {})


def check_file(path: str | os.PathLike[str]) -> Path:
    """The path of a file that can be read and is not empty; LGFAError otherwise."""
    path = Path(path)
    with reading(path):
        if path.is_dir():
            raise LGFAError(f"{path} is a folder; give a file in it.")
        if not path.exists():
            raise LGFAError(f"there is no file {path}.")
        if not path.is_file():              # opening a pipe would wait for a writer
            raise LGFAError(f"{path} is no plain file; give a file.")
        if path.stat().st_size == 0:
            raise LGFAError(f"{path} is empty; download or save it again.")
        with open(path, "rb"):
            return path


def is_own(tree: Any) -> bool:
    """Whether a tree came from one of our own files."""
    return isinstance(tree, Mapping) and set(tree) == {"lgfa", "state_dict"}


def info(tree: Any) -> dict[str, Any]:
    """What one of our own files says beside its settings; empty for others and strange ones."""
    found = tree["lgfa"].get("info") if is_own(tree) else None
    return found if isinstance(found, dict) else {}


def summary(tree: Any, most: int = 5) -> str:
    """What a tree holds, in a few words."""
    if isinstance(tree, torch.Tensor):
        return f"one tensor {list(tree.shape)}"
    if isinstance(tree, Mapping):
        keys = [str(key)[:60] for key in list(tree)[: most + 1]]
        more = len(tree) - most
        return (f"{len(tree)} entries: " + ", ".join(keys[:most])
                + (f" and {more} more" if more > 0 else "")) if keys else "an empty dict"
    return f"one {type(tree).__name__}"
