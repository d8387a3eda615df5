"""Covariance of samples: whitening and principal axes, pure functions."""
from __future__ import annotations

import torch
from torch import Tensor

from ..errors import LGFAError


@torch.no_grad()
def whitening(root: Tensor) -> Tensor:
    """The matrix that makes W's cloud round: pseudo-inverse of its covariance's root [D, D].

    Directions in which W hardly varies (under a thousandth of the widest) are left out: mappers
    whose output goes through the root cannot move there. Scaled so that a typical offset between
    two codes has a mean square of about 2 whatever W's rank.
    """
    values, vectors = torch.linalg.eigh(root.double())
    live = values > 1e-3 * values.max()
    inverse = torch.where(live, 1 / values.clamp(min=1e-12), torch.zeros_like(values))
    gain = (len(values) / live.sum()) ** 0.5
    return ((vectors * inverse) @ vectors.T * gain).to(root)


def principal_axes(
    w: Tensor,                              # [N, D], N > 1 codes
    count: int,                             # P, components wanted, at most D
) -> tuple[Tensor, Tensor]:
    """Components [P, D], of unit length, and standard deviations [P], largest first, float32.

    Each component's largest entry is made positive, so that the result does not depend on the
    linear algebra library.
    """
    w = w.double()
    if w.ndim != 2 or len(w) < 2 or not 1 <= count <= w.shape[1]:
        raise LGFAError(f"{count} principal components need two codes [N, D] or more and D of at "
                        f"least {count}, not {list(w.shape)}.")
    w = w - w.mean(0)
    variance, axes = torch.linalg.eigh(w.t() @ w / (len(w) - 1))
    variance, axes = variance.flip(0)[:count].clamp(min=0), axes.t().flip(0)[:count]
    largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    return (axes * largest.sign()).float(), variance.sqrt().float()
