"""Seeds, and the random numbers that begin with them."""
from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from ..errors import LGFAError, short


def check_seed(seed: int) -> int:
    """The seed, if it is a whole number that a random generator takes."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
        raise LGFAError(f"the seed must be a whole number from 0 to 2^64 - 1, not {short(seed)}.")
    return seed


@contextlib.contextmanager
def fresh_weights(
    seed: int,                              # same seed, same weights
) -> Iterator[None]:
    """Networks that are made within, on the CPU, get the weights of a seed; the global random
    state, which PyTorch draws them from, is afterwards what it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
