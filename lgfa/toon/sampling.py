"""Which faces the toon domain holds: z -> parameters, parameters -> z, and nice stills.

The generator is trained so that `mapping(z)` draws `params_from_z(z)`. Each parameter hangs on
one entry of z through a clamped ramp over its normal quantile, so the map can be inverted: any
parameter, and with it any named expression, can be dialled in z.
"""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..drawn.parameters import PLATEAU, limits
from .parameters import (
    BACKDROP,
    EXPRESSION_SLICE,
    EXPRESSIONS,
    HAIR,
    IDENTITY,
    INDEX,
    IRIS,
    NAMES,
    PARAMETERS,
    POSE,
    SHIRT,
    K,
    expression_table,
    pair_table,
)

Z_DIM = 512
POSED = [INDEX[name] for name in POSE]      # columns of the head's pose

# Quantiles between which a parameter ramps from low to high; outside it stays at its end.
RAMPS = {
    "hair_curl": (0.55, 0.75), "bun": (0.78, 0.86), "tails": (0.76, 0.84),
    "glasses": (0.70, 0.76), "curve": (0.04, 0.96), "open": (0.45, 0.97),
    "wave": (0.70, 0.95), "lip": (0.70, 0.95), "tongue": (0.75, 0.95),
    "lid_left": (0.15, 0.96), "lid_right": (0.15, 0.96), "happy_lids": (0.45, 0.92),
    "blush": (0.30, 0.96), "tears": (0.70, 0.95),
}
LONG_RAMP = (0.02, 0.98)                    # of every other parameter
YES_OR_NO = ("hair_curl", "bun", "tails", "glasses")    # without anything between in `identities`
CATEGORIES = {
    "hair_color": len(HAIR), "iris": len(IRIS), "shirt": len(SHIRT), "backdrop": len(BACKDROP),
}

# ---- z and parameters


def _ramps() -> Tensor:
    """Low, high, first and last quantile of each parameter's ramp. [K, 4]"""
    rows = []
    for p in PARAMETERS:
        if p.name in CATEGORIES:
            n = CATEGORIES[p.name]
            a, b = 0.5 / n, 1 - 0.5 / n
        else:
            a, b = RAMPS.get(p.name, LONG_RAMP)
        rows.append((p.low, p.high, a, b))
    return torch.tensor(rows)


def bends(
    column: int,                            # of the table
) -> list[float]:
    """Quantiles at which a parameter's ramp or its steps between categories begin and end."""
    _, _, a, b = _ramps()[column].tolist()
    n = CATEGORIES.get(NAMES[column])
    if n is None:
        return [a, b]
    edges = (0.5 - 0.5 / PLATEAU, 0.5 + 0.5 / PLATEAU)
    return [a + (b - a) * (i + edge) / (n - 1) for i in range(n - 1) for edge in edges]


def params_from_z(
    z: Tensor,                              # [B, 512], any scale: it is normalised as the mapping
    #                                         network does
) -> Tensor:
    """The faces that z stands for, without a pose: faces are aligned, as FFHQ's are. [B, K]"""
    z = z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)
    low, high, a, b = _ramps().to(z.device).unbind(1)
    quantile = 0.5 * (1 + torch.erf(z[:, :K] / math.sqrt(2)))
    params = low + (high - low) * ((quantile - a) / (b - a)).clamp(0, 1)
    params[:, POSED] = 0
    return params


def z_from_params(
    params: Tensor,                         # [B, K]; the pose is ignored
    rng: torch.Generator,                   # of the entries beyond K, which carry nothing
) -> Tensor:
    """Some z of unit mean square whose faces these are. [B, 512], on the CPU

    Values at the end of a ramp take the middle of the quantiles that share them.
    """
    low, high, a, b = _ramps().unbind(1)
    share = ((params.cpu() - low) / (high - low)).clamp(0, 1)
    quantile = a + share * (b - a)
    quantile = torch.where(share <= 0.001, a / 2, quantile)
    quantile = torch.where(share >= 0.999, (1 + b) / 2, quantile).clamp(0.004, 0.996)
    head = math.sqrt(2) * torch.erfinv(2 * quantile - 1)
    rest = torch.randn(len(params), Z_DIM - K, generator=rng)
    rest = rest * ((Z_DIM - head.square().sum(1)) / rest.square().sum(1)).sqrt()[:, None]
    return torch.cat([head, rest], 1)


# ---- people and their expressions


def identities(
    n: int,
    rng: torch.Generator,
) -> Tensor:
    """People with neutral faces and unmistakable hair, eyes, clothes and backdrop. [n, K]"""
    unit = torch.rand(n, K, generator=rng)
    low, high = limits(PARAMETERS)
    params = low + (high - low) * unit
    for name, count in CATEGORIES.items():
        column = INDEX[name]
        params[:, column] = (unit[:, column] * count).floor().clamp(max=count - 1) / (count - 1)
    for name in YES_OR_NO:
        a, b = RAMPS[name]
        params[:, INDEX[name]] = (unit[:, INDEX[name]] > (a + b) / 2).float()
    return with_expression(params, torch.zeros(n, dtype=torch.long))


def with_expression(
    params: Tensor,                         # people [B, K]
    which: Tensor,                          # [B], long, numbers of expressions, then of pairs
    strength: Tensor | float = 1.0,         # [B] or one for all: 0 = neutral, 1 = as named
    jitter: float = 0.0,                    # deviation of a variation of each expression parameter,
    #                                         in units of half its range; what is nearly 0 stays 0
    rng: torch.Generator | None = None,     # of the variation; needed where there is one
) -> Tensor:
    """The same people with named expressions, unposed. [B, K]"""
    rows = torch.cat([expression_table(), pair_table()]).to(params.device)
    neutral = rows[0]
    if not torch.is_tensor(strength):
        strength = torch.full((len(params),), float(strength), device=params.device)
    change = neutral + (rows[which] - neutral) * strength[:, None].to(params.device)
    if jitter:
        change = _varied(change, jitter, rng)
    out = params.clone()
    out[:, EXPRESSION_SLICE] = change[:, EXPRESSION_SLICE]
    out[:, POSED] = 0
    return out


def _varied(
    rows: Tensor,                           # [B, K]
    jitter: float,                          # see `with_expression`
    rng: torch.Generator | None,
) -> Tensor:
    """Expressions as different people make them, within the parameters' ranges. [B, K]"""
    if rng is None:
        raise ValueError("a variation of expressions needs a random generator.")
    noise = torch.randn(rows.shape, generator=rng).to(rows.device)
    low, high = limits(PARAMETERS, rows.device)
    moved = rows + jitter * noise * (high - low) / 2
    # A variation does not open what is shut: mouth, tears, tongue, lids stay at zero.
    one_sided = (low == 0) & (rows.abs() < 0.05)
    return torch.where(one_sided, rows, moved).clamp(low, high)


def domain_params(
    n: int,
    rng: torch.Generator,
    named: float = 0.65,                    # share with a named expression, of strength 0.4 to 1
) -> Tensor:
    """Faces to train on; those without a named expression are what a random z draws. [n, K]"""
    params = params_from_z(torch.randn(n, Z_DIM, generator=rng))
    people = identities(n, rng)
    sure = torch.rand(n, generator=rng) < 0.5
    params = torch.where(sure[:, None], people, params)
    which = torch.randint(len(EXPRESSIONS), (n,), generator=rng)
    strength = 1 - 0.6 * torch.rand(n, generator=rng).square()
    faces = with_expression(params, which, strength, 0.12, rng)
    chosen = torch.rand(n, generator=rng) < named
    wild = params_from_z(torch.randn(n, Z_DIM, generator=rng))
    wild[:, :len(IDENTITY)] = params[:, :len(IDENTITY)]
    return torch.where(chosen[:, None], faces, wild)


def still_latents(
    generator: torch.nn.Module,             # the domain's Generator
    seeds: Sequence[int],                   # one a still; alike on every device
    truncation: float = 1.0,                # psi: 1 = as drawn, lower = nearer the average
) -> Tensor:
    """W+ latents of pleasant neutral stills. [N, L, w_dim]"""
    rows = [identities(1, torch.Generator().manual_seed(int(seed))) for seed in seeds]
    z = torch.cat([z_from_params(row, torch.Generator().manual_seed(int(seed)))
                   for row, seed in zip(rows, seeds, strict=True)])
    weight = generator.latent_avg
    return generator.mapping(z.to(weight.device, weight.dtype), truncation=truncation)
