"""Reads pickles (protocols 0 to 5) as data: an interpreter of the format that calls nothing.

Python's own unpickler imports and calls whatever a file names. This one is a small stack machine
of our own (machine.py): it knows plain values and the names in `allowed.ALLOWED`, refuses every
other global by name, and checks every size against the bytes that are there; what a file makes it
build, copy and visit is booked with one Budget. It reads

- bare pickles, NVIDIA's `.pkl` with tensors in nested torch blobs among them,
- `torch.save` files, both the zip layout, whose check sums are verified, and the older one,
- TorchScript archives as trees of tensors (their code is not looked at).

Classes become plain data: OrderedDict, EasyDict and Namespace a dict; an object of NVIDIA's
`torch_utils.persistence` a dict {"class_name", "module_type", "state"}; parameters tensors;
numpy scalars Python numbers. `weights(obj)` flattens such an object into a state dict.
"""
from __future__ import annotations

import mmap
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...errors import LGFAError, reading
from . import values
from .machine import MAGIC, MARK, ODD, TRUNCATED, Machine, legacy, remember
from .values import Broken, Budget, Global, Storage

DEPTH = 100                         # containers within containers
VISITS = 20_000                     # of modules within a network; a large one has a thousand
LONGEST_NAME = 1000                 # letters of a weight's name

# Bytes of a zip's directory: each entry of 46 or more takes a thousand in memory.
DIRECTORY, DIRECTORY_SHARE = 2**20, 25


def finish(value: Any, budget: Budget) -> Any:
    """Builds all tensors and arrays of a tree; shared parts stay shared, and each mention of a
    tensor is booked.

    Raises Broken for containers that hold themselves or are nested too deep.
    """
    done: dict[int, Any] = {}
    keep: list[Any] = []                    # ids stay valid while their objects live

    def walk(node: Any, depth: int) -> Any:
        if node is None or isinstance(node, str | int | float | bytes | torch.dtype | complex):
            return node
        if id(node) in done:
            result = done[id(node)]
            if result is MARK:
                raise Broken("a container holds itself")
            if isinstance(result, torch.Tensor | np.ndarray):
                budget.mention(result.nbytes)
            return result
        if depth > DEPTH:
            raise Broken("it nests containers too deep")
        done[id(node)] = MARK
        keep.append(node)
        done[id(node)] = result = leaf(node, lambda child: walk(child, depth + 1))
        return result

    def leaf(node: Any, inner: Callable[[Any], Any]) -> Any:
        if isinstance(node, values.Fields) and "fields" in node:
            return inner(node["fields"])
        if isinstance(node, dict):
            return budget.held({key: inner(child) for key, child in node.items()})
        if isinstance(node, list):
            return budget.held([inner(child) for child in node])
        if isinstance(node, tuple):
            return budget.held(tuple(inner(child) for child in node))
        if isinstance(node, values.Tensor | values.Array):
            return node.build()
        if isinstance(node, Storage):
            return node.flat()
        if isinstance(node, values.Dtype):
            return str(node.value)
        if isinstance(node, Global):
            return node.name
        if isinstance(node, memoryview):
            return budget.held(bytes(node))
        if isinstance(node, set | frozenset | bytearray):
            return node
        raise Broken(f"it holds a {type(node).__name__}")

    return walk(value, 0)


def read(path: str | os.PathLike[str]) -> Any:
    """The tree of a `.pkl`, `.pt` or `.pth` file. LGFAError, one sentence, for any other file."""
    path = Path(path)
    with reading(path):
        try:
            with open(path, "rb") as file:
                data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            return _read(data, path)
        except Broken as error:
            what = "is" if str(error) == TRUNCATED else "is damaged or was made to do harm:"
            raise LGFAError(f"{path} {what} {error}; download it again.") from error
        except RecursionError as error:
            raise LGFAError(f"{path} is damaged or was made to do harm: it nests too "
                            "deep.") from error


def loads(data: bytes) -> Any:
    """The tree of a pickle in memory; LGFAError, one sentence, when it is refused."""
    try:
        return _pickled(memoryview(data), Budget(len(data)))
    except LGFAError:
        raise
    except ODD as error:
        raise LGFAError(f"the pickle is damaged or was made to do harm: {error}.") from error


def _read(data: memoryview, path: Path) -> Any:
    """Chooses the layout by the first bytes."""
    head = bytes(data[:512])
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _zip(data, path)
    budget = Budget(len(data))
    if head[:1] == b"\x80":
        return _pickled(data, budget)
    if head[:1] in b"(c]}" and bytes(data[-1:]) == b".":        # protocol 0 has no mark of its own
        try:
            return _pickled(data, budget)
        except ODD as error:
            if isinstance(error, LGFAError):
                raise
    raise LGFAError(_guess(head))


def _pickled(data: memoryview, budget: Budget) -> Any:
    """A bare pickle or torch's older layout."""
    machine = Machine(data, budget)
    value = machine.run()
    if isinstance(value, int) and value == MAGIC:
        value = legacy(machine)
    if machine.pos != len(data):
        raise Broken("it goes on after its end")
    return finish(value, budget)


def _guess(head: bytes) -> str:
    """What a file that is no checkpoint may be."""
    start = head.lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "this is a web page, not a checkpoint: the download went wrong; try it again."
    if start.startswith(b"version https://git-lfs"):
        return "this is a Git LFS pointer, not the checkpoint itself: fetch it with git lfs pull."
    if start.startswith((b"\x89png", b"\xff\xd8\xff", b"gif8", b"riff")):
        return "this is a picture, not a checkpoint."
    if head.startswith((b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ")):
        return "this is a compressed archive, not a checkpoint: unpack it first."
    if all(byte in b"\t\n\r\f" or byte >= 32 for byte in head):
        return "this is a text file, not a checkpoint."
    return ("this is no checkpoint: neither safetensors nor a torch file (.pt, .pth) nor a "
            "pickle (.pkl).")


def _zip(data: memoryview, path: Path) -> Any:
    """torch.save's zip layout: data.pkl and one uncompressed entry for each storage."""
    if _directory_size(data) > DIRECTORY + len(data) // DIRECTORY_SHARE:
        raise Broken("it has more entries than any checkpoint")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise Broken(TRUNCATED) from error
    if entries and min(entry.header_offset for entry in entries.values()):
        raise Broken("it has something else before its beginning")
    names = [n for n in entries if n.endswith("/data.pkl") or n == "data.pkl"]
    if not names:
        raise LGFAError("this is a zip archive, not a checkpoint: unpack it first.")
    root = names[0].removesuffix("data.pkl")
    summed = any(entry.CRC for entry in entries.values())     # torch can leave out all check sums

    def contents(name: str) -> memoryview:
        block = _entry(data, entries[name])
        if summed and zlib.crc32(block) != entries[name].CRC:
            raise Broken(f"its entry {name[:60]!r} differs from its check sum: bits were changed "
                         "on the way")
        return block

    if root + "byteorder" in entries and bytes(contents(root + "byteorder")) != b"little":
        raise Broken("it was written by a big-endian machine")
    storages: dict[str, Storage] = {}
    budget = Budget(len(data))

    def persistent(pid: Any) -> Storage:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
            raise Broken("it refers to data outside of it")
        storage = remember(storages, pid, budget)
        if storage.data is None:
            name = f"{root}data/{pid[2]}"
            if name not in entries:
                raise Broken(f"its storage {str(pid[2])[:40]!r} is not there")
            storage.data = contents(name)
        return storage

    scripted = root + "constants.pkl" in entries
    machine = Machine(contents(names[0]), budget, persistent, scripted=scripted)
    return finish(machine.run(), budget)


def _directory_size(data: memoryview) -> int:
    """Bytes of a zip's directory, as its end says; the larger one where it says two."""
    tail = bytes(data[-66_000:])
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + 22 + int.from_bytes(tail[at + 20:at + 22], "little") != len(tail):
        raise Broken(TRUNCATED if at < 0 else "it goes on after its end")
    sizes = [0]
    for mark, offset, width in ((b"PK\x05\x06", 12, 4), (b"PK\x06\x06", 40, 8)):
        at = tail.rfind(mark)
        if at >= 0:
            sizes.append(int.from_bytes(tail[at + offset:at + offset + width], "little"))
    known = [size for size in sizes if size != 2**32 - 1]       # the second record says it
    return max(known)


def _entry(data: memoryview, entry: zipfile.ZipInfo) -> memoryview:
    """An uncompressed entry's bytes, in place."""
    if entry.compress_type != zipfile.ZIP_STORED:
        raise Broken("its entries are compressed, which torch's never are")
    start = entry.header_offset
    if bytes(data[start:start + 4]) != b"PK\x03\x04":
        raise Broken("its zip directory and its entries disagree")
    name, extra = struct.unpack("<HH", data[start + 26:start + 30])
    start += 30 + name + extra
    if start + entry.file_size > len(data):
        raise Broken(TRUNCATED)
    return data[start:start + entry.file_size]


def weights(obj: Any) -> dict[str, torch.Tensor | np.ndarray]:
    """The state dict of a stored network: {"synthesis.b4.const": tensor, ..}.

    Takes an object of NVIDIA's persistence or of a TorchScript archive, as `read` gives it:
    {"class_name", "module_type", "state"}.
    """
    budget = Budget(0)                      # a module counts as often as others mention it
    budget.steps = VISITS
    try:
        return dict(_weights(obj, "", 0, budget))
    except Broken as error:
        raise LGFAError("the file holds a network of more parts than any has.") from error


def _weights(obj: Any, prefix: str, depth: int, budget: Budget) -> Iterator[tuple[str, Any]]:
    if depth > DEPTH or len(prefix) > LONGEST_NAME or not is_network(obj):
        raise LGFAError("the file holds a network whose parts are no networks.")
    state = obj["state"]
    *tables, modules = [{} if state.get(key) is None else state[key]
                        for key in ("_parameters", "_buffers", "_modules")]
    kind = obj.get("module_type")
    if isinstance(kind, str) and kind == "torchscript":
        tables = [{k: v for k, v in state.items() if isinstance(v, torch.Tensor)}]
        modules = {k: v for k, v in state.items() if is_network(v)}
    if not all(isinstance(table, dict) for table in (*tables, modules)):
        raise LGFAError("the file holds a network whose weights or parts are no tables.")
    budget.step(1 + sum(map(len, tables)))
    for table in tables:
        yield from ((f"{prefix}{k}", v) for k, v in table.items() if v is not None)
    for name, module in modules.items():
        if module is not None:
            yield from _weights(module, f"{prefix}{str(name)[:LONGEST_NAME]}.", depth + 1, budget)


def is_network(obj: Any) -> bool:
    """Whether a value is a stored network, as `read` gives it."""
    return isinstance(obj, dict) and "class_name" in obj and isinstance(obj.get("state"), dict)
