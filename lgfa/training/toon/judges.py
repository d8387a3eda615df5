"""The networks that look at toon faces: seeds, steps and sizes of their trainings.

Each has seeds of its own; attributes and judge measure and enter no loss.
"""
from __future__ import annotations

from ...config import IdentityConfig
from ...toon.world import TOON
from ..drawn.judges import train_attributes, train_identity, train_perceptual
from ..drawn.workshop import Workshop
from ..loop import Trained

SEEDS = {"attributes": 101, "identity": 202, "judge": 212, "perceptual": 303}
STEPS = {"attributes": 3100, "identity": 500, "perceptual": 900}
IDENTITY = IdentityConfig(input_size=64, widths=(24, 32, 48, 80, 112), units=(1, 1, 1, 1),
                          embed_dim=128, dropout=0.0, crop=None, stem_stride=1)


def attributes(shop: Workshop) -> Trained:
    """The attribute network."""
    return train_attributes(TOON, shop.folder, shop.steps(STEPS["attributes"]),
                            SEEDS["attributes"], device=shop.device)


def perceptual(shop: Workshop) -> Trained:
    """The LPIPS trunk."""
    return train_perceptual(TOON, shop.folder, shop.steps(STEPS["perceptual"]),
                            SEEDS["perceptual"], device=shop.device)


def identity(
    shop: Workshop,
    name: str = "identity",
) -> Trained:
    """The identity network."""
    return train_identity(TOON, shop.folder, shop.steps(STEPS["identity"]), SEEDS[name], IDENTITY,
                          name, device=shop.device)


def judge(shop: Workshop) -> Trained:
    """The same once more with another seed, for measuring only."""
    return identity(shop, "judge")
