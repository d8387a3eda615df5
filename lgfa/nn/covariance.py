"""Covariance of samples: its root, whitening and principal axes, pure functions."""
from __future__ import annotations

import torch
from torch import Tensor

from ..errors import LGFAError


def covariance(
    w: Tensor,                              # [N, D], N > 1 samples
) -> Tensor:
    """Unbiased covariance of the rows in float64. [D, D]"""
    if w.ndim != 2 or len(w) < 2:
        raise LGFAError(f"a covariance needs two samples [N, D] or more, not {list(w.shape)}.")
    return torch.cov(w.double().T).reshape(w.shape[1], w.shape[1])


def square_root(
    matrix: Tensor,                         # [D, D], symmetric, no eigenvalue below 0
) -> Tensor:
    """The symmetric matrix whose square it is. [D, D]

    By eigenvalues, so that matrices without full rank need no shift of their diagonal; those
    which rounding made negative count as 0.
    """
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def root(
    w: Tensor,                              # [N, D], N > 1 samples
) -> Tensor:
    """Square root of the samples' covariance, float64 on the CPU. [D, D]"""
    return square_root(covariance(w.cpu()))


def deviations(
    root: Tensor,                           # [D, D], square root of a covariance
) -> Tensor:
    """Standard deviation of each number of the samples. [D]"""
    return root.square().sum(dim=0).sqrt()


def floored(
    deviations: Tensor,                     # [D]
) -> Tensor:
    """None under a thousandth of the mean one, so that dividing by them is harmless. [D]"""
    return deviations.clamp(min=1e-3 * float(deviations.mean()))


@torch.no_grad()
def whitening(
    root: Tensor,                           # [D, D], square root of W's covariance
) -> Tensor:
    """The matrix that makes W's cloud round: pseudo-inverse of its covariance's root. [D, D]

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
    w: Tensor,                              # [N, D], N > 1 samples
    count: int,                             # P, components wanted, at most D
) -> tuple[Tensor, Tensor]:
    """Components [P, D], of unit length, and standard deviations [P], largest first, float32.

    Each component's largest entry is made positive, so that the result does not depend on the
    linear algebra library.
    """
    found = covariance(w)
    if not 1 <= count <= len(found):
        raise LGFAError(f"samples of {len(found)} numbers have 1 to {len(found)} principal "
                        f"components, not {count}.")
    variance, axes = torch.linalg.eigh(found)
    variance, axes = variance.flip(0)[:count].clamp(min=0), axes.t().flip(0)[:count]
    largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    return (axes * largest.sign()).float(), variance.sqrt().float()
