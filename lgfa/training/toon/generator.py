"""The toon generator's training: what of a face its codes say, what counts in a picture, steps."""
from __future__ import annotations

import torch
from torch import Tensor

from ...config import GeneratorConfig
from ...drawn.parameters import category_weights, palette
from ...frames.stylegan2 import Generator
from ...nn.random import fresh_weights
from ...toon.parameters import BACKDROP, HAIR, INDEX, IRIS, SHIRT, SKIN
from ...toon.world import TOON
from ..drawn.codes import Features
from ..drawn.generator import Lesson, train_generator
from ..drawn.workshop import Workshop
from ..loop import Trained

RESOLUTIONS = (64, 128, 256)                # each grown from the one before
SEED = 21                                   # of the faces, six in a row
FEATURES_SEED = 11
WEIGHTS_SEED = 1
CHANNELS = (128, 128, 128, 128, 64, 32, 16)     # feature maps at 4, 8, .. 256 px
BLEND = 0.7                                 # share of the weights taught on strays
LESSONS = (
    Lesson("draw64", 2400, 32, 1e-2, SEED),
    Lesson("draw128", 9000, 16, 4e-3, SEED + 1),
    Lesson("draw256", 5000, 16, 4e-3, SEED + 5),
    Lesson("stray256", 900, 16, 2e-3, SEED + 4, stray=0.375),
    Lesson("mapping", 3000, 1024, 5e-3, SEED + 2),
)
DERIVED = slice(52, 64)                     # columns of `describe`, see Features


def config(resolution: int = RESOLUTIONS[-1]) -> GeneratorConfig:
    """Settings of the generator, or of one of a lower resolution that becomes it."""
    levels = resolution.bit_length() - 2
    return GeneratorConfig(resolution, CHANNELS[:levels], mapping_layers=3,
                           mapping_lr_multiplier=1.0)


def describe(
    params: Tensor,                         # [B, K]
) -> Tensor:
    """Parameters, colours, shares of backdrops and the products that drawing needs. [B, 67]"""
    def q(name: str) -> Tensor:
        return params[:, INDEX[name], None]

    lid = (q("lid_left") + q("lid_right")) / 2
    parts = [params[:, list(TOON.live)]]
    # colours count twice: they fill most of the picture
    for name, colours in (("skin", SKIN), ("hair_color", HAIR), ("iris", IRIS), ("shirt", SHIRT)):
        parts.append(palette(params[:, INDEX[name]], [colour for _, colour in colours]))
    parts.append(category_weights(params[:, INDEX["backdrop"]], len(BACKDROP)))
    parts += [(q(name) * 6).clamp(max=1) for name in ("open", "tears", "tongue", "wave", "lip")]
    parts += [(q(name) * 5).clamp(max=1) for name in ("lid_left", "lid_right")]
    parts += [q("happy_lids") * (1 - lid), q("curve") * q("open"), q("wave") * q("mouth_width")]
    parts += [q("mouth_width") * q("open"), q("curve") * q("mouth_width")]
    parts += [((0.25 - q("age")) / 0.15).clamp(0, 1), ((q("age") - 0.65) / 0.2).clamp(0, 1)]
    parts += [(q("hair_length") * 8 - 1.8).clamp(0, 1)]
    return torch.cat(parts, 1)


def features() -> Features:
    """The fixed codes of toon faces."""
    return Features(TOON, describe, DERIVED, FEATURES_SEED)


def importance(
    resolution: int,                        # R
) -> Tensor:
    """What a face is read by counts more: mouth, eyes and brows. [1, 1, R, R]"""
    ticks = (torch.arange(resolution) + 0.5) * 2 / resolution - 1
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")

    def box(left: float, right: float, top: float, bottom: float) -> Tensor:
        return ((x > left) & (x < right) & (y > top) & (y < bottom)).float()

    mouth, eyes = box(-0.40, 0.40, 0.28, 0.70), box(-0.52, 0.52, -0.34, 0.28)
    return (1 + 1.5 * mouth + 1.0 * eyes)[None, None]


def train(shop: Workshop) -> Trained:
    """64 px first, then 128 px, then 256 px, then z -> w."""
    with fresh_weights(WEIGHTS_SEED):
        chain = [Generator(config(resolution)) for resolution in RESOLUTIONS]
    return train_generator(features(), chain, importance, shop.shortened(LESSONS), BLEND, SEED + 3,
                           shop.folder, shop.device)
