"""The values that a checkpoint's pickle may build: plain data, arrays, tensors, and nothing else.

`ALLOWED` is the whole list of names that a pickle may mention. Each is either data (a storage
type, say) or has a function here that does what the original would have done, on checked
arguments; the original is never imported or called. Sizes are compared with the bytes that are
there before anything is allocated.
"""
from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from .errors import LGFAError

DTYPES = {                      # torch.<Name>Storage
    "Double": torch.float64, "Float": torch.float32, "Half": torch.float16,
    "BFloat16": torch.bfloat16, "Long": torch.int64, "Int": torch.int32, "Short": torch.int16,
    "Char": torch.int8, "Byte": torch.uint8, "Bool": torch.bool, "ComplexFloat": torch.complex64,
}
EXPANDED_LIMIT = 2**16          # elements of a tensor that is larger than its storage
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
    """Counts down bytes and steps, so that a small file cannot claim a large memory."""

    def __init__(self, size: int) -> None:
        self.bytes = size                           # all tensors together fit into the file
        self.steps = 10_000_000                     # real checkpoints need below 100,000

    def take(self, count: int) -> None:
        """Books bytes before they are allocated."""
        if count < 0 or count > self.bytes:
            raise Broken(f"it claims tensors of more bytes ({count:,}) than it has")
        self.bytes -= count


class Storage:
    """A block of numbers; its bytes may come later in the file than its first mention."""

    def __init__(self, dtype: torch.dtype, numel: int, budget: Budget) -> None:
        if not _is_count(numel):
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
        fine = isinstance(storage, Storage) and _is_count(offset)
        if not fine or not _is_shape(size) or not _is_shape(stride) or len(size) != len(stride):
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
            raw = raw.encode("latin1")                  # written by Python 2
        if not isinstance(dtype, Dtype) or not isinstance(raw, bytes | bytearray | memoryview):
            raise Broken("an array holds objects instead of numbers")
        if not _is_shape(shape) or math.prod(shape) * dtype.value.itemsize != len(raw):
            raise Broken("an array's shape and bytes disagree")
        self.budget.take(len(raw))
        flat = np.frombuffer(raw, dtype.value)
        array = flat.reshape(shape, order="F" if fortran else "C").copy()
        return array.astype(dtype.value.newbyteorder("="))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**48


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) <= 32 and all(map(_is_count, value))


# What calling a name gives. Every function checks its arguments; the first is the budget.

def _dict(budget: Budget, *args: Any) -> dict[Any, Any]:
    """OrderedDict(), EasyDict(), Counter({..}) and their like."""
    out: dict[Any, Any] = {}
    for key, value in (args[0].items() if args and isinstance(args[0], dict) else
                       args[0] if args and isinstance(args[0], list | tuple) else ()):
        out[plain_key(key)] = value
    return out


def _fields(budget: Budget) -> Fields:
    return Fields()


def _defaultdict(budget: Budget, factory: Any = None) -> dict[Any, Any]:
    return {}


def _reconstructor(budget: Budget, cls: Any, base: Any, state: Any) -> Any:
    """copyreg._reconstructor: an empty object of an allowed class."""
    if not isinstance(cls, Global) or cls.call not in (_dict, _fields):
        raise Broken(f"it rebuilds {getattr(cls, 'name', 'something that is no class')}")
    return cls.call(budget)


def _sequence(make: Callable[..., Any]) -> Callable[..., Any]:
    def build(budget: Budget, items: Any = ()) -> Any:
        if not isinstance(items, list | tuple | set | frozenset):
            raise Broken("a collection is built from something else")
        return make(items if make in (list, tuple) else map(plain_key, items))
    return build


def _bytes(budget: Budget, text: Any = "", encoding: Any = "latin1") -> bytes:
    """Bytes that protocol 2 writes as text."""
    if isinstance(text, bytes | bytearray | memoryview):
        return bytes(text)
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "utf-8", "ascii"):
        raise Broken("bytes are built from something else than text")
    return text.encode(encoding)


def _complex(budget: Budget, real: float, imag: float) -> complex:
    return complex(float(real), float(imag))


def _path(budget: Budget, *parts: str) -> str:
    """A stored path, as text."""
    return "/".join(str(p) for p in parts if isinstance(p, str)).replace("//", "/")


def _device(budget: Budget, *parts: Any) -> str:
    """A stored device, as text: it need not exist here."""
    return ":".join(str(p) for p in parts if isinstance(p, str | int))


def _size(budget: Budget, shape: Any) -> tuple[int, ...]:
    if not _is_shape(shape):
        raise Broken("a torch.Size is no shape")
    return tuple(shape)


def _tensor(budget: Budget, storage: Any, offset: Any, size: Any, stride: Any,
            *rest: Any) -> Tensor:
    """torch._utils._rebuild_tensor and _v2; gradients and hooks are dropped."""
    return Tensor(storage, offset, size, stride)


def _tensor_v3(budget: Budget, storage: Any, offset: Any, size: Any, stride: Any, grad: Any,
               hooks: Any, dtype: Any, *rest: Any) -> Tensor:
    if not isinstance(dtype, torch.dtype):
        raise Broken("a tensor has no usable dtype")
    return Tensor(storage, offset, size, stride, dtype)


def _parameter(budget: Budget, data: Any, *rest: Any) -> Tensor:
    """torch.nn.Parameter as its tensor."""
    if not isinstance(data, Tensor):
        raise Broken("a parameter is no tensor")
    return data


def _typed(budget: Budget, function: Any, cls: Any, args: Any, state: Any) -> Any:
    """torch._tensor._rebuild_from_type_v2: a tensor with attributes, which are dropped."""
    if not isinstance(function, Global) or function.call not in (_tensor, _tensor_v3, _parameter):
        raise Broken("a tensor is rebuilt by something that is not torch's")
    return function.call(budget, *args)


def _dtype(budget: Budget, code: Any, *flags: Any) -> Dtype:
    return Dtype(code, *flags)


def _array(budget: Budget, *args: Any) -> Array:
    return Array(budget)


def _scalar(budget: Budget, dtype: Any, raw: Any) -> Any:
    """A numpy scalar, as Python's own number."""
    raw = raw.encode("latin1") if isinstance(raw, str) else raw
    if not isinstance(dtype, Dtype) or len(raw) != dtype.value.itemsize:
        raise Broken("a numpy number and its bytes disagree")
    return np.frombuffer(raw, dtype.value)[0].item()


def _frombuffer(budget: Budget, raw: Any, dtype: Any, shape: Any, order: Any = "C") -> Array:
    """numpy's arrays in protocol 5."""
    array = Array(budget)
    array.set_state((1, tuple(shape), dtype, order == "F", raw))
    return array


def _persistent(budget: Budget, meta: Any) -> dict[str, Any]:
    """torch_utils.persistence._reconstruct_persistent_obj as data; its source is not looked at."""
    if not isinstance(meta, dict) or not isinstance(meta.get("class_name"), str):
        raise Broken("a stored network has no class name")
    return {"class_name": meta["class_name"], "module_type": meta.get("type"),
            "state": meta.get("state")}


def _scripted(name: str) -> Callable[..., Any]:
    """An object of a TorchScript archive as data; its code is not looked at."""
    def build(budget: Budget, *args: Any) -> Fields:
        return Fields(class_name=name, module_type="torchscript", state={})
    return build


def _table() -> dict[str, Any]:
    """Every name that a pickle may mention."""
    calls: dict[str, Callable[..., Any] | None] = {
        "collections.OrderedDict": _dict, "collections.Counter": _dict,
        "collections.defaultdict": _defaultdict,
        "dnnlib.util.EasyDict": _dict, "dnnlib.EasyDict": _dict,
        "argparse.Namespace": _fields,
        "copyreg._reconstructor": _reconstructor, "copy_reg._reconstructor": _reconstructor,
        "_codecs.encode": _bytes,
        "torch.Size": _size, "torch.device": _device,
        "torch.Tensor": None, "torch.nn.parameter.Parameter": None,
        "torch._utils._rebuild_tensor": _tensor, "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_tensor_v3": _tensor_v3,
        "torch._utils._rebuild_parameter": _parameter,
        "torch._utils._rebuild_parameter_with_state": _parameter,
        "torch._tensor._rebuild_from_type_v2": _typed,
        "torch.storage.UntypedStorage": None, "torch.UntypedStorage": None,
        "torch_utils.persistence._reconstruct_persistent_obj": _persistent,
        "numpy.ndarray": None, "numpy.dtype": _dtype,
    }
    for module in ("builtins", "__builtin__"):
        for make in (set, frozenset, list, tuple, dict):
            calls[f"{module}.{make.__name__}"] = _dict if make is dict else _sequence(make)
        calls |= {f"{module}.bytes": _bytes, f"{module}.bytearray": _bytes,
                  f"{module}.complex": _complex, f"{module}.object": None,
                  f"{module}.int": None, f"{module}.float": None, f"{module}.bool": None}
    for package in ("numpy.core", "numpy._core"):
        calls[f"{package}.multiarray._reconstruct"] = _array
        calls[f"{package}.multiarray.scalar"] = _scalar
        calls[f"{package}.numeric._frombuffer"] = _frombuffer
    for flavour in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"):
        calls[f"pathlib.{flavour}"] = calls[f"pathlib._local.{flavour}"] = _path
    calls |= {f"torch.{name}Storage": None for name in DTYPES}
    values: dict[str, Any] = {name: Global(name, call) for name, call in calls.items()}
    for name in ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8",
                 "uint8", "bool", "complex64"):
        values[f"torch.{name}"] = getattr(torch, name)
    return values


ALLOWED = _table()

TENSORFLOW = LGFAError(
    "this is a TensorFlow StyleGAN pickle (dnnlib.tflib.network.Network), which cannot be read "
    "here: convert it to a rosinality .pt first, or take NVIDIA's PyTorch .pkl of the same "
    "network.")


def find(module: str, name: str, scripted: bool = False) -> Any:
    """The value behind a name in a pickle; LGFAError that names it for all others."""
    full = f"{module}.{name}"
    if full in ALLOWED:
        return ALLOWED[full]
    if scripted and module.startswith("__torch__"):
        return Global(full, _scripted(full))
    if module.startswith("dnnlib.tflib"):
        raise TENSORFLOW
    raise LGFAError(f"refused: it asks for {full[:120]}, and only tensors and plain data are "
                    f"read; nothing in it was run.")


def storage_dtype(kind: Any) -> torch.dtype:
    """The dtype of a torch.<Name>Storage."""
    name = kind.name if isinstance(kind, Global) else ""
    if name.endswith("UntypedStorage"):
        return torch.uint8
    short = name.removeprefix("torch.").removesuffix("Storage")
    if short not in DTYPES:
        raise Broken("a storage has no usable type")
    return DTYPES[short]


def plain_key(key: Any) -> Any:
    """A key or set member of a harmless type; hashing others can run or overflow."""
    if isinstance(key, memoryview):
        return bytes(key)
    if isinstance(key, str | int | float | bytes | torch.dtype) or key is None:
        return key
    if isinstance(key, tuple) and all(isinstance(k, str | int | float | bytes) for k in key):
        return key
    raise Broken("a table has a key that is neither text nor number")
