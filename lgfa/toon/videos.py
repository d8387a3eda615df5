"""Videos of toon faces: a neutral person shows an expression, and sometimes another, or calms down.

They are what an adversarial baseline learns motion from, and what video distances compare with. The
head never moves, since the pose is not part of the domain (sampling.py); eyes blink now and then.
"""
from __future__ import annotations

import torch
from torch import Tensor

from . import sampling
from .parameters import EXPRESSIONS, INDEX
from .renderer import render

ONWARD, BACK = 0.25, 0.2                    # shares of videos that go on to another expression, or
#                                             back to neutral
BLINKS = 0.15                               # share of videos in which the eyes blink once
WEAKEST = 0.7                               # strength of the weakest expression; the strongest is 1
JITTER = 0.06                               # variation of an expression, see with_expression
LIDS = ("lid_left", "lid_right")


def smoothstep(x: Tensor) -> Tensor:
    """Eases in and out: 0 below 0, 1 above 1, flat at both; same shape."""
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)


def courses(
    n: int,                                 # videos
    frames: int,                            # T of each
    rng: torch.Generator,
    people: Tensor | None = None,           # who shows them, [n, K], neutral; None = drawn
) -> Tensor:
    """Parameters of every frame, the first a neutral face, later ones easing on. [n, T, K]

    A video spends a share of its time waiting, rises, and may then go on to a second expression or
    back; times are drawn as shares of the video, so that T does not change what happens.
    """
    people = sampling.identities(n, rng) if people is None else people
    first, second = (_expressions(people, rng) for _ in range(2))
    kind, unit = torch.rand(n, generator=rng), torch.rand(n, 4, generator=rng)
    second = torch.where((kind < BACK)[:, None], people, second)
    two = kind < BACK + ONWARD

    # the rise begins in the first fifth; alone it takes half to all of what is left
    begin = 0.2 * unit[:, 0]
    length = torch.where(two, 0.3 + 0.12 * unit[:, 1], (1 - begin) * (0.5 + 0.5 * unit[:, 1]))
    begin_2 = begin + length + 0.05 * unit[:, 2]
    length_2 = (1 - begin_2) * (0.85 + 0.15 * unit[:, 3])
    time = torch.linspace(0, 1, frames)
    rise = smoothstep((time - begin[:, None]) / length[:, None])[:, :, None]
    turn = smoothstep((time - begin_2[:, None]) / length_2[:, None]) * two[:, None]

    path = torch.lerp(people[:, None], first[:, None], rise)
    path = torch.lerp(path, second[:, None].expand_as(path), turn[:, :, None].expand_as(path))
    return _blink(path, time, rng)


def videos(
    n: int,                                 # videos
    frames: int,                            # T of each
    resolution: int,                        # R, side in pixels
    rng: torch.Generator,
) -> Tensor:
    """Drawn videos [n, T, 3, R, R], float32, -1..1, RGB."""
    return draw(courses(n, frames, rng), resolution)


def draw(
    params: Tensor,                         # [n, T, K]
    resolution: int,                        # R, side in pixels
    chunk: int = 64,                        # frames that are drawn at once
) -> Tensor:
    """The frames, [n, T, 3, R, R], float32, -1..1, RGB."""
    flat = params.flatten(0, 1).split(chunk)
    return torch.cat([render(part, resolution) for part in flat]).unflatten(0, params.shape[:2])


def _expressions(people: Tensor, rng: torch.Generator) -> Tensor:
    """The same people with a random expression each, neutral never: [n, K]."""
    which = 1 + torch.randint(len(EXPRESSIONS) - 1, (len(people),), generator=rng)
    strength = WEAKEST + (1 - WEAKEST) * torch.rand(len(people), generator=rng)
    return sampling.with_expression(people, which, strength, JITTER, rng)


def _blink(path: Tensor, time: Tensor, rng: torch.Generator) -> Tensor:
    """Closes both lids once in some videos, for a fifth of the time, never in the first frame."""
    chosen = torch.rand(len(path), 1, generator=rng) < BLINKS
    middle = 0.15 + 0.7 * torch.rand(len(path), 1, generator=rng)
    shut = smoothstep(1 - (time - middle).abs() / 0.12) * chosen
    path = path.clone()
    for name in LIDS:
        path[:, :, INDEX[name]] *= 1 - shut
    return path
