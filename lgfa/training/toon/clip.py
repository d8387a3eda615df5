"""The toon CLIP: open_clip's architecture and tokenizer, sizes and steps of its training."""
from __future__ import annotations

from dataclasses import replace

from ...config import ClipConfig
from ...toon.world import TOON
from ..drawn.clip import toughen, train_clip
from ..drawn.workshop import Workshop
from ..loop import Trained

SEED = 404                                  # of the first lesson; the second has the next one
STEPS = (1000, 220)                         # on drawings, then with generator pictures
CONTEXT = 32                                # tokens of a sentence, start and end included


def config() -> ClipConfig:
    """A small vision transformer and a small text transformer."""
    return ClipConfig(
        embed_dim=256,
        vision_cfg={"image_size": 64, "layers": 3, "width": 128, "head_width": 64,
                    "patch_size": 8, "mlp_ratio": 4.0, "pool_type": "avg"},
        text_cfg={"context_length": CONTEXT, "vocab_size": 49408, "width": 64, "heads": 4,
                  "layers": 3},
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5))


def train(shop: Workshop) -> Trained:
    """Both lessons; the second needs the generator."""
    drawings, pictures = (shop.steps(number) for number in STEPS)
    first = train_clip(TOON, config(), shop.folder, drawings, SEED, device=shop.device)
    generator = shop.load("generator").requires_grad_(False)
    second = toughen(TOON, first.network, generator, shop.folder, pictures, SEED + 1,
                     device=shop.device)
    return replace(second, minutes=first.minutes + second.minutes)
