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

from ..config import MotionConfig
from ..embed.clip import CLIP
from ..formats.kinds import check_stored
from ..frames import latent_space
from ..frames.stylegan2 import Generator
from ..motion.model import MotionModel
from ..nn.random import fresh_weights
from ..registry import DOMAINS, named
from .config import TrainConfig
from .data import SampleSource, Source, check_truncation
from .prompts import Prompts

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


TYPICAL = 128                                # stills and sentences that set the mappers' gain


def new_motion(
    generator: Generator,                   # gives L, w_dim, resolution
    clip: CLIP,                             # whose trainable copy becomes E_v and E_t
    source: Source,                         # typical stills
    prompts: Prompts,                       # typical sentences
    seed: int = 0,                          # of the weights
    own_encoders: bool = True,              # False: the CLIP is lent, not copied, not trained
    offsets: str = "raw",                   # mappers' output in "raw" units of W (paper), or "w":
    #                                         through the root of W's covariance, which keeps
    #                                         offsets among directions that the generator knows:
    #                                         W as the source's `spread` has it, if it does;
    #                                         "all": the same, of all that random z gives
    **choices: Any,                         # further fields of MotionConfig
) -> MotionModel:
    """A motion model with random weights on the generator's device; the global random state is
    left as it was. LGFAError for a CLIP that could not be stored with the trained model."""
    if own_encoders:
        check_stored(clip.config)
    config = MotionConfig(
        embed_dim=clip.embed_dim, num_layers=generator.num_layers, w_dim=generator.config.w_dim,
        resolution=generator.resolution, **choices)
    with fresh_weights(seed):
        motion = MotionModel(config)
    if own_encoders:
        motion.adopt(clip)
    motion.to(generator.latent_avg.device)
    if offsets in ("w", "all"):
        spread = getattr(source, "spread", None) if offsets == "w" else None
        motion.set_latent_scale(latent_space.samples(generator) if spread is None
                                else spread(latent_space.SAMPLES))
    motion.calibrate(_typical_codes(motion, generator, clip, source, prompts))
    return motion


@torch.no_grad()
def _typical_codes(
    motion: MotionModel,
    generator: Generator,
    clip: CLIP,
    source: Source,
    prompts: Prompts,
) -> torch.Tensor:
    """First codes z(1) [N, d] of some stills and sentences."""
    sentences = prompts.sentences()
    sentences = sentences[::max(1, len(sentences) // TYPICAL)][:TYPICAL]
    z_t, z_v = clip.encode_text(sentences), None
    if motion.config.visual:
        batch = source.draw(len(sentences), torch.Generator().manual_seed(0))
        images = batch.image
        if images is None:
            w = batch.w_inv.to(generator.latent_avg.device)
            images = torch.cat([generator.synthesis(one[None]) for one in w])
        z_v = clip.encode_image(images.to(z_t.device))
    return motion.first_code(z_t, z_v)
