"""Makes what a training begins with: a fresh motion model that fits its networks."""
from __future__ import annotations

from typing import Any

import torch

from .config import MotionConfig
from .data import Source
from .embed.clip import CLIP
from .frames.latent_space import W_SAMPLES, w_samples
from .frames.stylegan2 import Generator
from .motion.model import MotionModel
from .prompts import Prompts

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
        clip.config.check_stored()
    config = MotionConfig(
        embed_dim=clip.embed_dim, num_layers=generator.num_layers, w_dim=generator.config.w_dim,
        resolution=generator.resolution, **choices)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        motion = MotionModel(config)
    if own_encoders:
        motion.adopt(clip)
    motion.to(generator.latent_avg.device)
    if offsets in ("w", "all"):
        spread = getattr(source, "spread", None) if offsets == "w" else None
        motion.set_latent_scale(w_samples(generator) if spread is None else spread(W_SAMPLES))
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
