"""What a metric is, the clip that it measures, and the tables that metrics enter by decorator."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from ..errors import LGFAError
from ..toon.parameters import EXPRESSION_NAMES

FEWEST = 3          # frames of a clip: second differences need them


@dataclass(frozen=True, eq=False)
class Shown:
    """One clip as metrics see it."""

    frames: Tensor              # [T, 3, H, W], -1..1, clamped
    latents: Tensor             # [T, L, w_dim]
    text: str                   # the sentence that was asked for
    target: int | None          # toon domain: index in EXPRESSION_NAMES, or None
    still: Tensor               # [3, H, W], -1..1: the picture that was animated

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[1] != 3 or len(self.frames) < FEWEST:
            raise LGFAError(f"metrics read a clip of at least {FEWEST} frames [T, 3, H, W], "
                            f"not {list(self.frames.shape)}.")
        if self.still.shape != self.frames.shape[1:]:
            raise LGFAError(f"the still must be a picture of the frames' size "
                            f"{list(self.frames.shape[1:])}, not {list(self.still.shape)}.")
        if len(self.latents) != len(self.frames):
            raise LGFAError(f"the clip has {len(self.frames)} frames, but {len(self.latents)} "
                            f"latents.")
        if self.target is not None and not 0 <= self.target < len(EXPRESSION_NAMES):
            raise LGFAError(f"there is no expression number {self.target}; "
                            f"there are {len(EXPRESSION_NAMES)}.")
        for name in ("frames", "latents", "still"):
            if not bool(torch.isfinite(getattr(self, name)).all()):
                raise LGFAError(f"the clip's {name} hold NaN or infinite numbers: the generator "
                                f"or the method is broken.")
        object.__setattr__(self, "frames", self.frames.clamp(-1, 1))
        object.__setattr__(self, "still", self.still.clamp(-1, 1))


@dataclass(frozen=True)
class Metric:
    """One line of a table."""

    name: str                   # states extractor and protocol
    what: str                   # one line for readers
    better: str                 # "higher", "lower" or "none"
    unit: str                   # of the number, "" for a share or a plain number
    measure: Callable[..., float]
    #                             clips: (shown, eyes); sets: (features [N, d], reference [M, d])
    needs: tuple[str, ...] = ()  # extractors' names, "toon" (the domain), "target", "cv2"


Measure = TypeVar("Measure", bound=Callable[..., float])

CLIP_METRICS: dict[str, Metric] = {}
SET_METRICS: dict[str, Metric] = {}


def clip_metric(
    what: str,                  # one line for readers
    better: str,                # "higher", "lower" or "none"
    unit: str = "",
    needs: tuple[str, ...] = (),
) -> Callable[[Measure], Measure]:
    """Enters the function (shown, eyes) -> float under its own name into CLIP_METRICS."""
    return _entering(CLIP_METRICS, what, better, unit, needs)


def set_metric(
    what: str,                  # one line for readers
    better: str = "lower",
    unit: str = "",
    needs: tuple[str, ...] = (),
) -> Callable[[Measure], Measure]:
    """Enters the function (features, reference) -> float into SET_METRICS."""
    return _entering(SET_METRICS, what, better, unit, needs)


def _entering(
    table: dict[str, Metric],
    what: str,
    better: str,
    unit: str,
    needs: tuple[str, ...],
) -> Callable[[Measure], Measure]:
    if better not in ("higher", "lower", "none"):
        raise ValueError(f"better is higher, lower or none, not {better!r}")

    def enter(function: Measure) -> Measure:
        name = function.__name__
        if name in table:
            raise ValueError(f"there are two metrics {name}")
        table[name] = Metric(name, what, better, unit, function, needs)
        return function
    return enter


BATCH = 64          # pictures that a network sees at once


def batched(look: Callable[..., Any], *tensors: Tensor, size: int = BATCH) -> Any:
    """`look` over parts of the batch, joined; it may return a tensor or a tuple of tensors."""
    parts = [look(*group) for group in zip(*(t.split(size) for t in tensors), strict=True)]
    if isinstance(parts[0], tuple):
        return tuple(torch.cat(column) for column in zip(*parts, strict=True))
    return torch.cat(parts)
