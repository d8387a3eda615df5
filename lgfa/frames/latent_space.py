"""Samples of a generator's W: what its codes are like."""
from __future__ import annotations

import torch
from torch import Tensor

from .stylegan2 import Generator

W_SAMPLES = 4096                            # codes that measure W's covariance


@torch.no_grad()
def w_samples(
    generator: Generator,
    count: int = W_SAMPLES,
) -> torch.Tensor:
    """Style codes [count, w_dim] of random z, always the same."""
    z = torch.randn(count, generator.config.z_dim, generator=torch.Generator().manual_seed(0))
    return generator.mapping(z.to(generator.latent_avg))[:, 0]


@torch.no_grad()
def spread(generator: torch.nn.Module) -> Tensor:
    """Standard deviation of each number of W over 4096 random z, [w_dim]."""
    z = torch.randn(W_SAMPLES, generator.config.z_dim,
                    generator=torch.Generator().manual_seed(0))
    unit = generator.mapping(z.to(generator.latent_avg))[:, 0].float().std(dim=0)
    return unit.clamp(min=1e-3 * float(unit.mean()))
