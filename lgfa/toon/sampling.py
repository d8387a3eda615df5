"""Which faces the toon domain holds: z -> parameters, parameters -> z, and nice stills.

The generator is trained so that `mapping(z)` draws `params_from_z(z)`. Each parameter hangs on
one entry of z through a clamped ramp over its normal quantile, so the map can be inverted: any
parameter, and with it any named expression, can be dialled in z.
"""

from __future__ import annotations

import math

import torch

from . import parameters as tb

Z_DIM = 512

# quantiles between which a parameter ramps from low to high; outside it stays at its end
_RAMPS = {
    "hair_curl": (0.55, 0.75), "bun": (0.78, 0.86), "tails": (0.76, 0.84),
    "glasses": (0.70, 0.76), "curve": (0.04, 0.96), "open": (0.45, 0.97),
    "wave": (0.70, 0.95), "lip": (0.70, 0.95), "tongue": (0.75, 0.95),
    "lid_left": (0.15, 0.96), "lid_right": (0.15, 0.96), "happy_lids": (0.45, 0.92),
    "blush": (0.30, 0.96), "tears": (0.70, 0.95),
}  # fmt: skip
_CATEGORIES = {
    "hair_color": len(tb.HAIR), "iris": len(tb.IRIS), "shirt": len(tb.SHIRT),
    "backdrop": len(tb.BACKDROP),
}  # fmt: skip


def _ramps() -> torch.Tensor:
    """[K, 4]: low, high, first and last quantile of each parameter's ramp."""
    rows = []
    for p in tb.PARAMETERS:
        if p.name in _CATEGORIES:
            n = _CATEGORIES[p.name]
            a, b = 0.5 / n, 1 - 0.5 / n
        else:
            a, b = _RAMPS.get(p.name, (0.02, 0.98))
        rows.append((p.low, p.high, a, b))
    return torch.tensor(rows)


def bends(column: int) -> list[float]:
    """Quantiles at which a parameter's ramp or its steps between categories begin and end."""
    _, _, a, b = _ramps()[column].tolist()
    n = _CATEGORIES.get(tb.NAMES[column])
    if n is None:
        return [a, b]
    edges = (0.5 - 0.5 / tb.PLATEAU, 0.5 + 0.5 / tb.PLATEAU)
    return [a + (b - a) * (i + edge) / (n - 1) for i in range(n - 1) for edge in edges]


def params_from_z(z: torch.Tensor) -> torch.Tensor:
    """z [B, 512], any scale (it is normalised as the mapping network does) -> params [B, K].

    The head's pose is not part of the domain: faces are aligned, as FFHQ's are.
    """
    z = z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)
    low, high, a, b = _ramps().to(z.device).unbind(1)
    quantile = 0.5 * (1 + torch.erf(z[:, : tb.K] / math.sqrt(2)))
    params = low + (high - low) * ((quantile - a) / (b - a)).clamp(0, 1)
    params[:, [tb.INDEX[n] for n in tb.POSE]] = 0
    return params


def z_from_params(params: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """A z [B, 512] of unit mean square whose face is `params` [B, K] (pose ignored).

    Values at the end of a ramp take the middle of the quantiles that share them; the entries
    beyond K carry nothing and are drawn at random.
    """
    low, high, a, b = _ramps().unbind(1)
    share = ((params.cpu() - low) / (high - low)).clamp(0, 1)
    quantile = a + share * (b - a)
    quantile = torch.where(share <= 0.001, a / 2, quantile)
    quantile = torch.where(share >= 0.999, (1 + b) / 2, quantile).clamp(0.004, 0.996)
    head = math.sqrt(2) * torch.erfinv(2 * quantile - 1)
    rest = torch.randn(len(params), Z_DIM - tb.K, generator=generator)
    rest = rest * ((Z_DIM - head.square().sum(1)) / rest.square().sum(1)).sqrt()[:, None]
    return torch.cat([head, rest], 1)


def identities(n: int, generator: torch.Generator) -> torch.Tensor:
    """n people with neutral faces and unmistakable hair, eyes, clothes and backdrop: [n, K]."""
    unit = torch.rand(n, tb.K, generator=generator)
    low = torch.tensor([p.low for p in tb.PARAMETERS])
    high = torch.tensor([p.high for p in tb.PARAMETERS])
    params = low + (high - low) * unit
    for name, count in _CATEGORIES.items():
        column = tb.INDEX[name]
        params[:, column] = (unit[:, column] * count).floor().clamp(max=count - 1) / (count - 1)
    for name in ("hair_curl", "bun", "tails", "glasses"):
        a, b = _RAMPS[name]
        params[:, tb.INDEX[name]] = (unit[:, tb.INDEX[name]] > (a + b) / 2).float()
    return with_expression(params, torch.zeros(n, dtype=torch.long))


def with_expression(
    params: torch.Tensor,
    which: torch.Tensor,
    strength: torch.Tensor | float = 1.0,
    jitter: float = 0.0,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Give people named expressions: params [B, K], which [B] (index into EXPRESSIONS) -> [B, K].

    strength: 0 = neutral, 1 = as named; jitter: standard deviation of a variation added to each
    expression parameter, in units of half its range (values near zero snap back to zero).
    """
    rows = tb.expression_table().to(params.device)
    neutral = rows[0]
    if not torch.is_tensor(strength):
        strength = torch.full((len(params),), float(strength), device=params.device)
    change = neutral + (rows[which] - neutral) * strength[:, None].to(params.device)
    if jitter:
        noise = torch.randn(change.shape, generator=generator).to(params.device)
        low = torch.tensor([p.low for p in tb.PARAMETERS], device=params.device)
        high = torch.tensor([p.high for p in tb.PARAMETERS], device=params.device)
        moved = change + jitter * noise * (high - low) / 2
        # a variation does not open what is shut: mouth, tears, tongue, lids stay at zero
        one_sided = (low == 0) & (change.abs() < 0.05)
        change = torch.where(one_sided, change, moved).clamp(low, high)
    out = params.clone()
    out[:, tb.EXPRESSION_SLICE] = change[:, tb.EXPRESSION_SLICE]
    out[:, [tb.INDEX[n] for n in tb.POSE]] = 0
    return out


def domain_params(n: int, generator: torch.Generator, named: float = 0.65) -> torch.Tensor:
    """Faces to train on: a share `named` carries a named expression (strength 0.4 to 1, varied),
    the rest is what a random z draws. Returns [n, K]."""
    params = params_from_z(torch.randn(n, Z_DIM, generator=generator))
    people = identities(n, generator)
    sure = torch.rand(n, generator=generator) < 0.5
    params = torch.where(sure[:, None], people, params)
    which = torch.randint(len(tb.EXPRESSIONS), (n,), generator=generator)
    strength = 1 - 0.6 * torch.rand(n, generator=generator).square()
    faces = with_expression(params, which, strength, 0.12, generator)
    chosen = torch.rand(n, generator=generator) < named
    wild = params_from_z(torch.randn(n, Z_DIM, generator=generator))
    wild[:, : len(tb.IDENTITY)] = params[:, : len(tb.IDENTITY)]
    return torch.where(chosen[:, None], faces, wild)


def still_latents(generator, seeds, truncation: float = 1.0) -> torch.Tensor:
    """W+ latents [N, L, w_dim] of pleasant neutral stills, one per seed, alike on each device."""
    rows = [identities(1, torch.Generator().manual_seed(int(s))) for s in seeds]
    z = torch.cat([z_from_params(r, torch.Generator().manual_seed(int(s)))
                   for r, s in zip(rows, seeds, strict=True)])  # fmt: skip
    weight = generator.latent_avg
    return generator.mapping(z.to(weight.device, weight.dtype), truncation=truncation)
