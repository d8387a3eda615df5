"""The toon motion model: sampled stills, sentences, no labels, and the settings of its training.

`registry.DOMAINS` names this module: trainings that users start in the toon domain ask it for
prompts(), source(), settings(), word_settings(), CHOICES and the gains.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from ...embed.clip import CLIP
from ...frames.stylegan2 import Generator
from ...toon.captions import WORDS as LANGUAGE
from ...toon.world import TOON
from ..config import TrainConfig
from ..data import SampleSource
from ..drawn import motion
from ..drawn.workshop import Workshop
from ..loop import Trained
from ..prompts import Prompts
from ..setup import new_motion

SEED = 606

#: one offset for all layers, which keeps the path in W, where the generator was trained to draw
CHOICES = {"mapper_hidden": 512, "shared_layers": True, "visual": False, "visual_mapper": False,
           "hidden_std": 0.01}

#: a strong `w_reg` leaves the direction of the paths true and stops them short: the offsets are
#: made this much larger after training
GAIN = 1.5

#: .. and after word_settings(), whose `w_reg` is weaker
WORD_GAIN = 1.2

#: .. and h(1), which the seed draws, is spread this much wider than in training: seeds then differ
#: to the eye, and the faces are as clean
SPREAD = 0.2


def prompts() -> Prompts:
    """Every expression as a word with its sentences, "The person is ..." among them."""
    return motion.prompts(LANGUAGE, SEED)


def source(generator: Generator) -> SampleSource:
    """Stills that the generator makes up."""
    return motion.source(TOON, generator, SEED)


def settings(**changes: Any) -> TrainConfig:
    """What the bundled model was trained with; the paper's values where not said otherwise.

    A strong `w_reg` in whitened units is what keeps faces drawn cleanly: with a weak one paths go
    on, past any doubt of CLIP's, along whatever tells a word from the others (a smile's tongue
    is less than none), and out of what the generator was taught to draw. It also holds the
    frames on the way back, so the last step would be a jump: hence the strong `path_reg`.
    """
    own = {
        "iterations": 600, "batch": 14, "frames": 4, "seed": SEED, "mapper_rate": 2.5e-3,
        "rate_end": 0.02, "w_reg": 40.0, "path_reg": 40.0, "latent_units": "white",
        "cont": 1.0, "lpips": 0.1, "lpips_frames": ("last",), "identity": 1.0,
        "precision": "bf16", "ema_decay": 0.98, "save_every": 100, "sample_every": 0,
    }
    return TrainConfig(**{**own, **changes})


#: what new words change of the settings above
WORDS = {"mapper_rate": 5e-3, "w_reg": 4.0, "path_reg": 10.0, "cont": 2.0}


def word_settings(**changes: Any) -> TrainConfig:
    """For a few new words whose offsets go along all of W: hair, glasses, backdrop.

    A word then moves little of what can vary, and few steps must suffice: weaker regularisers,
    higher rates.
    """
    return settings(**{"iterations": 120, "batch": 6, **WORDS, **changes})


def train_motion(
    folder: Path,                           # of checkpoints; an interrupted training goes on
    generator: Generator,
    clip: CLIP,
    perceptual: nn.Module,
    identity: nn.Module,
    device: str = "cpu",                    # of the finished model
    changes: dict[str, Any] | None = None,  # of the settings
    choices: dict[str, Any] | None = None,  # of the model, beside CHOICES
    words: Prompts | None = None,           # other sentences
    offsets: str = "w",                     # see setup.new_motion
    gain: float = GAIN,                     # of the offsets after training
) -> Trained:
    """The motion model and the settings of its training. It begins at the still."""
    words, stills = words or prompts(), source(generator)
    model = new_motion(generator, clip, stills, words, SEED, offsets=offsets,
                       **{**CHOICES, **(choices or {})})
    return motion.train_motion(
        model, settings(**(changes or {})), generator, stills, words, clip, perceptual,
        identity, Path(folder) / "motion", gain, SPREAD, device)


def train(shop: Workshop) -> Trained:
    """The bundled model; it needs the generator, CLIP, and what its losses look with."""
    needed = [shop.load(kind) for kind in ("generator", "clip", "perceptual", "identity")]
    steps = {"iterations": shop.steps(settings().iterations)}
    return train_motion(shop.folder, *needed, device=shop.device, changes=steps)
