"""Statistics of features and paths: tensors in, numbers out; no network, no file.

Distances of distributions are computed in float64 on the CPU.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..errors import LGFAError
from ..nn.covariance import covariance, square_root

# ---- clips


def acd(embeddings: Tensor) -> float:
    """Average content distance of one clip: mean pairwise L2 of [T, d], T >= 2.

    2 / (T (T-1)) * sum over i < j of |e(i) - e(j)| (paper IV-A5; Tulyakov et al., "MoCoGAN",
    2018). The paper's figure is the mean of this over clips.
    """
    if embeddings.ndim != 2 or len(embeddings) < 2:
        raise LGFAError("the content distance compares embeddings [T, d] of at least two frames, "
                        f"not {list(embeddings.shape)}.")
    return float(torch.pdist(embeddings.double().cpu()).mean())


def differences(path: Tensor, order: int = 1) -> Tensor:
    """RMS over everything but time of the order-th difference of [T, ..]: [T - order]."""
    if len(path) <= order:
        raise LGFAError(f"differences of order {order} need more than {order} frames, "
                        f"not {len(path)}.")
    return path.double().diff(n=order, dim=0).flatten(1).square().mean(1).sqrt()


def absolute_differences(path: Tensor, order: int = 1) -> Tensor:
    """Mean over everything but time of the size of the order-th difference: [T - order]."""
    if len(path) <= order:
        raise LGFAError(f"differences of order {order} need more than {order} frames, "
                        f"not {len(path)}.")
    return path.double().diff(n=order, dim=0).flatten(1).abs().mean(1)


def ratio(over: Tensor | float, under: Tensor | float, still: float = 0.0) -> float:
    """over / under; `still` where nothing moves at all."""
    return float(over) / float(under) if float(under) > 1e-12 else still


# ---- distributions

def frechet(x: Tensor, y: Tensor) -> float:
    """Frechet distance of the Gaussians fitted to rows x [N, d] and y [M, d].

    |mean_x - mean_y|^2 + tr(C_x + C_y - 2 (C_x^1/2 C_y C_x^1/2)^1/2)  (Dowson & Landau 1982;
    Heusel et al. 2017). Covariances without full rank (fewer rows than columns, constant columns)
    need no shift of their diagonal.
    """
    (mean_x, cov_x), (mean_y, cov_y) = moments(x), moments(y)
    if len(mean_x) != len(mean_y):
        raise LGFAError(f"the two sets have features of different lengths, {len(mean_x)} and "
                        f"{len(mean_y)}: take one extractor for both.")
    root = square_root(cov_x)
    inner = root @ cov_y @ root
    cross = torch.linalg.eigvalsh((inner + inner.t()) / 2).clamp(min=0).sqrt().sum()
    apart = (mean_x - mean_y).square().sum()
    # rounding may leave a tiny negative number for equal sets
    return max(float(apart + cov_x.trace() + cov_y.trace() - 2 * cross), 0.0)


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Rows [N, d], N >= 2 -> mean [d] and unbiased covariance [d, d], float64."""
    if x.ndim != 2 or len(x) < 2:
        raise LGFAError("a distribution needs features [N, d] of at least two pictures or clips, "
                        f"not {list(x.shape)}.")
    x = x.double().cpu()
    if not bool(torch.isfinite(x).all()):
        raise LGFAError("the features hold NaN or infinite numbers: a network or its input is "
                        "broken.")
    return x.mean(0), covariance(x)


def kid(x: Tensor, y: Tensor) -> float:
    """Kernel distance: unbiased squared MMD of rows x [N, d], y [M, d] with (a.b / d + 1)^3.

    Binkowski et al., "Demystifying MMD GANs" (2018); over all rows, not over subsets.
    """
    if min(len(x), len(y)) < 2 or x.shape[1:] != y.shape[1:]:
        raise LGFAError("the kernel distance needs two sets of at least two rows of one length.")
    x, y = x.double().cpu(), y.double().cpu()

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.t() / a.shape[1] + 1) ** 3

    def within(a: Tensor) -> Tensor:
        k = kernel(a, a)
        return (k.sum() - k.trace()) / (len(a) * (len(a) - 1))

    return float(within(x) + within(y) - 2 * kernel(x, y).mean())


# ---- intervals

def bootstrap(
    values: Sequence[float] | Tensor,       # one number a clip
    draws: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """Mean over clips and the ends of its percentile interval: clips drawn with replacement."""
    x = torch.as_tensor(values, dtype=torch.float64)
    if x.ndim != 1 or not len(x):
        raise LGFAError("an interval needs one number for each of at least one clip.")
    rng = torch.Generator().manual_seed(seed)
    means = torch.stack([x[torch.randint(len(x), (len(x),), generator=rng)].mean()
                         for _ in range(draws)])
    low, high = _ends(means, level)
    return float(x.mean()), low, high


def bootstrap_set(
    clips: Sequence[Tensor],                # features of each clip, [T, d] or [1, d]
    reference: Tensor,                      # [M, d]
    measure: Callable[[Tensor, Tensor], float],     # of SET_METRICS, or frechet
    draws: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """A distance of distributions and its interval: whole clips drawn with replacement.

    Repeated clips narrow a drawn set, which raises its distance; the interval is therefore that
    of the draws moved so that their mean is the distance itself.
    """
    if not clips:
        raise LGFAError("an interval needs the features of at least one clip.")
    value = measure(torch.cat(list(clips)), reference)
    rng = torch.Generator().manual_seed(seed)
    drawn = torch.tensor([
        measure(torch.cat([clips[i] for i in
                           torch.randint(len(clips), (len(clips),), generator=rng)]), reference)
        for _ in range(draws)], dtype=torch.float64)
    low, high = _ends(drawn - drawn.mean() + value, level)
    return value, max(low, 0.0), high


def _ends(drawn: Tensor, level: float) -> tuple[float, float]:
    """Lower and upper end of the middle `level` of the draws."""
    tail = (1 - level) / 2
    low, high = torch.quantile(drawn, torch.tensor([tail, 1 - tail], dtype=drawn.dtype))
    return float(low), float(high)
