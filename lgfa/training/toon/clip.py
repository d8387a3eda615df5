"""The toon CLIP: open_clip's architecture and tokenizer, sizes and steps of its training."""
from __future__ import annotations

import sys
from dataclasses import replace

import torch

from ...config import ClipConfig
from ...drawn.captions import Captioner
from ...embed.clip import CLIP
from ...nn.random import fresh_weights
from ...toon.world import TOON
from ..drawn import english
from ..drawn.clip import Others, toughen, train_clip
from ..drawn.workshop import Workshop
from ..loop import Trained

SEED = 404                                  # of the first lesson with pictures; the second has the
#                                             next one, English the one before
STEPS = (3000, 1200, 260)                   # English, drawings, then with generator pictures
CAPTIONS = 40_000                           # toon sentences among those of broad English
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


def learn_english(shop: Workshop, clip: CLIP) -> tuple[Others | None, float]:
    """The text tower's first lesson, where its teacher is installed, and the minutes it took."""
    if english.missing():
        print(english.how_to(), file=sys.stderr)
        return None, 0.0
    rng = torch.Generator().manual_seed(SEED - 1)
    captioner, teacher = Captioner(TOON.words, rng), english.Teacher()
    numbers = torch.randint(TOON.looks, (shop.steps(CAPTIONS),), generator=rng).tolist()
    captions = [captioner.expression(number) for number in numbers]
    captions += [text for texts in TOON.words.lessons().values() for text in texts]
    words = english.frequent(max(int(english.VOCABULARY * min(shop.scale, 1)), 50))
    lessons = english.lessons(english.broad(words, rng), captions, teacher,
                              shop.folder / "english.pt")
    trained, to_teacher = english.learn_english(
        clip, lessons, teacher, shop.folder, shop.steps(STEPS[0]), SEED - 1, shop.device)
    return Others(clip, lessons, to_teacher), trained.minutes


def train(shop: Workshop) -> Trained:
    """All lessons; the last needs the generator."""
    with fresh_weights(SEED):
        clip = CLIP(config())
    learned, minutes = learn_english(shop, clip.to(shop.device))
    first = train_clip(TOON, clip, shop.folder, shop.steps(STEPS[1]), SEED, learned,
                       device=shop.device)
    generator = shop.load("generator").requires_grad_(False)
    second = toughen(TOON, clip, generator, shop.folder, shop.steps(STEPS[2]), SEED + 1, learned,
                     device=shop.device)
    return replace(second, minutes=minutes + first.minutes + second.minutes)
