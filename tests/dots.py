"""A second drawn domain, as small as one can be: a dot whose shade is who it is, and whose width
is what it does. What works with it is not welded to the toons."""
from __future__ import annotations

import torch
from torch import Tensor

from lgfa.drawn.captions import Phrases, Ways, Words
from lgfa.drawn.parameters import Parameter, category, limits
from lgfa.drawn.world import World
from lgfa.evaluate.bars import Report

PARAMETERS = (
    Parameter("shade", 0, 1, "gray to white"),
    Parameter("ground", 0, 1, "black or gray behind"),
    Parameter("width", -1, 1, "tall to broad"),
    Parameter("height", 0, 2, "low to high"),
    Parameter("turn", -1, 1, "pose: moved to the left or the right"),
)
ROWS = torch.tensor([[0, 0, 0.0, 1.0, 0], [0, 0, 1.0, 1.0, 0], [0, 0, -0.8, 2.0, 0]])
BOTH = torch.tensor([[0, 0, 1.0, 2.0, 0]])      # broad and high at once
Z_DIM = 16


def draw(params: Tensor, resolution: int) -> Tensor:
    """An ellipse with soft edges."""
    shade, ground, width, height, turn = (one.view(-1, 1, 1) for one in params.unbind(1))
    ticks = (torch.arange(resolution) + 0.5) * 2 / resolution - 1
    x, y = ticks[None, None] - 0.3 * turn, ticks[None, :, None]
    distance = ((x / (0.5 + 0.3 * width)) ** 2 + (y / (0.3 + 0.25 * height)) ** 2).sqrt() - 1
    cover = (0.5 - 8 * distance).clamp(0, 1)
    value = (ground - 1) * (1 - cover) + shade * cover
    return value[:, None].expand(-1, 3, -1, -1).contiguous()


def people(n: int, rng: torch.Generator) -> Tensor:
    params = torch.rand(n, 5, generator=rng)
    params[:, 1] = (params[:, 1] > 0.5).float()
    params[:, 2:] = ROWS[0, 2:]
    return params


def with_expression(params: Tensor, which: Tensor, strength: Tensor | float = 1.0,
                    jitter: float = 0.0, rng: torch.Generator | None = None) -> Tensor:
    change = torch.cat([ROWS, BOTH])[which] - ROWS[0]
    out = params.clone()
    out[:, 2:] = (ROWS[0] + change * torch.as_tensor(strength).view(-1, 1))[:, 2:]
    if jitter:
        low, high = limits(PARAMETERS)
        noise = jitter * torch.randn(out.shape, generator=rng) * (high - low) / 2
        out[:, 2:4] = (out + noise).clamp(low, high)[:, 2:4]
    return out


def params_from_z(z: Tensor) -> Tensor:
    low, high = limits(PARAMETERS)
    params = low + (high - low) * torch.special.ndtr(z[:, :5])
    params[:, 4] = 0
    return params


def z_from_params(params: Tensor, rng: torch.Generator) -> Tensor:
    low, high = limits(PARAMETERS)
    share = ((params - low) / (high - low)).clamp(0.01, 0.99)
    return torch.cat([torch.special.ndtri(share),
                      torch.randn(len(params), Z_DIM - 5, generator=rng)], 1)


def faces(n: int, rng: torch.Generator, named: float = 0.5) -> Tensor:
    which = torch.randint(3, (n,), generator=rng)
    drawn = with_expression(people(n, rng), which, 1.0, 0.1, rng)
    wild = params_from_z(torch.randn(n, Z_DIM, generator=rng))
    return torch.where(torch.rand(n, 1, generator=rng) < named, drawn, wild)


WORDS = Words(
    subjects=("the dot", "a dot"),
    expressions={
        "round": Ways(Phrases(("round", "a circle", "balanced", "plain", "a ball"),
                              ("a round shape",))),
        "broad": Ways(Phrases(("broad", "stout", "fat", "thick", "a wide one"), ("breadth",),
                              ("spread",))),
        "tall": Ways(Phrases(("tall", "high", "long", "big", "a tower"), ("a long shape",),
                             ("rise",)),
                     wider=Phrases(("lanky",), ())),
    },
    asked={"tall": ("a steeple",)},
    pairs=(("broad", "tall"),),
    attributes={"ground": (("a black ground",), ("a gray ground", "fog"))},
    said={"ground": 0.4},
    labels=lambda params: {"ground": category(params[:, 1], 2)},
    questions=lambda name: ([["round"], ["broad"], ["tall"]] if name == "expression"
                            else [["black"], ["gray"]]),
)

DOTS = World(
    name="dots", parameters=PARAMETERS, who=2, pose=("turn",), outfit=("ground",),
    expressions=ROWS, words=WORDS, z_dim=Z_DIM, draw=draw, people=people, faces=faces,
    with_expression=with_expression, z_from_params=z_from_params, params_from_z=params_from_z,
    bends=lambda column: [0.0, 1.0])

REPORT_OF_DOTS = Report(
    world=DOTS, bars={"attributes.expression": 0.5}, questions=("expression",), read=("width",),
    watched=("tall",), absent={}, untouched=((-0.9, -0.9),), template="{}",
    cards={"attributes": ("Reads dots.", "Drawn dots. Seed 1.")}, limits="squares")
