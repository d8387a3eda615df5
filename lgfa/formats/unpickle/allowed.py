"""Every name that a pickle may mention, and what stands for it here.

Each is either data (a storage type, say) or has a function here that does what the original would
have done, on checked arguments; the original is never imported or called.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ...errors import LGFAError
from .values import Array, Broken, Budget, Dtype, Fields, Global, Tensor, is_shape, plain_key

DTYPES = {                      # torch.<Name>Storage
    "Double": torch.float64, "Float": torch.float32, "Half": torch.float16,
    "BFloat16": torch.bfloat16, "Long": torch.int64, "Int": torch.int32, "Short": torch.int16,
    "Char": torch.int8, "Byte": torch.uint8, "Bool": torch.bool, "ComplexFloat": torch.complex64,
}
LONGEST_NAME = 4096             # letters of a path


# What calling a name gives. Every function checks its arguments; the first is the budget.

def _dict(budget: Budget, *args: Any) -> dict[Any, Any]:
    """OrderedDict(), EasyDict(), Counter({..}) and their like."""
    out: dict[Any, Any] = {}
    for key, value in (args[0].items() if args and isinstance(args[0], dict) else
                       args[0] if args and isinstance(args[0], list | tuple) else ()):
        out[plain_key(budget, key)] = value
    return out


def _fields(budget: Budget) -> Fields:
    return Fields()


def _network(budget: Budget) -> Fields:
    """dnnlib.tflib.network.Network as data; its source is not looked at."""
    return Fields(class_name="Network", module_type="tensorflow", state={})


def _defaultdict(budget: Budget, factory: Any = None) -> dict[Any, Any]:
    return {}


def _reconstructor(budget: Budget, cls: Any, base: Any, state: Any) -> Any:
    """copyreg._reconstructor: an empty object of an allowed class."""
    if not isinstance(cls, Global) or cls.call not in (_dict, _fields, _network):
        raise Broken(f"it rebuilds {getattr(cls, 'name', 'something that is no class')}")
    return cls.call(budget)


def _sequence(make: Callable[..., Any]) -> Callable[..., Any]:
    def build(budget: Budget, items: Any = ()) -> Any:
        if not isinstance(items, list | tuple | set | frozenset):
            raise Broken("a collection is built from something else")
        if make in (list, tuple):
            budget.hold(8 * len(items))
            return make(items)
        return make([plain_key(budget, item) for item in items])
    return build


def _bytes(budget: Budget, text: Any = "", encoding: Any = "latin1") -> bytes:
    """Bytes that protocol 2 writes as text."""
    if isinstance(text, str | bytes | bytearray | memoryview):
        budget.hold(len(text))
    if isinstance(text, bytes | bytearray | memoryview):
        return bytes(text)
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "utf-8", "ascii"):
        raise Broken("bytes are built from something else than text")
    return budget.held(text.encode(encoding))


def _complex(budget: Budget, real: float, imag: float) -> complex:
    return complex(float(real), float(imag))


def _path(budget: Budget, *parts: str) -> str:
    """A stored path, as text."""
    return _joined(budget, "/", [p for p in parts if isinstance(p, str)]).replace("//", "/")


def _device(budget: Budget, *parts: Any) -> str:
    """A stored device, as text: it need not exist here."""
    return _joined(budget, ":", [str(p) for p in parts if isinstance(p, str | int)])


def _joined(budget: Budget, sign: str, parts: list[str]) -> str:
    """Texts put together; a memo can make each of them as long as all before."""
    if sum(map(len, parts)) > LONGEST_NAME:
        raise Broken("it has a path or device with a name longer than any system's")
    return budget.held(sign.join(parts))


def _size(budget: Budget, shape: Any) -> tuple[int, ...]:
    if not is_shape(shape):
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
    raw = _bytes(budget, raw) if isinstance(raw, str) else raw
    if not isinstance(dtype, Dtype) or len(raw) != dtype.value.itemsize:
        raise Broken("a numpy number and its bytes disagree")
    return np.frombuffer(raw, dtype.value)[0].item()


def _frombuffer(budget: Budget, raw: Any, dtype: Any, shape: Any, order: Any = "C") -> Array:
    """numpy's arrays in protocol 5."""
    if not is_shape(shape):
        raise Broken("an array has no usable shape")
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
        "argparse.Namespace": _fields, "dnnlib.tflib.network.Network": _network,
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

def find(module: str, name: str, scripted: bool = False) -> Any:
    """The value behind a name in a pickle; LGFAError that names it for all others."""
    full = f"{module}.{name}"
    if full in ALLOWED:
        return ALLOWED[full]
    if scripted and module.startswith("__torch__"):
        return Global(full, _scripted(full))
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
