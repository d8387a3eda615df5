"""A stack machine that runs pickles (protocols 0 to 5) as data and calls nothing.

Values on the stack are plain data of our own making, so that no method of a stored class can
run; globals are looked up in `allowed`, and every length is compared with the bytes that are
there. `legacy` reads torch's older layout, which is a row of pickles.
"""
from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from typing import Any

from ...errors import LGFAError
from . import allowed, values
from .values import Broken, Budget, Global, Storage

MAGIC = 0x1950A86A20F9469CFC6C      # first value of torch's older layout
NESTED = 3                          # blobs within blobs
LINE = 1 << 20                      # bytes of a text opcode
OBJECT = 400                        # bytes of what a call gives, beside the data in it
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
        step = self.budget.step
        try:
            while True:
                code = self.data[self.pos]
                self.pos += 1
                step()
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

    def take(self, count: int) -> memoryview:
        """The next bytes."""
        if count > len(self.data) - self.pos:
            raise Broken(TRUNCATED)
        self.pos += count
        return self.data[self.pos - count:self.pos]

    def number(self, form: str) -> Any:
        """The next bytes as one number."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self, encoding: str = "utf-8") -> str:
        """The next bytes up to the end of the line."""
        for room in (2**8, 2**12, 2**16, LINE):         # long lines are rare
            block = bytes(self.data[self.pos:self.pos + room])
            end = block.find(b"\n")
            if end >= 0:
                self.pos += end + 1
                return block[:end].decode(encoding)
        raise Broken(TRUNCATED)

    def push(self, value: Any) -> None:
        """Puts a value on the stack that takes no memory of its own, or is booked already."""
        self.stack.append(value)

    def push_new(self, value: Any) -> None:
        """Puts a value on the stack that was just built, and books it."""
        self.stack.append(self.budget.held(value))

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

    def members(self) -> list[Any]:
        """Takes all values above the last mark, as keys of a set."""
        return [values.plain_key(self.budget, key) for key in self.pop_mark()]

    def find(self, module: Any, name: Any) -> Any:
        """The value behind a global."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise Broken("it names a global that is no text")
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return Global("torch.storage._load_from_bytes", self.nested_blob)
        return allowed.find(module, name, self.scripted)

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
        self.budget.hold(OBJECT)
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
    m.budget.hold(8 * len(items))
    m.stack[-1].extend(items)


def _set_items(m: Machine, items: list[Any]) -> None:
    target = m.stack[-1]
    if not isinstance(target, dict) or len(items) % 2:
        raise Broken("it fills something that is no table")
    for key, value in zip(items[::2], items[1::2], strict=True):
        target[values.plain_key(m.budget, key)] = value


def _set_item(m: Machine) -> None:
    value, key = m.pop(), m.pop()
    _set_items(m, [key, value])


def _add_items(m: Machine) -> None:
    items = m.members()
    if not isinstance(m.stack[-1], set):
        raise Broken("it fills something that is no set")
    m.stack[-1].update(items)


def _new_dict(m: Machine) -> None:
    items = m.pop_mark()
    m.push_new({})
    _set_items(m, items)


def _build(m: Machine) -> None:
    """Gives an object its state; attributes of dict classes hold nothing of use."""
    state, target = m.pop(), m.stack[-1]
    if isinstance(target, values.Array | values.Dtype):
        target.set_state(state)
    elif isinstance(target, values.Fields) and isinstance(state, dict):
        target["state" if "state" in target else "fields"] = state
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
    m.push_new(int.from_bytes(m.take(size), "little", signed=True))


def _text(m: Machine, size: int, encoding: str = "utf-8") -> None:
    block = m.take(size)
    m.budget.hold(size)                             # a letter takes up to four bytes, see held
    m.push_new(str(block, encoding, "surrogatepass" if encoding == "utf-8" else "strict"))


def _blob(m: Machine, size: int) -> None:
    # Long blobs stay in the file until their numbers are needed.
    block = m.take(size)
    m.push_new(block if size > 4096 else bytes(block))


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
    m.push_new(tuple(reversed(items)))


def _protocol(m: Machine) -> None:
    if m.number("<B") > 5:
        raise Broken("it has a newer pickle protocol than 5")


def _int_line(m: Machine) -> None:
    text = m.line()
    m.push_new({"00": False, "01": True}.get(text, None) if text in ("00", "01") else int(text))


def _string_line(m: Machine) -> None:
    text = m.line().strip()
    if len(text) < 2 or text[0] != text[-1] or text[0] not in "'\"":
        raise Broken("its steps make no sense")
    m.push_new(codecs.escape_decode(text[1:-1].encode("utf-8"))[0].decode("latin1"))


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
    ord("L"): lambda m: m.push_new(int(m.line().rstrip("L"))),
    ord("F"): lambda m: m.push_new(float(m.line())),
    ord("J"): lambda m: m.push_new(m.number("<i")),
    ord("K"): lambda m: m.push(m.number("<B")),
    ord("M"): lambda m: m.push_new(m.number("<H")),
    0x8A: lambda m: _long(m, m.number("<B")),
    0x8B: lambda m: _long(m, m.number("<i")),
    ord("G"): lambda m: m.push_new(m.number(">d")),
    ord("S"): _string_line,
    ord("V"): lambda m: m.push_new(m.line("latin1").encode("latin1").decode("raw-unicode-escape")),
    ord("T"): lambda m: _text(m, m.number("<I"), "latin1"),
    ord("U"): lambda m: _text(m, m.number("<B"), "latin1"),
    ord("X"): lambda m: _text(m, m.number("<I")),
    0x8C: lambda m: _text(m, m.number("<B")),
    0x8D: lambda m: _text(m, m.number("<Q")),
    ord("B"): lambda m: _blob(m, m.number("<I")),
    ord("C"): lambda m: _blob(m, m.number("<B")),
    0x8E: lambda m: _blob(m, m.number("<Q")),
    0x96: lambda m: _blob(m, m.number("<Q")),                               # BYTEARRAY8
    ord("]"): lambda m: m.push_new([]),
    ord("}"): lambda m: m.push_new({}),
    ord(")"): lambda m: m.push(()),
    0x8F: lambda m: m.push_new(set()),
    0x91: lambda m: m.push_new(frozenset(m.members())),
    ord("l"): lambda m: m.push_new(m.pop_mark()),
    ord("t"): lambda m: m.push_new(tuple(m.pop_mark())),
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


def legacy(machine: Machine) -> Any:
    """The rest of torch's older layout behind its magic number: the object, then its storages."""
    storages: dict[str, Storage] = {}

    def persistent(pid: Any) -> Storage:
        if not isinstance(pid, tuple) or len(pid) != 6 or pid[0] != "storage" or pid[5]:
            raise Broken("it refers to data outside of it")
        return remember(storages, pid, machine.budget)

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


def remember(storages: dict[str, Storage], pid: tuple[Any, ...], budget: Budget) -> Storage:
    """The storage of a persistent id ("storage", type, key, location, elements, ..)."""
    dtype, key, numel = allowed.storage_dtype(pid[1]), str(pid[2]), pid[4]
    storage = storages.setdefault(key, Storage(dtype, numel, budget))
    if (storage.dtype, storage.numel) != (dtype, numel):
        raise Broken("two mentions of a storage disagree")
    return storage
