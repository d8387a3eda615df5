"""Metrics of many clips: distances between distributions, and the references that they need."""
from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import LGFAError
from ..toon import sampling
from ..toon.parameters import EXPRESSION_SLICE, EXPRESSIONS
from ..toon.renderer import render
from .extractors import Eyes
from .metric import Shown, batched, set_metric
from .statistics import frechet
from .toon_truth import RESOLUTION, SEED

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


@set_metric("Frechet distance of frames, Inception features (2048) by clean-fid",
            needs=("inception",))
def fid_inception(features: Tensor, reference: Tensor) -> float:
    return frechet(features, reference)


@set_metric("Frechet distance of clips, I3D logits (400) in the protocol of StyleGAN-V",
            needs=("i3d",))
def fvd_i3d(features: Tensor, reference: Tensor) -> float:
    return frechet(features, reference)


def set_features(shown: Shown, eyes: Eyes) -> dict[str, Tensor]:
    """What each metric of sets needs from one clip: {"fd_toon": [T, 192], "fvd_toon": [1, 72]}.

    fid_inception [T, 2048] and fvd_i3d [1, 400] too, where those networks are given.
    """
    out = {}
    if eyes.has("toon") and eyes.has("attributes"):
        features, _, params = eyes.seen(shown).attributes
        out = {"fd_toon": features, "fvd_toon": video_features(params[None])}
    if eyes.has("inception"):
        out["fid_inception"] = eyes.inception(shown.frames)
    if eyes.has("i3d"):
        out["fvd_i3d"] = eyes.i3d(shown.frames)
    return out


def video_features(params: Tensor) -> Tensor:
    """Parameters of clips [B, T, K] -> [B, 72]: expression columns at 4 evenly spaced frames."""
    return params[:, moments(params.shape[1]), EXPRESSION_SLICE].flatten(1)


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
    drawn = sampling.with_expression(people, which, torch.rand(count, generator=rng))
    out = {"fd_toon": _drawings(drawn, eyes.features)}
    if eyes.has("inception"):
        out["fid_inception"] = _drawings(drawn, eyes.inception)

    # of a video, only the frames that the features look at are drawn
    videos = _people(count, rng)
    seen = [_drawings(sampling.with_expression(*videos, ramp(time / (FRAMES - 1))),
                      lambda x: eyes.attributes(x)[1]) for time in moments(FRAMES)]
    out["fvd_toon"] = torch.stack(seen, 1)[:, :, EXPRESSION_SLICE].flatten(1)
    if eyes.has("i3d"):
        out["fvd_i3d"] = torch.cat([eyes.i3d(_video(*one)) for one in zip(*videos, strict=True)])
    return out


def _drawings(params: Tensor, look: Callable[[Tensor], Tensor]) -> Tensor:
    """Features of drawings of params [N, K], drawn in parts."""
    return batched(lambda p: look(render(p, RESOLUTION)), params)


def _video(person: Tensor, which: Tensor) -> Tensor:
    """Frames [16, 3, R, R] of one person [K] on the way to an expression."""
    strength = torch.tensor([ramp(i / (FRAMES - 1)) for i in range(FRAMES)])
    people = person.repeat(FRAMES, 1)
    return render(sampling.with_expression(people, which.repeat(FRAMES), strength), RESOLUTION)


def ramp(time: float) -> float:
    """Strength of an expression at a time in 0..1: smoothly from 0 to 1."""
    return time * time * (3 - 2 * time)


def _people(count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """People [count, K] and expressions [count] in turn, neutral left out."""
    which = 1 + torch.arange(count) % (len(EXPRESSIONS) - 1)
    return sampling.identities(count, rng), which
