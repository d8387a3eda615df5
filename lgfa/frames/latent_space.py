"""What a generator's W is like: codes of random z, and how widely they spread."""
from __future__ import annotations

import torch
from torch import Tensor

from ..nn.covariance import floored
from .stylegan2 import Generator

SAMPLES = 4096                              # codes that measure how W spreads


def random_z(
    count: int,
    z_dim: int,
    seed: int | torch.Generator = 0,        # a generator on the CPU is drawn from and moves on
) -> Tensor:
    """Standard normal z [count, z_dim], drawn on the CPU: the same on every device."""
    if not isinstance(seed, torch.Generator):
        seed = torch.Generator().manual_seed(seed)
    return torch.randn(count, z_dim, generator=seed)


@torch.no_grad()
def samples(
    generator: Generator,
    count: int = SAMPLES,
    seed: int | torch.Generator = 0,        # as random_z takes it; the z do not hang on `chunk`
    truncation: float = 1.0,                # psi: 1 leaves w as it is, 0 gives the average
    chunk: int | None = None,               # z that are mapped at once; None = all
) -> Tensor:
    """Codes w [count, w_dim] of random z, one for all layers, on the generator's device."""
    z = random_z(count, generator.config.z_dim, seed).to(generator.latent_avg)
    return torch.cat([generator.mapping(part, truncation=truncation)[:, 0]
                      for part in z.split(chunk or count)])


def spread(
    w: Tensor,                              # [N, w_dim], N > 1 codes
) -> Tensor:
    """Standard deviation of each number of the codes, none under a thousandth of the mean one,
    so that a number which hardly varies cannot outweigh all others. [w_dim], float32"""
    return floored(w.float().std(dim=0))
