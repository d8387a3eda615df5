"""The values that a checkpoint's pickle may build: plain data, arrays, tensors, and nothing else.

Sizes are compared with the bytes that are there before anything is allocated; tensors are built
last, when all bytes are known. All that a file makes us do is booked with one Budget.
"""
from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

EXPANDED_LIMIT = 2**16          # elements of a tensor that is larger than its storage
SLACK = 32 * 2**20              # bytes of plain values that a file of any size may build
ITEM = 120                      # bytes of an entry in a table or set, its key and value apart
LARGEST_KEY = 2**60             # whole numbers from here on can be made to share one hash
LONGEST_KEY = 8                 # parts of a key that is a tuple
PLAIN_DTYPE = re.compile(r"[<>=|]?([?bBhHiIlLqQefd]|[biufcSU]\d{1,4})")


class Broken(ValueError):
    """The pickle is damaged or made to do harm; the text goes into the user's sentence."""


class Global:
    """A name that the pickle mentions: data, or something that `call` imitates."""

    __slots__ = ("name", "call")

    def __init__(
        self,
        name: str,                                  # "module.name"
        call: Callable[..., Any] | None = None,     # what calling it gives; None = cannot be called
    ) -> None:
        self.name = name
        self.call = call


class Fields(dict):
    """An object that is nothing but its attributes, such as argparse.Namespace."""


class Budget:
    """Counts down what one file may take, so that a small one cannot claim a large memory or a
    long time: each allocation, copy, container, step and visit is booked before it is made."""

    def __init__(self, size: int) -> None:
        """`size`: bytes of the file."""
        self.bytes = size                           # of numbers: all of them fit into the file
        self.views = 4 * size + 2 * SLACK           # of tensors, each as often as it is mentioned
        self.plain = size + SLACK                   # of texts, containers and their copies
        # 30,000 latents, the longest real file, need a million; small ones below 50,000.
        self.steps = min(200_000 + size // 64, 3_000_000)

    def take(self, count: int) -> None:
        """Books bytes of numbers."""
        if count < 0 or count > self.bytes:
            raise Broken(f"it claims tensors of more bytes ({count:,}) than it has")
        self.bytes -= count

    def mention(self, count: int) -> None:
        """Books bytes of a tensor, which may share its numbers with others."""
        if count > self.views:
            raise Broken("it uses the same numbers for tensors that are far larger than it is")
        self.views -= count

    def hold(self, count: int) -> None:
        """Books bytes of plain values."""
        if count > self.plain:
            raise Broken("it builds more texts, lists and tables than any checkpoint")
        self.plain -= count

    def step(self, count: int = 1) -> None:
        """Books steps of work."""
        self.steps -= count
        if self.steps < 0:
            raise Broken("it has more steps than any checkpoint")

    def held(self, value: Any) -> Any:
        """A value that was just built, booked with its container's own bytes."""
        self.hold(sys.getsizeof(value))
        return value


class Storage:
    """A block of numbers; its bytes may come later in the file than its first mention."""

    def __init__(self, dtype: torch.dtype, numel: int, budget: Budget) -> None:
        if not is_count(numel):
            raise Broken("a storage has no usable size")
        self.dtype, self.numel, self.budget = dtype, numel, budget
        self.data: memoryview | None = None
        self._flat: torch.Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Bytes that the block must have."""
        return self.numel * self.dtype.itemsize

    def flat(self) -> torch.Tensor:
        """The numbers as one row [numel], copied out of the file once."""
        if self._flat is None:
            if self.data is None:
                raise Broken("a storage is mentioned but not there")
            if len(self.data) < self.nbytes:
                raise Broken(f"a storage claims {self.nbytes:,} bytes and has {len(self.data):,}")
            self.budget.take(self.nbytes)
            raw = np.frombuffer(self.data[:self.nbytes], np.uint8).copy()
            self._flat = (torch.from_numpy(raw).view(self.dtype) if self.numel
                          else torch.empty(0, dtype=self.dtype))
        return self._flat


class Tensor:
    """A view of a storage, built when all bytes are known."""

    def __init__(self, storage: Storage, offset: int, size: Any, stride: Any,
                 dtype: torch.dtype | None = None) -> None:
        fine = isinstance(storage, Storage) and is_count(offset)
        if not fine or not is_shape(size) or not is_shape(stride) or len(size) != len(stride):
            raise Broken("a tensor has no usable shape")
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride
        self.dtype = dtype

    def build(self) -> torch.Tensor:
        """The tensor; Broken when it reaches beyond its storage."""
        numel = math.prod(self.size)
        itemsize = (self.dtype or self.storage.dtype).itemsize
        room = self.storage.nbytes // itemsize
        last = self.offset + sum((n - 1) * s for n, s in zip(self.size, self.stride, strict=True))
        if numel and (last >= room or numel > max(room, EXPANDED_LIMIT)):
            raise Broken("a tensor reaches beyond its storage")
        flat = self.storage.flat()
        if self.dtype is not None and self.dtype != flat.dtype:
            flat = flat.view(self.dtype)
        if not numel:
            return torch.empty(self.size, dtype=flat.dtype)
        self.storage.budget.mention(numel * itemsize)
        return flat.as_strided(self.size, self.stride, self.offset)


class Dtype:
    """A numpy dtype of plain numbers or text; BUILD gives it the byte order."""

    def __init__(self, code: Any, *flags: Any) -> None:
        if not isinstance(code, str) or not PLAIN_DTYPE.fullmatch(code):
            raise Broken(f"an array holds {str(code)[:40]!r}, which is not a plain number")
        self.value = np.dtype(code)

    def set_state(self, state: Any) -> None:
        """Takes the byte order; structured dtypes are refused."""
        if not isinstance(state, tuple) or len(state) < 5 or any(state[2:5]):
            raise Broken("an array holds records, which no checkpoint here needs")
        if state[1] in ("<", ">"):
            self.value = self.value.newbyteorder(state[1])


class Array:
    """A numpy array, filled by BUILD."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.parts: tuple[Any, ...] | None = None       # shape, Dtype, fortran order, bytes

    def set_state(self, state: Any) -> None:
        """Takes (version, shape, dtype, is_fortran, raw bytes)."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise Broken("an array has no usable contents")
        self.parts = state[1:]

    def build(self) -> np.ndarray:
        """The array; Broken when shape and bytes disagree."""
        if self.parts is None:
            return np.zeros(0, np.float32)
        shape, dtype, fortran, raw = self.parts
        if isinstance(raw, str):
            self.budget.hold(len(raw))
            raw = raw.encode("latin1")                  # written by Python 2
        if not isinstance(dtype, Dtype) or not isinstance(raw, bytes | bytearray | memoryview):
            raise Broken("an array holds objects instead of numbers")
        if not is_shape(shape) or math.prod(shape) * dtype.value.itemsize != len(raw):
            raise Broken("an array's shape and bytes disagree")
        self.budget.take(len(raw))
        flat = np.frombuffer(raw, dtype.value)
        array = flat.reshape(shape, order="F" if fortran else "C")
        return array.astype(dtype.value.newbyteorder("="), order="C")


def is_count(value: Any) -> bool:
    """Whether a value is a whole number that a size can be."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**48


def is_shape(value: Any) -> bool:
    """Whether a value can be a shape or strides."""
    return isinstance(value, tuple | list) and len(value) <= 32 and all(map(is_count, value))


def plain_key(budget: Budget, key: Any) -> Any:
    """A key or set member of a harmless type and hash, its entry booked; hashing others can run,
    overflow, or make a table slow: whole numbers beyond 2^60 can all have one hash."""
    budget.hold(ITEM)
    if isinstance(key, memoryview):
        budget.hold(len(key))
        return bytes(key)
    if _hashes_well(key) or (isinstance(key, tuple) and len(key) <= LONGEST_KEY
                             and all(map(_hashes_well, key))):
        return key
    raise Broken("a table has a key that is neither text nor a usual number")


def _hashes_well(key: Any) -> bool:
    """Whether a key's hash is random, or as good as its number."""
    if isinstance(key, int | float):
        return abs(key) < LARGEST_KEY
    return isinstance(key, str | bytes | torch.dtype) or key is None
