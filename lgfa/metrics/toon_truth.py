"""The toon domain's truth: how far a face went where it was asked, and how much else changed.

Expressions are read by the attribute network, colours off patches of the picture that no
expression touches. Changes of what should stay are given in units in which 1 is the mean
difference between two random people of the domain, drawn by the renderer.
"""
from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ..toon import parameters as tb
from ..toon import sampling
from ..toon.renderer import render
from .metric import batched

SEED = 79_000               # of everything drawn for measuring; trainings use seeds below 10,000
RESOLUTION = 128            # of drawings

# centres of squares, -1 (left, top) .. 1, that no expression changes, hair and ears of any length
PATCHES = {
    "hair": ((-0.15, -0.73), (0.0, -0.74), (0.15, -0.73)),
    "skin": ((-0.08, 0.80), (0.0, 0.80), (0.08, 0.80)),
    "backdrop": ((-0.93, -0.93), (0.93, -0.93), (-0.93, -0.55), (0.93, -0.55), (-0.93, -0.2),
                 (0.93, -0.2)),
}  # fmt: skip


# ---- expressions

LEAST = 1e-3        # half ranges: a smaller change is rounding, whose direction means nothing


def apart(a: Tensor, b: Tensor) -> Tensor:
    """Cosine distance of unit vectors, row by row."""
    return 1 - (a * b).sum(-1)


def scaled(params: Tensor) -> Tensor:
    """Parameters [.., K] in units of half their range."""
    low = torch.tensor([p.low for p in tb.PARAMETERS])
    high = torch.tensor([p.high for p in tb.PARAMETERS])
    return params * 2 / (high - low)


def wanted(which: Tensor) -> Tensor:
    """Expression numbers [B] -> the change from neutral that each asks for, scaled, [B, 18]."""
    rows = scaled(tb.expression_table())
    return (rows[which] - rows[0])[:, tb.EXPRESSION_SLICE]


def changed(start: Tensor, end: Tensor) -> Tensor:
    """Parameters [B, K] twice -> change of the expression's columns, scaled, [B, 18]."""
    return (scaled(end) - scaled(start))[:, tb.EXPRESSION_SLICE]


def progress(change: Tensor, want: Tensor) -> Tensor:
    """Share of the way to the expression, [B]: 0 = still, 1 = all of it; more and less occur."""
    return (change * want).sum(1) / want.square().sum(1)


def direction(change: Tensor, want: Tensor) -> Tensor:
    """Cosine of the change with the way asked for, [B]; 0 where nothing changes."""
    cosine = F.cosine_similarity(change, want)
    return torch.where(change.norm(dim=1) > LEAST, cosine, torch.zeros_like(cosine))


def leading(which: int) -> tuple[int, float]:
    """The column (of all K) that an expression changes most in half ranges, and which way."""
    rows = scaled(tb.expression_table())
    change = rows[which] - rows[0]
    column = int(change.abs().argmax())
    return column, float(change[column].sign())


# ---- colours

def patch_colours(pictures: Tensor, centres: tuple[tuple[float, float], ...]) -> Tensor:
    """Mean colours [B, P, 3], -1..1, of small squares of pictures [B, 3, R, R]."""
    size = pictures.shape[-1]
    half = max(size // 40, 1)
    out = []
    for x, y in centres:
        col, row = (min(max(int((v + 1) / 2 * size), half), size - half) for v in (x, y))
        cut = pictures[..., row - half: row + half, col - half: col + half]
        out.append(cut.clamp(-1, 1).mean((2, 3)))
    return torch.stack(out, 1)


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
    one, other = (sampling.identities(4096, rng)[:, tb.INDEX[name]] for _ in range(2))
    return float((one - other).abs().mean())
