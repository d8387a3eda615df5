"""Trainings of the toon motion model with one thing changed: the paper's ablations (IV-D, IV-E).

Each variant is the bundled model's training but for what its entry says, seed included; the report
of `python -m lgfa evaluate` trains those that it has not yet.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from ...embed.clip import CLIP
from ...frames.stylegan2 import Generator
from ...toon import parameters
from ...toon.captions import BACKDROP, PHRASES
from ..loop import Trained
from ..prompts import Prompts
from . import motion

# ---- sentences


def one_template(
    template: str,                          # with one {} for the word
) -> Prompts:
    """Each expression's first word in one template, and no paraphrase."""
    words = [PHRASES[name].plain.being[0] for name in parameters.EXPRESSION_NAMES]
    return Prompts(words, (template,))


def prompted() -> Prompts:
    """One sentence for each expression."""
    return one_template("The person is {}")


def bare() -> Prompts:
    """One word for each expression."""
    return one_template("{}")


def beyond() -> Prompts:
    """Hair colours, ages and backdrops, each with a few sentences."""
    words = [[f"The person has {name} hair", f"a person with {name} hair", f"{name}-haired person"]
             for name, _ in parameters.HAIR]
    words += [[f"The person is {word}" for word in ("old", "aged")],
              ["The person is young", "a child"]]
    words += [[f"a person, {phrase}" for phrase in BACKDROP[name]]
              for name, _, _ in parameters.BACKDROP]
    return Prompts(words, ("{}",))


# ---- trainings


@dataclass(frozen=True)
class Variant:
    """What differs from the bundled model's training."""

    what: str                               # in words, for tables
    train: dict[str, Any] = field(default_factory=dict)     # fields of TrainConfig
    model: dict[str, Any] = field(default_factory=dict)     # fields of MotionConfig
    prompts: Callable[[], Prompts] = motion.prompts         # the sentences
    offsets: str = "w"                      # see setup.new_motion
    gain: float = motion.GAIN               # of the offsets after training

    @property
    def iterations(self) -> int:
        """Steps of the training."""
        return self.train.get("iterations", motion.settings().iterations)


STRONG = 1 / 0.07                           # the pairwise term has no temperature: this weight
#                                             gives it the same slope

VARIANTS = {
    "non-contrastive": Variant("pairs pulled together only, weight 1/tau",
                               {"cont_form": "pairwise", "cont": STRONG}),
    "batch-2": Variant("batch of 2", {"batch": 2}),
    "batch-4": Variant("batch of 4 (the paper's)", {"batch": 4}),
    "batch-8": Variant("batch of 8", {"batch": 8}),
    "path-none": Variant("no path_reg", {"path_order": 0}),
    "path-first": Variant("path_reg of first order", {"path_order": 1}),
    "absolute": Variant("absolute motion code z(i)",
                        model={"relative": False, "start_at_still": False}),
    "prompt": Variant("trained on \"The person is {}\" alone", prompts=prompted),
    "no-prompt": Variant("trained on bare words alone", prompts=bare),
    "beyond": Variant("hair colours, ages and backdrops",
                      {**motion.WORDS, "iterations": 400, "batch": 12},
                      prompts=beyond, offsets="all", gain=motion.WORD_GAIN),
}


def train_variant(
    name: str,                              # of VARIANTS
    folder: Path,                           # of checkpoints; an interrupted training goes on
    generator: Generator,
    clip: CLIP,
    perceptual: nn.Module,
    identity: nn.Module,
    iterations: int | None = None,          # None = the variant's own
) -> Trained:
    """The motion model, its offsets enlarged, and the settings of its training."""
    variant = VARIANTS[name]
    changes = dict(variant.train) | ({} if iterations is None else {"iterations": iterations})
    return motion.train_motion(
        folder, generator, clip, perceptual, identity, changes=changes, choices=variant.model,
        words=variant.prompts(), offsets=variant.offsets, gain=variant.gain)
