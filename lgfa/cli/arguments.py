"""Types of options on the command line: numbers within bounds, refused by a sentence."""
from __future__ import annotations

import argparse
import math
from collections.abc import Callable

from ..config import MOST_SEED
from ..errors import short


def whole(
    least: int,                             # 0 or more
    most: int | None = None,                # None = any
) -> Callable[[str], int]:
    """A whole number of these bounds."""
    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:                  # or more digits than Python reads
            value = least - 1
        if value < least or most is not None and value > most:
            raise argparse.ArgumentTypeError(
                f"{short(text)!r} is not a whole number from {least} "
                f"{'on' if most is None else f'to {_name(most)}'}")
        return value
    return read


def number(
    above: float,
    most: float,
    what: str = "a number",
) -> Callable[[str], float]:
    """A number above the one and at most the other."""
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not above < value <= most:       # NaN is neither
            raise argparse.ArgumentTypeError(
                f"{short(text)!r} is not {what} above {above:g} and at most {most:g}")
        return value
    return read


def _name(number: int) -> str:
    return "2^64 - 1" if number == MOST_SEED else str(number)


seed = whole(0, MOST_SEED)
SEEDS = f"0 to {_name(MOST_SEED)}"          # for help pages
