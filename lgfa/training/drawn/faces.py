"""Pictures to learn from: batches of faces with their truth, and pictures made harder."""
from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ...drawn.world import World

JITTER = 0.10                               # variation of a named expression, in half ranges
TILT = 0.6                                  # largest pose, in half ranges


class Batch(NamedTuple):
    """Drawn faces with their truth."""

    image: Tensor                           # [B, 3, R, R], -1..1
    params: Tensor                          # [B, K]
    expression: Tensor                      # [B], long, -1 where no name fits
    look: Tensor                            # [B], long, expression or pair of two, -1 where none


def faces(
    world: World,
    n: int,
    resolution: int,                        # R
    rng: torch.Generator,
    named: float = 0.85,                    # share that shows a named expression
    posed: float = 0.0,                     # share whose head is moved and tilted
    weakest: float = 0.6,                   # named expressions have strengths from this to 1
    both: float = 0.0,                      # share of the named that shows a pair of expressions
) -> Batch:
    """n drawn faces."""
    people = world.people(n, rng)
    which = torch.randint(world.count, (n,), generator=rng)
    if both and world.looks > world.count:
        pairs = torch.randint(world.count, world.looks, (n,), generator=rng)
        which = torch.where(torch.rand(n, generator=rng) < both, pairs, which)
    strength = weakest + (1 - weakest) * torch.rand(n, generator=rng)
    params = world.with_expression(people, which, strength, JITTER, rng)
    wild = world.params_from_z(torch.randn(n, world.z_dim, generator=rng))
    wild[:, :world.who] = people[:, :world.who]
    is_named = torch.rand(n, generator=rng) < named
    params = torch.where(is_named[:, None], params, wild)
    if posed:
        moved = torch.rand(n, generator=rng) < posed
        for name in world.pose:
            pose = (torch.rand(n, generator=rng) * 2 - 1) * TILT
            params[:, world.index[name]] = torch.where(moved, pose, torch.zeros(n))
    look = torch.where(is_named, which, -1)
    expression = torch.where(look < world.count, look, -1)
    return Batch(world.draw(params, resolution), params, expression, look)


def harder(
    x: Tensor,                              # [B, 3, R, R], -1..1
    rng: torch.Generator,                   # on the CPU
    amount: float = 1.0,                    # 0 = nearly as they are
) -> Tensor:
    """Moved by a few pixels, scaled, blurred, noisy, tinted, with a patch missing. [B, 3, R, R],
    no longer clamped."""
    b = len(x)

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=rng).to(x)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng).to(x)

    # shift and scale
    theta = torch.zeros(b, 2, 3).to(x)
    scale = 1 + 0.06 * amount * (draw(b) * 2 - 1)
    theta[:, 0, 0] = theta[:, 1, 1] = scale
    theta[:, :, 2] = 0.05 * amount * (draw(b, 2) * 2 - 1)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)

    # blur half of them by going down and up again
    small = F.avg_pool2d(x, 2)
    small = F.interpolate(small, scale_factor=2.0, mode="bilinear", align_corners=False)
    x = torch.lerp(x, small, (draw(b, 1, 1, 1) * 1.6 - 0.6).clamp(0, 1) * min(amount, 1))

    # contrast, brightness, tint, noise
    gain = 1 + 0.12 * amount * normal(b, 1, 1, 1)
    x = x * gain + 0.06 * amount * normal(b, 3, 1, 1)
    x = x + 0.05 * amount * draw(b, 1, 1, 1) * normal(*x.shape)
    return _with_holes(x, rng, 0.2 * amount)


def _with_holes(
    x: Tensor,                              # [B, 3, R, R]
    rng: torch.Generator,
    share: float,                           # of the pictures
) -> Tensor:
    """A gray patch in some pictures, outside of which everything must be read. [B, 3, R, R]"""
    b, size, side = len(x), x.shape[-1], x.shape[-1] // 5

    def draw() -> Tensor:
        return torch.rand(b, 1, 1, 1, generator=rng).to(x)

    rows = (draw() * (size + side)) - side
    cols = (draw() * (size + side)) - side
    ticks = torch.arange(size).to(x)
    y, c = ticks.view(1, 1, -1, 1), ticks.view(1, 1, 1, -1)
    hole = (y > rows) & (y < rows + side) & (c > cols) & (c < cols + side)
    hole = hole & (draw() < share)
    return torch.where(hole, torch.zeros_like(x), x)
