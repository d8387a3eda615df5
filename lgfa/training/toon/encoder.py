"""The toon encoder: sizes and steps of its training."""
from __future__ import annotations

from ...config import EncoderConfig
from ...frames.stylegan2 import Generator
from ...toon.world import TOON
from ..drawn.encoder import train_encoder
from ..drawn.workshop import Workshop
from ..loop import Trained
from .generator import features, importance

SEED = 505                                  # of the first lesson; the second has the next one
STEPS = (600, 350)                          # on codes, then on pictures


def config(generator: Generator) -> EncoderConfig:
    """An e4e-style encoder of the generator's codes."""
    return EncoderConfig(
        num_layers=generator.num_layers, resolution=generator.resolution, input_size=128,
        widths=(24, 40, 72, 120, 192), units=(1, 1, 1, 1), heads="linear", head_width=24,
        stem_stride=2)


def train(shop: Workshop) -> Trained:
    """Both lessons; they need the generator and the identity network."""
    generator, identity = shop.load("generator"), shop.load("identity")
    steps = (shop.steps(STEPS[0]), shop.steps(STEPS[1]))
    return train_encoder(TOON, config(generator), generator, identity, features().codes,
                         importance(generator.resolution), shop.folder, steps, SEED,
                         device=shop.device)
