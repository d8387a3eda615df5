"""What trainings have in common however they are started: a domain's own ways, or the paper's.

A domain may bring a module (`Domain.training`) with its own prompts, stills, settings and choices
for the motion model. The command line and the nodes find them here.
"""
from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import Any

import torch
from torch import nn

from .config import TrainConfig
from .data import SampleSource, check_truncation
from .prompts import Prompts
from .registry import DOMAINS, named

#: matters of the machine or of patience, which a domain's own settings do not decide for others
PATIENCE = ("iterations", "precision", "seed", "keep", "save_every", "sample_every")


def own_training(
    domain: str | None,                     # name, or None for networks of no known domain
) -> ModuleType | None:
    """The module with a domain's prompts(), source(generator), settings(), word_settings(),
    CHOICES and GAIN; None where it has none."""
    known = DOMAINS.get(domain)
    if known is None or known.training is None:
        return None
    return named(known.training)


def special_settings(
    settings: TrainConfig | None,           # a domain's own
) -> dict[str, Any]:
    """Those that differ from the paper's and are no matter of patience."""
    if settings is None:
        return {}
    paper = TrainConfig()
    return {name: value for name, value in dataclasses.asdict(settings).items()
            if value != getattr(paper, name) and name not in PATIENCE}


def own_prompts(own: ModuleType | None) -> Prompts:
    """A domain's, or the paper's."""
    return own.prompts() if own else Prompts()


def samples(
    own: ModuleType | None,
    generator: nn.Module,
    truncation: float,                      # of domains that have no sampler of their own
) -> SampleSource:
    """Stills that the generator makes up."""
    check_truncation(truncation)
    return own.source(generator) if own else SampleSource(generator, truncation)


def motion_choices(
    own: ModuleType | None,
    frames: int,                            # of a training clip
    **given: Any,                           # what the user asked for; None = did not
) -> dict[str, Any]:
    """Fields of MotionConfig for a fresh model: the domain's choices, then the user's."""
    asked = {name: value for name, value in given.items() if value is not None}
    return {**(own.CHOICES if own else {}), "train_frames": frames, **asked}


@torch.no_grad()
def enlarge(
    motion: nn.Module,                      # MotionModel, changed
    gain: float,                            # all its offsets become this much larger
) -> None:
    """Strong regularisers leave the direction of the paths true and stop them short."""
    last = motion.t_mapper.layers[-1]       # what may follow is a leaky ReLU, which keeps factors
    last.weight.mul_(gain)
    if last.bias is not None:
        last.bias.mul_(gain)
