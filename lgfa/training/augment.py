"""Small random changes of frames before the loss CLIP sees them, so that it is harder to fool.

A loss that looks through one fixed network can be satisfied by patterns that only that network
reads; patterns rarely survive being moved, cropped, tinted and blurred by noise.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F

SHIFT = 0.06            # largest shift, of the image's side
CROP = 0.8              # smallest part of the side that is kept
COLOUR = 0.15           # largest change of contrast and saturation; brightness, channels half
NOISE = 0.05            # standard deviation, where black to white is 2


class Draws(NamedTuple):
    """Random numbers for a batch, one row per image, on the CPU."""

    zoom: torch.Tensor                      # [B], part of the side that is kept
    shift: torch.Tensor                     # [B, 2], of the centre, in units of half a side
    colour: torch.Tensor                    # [B, 6], brightness, contrast, saturation, r, g, b
    noise: torch.Tensor                     # [B], seeds; -1 = no noise

    def rows(self, rows: slice) -> Draws:
        """Those of some images."""
        return Draws(*(part[rows] for part in self))


def draw(
    kinds: tuple[str, ...],                 # of config.AUGMENTATIONS
    count: int,                             # images
    generator: torch.Generator,             # on the CPU; advances alike for all kinds
) -> Draws:
    """Random numbers for `count` images; kinds that are not asked for change nothing."""
    unit = torch.rand(count, 11, generator=generator)
    seeds = torch.randint(2**31, (count,), generator=generator)
    zoom = 1 - (1 - CROP) * unit[:, 0] * ("crop" in kinds)
    inside = (1 - zoom)[:, None] * (2 * unit[:, 1:3] - 1)
    moved = 2 * SHIFT * (2 * unit[:, 3:5] - 1) * ("shift" in kinds)
    colour = COLOUR * (2 * unit[:, 5:11] - 1) * ("colour" in kinds)
    return Draws(zoom, inside + moved, colour, seeds if "noise" in kinds else seeds * 0 - 1)


def apply(
    images: torch.Tensor,                   # [B, 3, H, W], -1..1
    draws: Draws,                           # of B rows
) -> torch.Tensor:
    """[B, 3, H, W], differentiable; edges are continued where a shift looks beyond them."""
    images = _move(images.float(), draws)
    images = _tint(images, draws.colour.to(images))
    return _noisy(images, draws.noise)


def _move(images: torch.Tensor, draws: Draws) -> torch.Tensor:
    """Crop and shift in one resampling."""
    if bool((draws.zoom == 1).all()) and not bool(draws.shift.any()):
        return images
    eye = torch.eye(2) * draws.zoom[:, None, None]
    theta = torch.cat([eye, draws.shift[:, :, None]], dim=2).to(images)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _tint(images: torch.Tensor, colour: torch.Tensor) -> torch.Tensor:
    """Brightness, contrast about mid grey, saturation about the pixel's grey, channel gains."""
    if not bool(colour.any()):
        return images
    colour = colour[:, :, None, None]
    images = images * (1 + colour[:, 1:2]) + colour[:, 0:1] / 2
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * (1 + colour[:, 2:3])
    return images + colour[:, 3:6] / 2


def _noisy(images: torch.Tensor, seeds: torch.Tensor) -> torch.Tensor:
    """Noise from each image's own seed, so that it does not depend on its neighbours."""
    if not len(seeds) or int(seeds[0]) < 0:
        return images
    noise = [torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(int(seed)))
             for seed in seeds]
    return images + NOISE * torch.stack(noise).to(images)
