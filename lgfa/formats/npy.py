"""numpy's `.npy` files as data: plain numbers, every claim compared with the file's size.

numpy's own reader allocates what a header claims and raises whatever its parser raises; here the
header is parsed by numpy, and nothing is allocated before the bytes are known to be there.
"""
from __future__ import annotations

import warnings
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from ..errors import LGFAError, reading

MAGIC = b"\x93NUMPY"
HEADER_LIMIT = 10_000       # bytes; numpy's own limit for headers that nobody vouches for
SIDES_LIMIT = 8             # dimensions
KINDS = "fiu"               # of numbers: floating point, whole, whole without sign


def read(
    path: Path,
    ndim: int,                          # dimensions that the array must have
) -> torch.Tensor:
    """The array of a file as float32, finite. LGFAError, one sentence that names the file, for
    pickled objects, archives (.npz), truth values, complex numbers, and broken files."""
    with reading(path), open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        shape, fortran, dtype = _header(file, path)
        if dtype.kind not in KINDS or dtype.hasobject or dtype.itemsize > 8:
            raise LGFAError(f"{path} holds an array of {str(dtype)[:40]}, and an array of plain "
                            "numbers is needed.")
        if len(shape) != ndim:
            raise LGFAError(f"{path} holds an array of {len(shape)} dimensions, and {ndim} are "
                            "needed.")
        needed, there = prod(shape) * dtype.itemsize, size - file.tell()
        if needed != there or needed == 0:
            raise LGFAError(f"{path} is not whole: its header claims {_short(needed)} bytes of "
                            f"numbers, and it has {there:,}; download it again.")
        array = np.frombuffer(file.read(needed), dtype).reshape(shape, order="FC"[not fortran])
        return _finite(array, path)


def _header(file: BinaryIO, path: Path) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and type of the numbers; the file stands at the first of them then."""
    start = file.read(len(MAGIC) + 2)
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        raise LGFAError(f"{path} is an archive of arrays (.npz) or another zip file: unpack it, "
                        "and give the .npy file in it.")
    if not start.startswith(MAGIC) or len(start) < len(MAGIC) + 2:
        raise LGFAError(f"{path} is no array of numbers in numpy's .npy format: it is empty, "
                        "pickled or of another kind; download it again.")
    parsers = {(1, 0): np.lib.format.read_array_header_1_0,
               (2, 0): np.lib.format.read_array_header_2_0}
    version = (start[-2], start[-1])
    if version not in parsers:
        raise LGFAError(f"{path} is of version {version[0]}.{version[1]} of the .npy format, and "
                        "arrays of plain numbers have 1.0 or 2.0.")
    with warnings.catch_warnings():         # its parser warns of headers that Python 2 wrote
        warnings.simplefilter("ignore")
        shape, fortran, dtype = parsers[version](file, max_header_size=HEADER_LIMIT)
    if len(shape) > SIDES_LIMIT or not all(type(side) is int and side >= 0 for side in shape):
        raise LGFAError(f"{path} is damaged: its header claims a shape that no array has.")
    return shape, fortran, dtype


def _finite(array: np.ndarray, path: Path) -> torch.Tensor:
    """As float32, in the usual order; LGFAError for NaN and Inf, also those of the cast."""
    with np.errstate(over="ignore", invalid="ignore"):
        out = torch.from_numpy(array.astype(np.float32, order="C"))
    if not bool(torch.isfinite(out).all()):
        raise LGFAError(f"{path} holds NaN or infinite numbers: it is damaged.")
    return out


def _short(number: int) -> str:
    """A number of bytes, however absurd."""
    return f"{number:,}" if number < 10**15 else "more than 10^15"
