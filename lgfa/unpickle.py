"""Reads pickles (protocols 0 to 5) as data: an interpreter of the format that calls nothing.

Python's own unpickler imports and calls whatever a file names. This one is a small stack
machine of our own: it knows plain values and the names in `stored.ALLOWED`, refuses every other
global by name, and checks every size against the bytes that are there. It reads

- bare pickles, NVIDIA's `.pkl` with tensors in nested torch blobs among them,
- `torch.save` files, both the zip layout and the older one,
- TorchScript archives as trees of tensors (their code is not looked at).

Classes become plain data: OrderedDict, EasyDict and Namespace a dict; an object of NVIDIA's
`torch_utils.persistence` a dict {"class_name", "module_type", "state"}; parameters tensors;
numpy scalars Python numbers. `weights(obj)` flattens such an object into a state dict.
"""
from __future__ import annotations

import codecs
import mmap
import os
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import stored
from .errors import LGFAError
from .stored import Broken, Budget, Global, Storage

MAGIC = 0x1950A86A20F9469CFC6C      # first value of torch's older layout
NESTED = 3                          # blobs within blobs
DEPTH = 100                         # containers within containers
LINE = 1 << 20                      # bytes of a text opcode
TRUNCATED = "truncated"
ODD = (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError,
       RuntimeError, MemoryError, struct.error)
MARK = object()


class Machine:
    """Runs one pickle after the other over a block of bytes."""

    def __init__(
        self,
        data: memoryview,                                   # the block
        budget: Budget,                                     # of the whole file
        persistent: Callable[[Any], Any] | None = None,     # persistent id -> value
        nested: int = 0,                                    # blobs around this one
        scripted: bool = False,                             # a TorchScript archive's pickle
    ) -> None:
        self.data, self.budget, self.persistent = data, budget, persistent
        self.nested, self.scripted = nested, scripted
        self.pos = 0

    def run(self) -> Any:
        """The next pickle's value, not yet finished (see `finish`)."""
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        steps = self.budget.steps
        try:
            while True:
                code = self.data[self.pos]
                self.pos += 1
                steps -= 1
                if steps < 0:
                    raise Broken("it has more steps than any checkpoint")
                if code == 0x2E:                            # STOP
                    return self.pop()
                handler = OPCODES.get(code)
                if handler is None:
                    raise Broken(f"it has the unknown opcode {code:#x}")
                handler(self)
        except IndexError as error:
            if self.pos >= len(self.data):
                raise Broken(TRUNCATED) from error
            raise Broken("its steps make no sense") from error
        finally:
            self.budget.steps = steps

    def take(self, count: int) -> memoryview:
        """The next bytes."""
        if count > len(self.data) - self.pos:
            raise Broken(TRUNCATED)
        self.pos += count
        return self.data[self.pos - count:self.pos]

    def number(self, form: str) -> Any:
        """The next bytes as one number."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        """The next bytes up to the end of the line."""
        for room in (256, LINE):                        # long lines are rare
            block = bytes(self.data[self.pos:self.pos + room])
            end = block.find(b"\n")
            if end >= 0:
                self.pos += end + 1
                return block[:end].decode("utf-8")
        raise Broken(TRUNCATED)

    def push(self, value: Any) -> None:
        """Puts a value on the stack."""
        self.stack.append(value)

    def pop(self) -> Any:
        """Takes the value on top."""
        value = self.stack.pop()
        if value is MARK:
            raise Broken("its steps make no sense")
        return value

    def pop_mark(self) -> list[Any]:
        """Takes all values above the last mark."""
        for i in range(len(self.stack) - 1, -1, -1):
            if self.stack[i] is MARK:
                items = self.stack[i + 1:]
                del self.stack[i:]
                return items
        raise Broken("its steps make no sense")

    def find(self, module: Any, name: Any) -> Any:
        """The value behind a global."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise Broken("it names a global that is no text")
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return Global("torch.storage._load_from_bytes", self.nested_blob)
        return stored.find(module, name, self.scripted)

    def nested_blob(self, budget: Budget, blob: Any) -> Any:
        """torch.load of bytes within the pickle, in the older layout."""
        if self.nested >= NESTED or not isinstance(blob, bytes | bytearray | memoryview):
            raise Broken("it nests blobs too deep")
        machine = Machine(memoryview(blob), budget, nested=self.nested + 1)
        if machine.run() != MAGIC:
            raise Broken("a nested blob is not one of torch's")
        return legacy(machine)

    def call(self, function: Any, args: Any) -> Any:
        """Imitates a call of an allowed global."""
        if not isinstance(function, Global) or not isinstance(args, tuple):
            raise Broken("it calls something that is no function")
        if function.call is None:
            raise LGFAError(f"refused: it calls {function.name}, and only tensors and plain data "
                            f"are read; nothing in it was run.")
        try:
            return function.call(self.budget, *args)
        except Broken:
            raise
        except LGFAError:
            raise
        except ODD as error:
            raise Broken(f"it calls {function.name} with odd arguments") from error


# One function for each opcode. Containers on the stack are only ever ours, so that no method of
# a stored class can run.

def _append(m: Machine, items: list[Any]) -> None:
    if not isinstance(m.stack[-1], list):
        raise Broken("it appends to something that is no list")
    m.stack[-1].extend(items)


def _set_items(m: Machine, items: list[Any]) -> None:
    target = m.stack[-1]
    if not isinstance(target, dict) or len(items) % 2:
        raise Broken("it fills something that is no table")
    for key, value in zip(items[::2], items[1::2], strict=True):
        target[stored.plain_key(key)] = value


def _set_item(m: Machine) -> None:
    value, key = m.pop(), m.pop()
    _set_items(m, [key, value])


def _add_items(m: Machine) -> None:
    items = m.pop_mark()
    if not isinstance(m.stack[-1], set):
        raise Broken("it fills something that is no set")
    m.stack[-1].update(map(stored.plain_key, items))


def _new_dict(m: Machine) -> None:
    items = m.pop_mark()
    m.push({})
    _set_items(m, items)


def _build(m: Machine) -> None:
    """Gives an object its state; attributes of dict classes hold nothing of use."""
    state, target = m.pop(), m.stack[-1]
    if isinstance(target, stored.Array | stored.Dtype):
        target.set_state(state)
    elif isinstance(target, stored.Fields) and isinstance(state, dict):
        target["state" if m.scripted else "fields"] = state
    elif not isinstance(target, dict) or not isinstance(state, dict | tuple | None):
        raise Broken("it gives attributes to something that has none")


def _reduce(m: Machine) -> None:
    args = m.pop()
    m.push(m.call(m.pop(), args))


def _new_object(m: Machine, keywords: bool = False) -> None:
    extra = m.pop() if keywords else {}
    if extra != {}:
        raise Broken("it builds an object with keywords")
    _reduce(m)


def _instance(m: Machine) -> None:
    function = m.find(m.line(), m.line())
    m.push(m.call(function, tuple(m.pop_mark())))


def _object(m: Machine) -> None:
    function, *args = m.pop_mark()
    m.push(m.call(function, tuple(args)))


def _stack_global(m: Machine) -> None:
    name, module = m.pop(), m.pop()
    m.push(m.find(module, name))


def _persistent_id(m: Machine, pid: Any) -> None:
    if m.persistent is None:
        raise Broken("it refers to data outside of it")
    m.push(m.persistent(pid))


def _long(m: Machine, size: int) -> None:
    if not 0 <= size <= 1024:
        raise Broken("it has a whole number of more than 1024 bytes")
    m.push(int.from_bytes(m.take(size), "little", signed=True))


def _text(m: Machine, size: int, encoding: str = "utf-8") -> None:
    m.push(str(m.take(size), encoding, "surrogatepass" if encoding == "utf-8" else "strict"))


def _blob(m: Machine, size: int) -> None:
    # Long blobs stay in the file until their numbers are needed.
    block = m.take(size)
    m.push(block if size > 4096 else bytes(block))


def _get(m: Machine, index: int) -> None:
    if index not in m.memo:
        raise Broken("its steps make no sense")
    m.push(m.memo[index])


def _put(m: Machine, index: int) -> None:
    if m.stack[-1] is MARK:
        raise Broken("its steps make no sense")
    m.memo[index] = m.stack[-1]


def _tuple(m: Machine, count: int) -> None:
    items = [m.pop() for _ in range(count)]
    m.push(tuple(reversed(items)))


def _protocol(m: Machine) -> None:
    if m.number("<B") > 5:
        raise Broken("it has a newer pickle protocol than 5")


def _int_line(m: Machine) -> None:
    text = m.line()
    m.push({"00": False, "01": True}.get(text, None) if text in ("00", "01") else int(text))


def _string_line(m: Machine) -> None:
    text = m.line().strip()
    if len(text) < 2 or text[0] != text[-1] or text[0] not in "'\"":
        raise Broken("its steps make no sense")
    m.push(codecs.escape_decode(text[1:-1].encode("utf-8"))[0].decode("latin1"))


def _pop_any(m: Machine) -> None:
    m.stack.pop()


def _refuse_extension(m: Machine) -> None:
    raise Broken("it uses registered extensions, which no checkpoint does")


OPCODES: dict[int, Callable[[Machine], None]] = {
    0x80: _protocol,
    0x95: lambda m: m.take(8) and None,                                     # FRAME
    ord("("): lambda m: m.push(MARK),
    ord("0"): _pop_any,
    ord("1"): lambda m: m.pop_mark() and None,                              # POP_MARK
    ord("2"): lambda m: m.push(m.stack[-1]),                                # DUP
    ord("N"): lambda m: m.push(None),
    0x88: lambda m: m.push(True),
    0x89: lambda m: m.push(False),
    ord("I"): _int_line,
    ord("L"): lambda m: m.push(int(m.line().rstrip("L"))),
    ord("F"): lambda m: m.push(float(m.line())),
    ord("J"): lambda m: m.push(m.number("<i")),
    ord("K"): lambda m: m.push(m.number("<B")),
    ord("M"): lambda m: m.push(m.number("<H")),
    0x8A: lambda m: _long(m, m.number("<B")),
    0x8B: lambda m: _long(m, m.number("<i")),
    ord("G"): lambda m: m.push(m.number(">d")),
    ord("S"): _string_line,
    ord("V"): lambda m: m.push(m.line().encode("latin1", "backslashreplace")
                               .decode("raw-unicode-escape")),
    ord("T"): lambda m: _text(m, m.number("<I"), "latin1"),
    ord("U"): lambda m: _text(m, m.number("<B"), "latin1"),
    ord("X"): lambda m: _text(m, m.number("<I")),
    0x8C: lambda m: _text(m, m.number("<B")),
    0x8D: lambda m: _text(m, m.number("<Q")),
    ord("B"): lambda m: _blob(m, m.number("<I")),
    ord("C"): lambda m: _blob(m, m.number("<B")),
    0x8E: lambda m: _blob(m, m.number("<Q")),
    0x96: lambda m: _blob(m, m.number("<Q")),                               # BYTEARRAY8
    ord("]"): lambda m: m.push([]),
    ord("}"): lambda m: m.push({}),
    ord(")"): lambda m: m.push(()),
    0x8F: lambda m: m.push(set()),
    0x91: lambda m: m.push(frozenset(map(stored.plain_key, m.pop_mark()))),
    ord("l"): lambda m: m.push(m.pop_mark()),
    ord("t"): lambda m: m.push(tuple(m.pop_mark())),
    ord("d"): _new_dict,
    0x85: lambda m: _tuple(m, 1),
    0x86: lambda m: _tuple(m, 2),
    0x87: lambda m: _tuple(m, 3),
    ord("a"): lambda m: _append(m, [m.pop()]),
    ord("e"): lambda m: _append(m, m.pop_mark()),
    ord("s"): _set_item,
    ord("u"): lambda m: _set_items(m, m.pop_mark()),
    0x90: _add_items,
    ord("g"): lambda m: _get(m, int(m.line())),
    ord("h"): lambda m: _get(m, m.number("<B")),
    ord("j"): lambda m: _get(m, m.number("<I")),
    ord("p"): lambda m: _put(m, int(m.line())),
    ord("q"): lambda m: _put(m, m.number("<B")),
    ord("r"): lambda m: _put(m, m.number("<I")),
    0x94: lambda m: _put(m, len(m.memo)),                                   # MEMOIZE
    ord("c"): lambda m: m.push(m.find(m.line(), m.line())),                 # GLOBAL
    0x93: _stack_global,
    ord("R"): _reduce,
    ord("b"): _build,
    0x81: _new_object,
    0x92: lambda m: _new_object(m, True),
    ord("i"): _instance,
    ord("o"): _object,
    ord("P"): lambda m: _persistent_id(m, m.line()),
    ord("Q"): lambda m: _persistent_id(m, m.pop()),
    0x82: _refuse_extension, 0x83: _refuse_extension, 0x84: _refuse_extension,
}


def finish(value: Any) -> Any:
    """Builds all tensors and arrays of a tree; shared parts stay shared.

    Raises Broken for containers that hold themselves or are nested too deep.
    """
    done: dict[int, Any] = {}
    keep: list[Any] = []                    # ids stay valid while their objects live

    def walk(node: Any, depth: int) -> Any:
        if node is None or isinstance(node, str | int | float | bytes | torch.dtype | complex):
            return node
        if id(node) in done:
            if done[id(node)] is MARK:
                raise Broken("a container holds itself")
            return done[id(node)]
        if depth > DEPTH:
            raise Broken("it nests containers too deep")
        done[id(node)] = MARK
        keep.append(node)
        done[id(node)] = result = leaf(node, lambda child: walk(child, depth + 1))
        return result

    def leaf(node: Any, inner: Callable[[Any], Any]) -> Any:
        if isinstance(node, stored.Fields) and "fields" in node:
            return inner(node["fields"])
        if isinstance(node, dict):
            return {key: inner(child) for key, child in node.items()}
        if isinstance(node, list):
            return [inner(child) for child in node]
        if isinstance(node, tuple):
            return tuple(inner(child) for child in node)
        if isinstance(node, stored.Tensor | stored.Array):
            return node.build()
        if isinstance(node, Storage):
            return node.flat()
        if isinstance(node, stored.Dtype):
            return str(node.value)
        if isinstance(node, Global):
            return node.name
        if isinstance(node, memoryview):
            return bytes(node)
        if isinstance(node, set | frozenset | bytearray):
            return node
        raise Broken(f"it holds a {type(node).__name__}")

    return walk(value, 0)


def legacy(machine: Machine) -> Any:
    """The rest of torch's older layout behind its magic number: the object, then its storages."""
    storages: dict[str, Storage] = {}

    def persistent(pid: Any) -> Storage:
        if not isinstance(pid, tuple) or len(pid) != 6 or pid[0] != "storage" or pid[5]:
            raise Broken("it refers to data outside of it")
        return _remember(storages, pid, machine.budget)

    if machine.run() != 1001:
        raise Broken("it has an unknown version of torch's older layout")
    system = machine.run()
    if not isinstance(system, dict) or not system.get("little_endian", True):
        raise Broken("it was written by a big-endian machine")
    machine.persistent = persistent
    value = machine.run()
    machine.persistent = None
    keys = machine.run()
    if not isinstance(keys, list) or set(map(str, keys)) != set(storages):
        raise Broken("its storages are not all there")
    for key in keys:
        storage = storages[str(key)]
        if machine.number("<q") != storage.numel:
            raise Broken("a storage's size differs from its mention")
        storage.data = machine.take(storage.nbytes)
    return value


def _remember(storages: dict[str, Storage], pid: tuple[Any, ...], budget: Budget) -> Storage:
    """The storage of a persistent id ("storage", type, key, location, elements, ..)."""
    dtype, key, numel = stored.storage_dtype(pid[1]), str(pid[2]), pid[4]
    storage = storages.setdefault(key, Storage(dtype, numel, budget))
    if (storage.dtype, storage.numel) != (dtype, numel):
        raise Broken("two mentions of a storage disagree")
    return storage


def read(path: str | os.PathLike[str]) -> Any:
    """The tree of a `.pkl`, `.pt` or `.pth` file. LGFAError, one sentence, for any other file."""
    path = Path(path)
    try:
        with open(path, "rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return _read(data, path)
    except Broken as error:
        what = "is" if str(error) == TRUNCATED else "is damaged or was made to do harm:"
        raise LGFAError(f"{path} {what} {error}; download it again.") from error
    except LGFAError as error:
        raise LGFAError(f"{path}: {error}") from error
    except OSError as error:
        raise LGFAError(f"{path} cannot be read: {error.strerror}.") from error
    except ODD as error:
        raise LGFAError(f"{path} is damaged: it is no whole checkpoint.") from error


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
    return finish(legacy(machine) if value == MAGIC else value)


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
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise Broken(TRUNCATED) from error
    names = [n for n in entries if n.endswith("/data.pkl") or n == "data.pkl"]
    if not names:
        raise LGFAError("this is a zip archive, not a checkpoint: unpack it first.")
    root = names[0].removesuffix("data.pkl")
    if root + "byteorder" in entries and bytes(_entry(data, entries[root + "byteorder"])) != \
            b"little":
        raise Broken("it was written by a big-endian machine")
    storages: dict[str, Storage] = {}
    budget = Budget(len(data))

    def persistent(pid: Any) -> Storage:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
            raise Broken("it refers to data outside of it")
        storage = _remember(storages, pid, budget)
        if storage.data is None:
            name = f"{root}data/{pid[2]}"
            if name not in entries:
                raise Broken(f"its storage {str(pid[2])[:40]!r} is not there")
            storage.data = _entry(data, entries[name])
        return storage

    scripted = root + "constants.pkl" in entries
    machine = Machine(_entry(data, entries[names[0]]), budget, persistent, scripted=scripted)
    return finish(machine.run())


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
    return dict(_weights(obj, "", 0))


def _weights(obj: Any, prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > DEPTH or not is_network(obj):
        raise LGFAError("the file holds a network whose parts are no networks.")
    state = obj["state"]
    tables = [state.get("_parameters") or {}, state.get("_buffers") or {}]
    modules = state.get("_modules") or {}
    if obj["module_type"] == "torchscript":
        tables = [{k: v for k, v in state.items() if isinstance(v, torch.Tensor)}]
        modules = {k: v for k, v in state.items() if is_network(v)}
    for table in tables:
        yield from ((prefix + k, v) for k, v in table.items() if v is not None)
    for name, module in modules.items():
        if module is not None:
            yield from _weights(module, f"{prefix}{name}.", depth + 1)


def is_network(obj: Any) -> bool:
    """Whether a value is a stored network, as `read` gives it."""
    return isinstance(obj, dict) and "class_name" in obj and isinstance(obj.get("state"), dict)
