"""A picture -> the nearest latent that the encoder finds, and how near that is."""
from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import check_fits
from ..errors import LGFAError, warn
from .e4e import Encoder

if TYPE_CHECKING:
    from ..frames.stylegan2 import Generator

UNLIKE = 0.12                               # rms of 0..1 at 32 px: the inversion is another picture


@torch.no_grad()
def invert(
    encoder: Encoder,
    generator: Generator,
    x: Tensor,                              # [B, 3, H, W], -1..1, squares
) -> tuple[Tensor, Tensor, Tensor]:
    """w_inv [B, L, w_dim], the pictures that it draws [B, 3, R, R], -1..1, and their distances
    from the images [B]; LGFAError when the networks were made for different generators."""
    check_fits("encoder", encoder.config, generator.config)
    w_inv = encoder(x)
    again = generator.synthesis(w_inv).clamp(-1, 1)
    return w_inv, again, distance(x, again)


def warn_unlike(distances: Tensor, stacklevel: int = 2) -> None:
    """Warns when inversions came out as other pictures than their images."""
    unlike = (distances > UNLIKE).nonzero().flatten().tolist()
    if unlike:
        count = len(distances)
        which = "" if count == 1 else f" {', '.join(str(i + 1) for i in unlike)} of {count}"
        warn(f"the still that the generator found is unlike the image{which}: the image should "
             "show one face, cut out and upright as in the training images of the generator.",
             stacklevel + 1)


def distance(x: Tensor, y: Tensor) -> Tensor:
    """Root mean square difference of pictures [B, 3, H, W], -1..1, at 32 px, in units of 0..1:
    [B], on the CPU."""
    if len(x) != len(y):
        raise LGFAError(f"{len(x)} pictures cannot be compared with {len(y)}.")
    a, b = (F.adaptive_avg_pool2d(one.float().clamp(-1, 1), 32).cpu() for one in (x, y))
    return (a - b).square().mean(dim=(1, 2, 3)).sqrt() / 2
