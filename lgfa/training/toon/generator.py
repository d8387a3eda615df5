"""Train the toon generator: first the drawing from known codes, then the mapping to the codes.

Learning z -> w and w -> image at once does not work in minutes: mouths never appear. So w is
first a fixed linear function of features of the face's parameters, while the synthesis network
learns to draw; then the mapping network learns z -> w by regression. W is thereby linear in what
the face is and does, and half of the batches walk straight lines in it.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...config import GeneratorConfig
from ...drawn.table import category_weights, palette
from ...frames.latent_space import samples
from ...frames.stylegan2 import Generator, mapped
from ...toon import parameters as tb
from ...toon import sampling
from ...toon.renderer import render
from .fit import fit

SEED = 21
CENTRE = 4.0  # what is added to every number of a code, which has unit variance
CHANNELS = (128, 128, 128, 80, 40, 20)  # feature maps at 4, 8, .. 128 px


def config(resolution: int = 128) -> GeneratorConfig:
    levels = resolution.bit_length() - 2
    return GeneratorConfig(
        resolution, CHANNELS[:levels], mapping_layers=3, mapping_lr_multiplier=1.0
    )


# ----------------------------------------------------------------------------- parameters -> w


class Features(nn.Module):
    """The fixed code of a face: params [B, K] -> w [B, w_dim], of about unit variance.

    Standardised parameters, colours, shares of categories and the products that drawing needs,
    through a fixed random matrix with orthogonal columns.
    """

    def __init__(self, w_dim: int = 512, seed: int = 11):
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        raw = self._raw(sampling.domain_params(8192, rng))
        self.register_buffer("mean", raw.mean(0))
        self.register_buffer("std", raw.std(0).clamp(min=0.02))
        mix = torch.linalg.qr(torch.randn(w_dim, raw.shape[1], generator=rng))[0].t()
        self.register_buffer("mix", mix * (w_dim / raw.shape[1]) ** 0.5)

    #: columns of `_raw` that are functions of expression parameters
    derived = (52, 64)

    @staticmethod
    def _raw(params: Tensor) -> Tensor:
        def q(name):
            return params[:, tb.INDEX[name], None]

        live = [i for i, n in enumerate(tb.NAMES) if n not in tb.POSE]
        lid = (q("lid_left") + q("lid_right")) / 2
        parts = [params[:, live]]
        # colours count twice: they fill most of the picture
        for name, colors in (
            ("skin", tb.SKIN),
            ("hair_color", tb.HAIR),
            ("iris", tb.IRIS),
            ("shirt", tb.SHIRT),
        ):
            parts.append(palette(params[:, tb.INDEX[name]], [c for _, c in colors]))
        parts.append(category_weights(params[:, tb.INDEX["backdrop"]], len(tb.BACKDROP)))
        parts += [(q(n) * 6).clamp(max=1) for n in ("open", "tears", "tongue", "wave", "lip")]
        parts += [(q(n) * 5).clamp(max=1) for n in ("lid_left", "lid_right")]
        parts += [q("happy_lids") * (1 - lid), q("curve") * q("open"), q("wave") * q("mouth_width")]
        parts += [q("mouth_width") * q("open"), q("curve") * q("mouth_width")]
        parts += [((0.25 - q("age")) / 0.15).clamp(0, 1), ((q("age") - 0.65) / 0.2).clamp(0, 1)]
        parts += [(q("hair_length") * 8 - 1.8).clamp(0, 1)]
        return torch.cat(parts, 1)

    def forward(self, params: Tensor) -> Tensor:
        return (self._raw(params) - self.mean) / self.std @ self.mix

    def codes(self, params: Tensor) -> Tensor:
        """What the finished mapping network gives for these faces: see `recentre`."""
        return self(params) + CENTRE


def lines(n: int, features: Features, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Faces on straight lines of W between two expressions of one person: w [n, 512], params."""
    ends = sampling.domain_params(n, rng)
    other = sampling.domain_params(n, rng)
    other[:, : len(tb.IDENTITY)] = ends[:, : len(tb.IDENTITY)]
    share = torch.rand(n, 1, generator=rng)
    return torch.lerp(features(ends), features(other), share), torch.lerp(ends, other, share)


def strays(n: int, features: Features, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Codes beyond the domain, and the faces that they should show: w [n, 512], params.

    What a code says of the expression is moved at random, each feature by itself; the face is the
    nearest that exists (every parameter at the end of its range when it is overdone). A motion
    model's path may then stray without leaving the drawn world: no tears less than none.
    """
    params = sampling.domain_params(n, rng)
    code = (features._raw(params) - features.mean) / features.std
    live = [i for i, name in enumerate(tb.NAMES) if name not in tb.POSE]
    moved = [k for k, i in enumerate(live) if i >= len(tb.IDENTITY)]
    size = 1.5 * torch.rand(n, 1, generator=rng)
    code[:, moved] += size * torch.randn(n, len(moved), generator=rng)
    derived = slice(*features.derived)
    code[:, derived] += 0.7 * size * torch.randn(code[:, derived].shape, generator=rng)
    low = torch.tensor([tb.PARAMETERS[live[k]].low for k in moved])
    high = torch.tensor([tb.PARAMETERS[live[k]].high for k in moved])
    said = code[:, moved] * features.std[moved] + features.mean[moved]
    params[:, [live[k] for k in moved]] = said.clamp(low, high)
    return code @ features.mix, params


# ----------------------------------------------------------------------------- drawing


def importance(resolution: int) -> Tensor:
    """[1, 1, R, R]: what a face is read by counts more: mouth, eyes and brows."""
    ticks = (torch.arange(resolution) + 0.5) * 2 / resolution - 1
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")

    def box(left, right, top, bottom):
        return ((x > left) & (x < right) & (y > top) & (y < bottom)).float()

    mouth, eyes = box(-0.40, 0.40, 0.28, 0.70), box(-0.52, 0.52, -0.34, 0.28)
    return (1 + 1.5 * mouth + 1.0 * eyes)[None, None]


def drawing_loss(image: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted L1 + L2 + L1 of edges, at full and at half resolution."""
    total = 0.0
    for _ in range(2):
        d = image - target
        total = total + (weight * (0.3 * d.abs() + 5.0 * d.square())).mean()
        dx, dy = d[..., 1:] - d[..., :-1], d[..., 1:, :] - d[..., :-1, :]
        total = total + 0.5 * (
            (weight[..., 1:] * dx.abs()).mean() + (weight[..., 1:, :] * dy.abs()).mean()
        )
        image, target = F.avg_pool2d(image, 2), F.avg_pool2d(target, 2)
        weight = F.avg_pool2d(weight, 2)
    return total


def soften(network: Generator) -> None:
    """A calm start for regression: weak styles, faint pictures, no noise."""
    with torch.no_grad():
        for layer in [*network.synthesis.convs, *network.synthesis.to_rgbs]:
            layer.affine.weight.mul_(0.25)
        for layer in network.synthesis.to_rgbs:
            layer.weight.mul_(0.3)
        for layer in network.synthesis.convs:
            layer.noise_strength.zero_().requires_grad_(False)
            layer.noise.zero_()


def draw(network, features, steps, batch, rate, folder, name, seed, device="cpu",
         stray: float = 0.0) -> float:  # fmt: skip
    """Teach `network.synthesis` to draw what `features` say; returns the minutes it took.

    A quarter of each batch walks `lines`, a share `stray` shows `strays`.
    """
    rng = torch.Generator().manual_seed(seed)
    size = network.resolution
    weight = importance(size).to(device)

    def loss(step):
        params = sampling.domain_params(batch, rng)
        w = features(params)
        on_line = batch // 4
        w[:on_line], params[:on_line] = lines(on_line, features, rng)
        if stray:
            last = int(batch * stray)
            w[-last:], params[-last:] = strays(last, features, rng)
        target = render(params.to(device), size)
        w = w.to(device)[:, None].expand(-1, network.num_layers, -1)
        with torch.autocast(device, torch.bfloat16):
            image = network.synthesis(w, noise="none")
        image = image.float()
        mse = (image.detach().clamp(-1, 1) - target).square().mean((1, 2, 3))
        return drawing_loss(image, target, weight), {
            "db": float((10 * torch.log10(4 / mse)).mean())
        }

    fit(name, network.synthesis, loss, steps, rate, folder, rng, betas=(0.5, 0.99), ema=0.998)
    return network.synthesis.minutes


def grow(small: Generator) -> Generator:
    """A generator of twice the resolution that begins as `small`; the new level starts silent."""
    large = Generator(config(small.resolution * 2))
    soften(large)
    large.load_state_dict({**large.state_dict(), **{k: v for k, v in small.state_dict().items()}})
    with torch.no_grad():
        large.synthesis.to_rgbs[-1].weight.zero_()
    return large


# ----------------------------------------------------------------------------- mapping


@torch.no_grad()
def recentre(network: Generator) -> None:
    """Move W so that every number of a code is positive: w + CENTRE draws what w did.

    The mapping network ends in a leaky ReLU; codes on its straight half are sums of what each
    entry of z contributes, which regression finds at once. The biases of the styles take the
    shift back exactly.
    """
    for layer in [*network.synthesis.convs, *network.synthesis.to_rgbs]:
        weight = layer.affine.weight
        layer.affine.bias.sub_(CENTRE * weight.sum(1) / weight.shape[1] ** 0.5)


def _examples(n: int, features: Features, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """z [n, 512], half random and half of faces to train on, and their codes [n, 512]."""
    z = torch.randn(n // 2, sampling.Z_DIM, generator=rng)
    z = torch.cat([z, sampling.z_from_params(sampling.domain_params(n - n // 2, rng), rng)])
    return z, features.codes(sampling.params_from_z(z))


@torch.no_grad()
def begin_mapping(mapping, features: Features, rng: torch.Generator) -> None:
    """A start from which little is left to learn.

    Almost every feature of a code is piecewise linear in the quantile of one entry of z. So the
    first layer's units are kinks along single entries, at the ends of the ramps and at the steps
    between categories; the second passes them on; the last is solved by least squares. What is
    left for gradients are the products of two parameters.
    """
    first, second, last = mapping.layers
    live = [i for i, name in enumerate(tb.NAMES) if name not in tb.POSE]
    places = [sampling.bends(i) for i in live]
    spare = (len(first.weight) - sum(map(len, places))) // len(live)
    units = [
        (entry, place)
        for entry, own in zip(live, places, strict=True)
        for place in [*own, *((j + 0.5) / spare for j in range(spare))]
    ]
    first.weight.zero_()
    first.bias.zero_()
    root = sampling.Z_DIM**0.5
    for unit, (entry, place) in enumerate(units):
        sign = 1.0 if unit % 2 else -1.0
        at = 2**0.5 * torch.erfinv(torch.tensor(2.0 * min(max(place, 0.01), 0.99) - 1))
        first.weight[unit, entry] = sign * root
        first.bias[unit] = -sign * at
    second.weight.copy_(torch.eye(len(second.weight)) * root)
    second.bias.zero_()

    # least squares of the last layer, a ridge against units that never bend
    z, codes = _examples(24_000, features, rng)
    x = mapped(z, (first, second))
    x = torch.cat([x, torch.ones(len(x), 1)], 1).double()
    gram = x.t() @ x + 1.0 * torch.eye(x.shape[1]).double()
    found = torch.linalg.solve(gram, x.t() @ (codes / 2**0.5).double()).float()
    last.weight.copy_(found[:-1].t() * root)
    last.bias.copy_(found[-1])


def map_codes(network, features, steps, batch, rate, folder, seed, device="cpu") -> float:
    """Teach `network.mapping` the codes: z -> features.codes(params_from_z(z)).

    Returns the minutes it took.
    """
    rng = torch.Generator().manual_seed(seed)
    begin_mapping(network.mapping, features, rng)

    def loss(step):
        z, target = _examples(batch, features, rng)
        w = network.mapping(z.to(device))[:, 0]
        error = (w - target.to(device)).square().mean()
        return error, {"r2": 1 - float(error.detach() / target.var(0).mean())}

    fit("mapping", network.mapping, loss, steps, rate, folder, rng, ema=0.998)
    return network.mapping.minutes


# ----------------------------------------------------------------------------- all of it

BLEND = 0.7  # share of the weights taught on strays
STEPS = {"draw64": 2400, "draw128": 9000, "stray128": 900, "mapping": 3000}


def train_generator(folder: Path, device: str = "cpu", steps: dict[str, int] = STEPS):
    """64 px first, then 128 px, then z -> w. Returns the generator, with `.minutes`."""
    torch.manual_seed(1)
    features = Features()
    network = Generator(config(64))
    soften(network)
    network = _on(network, device)
    minutes = draw(network, features, steps["draw64"], 32, 1e-2, folder, "draw64", SEED, device)
    network = _on(grow(network), device)
    minutes += draw(
        network, features, steps["draw128"], 16, 4e-3, folder, "draw128", SEED + 1, device
    )
    sharp = {k: v.clone() for k, v in network.synthesis.state_dict().items()}
    minutes += draw(network, features, steps["stray128"], 16, 2e-3, folder, "stray128", SEED + 4,
                    device, stray=0.375)  # fmt: skip
    # the mean of both lessons is better at the first than either: 0.07 dB
    tough = network.synthesis.state_dict()
    network.synthesis.load_state_dict({k: v.lerp(tough[k], BLEND) for k, v in sharp.items()})
    recentre(network)
    minutes += map_codes(network, features, steps["mapping"], 1024, 5e-3, folder, SEED + 2, device)
    settle(network)
    network.minutes = minutes
    return network.eval()


@torch.no_grad()
def settle(network: Generator, n: int = 20_000) -> None:
    """The centre of truncation: the mean code of n random z."""
    network.latent_avg.copy_(samples(network, n, SEED + 3).mean(0))


def _on(network: Generator, device: str) -> Generator:
    network.synthesis.to(memory_format=torch.channels_last)
    return network.to(device)
