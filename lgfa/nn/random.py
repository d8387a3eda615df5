"""Seeds, and the random generators that begin with them."""
from __future__ import annotations

from ..errors import LGFAError, short


def check_seed(seed: int) -> int:
    """The seed, if it is a whole number that a random generator takes."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
        raise LGFAError(f"the seed must be a whole number from 0 to 2^64 - 1, not {short(seed)}.")
    return seed
