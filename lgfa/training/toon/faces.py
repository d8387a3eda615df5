"""Pictures to learn from: batches of faces with their truth, and pictures made harder."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ...toon import parameters as tb
from ...toon import sampling
from ...toon.renderer import render


class Batch(NamedTuple):
    image: Tensor  # [B, 3, R, R], -1..1
    params: Tensor  # [B, K]
    expression: Tensor  # [B] long, -1 where no name fits


def faces(
    n: int,
    resolution: int,
    rng: torch.Generator,
    named: float = 0.85,
    posed: float = 0.0,
    weakest: float = 0.6,
) -> Batch:
    """n drawn faces; a share `named` shows a named expression at strength weakest..1, a share
    `posed` has its head moved and tilted."""
    people = sampling.identities(n, rng)
    which = torch.randint(len(tb.EXPRESSIONS), (n,), generator=rng)
    strength = weakest + (1 - weakest) * torch.rand(n, generator=rng)
    params = sampling.with_expression(people, which, strength, 0.10, rng)
    wild = sampling.params_from_z(torch.randn(n, sampling.Z_DIM, generator=rng))
    wild[:, : len(tb.IDENTITY)] = people[:, : len(tb.IDENTITY)]
    is_named = torch.rand(n, generator=rng) < named
    params = torch.where(is_named[:, None], params, wild)
    if posed:
        moved = torch.rand(n, generator=rng) < posed
        for name in tb.POSE:
            pose = (torch.rand(n, generator=rng) * 2 - 1) * 0.6
            params[:, tb.INDEX[name]] = torch.where(moved, pose, torch.zeros(n))
    return Batch(
        render(params, resolution), params, torch.where(is_named, which, -torch.ones_like(which))
    )


def harder(x: Tensor, rng: torch.Generator, amount: float = 1.0) -> Tensor:
    """Moved by a few pixels, scaled, blurred, noisy, tinted, with a patch missing: [B, 3, R, R]."""
    b, _, size, _ = x.shape

    def draw(*shape):
        return torch.rand(*shape, generator=rng).to(x)

    def normal(*shape):
        return torch.randn(*shape, generator=rng).to(x)

    # shift and scale
    theta = torch.zeros(b, 2, 3).to(x)
    scale = 1 + 0.06 * amount * (draw(b) * 2 - 1)
    theta[:, 0, 0] = theta[:, 1, 1] = scale
    theta[:, :, 2] = 0.05 * amount * (draw(b, 2) * 2 - 1)
    x = F.grid_sample(x, F.affine_grid(theta, list(x.shape), align_corners=False),
                      padding_mode="border", align_corners=False)  # fmt: skip
    # blur half of them by going down and up again
    small = F.interpolate(
        F.avg_pool2d(x, 2), scale_factor=2.0, mode="bilinear", align_corners=False
    )
    x = torch.lerp(x, small, (draw(b, 1, 1, 1) * 1.6 - 0.6).clamp(0, 1) * min(amount, 1))
    # contrast, brightness, tint, noise
    gain = 1 + 0.12 * amount * normal(b, 1, 1, 1)
    x = x * gain + 0.06 * amount * normal(b, 3, 1, 1)
    x = x + 0.05 * amount * draw(b, 1, 1, 1) * normal(*x.shape)
    # a gray patch outside of which everything must be read
    side = size // 5
    rows = (draw(b, 1, 1, 1) * (size + side)) - side
    cols = (draw(b, 1, 1, 1) * (size + side)) - side
    ticks = torch.arange(size).to(x)
    y, c = ticks.view(1, 1, -1, 1), ticks.view(1, 1, 1, -1)
    hole = (y > rows) & (y < rows + side) & (c > cols) & (c < cols + side)
    hole = hole & (draw(b, 1, 1, 1) < 0.2 * amount)
    return torch.where(hole, torch.zeros_like(x), x)
