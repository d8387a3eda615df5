"""The table of a drawn face: named parameters with ranges, and walks along lists of categories."""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

PLATEAU = 2.5                               # steepness between two entries of a list of categories:
#                                             1 = linear, larger = longer plateaus

Colour = tuple[float, float, float]         # r, g, b in 0..1


class Parameter(NamedTuple):
    """One column of a table."""

    name: str
    low: float                              # ends of its range
    high: float
    meaning: str                            # in words, low end first


def limits(
    parameters: Sequence[Parameter],
    device: torch.device | None = None,
) -> tuple[Tensor, Tensor]:
    """Low and high ends of the parameters' ranges, [K] each."""
    low, high = ([p.low for p in parameters], [p.high for p in parameters])
    return torch.tensor(low, device=device), torch.tensor(high, device=device)


def palette(
    t: Tensor,                              # [B], 0..1, place on the list
    colours: Sequence[Colour],
) -> Tensor:
    """Walks along a list of colours: flat near each entry, steep between. [B, 3], 0..1"""
    weights = category_weights(t, len(colours))
    return weights @ torch.tensor(colours, dtype=t.dtype, device=t.device)


def category_weights(
    t: Tensor,                              # [B], 0..1, place on the list
    n: int,                                 # entries of the list, 2 or more
) -> Tensor:
    """Share of each entry at a place; rows sum to 1. [B, n]"""
    x = t.clamp(0, 1) * (n - 1)
    i = x.floor().clamp(max=n - 2)
    f = (((x - i) - 0.5) * PLATEAU + 0.5).clamp(0, 1)
    i = i.long()
    weights = torch.zeros(len(t), n, dtype=t.dtype, device=t.device)
    weights.scatter_(1, i[:, None], (1 - f)[:, None])
    weights.scatter_add_(1, i[:, None] + 1, f[:, None])
    return weights


def category(
    t: Tensor,                              # 0..1, place on the list, any shape
    n: int,                                 # entries of the list
) -> Tensor:
    """Index of the nearest entry, long, same shape."""
    return (t.clamp(0, 1) * (n - 1)).round().long()
