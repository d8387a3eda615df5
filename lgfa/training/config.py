"""Settings of a training (trainer.py)."""
from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from ..config import (
    AUGMENTATIONS,
    CONT_FORMS,
    LATENT_UNITS,
    LPIPS_FRAMES,
    PRECISIONS,
    Frozen,
    check_seed,
)
from ..errors import LGFAError


def weight(
    default: float,                         # 0 leaves the term out
    of: str,                                # what it is the weight of, as `train --help` says it
    switch: str = "",                       # a setting that leaves the term out too, by 0 or ()
) -> Any:
    """A field of TrainConfig: the weight of the term of that name in losses.TERMS."""
    return field(default=default, metadata={"weight": of, "switch": switch})


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
    # losses: the terms' weights, and how some of them measure
    w_reg: float = weight(1.0, "the distance from the still")
    path_reg: float = weight(1.0, "the path's smoothness", switch="path_order")
    path_order: int = 2                     # 2 = second difference, 1 = first, 0 = no such term
    cont: float = weight(0.5, "the agreement with the sentence")
    cont_form: str = "contrastive"          # or "pairwise": pull pairs together only (ablation)
    tau: float = 0.07                       # temperature of the contrastive term
    lpips: float = weight(1.0, "the perceptual distance from the still; needs --perceptual",
                          switch="lpips_frames")
    lpips_frames: tuple[str, ...] = ("first", "last")   # which: "first", "last", "random"
    identity: float = weight(0.0, "the identity distance; needs an identity network")
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

    def counts(self, term: str) -> bool:
        """Whether a term of the loss has a weight, and no other setting leaves it out."""
        switch = WEIGHTS[term].metadata["switch"]
        return bool(getattr(self, term)) and (not switch or bool(getattr(self, switch)))

    def _check(self) -> None:
        for name in ("iterations", "batch", "frames", "keep", "augment_views", "sample_rows",
                     "sample_frames"):
            self._need(name, getattr(self, name) >= 1, "at least 1")
        for name in ("clip_rate", "motion_rate", "mapper_rate", "grad_clip", *WEIGHTS,
                     "save_every", "sample_every", "render_chunk"):
            self._need(name, 0 <= getattr(self, name) < float("inf"), "0 or a positive number")
        check_seed(self.seed)
        self._need("tau", 0 < self.tau < float("inf"), "above 0")
        self._need("rate_end", 0 <= self.rate_end <= 1, "from 0 to 1")
        self._need("ema_decay", 0 <= self.ema_decay < 1, "0 or more and below 1")
        self._need("path_order", self.path_order in (0, 1, 2), "0, 1 or 2")
        self._choice("cont_form", CONT_FORMS)
        self._choice("latent_units", LATENT_UNITS)
        self._choice("precision", PRECISIONS)
        self._choice("lpips_frames", LPIPS_FRAMES)
        self._choice("augment", AUGMENTATIONS)
        self._need("frames", self.frames >= 2, "at least 2: a motion needs two frames")
        if not any(self.counts(term) for term in WEIGHTS):
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


#: the fields of TrainConfig that are weights, by the name of their term
WEIGHTS = {item.name: item for item in fields(TrainConfig) if "weight" in item.metadata}
