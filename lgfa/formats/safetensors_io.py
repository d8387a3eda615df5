"""Safetensors: the header checked before anything is allocated, written whole or not at all."""
from __future__ import annotations

import json
import os
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import torch

from ..errors import LGFAError, reading
from ..files import atomic_path

HEADER_LIMIT = 64 * 2**20       # bytes; real headers stay below one MiB
HEADER_SLACK = 32 * 2**20       # bytes that a header may take in memory beside four times its size
DIMENSIONS = 32                 # of a tensor
COUNT_LIMIT = 2**48             # no offset or side comes near it
VERSION = 1                     # of our own header

SIZES = {                       # bytes of one element
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "I16": 2, "U16": 2, "F16": 2,
    "BF16": 2, "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8, "C64": 8,
}

KINDS = {                       # how the format calls what we write
    torch.bool: "BOOL", torch.uint8: "U8", torch.int8: "I8", torch.int16: "I16",
    torch.int32: "I32", torch.int64: "I64", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.float32: "F32", torch.float64: "F64",
}


def is_safetensors(head: bytes) -> bool:
    """Whether a file's first 16 bytes are those of a safetensors file: a length, then JSON."""
    return len(head) >= 9 and head[8:9] == b"{"


def read_header(path: Path) -> dict[str, Any]:
    """The header as a dict, every claim in it compared with the file's size."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > size - 8:
            raise LGFAError(f"{path} is truncated or no safetensors file: its header claims "
                            f"{length:,} bytes, the file has {size:,}; download it again.")
        if length > HEADER_LIMIT:
            raise LGFAError(f"{path} claims a header of {length:,} bytes; no real file does.")
        text = file.read(length)
        # A list of lists takes thirty times its text; values within texts are not counted apart.
        if 64 * (text.count(b"[") + text.count(b"{")) + 100 * text.count(b",") \
                > 4 * length + HEADER_SLACK:
            raise LGFAError(f"{path} has a header of more entries than any real file.")
        try:
            header = json.loads(text.decode("utf-8"))
        except (UnicodeDecodeError, ValueError, RecursionError) as error:
            raise LGFAError(f"{path} is no safetensors file: its header is not JSON.") from error
    if not isinstance(header, dict):
        raise LGFAError(f"{path} is no safetensors file: its header is not a table.")
    _check_entries(header, size - 8 - length, path)
    return header


def _check_entries(header: dict[str, Any], data: int, path: Path) -> None:
    """LGFAError unless every tensor lies within the file's data and has the size of its shape."""
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        try:
            (begin, end), shape = entry["data_offsets"], entry["shape"]
            numbers = all(map(_is_count, (begin, end, *shape))) and len(shape) <= DIMENSIONS
            fine = numbers and begin <= end and prod(shape) * SIZES[entry["dtype"]] == end - begin
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LGFAError(f"{path} is damaged: no usable entry for {name[:80]!r}.") from error
        if not fine:
            raise LGFAError(f"{path} is damaged: {name[:80]!r} claims a size other than its "
                            f"shape's.")
        if end > data:
            raise LGFAError(f"{path} is truncated: {name[:80]!r} should end at byte {end:,} of "
                            f"the data, which has {data:,}; download it again.")


def _is_count(value: Any) -> bool:
    """Whether a header's value is a whole number of a sensible size."""
    return type(value) is int and 0 <= value < COUNT_LIMIT


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """({name: tensor}, metadata); the first is, for our own files, {"lgfa": header, "state_dict":
    {name: tensor}}."""
    from safetensors.torch import load_file
    header = read_header(path)
    with reading(path, "its tensors"):
        tensors = load_file(str(path))
    own = own_header(header, path)
    tree = {"lgfa": own, "state_dict": tensors} if own is not None else tensors
    return tree, _metadata(header)


def own_header(header: Mapping[str, Any], path: Path) -> dict[str, Any] | None:
    """Our own entry of a safetensors header, or None when the file is not ours."""
    text = _metadata(header).get("lgfa")
    if text is None:
        return None
    try:
        own = json.loads(text)
        kind, version = own["kind"], own["version"]
    except (TypeError, ValueError, KeyError, RecursionError) as error:
        raise LGFAError(f"{path} is damaged: its own description is not readable.") from error
    if not isinstance(kind, str) or not isinstance(version, int) or version > VERSION:
        raise LGFAError(f"{path} was written by a newer version (its format is {version!r}, "
                        f"this one reads up to {VERSION}): update the project.")
    return own


def read_info(path: Path) -> dict[str, Any] | None:
    """What our own file says of how it was made, by its header alone; None where it says nothing.
    """
    own = own_header(read_header(path), path) or {}
    info = own.get("info")
    return info if isinstance(info, dict) else None


def _metadata(header: Mapping[str, Any]) -> dict[str, Any]:
    """The texts in a header; none where they are no table."""
    found = header.get("__metadata__")
    return found if isinstance(found, dict) else {}


def write(
    path: str | os.PathLike[str],
    state_dict: Mapping[str, torch.Tensor],
    header: dict[str, Any],                 # our own description, stored as metadata["lgfa"]
    dtype: torch.dtype | None = None,       # store floating point as this; None = as they are
) -> None:
    """Writes tensors and description; refuses NaN and Inf, which nothing could use."""
    if Path(path).suffix != ".safetensors":
        raise LGFAError(f"{path}: name the output .. .safetensors, the one format written.")
    tensors = {}
    for name, tensor in state_dict.items():
        cast = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
        # A copy of its own: safetensors refuses tensors that share memory.
        tensors[name] = tensor.detach().to("cpu", cast, copy=True).contiguous()
        if tensors[name].is_floating_point() and not bool(torch.isfinite(tensors[name]).all()):
            raise LGFAError(f"cannot write {path}: {name} holds NaN or infinite numbers"
                            + (f" as {cast}." if cast != tensor.dtype else "."))
    try:
        text = json.dumps(header, ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise LGFAError(f"cannot write {path}: its description is not JSON ({error}).") from error
    write_tensors(path, tensors, {"lgfa": text})


def write_tensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, torch.Tensor],
    metadata: Mapping[str, str],            # entries of the file's header
    tidy: bool = True,                      # as for atomic_path
) -> None:
    """Writes a safetensors file, whole or not at all. By hand, since the library hides a full
    disk behind an error of its own and holds everything in memory once more."""
    # Wide numbers first, so that each tensor is aligned.
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name in order:
        one, kind = tensors[name], KINDS.get(tensors[name].dtype)
        if kind is None:
            raise LGFAError(f"cannot write {path}: {name} is of {one.dtype}, which the format "
                            f"lacks.")
        begin, end = end, end + one.numel() * one.element_size()
        header[name] = {"dtype": kind, "shape": list(one.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    with atomic_path(path, tidy) as tmp, open(tmp, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            numbers = tensors[name].detach().cpu().contiguous().reshape(-1)
            file.write(numbers.view(torch.uint8).numpy())
