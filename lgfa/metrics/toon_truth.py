"""The toon domain's truth: how much changed in a face beside what was asked.

Colours are read off patches of the picture that no expression touches. Changes of what should stay
are given in units in which 1 is the mean difference between two random people of the domain, drawn
by the renderer.
"""
from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from ..toon import sampling
from ..toon.parameters import INDEX
from ..toon.renderer import render
from .changes import patch_colours
from .metric import batched

SEED = 79_000               # of everything drawn for measuring; trainings use seeds below 10,000
RESOLUTION = 256            # of drawings, as the generator's

# centres of squares, -1 (left, top) .. 1, that no expression changes, hair and ears of any length
PATCHES = {
    "hair": ((-0.15, -0.73), (0.0, -0.74), (0.15, -0.73)),
    "skin": ((-0.08, 0.80), (0.0, 0.80), (0.08, 0.80)),
    "backdrop": ((-0.93, -0.93), (0.93, -0.93), (-0.93, -0.55), (0.93, -0.55), (-0.93, -0.2),
                 (0.93, -0.2)),
}


# ---- colours

def colour_change(first: Tensor, last: Tensor, part: str) -> Tensor:
    """Mean over a part's patches of the RGB distance of two pictures [B, 3, R, R], [B]."""
    one, other = (patch_colours(x, PATCHES[part]) for x in (first, last))
    return (one - other).norm(dim=2).mean(1)


# ---- two random people

@lru_cache(maxsize=2)
def random_pairs(count: int = 128, seed: int = SEED) -> tuple[Tensor, Tensor]:
    """Pictures [count, 3, R, R] of random people with neutral faces, twice."""
    rng = torch.Generator().manual_seed(seed)
    one, other = (batched(lambda p: render(p, RESOLUTION), sampling.identities(count, rng))
                  for _ in range(2))
    return one, other


@lru_cache(maxsize=8)
def colour_unit(part: str) -> float:
    """Mean colour change of a part between two random people."""
    return float(colour_change(*random_pairs(), part).mean())


def parameter_unit(name: str) -> float:
    """Mean difference of a parameter between two random people, from their own tables."""
    rng = torch.Generator().manual_seed(SEED)
    one, other = (sampling.identities(4096, rng)[:, INDEX[name]] for _ in range(2))
    return float((one - other).abs().mean())
