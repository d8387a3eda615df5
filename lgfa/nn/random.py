"""Random numbers that begin with a seed."""
from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def fresh_weights(
    seed: int,                              # same seed, same weights
) -> Iterator[None]:
    """Networks that are made within, on the CPU, get the weights of a seed; the global random
    state, which PyTorch draws them from, is afterwards what it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
