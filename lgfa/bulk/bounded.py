"""What others wrote, read within bounds: files, and the one reader of JSON.

Every reply, message, state file and workflow goes through `parse`; nothing here is believed.
"""
from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from ..errors import LGFAError, reason

LARGEST = 64 << 20              # bytes of one text: a server's queue holds whole workflows
MOST_VALUES = 4_000_000         # in it, told by its brackets and commas; each costs some 100 bytes
DEEPEST = 100                   # levels; workflows with subgraphs have some ten
LONGEST_NUMBER = 40             # digits; the largest seed has 20


def parse(data: bytes, strict: bool = False) -> Any:
    """The tree of a JSON text. ValueError says in a few words why there is none.

    Numbers beyond any use become infinity, as 1e400 does: one of them in somebody else's prompt
    is no reason to lose the rest. ComfyUI itself writes NaN. `strict` refuses such numbers, and
    texts that no encoding can write: for files of our own side.
    """
    if len(data) > LARGEST:
        raise ValueError(f"it is larger than {size(LARGEST)}")
    if sum(map(data.count, (b"[", b"{", b","))) > MOST_VALUES:
        raise ValueError(f"it holds more than {MOST_VALUES:,} values")
    try:
        if strict:
            tree = json.loads(data, parse_int=_sure_int, parse_float=_sure_float,
                              parse_constant=_no_constant)
        else:
            tree = json.loads(data, parse_int=_int)
    except RecursionError:
        raise ValueError(f"it is nested deeper than {DEEPEST} levels") from None
    _check_depth(tree)
    if strict:
        _check_texts(tree)
    return tree


def contents(path: Path, most: int = LARGEST) -> bytes:
    """A whole file. LGFAError when it is missing, cannot be read or has more than `most` bytes."""
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except FileNotFoundError:
        raise LGFAError(f"{path}: there is no such file.") from None
    except OSError as error:
        raise LGFAError(f"{path} cannot be read: {reason(error)}.") from error
    if len(data) > most:
        raise LGFAError(f"{path}: it is larger than {size(most)}, which is more than is read.")
    return data


def finite(value: Any) -> bool:
    """Whether a value is a number that can be counted with."""
    return (isinstance(value, (int, float)) and not isinstance(value, bool)
            and math.isfinite(value))


def size(count: int) -> str:
    """A number of bytes as people read it: 64 MB, 1.5 GB."""
    for unit, factor in (("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count} bytes"


def _check_depth(tree: Any) -> None:
    level = [tree]
    for _ in range(DEEPEST):
        level = [child for one in level if isinstance(one, (dict, list))
                 for child in (one.values() if isinstance(one, dict) else one)
                 if isinstance(child, (dict, list))]
        if not level:
            return
    raise ValueError(f"it is nested deeper than {DEEPEST} levels")


def _check_texts(tree: Any) -> None:
    try:
        json.dumps(tree, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("one of its texts holds half a character") from None


def _int(text: str) -> int | float:
    if len(text) <= LONGEST_NUMBER:
        return int(text)
    return -math.inf if text.startswith("-") else math.inf


def _sure_int(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise ValueError(f"it holds a number of {len(text)} digits")
    return int(text)


def _sure_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"it holds the number {text[:20]}, which is too large")
    return value


def _no_constant(text: str) -> float:
    raise ValueError(f"it holds {text}, which is no number")
