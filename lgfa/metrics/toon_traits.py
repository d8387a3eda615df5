"""What a toon picture shows beside its expression: hair colour, glasses, age, backdrop.

Classes are those of `toon.captions.labels`, so they answer what a sentence beyond expression
asks. All but glasses, which the attribute network sees, is read off the picture.
"""
from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import LGFAError
from ..media.images import from_unit
from ..toon import sampling
from ..toon.parameters import BACKDROP, HAIR, INDEX
from ..toon.renderer import FRECKLES, render
from .changes import patch_colours
from .extractors import Eyes
from .toon_truth import PATCHES, RESOLUTION

Points = tuple[tuple[float, float], ...]

# where the renderer draws marks of age on the right cheek, and what to compare them with
RING = ((0.038, 0.0), (-0.038, 0.0), (0.0, 0.038), (0.0, -0.038))
FOLDS = tuple((0.235 + 0.1 * t, 0.30 + 0.16 * t) for t in (0.15, 0.29, 0.43, 0.57, 0.71, 0.85))
BESIDE = ((0.042, -0.026), (-0.042, 0.026))
MARKED = 0.02               # so much darker is a mark


def hair(pictures: Tensor, eyes: Eyes | None = None) -> Tensor:
    """Index in `parameters.HAIR` of the colour nearest to the hair's, [B]."""
    seen = patch_colours(pictures, PATCHES["hair"]).mean(1)
    return _nearest(seen, from_unit(torch.tensor([colour for _, colour in HAIR])))


def backdrop(pictures: Tensor, eyes: Eyes | None = None) -> Tensor:
    """Index in `parameters.BACKDROP` of the backdrop whose patches are nearest, [B]."""
    seen = patch_colours(pictures, PATCHES["backdrop"]).flatten(1)
    return _nearest(seen, _backdrops())


def glasses(pictures: Tensor, eyes: Eyes) -> Tensor:
    """1 where glasses are worn, [B]."""
    return (eyes.attributes(pictures)[1][:, INDEX["glasses"]] > 0.5).long()


def age(pictures: Tensor, eyes: Eyes | None = None) -> Tensor:
    """0 child, 1 adult, 2 elder, [B], by the marks that the renderer draws for age.

    Freckles and folds are thinner than the attribute network's pixels, so they are read off the
    picture: how much darker they are than the skin beside them. Faces must be aligned.
    """
    light = pictures.add(1).div(2).mean(1, keepdim=True)
    spots, folds = _darker(light, FRECKLES, RING), _darker(light, FOLDS, BESIDE)
    ages = torch.where(spots > MARKED, 0, 1)
    return torch.where(folds > MARKED, 2, ages)


def _darker(light: Tensor, points: Points, around: Points) -> Tensor:
    """Median over points, both cheeks, of how much darker they are than what is around: [B]."""
    both = torch.tensor([(side * x, y) for side in (-1, 1) for x, y in points])
    offsets = torch.tensor(around)
    # offsets are mirrored with their points
    sides = torch.tensor([-1.0, 1.0]).repeat_interleave(len(points))[None, :, None]
    ring = both[None] + torch.cat([offsets[:, None, :1] * sides,
                                   offsets[:, None, 1:].expand(-1, len(both), -1)], 2)
    near = _read(light, ring).mean(1)
    return ((near - _read(light, both[None])[:, 0]) / near.clamp(min=0.1)).median(1).values


def _read(light: Tensor, points: Tensor) -> Tensor:
    """Pictures [B, 1, R, R] at points [N, P, 2], -1..1: [B, N, P]."""
    grid = points[None].expand(len(light), -1, -1, -1).to(light)
    return F.grid_sample(light, grid, mode="bilinear", padding_mode="border",
                         align_corners=False)[:, 0]


TRAITS = {"hair": hair, "glasses": glasses, "age": age, "backdrop": backdrop}


def read(name: str, pictures: Tensor, eyes: Eyes) -> Tensor:
    """Class of a trait in pictures [B, 3, R, R], -1..1: long [B]."""
    if name not in TRAITS:
        raise LGFAError(f"there is no trait {name!r} to read; there are {', '.join(TRAITS)}.")
    return TRAITS[name](pictures.float().cpu(), eyes)


def read_all(pictures: Tensor, eyes: Eyes) -> dict[str, Tensor]:
    """Every trait of pictures [B, 3, R, R]: name -> long [B]."""
    return {name: read(name, pictures, eyes) for name in TRAITS}


@lru_cache(maxsize=1)
def _backdrops() -> Tensor:
    """Patch colours of each backdrop without anybody's long hair in front, [6, P * 3]."""
    rng = torch.Generator().manual_seed(0)
    people = sampling.identities(1, rng).repeat(len(BACKDROP), 1)
    for name in ("hair_length", "bun", "tails", "hair_curl"):
        people[:, INDEX[name]] = 0
    people[:, INDEX["backdrop"]] = torch.linspace(0, 1, len(BACKDROP))
    return patch_colours(render(people, RESOLUTION), PATCHES["backdrop"]).flatten(1)


def _nearest(seen: Tensor, table: Tensor) -> Tensor:
    """Row of the table [C, d] nearest to each row of [B, d]."""
    return torch.cdist(seen, table).argmin(1)
