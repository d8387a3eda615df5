"""Metrics of many clips: distances between distributions, and the references that they need."""
from __future__ import annotations

import torch
from torch import Tensor

from ..errors import LGFAError
from ..toon import sample
from ..toon import table as tb
from ..toon.renderer import render
from .extractors import Eyes, batched
from .metric import Shown, set_metric
from .statistics import frechet
from .truth import RESOLUTION, SEED

MOMENTS = 4         # evenly spaced frames of a clip, first and last among them
FRAMES = 16         # of a reference video


@set_metric("Frechet distance of frames to drawings of unseen people with expressions of any "
            "strength; features (192) of the toon attribute network, not Inception",
            needs=("toon", "attributes"))
def fd_toon(features: Tensor, reference: Tensor) -> float:
    return frechet(features, reference)


@set_metric("Frechet distance of clips to drawn videos that go smoothly from neutral to an "
            "expression; features: the attribute network's 18 expression parameters in 4 evenly "
            "spaced frames (72), not I3D", needs=("toon", "attributes"))
def fvd_toon(features: Tensor, reference: Tensor) -> float:
    return frechet(features, reference)


def set_features(shown: Shown, eyes: Eyes) -> dict[str, Tensor]:
    """What each metric of sets needs from one clip: {"fd_toon": [T, 192], "fvd_toon": [1, 72]}."""
    out = {}
    if eyes.has("toon") and eyes.has("attributes"):
        features, _, params = eyes.seen(shown).attributes
        out = {"fd_toon": features, "fvd_toon": video_features(params[None])}
    return out


def video_features(params: Tensor) -> Tensor:
    """Parameters of clips [B, T, K] -> [B, 72]: expression columns at 4 evenly spaced frames."""
    return params[:, moments(params.shape[1]), tb.EXPRESSION_SLICE].flatten(1)


def moments(frames: int) -> list[int]:
    """The numbers of the frames that stand for a clip."""
    return [round(i * (frames - 1) / (MOMENTS - 1)) for i in range(MOMENTS)]


# ---- references

def reference_features(
    eyes: Eyes,
    count: int = 2000,                      # drawings, and videos
    seed: int = 0,                          # added to the seed of everything that measures
) -> dict[str, Tensor]:
    """Features of the renderer's own pictures of unseen people: name -> [M, d]."""
    if not (eyes.has("toon") and eyes.has("attributes")):
        raise LGFAError("references are drawn for the toon domain alone: give the features of "
                        "real pictures for any other.")
    rng = torch.Generator().manual_seed(SEED + seed)
    people, which = _people(count, rng)
    strength = torch.rand(count, generator=rng)
    drawn = sample.with_expression(people, which, strength)
    return {
        "fd_toon": batched(lambda p: eyes.features(render(p, RESOLUTION)), drawn),
        "fvd_toon": _videos(eyes, count, rng),
    }


def _videos(eyes: Eyes, count: int, rng: torch.Generator) -> Tensor:
    """Only the frames that the features look at are drawn."""
    people, which = _people(count, rng)
    seen = []
    for time in moments(FRAMES):
        drawn = sample.with_expression(people, which, ramp(time / (FRAMES - 1)))
        seen.append(batched(lambda p: eyes.attributes(render(p, RESOLUTION))[1], drawn))
    return torch.stack(seen, 1)[:, :, tb.EXPRESSION_SLICE].flatten(1)


def ramp(time: float) -> float:
    """Strength of an expression at a time in 0..1: smoothly from 0 to 1."""
    return time * time * (3 - 2 * time)


def _people(count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """People [count, K] and expressions [count] in turn, neutral left out."""
    which = 1 + torch.arange(count) % (len(tb.EXPRESSIONS) - 1)
    return sample.identities(count, rng), which
