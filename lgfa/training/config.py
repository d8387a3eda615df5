"""Settings of a training (trainer.py)."""
from __future__ import annotations

from dataclasses import dataclass

from ..config import Frozen
from ..errors import LGFAError


@dataclass(frozen=True)
class TrainConfig(Frozen):
    """Settings of trainer.py; the defaults are the paper's (III-E, IV-A) and its authors'."""

    iterations: int = 2000                  # steps in all
    batch: int = 4                          # clips a step, over all ranks together
    frames: int = 4                         # T, frames of a training clip
    seed: int = 0                           # of every random draw of the training
    # rates of Adam, betas (0, 0.999); constant unless rate_end is below 1
    clip_rate: float = 1e-5                 # E_v and E_t; 0 = frozen
    motion_rate: float = 1e-3               # recurrent motion generator
    mapper_rate: float = 1e-3               # H_v and H_t
    rate_end: float = 1.0                   # part of the rates left at the last step (cosine)
    grad_clip: float = 0.0                  # largest norm of the whole gradient; 0 = any
    ema_decay: float = 0.0                  # of the averaged weights that are exported; 0 = off
    # loss
    w_reg: float = 1.0                      # weight of || w(i) - w_s ||^2
    path_reg: float = 1.0                   # weight of the smoothness of the path
    path_order: int = 2                     # 2 = second difference, 1 = first, 0 = no such term
    cont: float = 0.5                       # weight of the sentence term
    cont_form: str = "contrastive"          # or "pairwise": pull pairs together only (ablation)
    tau: float = 0.07                       # temperature of the contrastive term
    lpips: float = 1.0                      # weight of the perceptual distance to the still
    lpips_frames: tuple[str, ...] = ("first", "last")   # which: "first", "last", "random"
    identity: float = 0.0                   # weight of the identity distance, last frame to still
    latent_units: str = "auto"              # w_reg and path_reg of offsets in "raw" W units or in
    #                                         "std": divided by W's standard deviation per
    #                                         dimension; "auto" = "std" if the motion model has
    #                                         a latent_scale of its own, else "raw"; "white":
    #                                         through W's covariance, so that moves unlike those
    #                                         between faces cost more
    augment: tuple[str, ...] = ()           # before the loss CLIP: "shift", "crop", "colour",
    #                                         "noise"
    augment_views: int = 1                  # augmented copies of a frame, embeddings averaged
    # cost
    precision: str = "fp32"                 # of the frozen networks: "fp32", "bf16", "fp16"
    render_chunk: int = 0                   # frames kept in memory for the gradient; the rest is
    #                                         rendered twice; 0 = all, rendered once
    # output
    save_every: int = 200                   # steps between checkpoints; 0 = only the last
    keep: int = 2                           # checkpoints kept
    sample_every: int = 200                 # steps between sample strips; 0 = none
    sample_rows: int = 4                    # clips in a strip
    sample_frames: int = 8                  # frames of each

    #: settings that may differ when a training goes on: they do not change what is learned
    FREE = ("iterations", "render_chunk", "save_every", "keep", "sample_every", "sample_rows",
            "sample_frames")

    def _check(self) -> None:
        for name in ("iterations", "batch", "frames", "keep", "augment_views", "sample_rows",
                     "sample_frames"):
            self._need(name, getattr(self, name) >= 1, "at least 1")
        for name in ("clip_rate", "motion_rate", "mapper_rate", "grad_clip", "w_reg", "path_reg",
                     "cont", "lpips", "identity", "save_every", "sample_every", "render_chunk"):
            self._need(name, 0 <= getattr(self, name) < float("inf"), "0 or a positive number")
        self._need("seed", 0 <= self.seed < 2**64, "from 0 to 2^64 - 1")
        self._need("tau", 0 < self.tau < float("inf"), "above 0")
        self._need("rate_end", 0 <= self.rate_end <= 1, "from 0 to 1")
        self._need("ema_decay", 0 <= self.ema_decay < 1, "0 or more and below 1")
        self._need("path_order", self.path_order in (0, 1, 2), "0, 1 or 2")
        self._choice("cont_form", ("contrastive", "pairwise"))
        self._choice("latent_units", ("auto", "raw", "std", "white"))
        self._choice("precision", ("fp32", "bf16", "fp16"))
        self._choice("lpips_frames", ("first", "last", "random"))
        self._choice("augment", ("shift", "crop", "colour", "noise"))
        self._need("frames", self.frames >= 2, "at least 2: a motion needs two frames")
        if not any((self.w_reg, self.path_reg and self.path_order, self.cont,
                    self.lpips and self.lpips_frames, self.identity)):
            raise LGFAError("all losses have a weight of 0: there is nothing to learn.")
        if self.cont and self.cont_form == "contrastive":
            self._need("batch", self.batch >= 2, "at least 2: a contrast needs two sentences")

    def _choice(self, name: str, choices: tuple[str, ...]) -> None:
        value = getattr(self, name)
        for one in value if isinstance(value, tuple) else (value,):
            self._need(name, one in choices, " or ".join(map(repr, choices)))

    def _need(self, name: str, fine: bool, rule: str) -> None:
        if not fine:
            raise LGFAError(f"the training setting {name} is {getattr(self, name)!r}: "
                            f"it must be {rule}.")
