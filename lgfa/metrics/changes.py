"""How far a drawn face went where it was asked, and what its pictures' colours did: pure functions.

Changes of a face come from `drawn.world.World`, in half ranges of the domain's parameters.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST = 1e-3                                # half ranges: a smaller change is rounding, whose
#                                             direction means nothing


def apart(
    a: Tensor,                              # [.., d], unit vectors
    b: Tensor,                              # [.., d]
) -> Tensor:
    """Cosine distance, row by row. [..]"""
    return 1 - (a * b).sum(-1)


def progress(
    change: Tensor,                         # [B, d], what happened
    want: Tensor,                           # [B, d], what was asked for
) -> Tensor:
    """Share of the way, 0 = still, 1 = all of it; more and less occur. [B]"""
    return (change * want).sum(1) / want.square().sum(1)


def direction(
    change: Tensor,                         # [B, d], what happened
    want: Tensor,                           # [B, d], what was asked for
) -> Tensor:
    """Cosine of the change with the way asked for; 0 where nothing changes. [B]"""
    cosine = F.cosine_similarity(change, want)
    return torch.where(change.norm(dim=1) > LEAST, cosine, torch.zeros_like(cosine))


def patch_colours(
    pictures: Tensor,                       # [B, 3, R, R], about -1..1
    centres: tuple[tuple[float, float], ...],       # P of them, x and y in -1..1
) -> Tensor:
    """Mean colours of small squares, clamped. [B, P, 3], -1..1"""
    size = pictures.shape[-1]
    half = max(size // 40, 1)
    out = []
    for x, y in centres:
        col, row = (min(max(int((v + 1) / 2 * size), half), size - half) for v in (x, y))
        cut = pictures[..., row - half: row + half, col - half: col + half]
        out.append(cut.clamp(-1, 1).mean((2, 3)))
    return torch.stack(out, 1)
