"""Training of a drawn domain's generator: the drawing from known codes, then the mapping to them.

Learning z -> w and w -> image at once does not work in minutes: mouths never appear. So w is
first a fixed linear function of features of the face's parameters, while the synthesis network
learns to draw; then the mapping network learns z -> w by regression. W is thereby linear in what
the face is and does, and a part of the batches walks straight lines in it.

What is regressed before the drawing, `Features`, is in codes.py beside.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...frames.latent_space import samples
from ...frames.stylegan2 import Generator, mapped
from ...nn.modules import half
from ..loop import Trained
from .codes import CENTRE, Features, examples, lines, strays
from .fit import fit

LINES = 4                                   # one face in so many of a batch is on a line
RIDGE = 1.0                                 # against units of the mapping that never bend
EXAMPLES = 24_000                           # z that the mapping's last layer is solved on
CENTRES = 20_000                            # z whose mean code is the centre of truncation


@dataclass(frozen=True)
class Lesson:
    """One part of a generator's training."""

    name: str                               # of its checkpoint
    steps: int
    batch: int
    rate: float                             # peak of the learning rate
    seed: int                               # of the faces
    stray: float = 0.0                      # share of the batch that shows `strays`


def train_generator(
    features: Features,
    chain: Sequence[Generator],             # fresh, each of twice the resolution of the one before;
    #                                         the last learns in place
    importance: Callable[[int], Tensor],    # R -> what counts more in a picture [1, 1, R, R]
    lessons: Sequence[Lesson],              # one for each of the chain, then with strays, mapping
    blend: float,                           # share of the weights that were taught on strays
    seed: int,                              # of the centre of truncation
    folder: Path,                           # of checkpoints; an interrupted training goes on
    device: str = "cpu",
) -> Trained:
    """Generator: low resolutions first, each grown from the one before, then z -> w."""
    *drawing, straying, mapping = lessons
    done, last = [], None
    for lesson, network in zip(drawing, chain, strict=True):
        soften(network)
        if last is not None:
            grow(last, network)
        done.append(draw(lesson, _on(network, device), features, importance, folder, device))
        last = network
    sharp = {name: value.clone() for name, value in last.synthesis.state_dict().items()}
    done.append(draw(straying, last, features, importance, folder, device))

    # the mean of both lessons is better at the first than either: 0.07 dB for the toons
    tough = last.synthesis.state_dict()
    last.synthesis.load_state_dict(
        {name: value.lerp(tough[name], blend) for name, value in sharp.items()})
    recentre(last)
    done.append(map_codes(mapping, last, features, folder, device))
    settle(last, CENTRES, seed)
    return Trained(last.eval(), sum(one.minutes for one in done))


def _on(network: Generator, device: str) -> Generator:
    network.synthesis.to(memory_format=torch.channels_last)
    return network.to(device)


# ---- drawing


def drawing_loss(
    image: Tensor,                          # [B, 3, R, R]
    target: Tensor,                         # [B, 3, R, R]
    weight: Tensor,                         # [1, 1, R, R], what counts more
) -> Tensor:
    """Weighted L1 + L2 + L1 of edges, at full and at half resolution. []"""
    total = 0.0
    for _ in range(2):
        d = image - target
        total = total + (weight * (0.3 * d.abs() + 5.0 * d.square())).mean()
        dx, dy = d[..., 1:] - d[..., :-1], d[..., 1:, :] - d[..., :-1, :]
        edges = (weight[..., 1:] * dx.abs()).mean() + (weight[..., 1:, :] * dy.abs()).mean()
        total = total + 0.5 * edges
        image, target = F.avg_pool2d(image, 2), F.avg_pool2d(target, 2)
        weight = F.avg_pool2d(weight, 2)
    return total


@torch.no_grad()
def soften(network: Generator) -> None:
    """A calm start for regression: weak styles, faint pictures, no noise."""
    for layer in [*network.synthesis.convs, *network.synthesis.to_rgbs]:
        layer.affine.weight.mul_(0.25)
    for layer in network.synthesis.to_rgbs:
        layer.weight.mul_(0.3)
    for layer in network.synthesis.convs:
        layer.noise_strength.zero_().requires_grad_(False)
        layer.noise.zero_()


@torch.no_grad()
def grow(
    small: Generator,                       # trained
    large: Generator,                       # of twice the resolution, softened; changed in place
) -> None:
    """Makes `large` begin as `small`; its new level starts silent."""
    large.load_state_dict({**large.state_dict(), **small.state_dict()})
    large.synthesis.to_rgbs[-1].weight.zero_()


def draw(
    lesson: Lesson,
    network: Generator,                     # its synthesis learns in place
    features: Features,
    importance: Callable[[int], Tensor],    # R -> what counts more in a picture [1, 1, R, R]
    folder: Path,                           # of checkpoints
    device: str = "cpu",
) -> Trained:
    """Teaches `network.synthesis` to draw what `features` say; a part of each batch walks `lines`.
    """
    rng = torch.Generator().manual_seed(lesson.seed)
    world, size, batch = features.world, network.resolution, lesson.batch
    weight = importance(size).to(device)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        params = world.faces(batch, rng)
        w = features(params)
        on_line = batch // LINES
        w[:on_line], params[:on_line] = lines(on_line, features, rng)
        if lesson.stray:
            last = int(batch * lesson.stray)
            w[-last:], params[-last:] = strays(last, features, rng)
        target = world.draw(params.to(device), size)
        w = w.to(device)[:, None].expand(-1, network.num_layers, -1)
        with half(torch.device(device)):
            image = network.synthesis(w, noise="none")
        image = image.float()
        mse = (image.detach().clamp(-1, 1) - target).square().mean((1, 2, 3))
        figures = {"db": float((10 * torch.log10(4 / mse)).mean())}
        return drawing_loss(image, target, weight), figures

    return fit(lesson.name, network.synthesis, loss, lesson.steps, lesson.rate, folder, rng,
               betas=(0.5, 0.99), ema=0.998)


# ---- mapping


@torch.no_grad()
def recentre(network: Generator) -> None:
    """Moves W so that every number of a code is positive: w + CENTRE draws what w did.

    The mapping network ends in a leaky ReLU; codes on its straight half are sums of what each
    entry of z contributes, which regression finds at once. The biases of the styles take the
    shift back exactly.
    """
    for layer in [*network.synthesis.convs, *network.synthesis.to_rgbs]:
        weight = layer.affine.weight
        layer.affine.bias.sub_(CENTRE * weight.sum(1) / weight.shape[1] ** 0.5)


@torch.no_grad()
def begin_mapping(
    mapping: nn.Module,                     # of three layers; changed in place
    features: Features,
    rng: torch.Generator,
) -> None:
    """A start from which little is left to learn.

    Almost every feature of a code is piecewise linear in the quantile of one entry of z. So the
    first layer's units are kinks along single entries, at the ends of the ramps and at the steps
    between categories; the second passes them on; the last is solved by least squares. What is
    left for gradients are the products of two parameters.
    """
    first, second, last = mapping.layers
    world = features.world
    places = [world.bends(i) for i in world.live]
    spare = (len(first.weight) - sum(map(len, places))) // len(world.live)
    units = [(entry, place) for entry, own in zip(world.live, places, strict=True)
             for place in [*own, *((j + 0.5) / spare for j in range(spare))]]
    first.weight.zero_()
    first.bias.zero_()
    root = world.z_dim ** 0.5
    for unit, (entry, place) in enumerate(units):
        sign = 1.0 if unit % 2 else -1.0
        at = 2**0.5 * torch.erfinv(torch.tensor(2.0 * min(max(place, 0.01), 0.99) - 1))
        first.weight[unit, entry] = sign * root
        first.bias[unit] = -sign * at
    second.weight.copy_(torch.eye(len(second.weight)) * root)
    second.bias.zero_()

    # least squares of the last layer
    z, codes = (part.to(first.weight) for part in examples(EXAMPLES, features, rng))
    x = mapped(z, (first, second))
    x = torch.cat([x, x.new_ones(len(x), 1)], 1).double()
    gram = x.t() @ x + RIDGE * torch.eye(x.shape[1]).to(x)
    found = torch.linalg.solve(gram, x.t() @ (codes / 2**0.5).double()).float()
    last.weight.copy_(found[:-1].t() * root)
    last.bias.copy_(found[-1])


def map_codes(
    lesson: Lesson,
    network: Generator,                     # its mapping learns in place
    features: Features,
    folder: Path,                           # of checkpoints
    device: str = "cpu",
) -> Trained:
    """Teaches `network.mapping` the codes: z -> features.codes(params_from_z(z))."""
    rng = torch.Generator().manual_seed(lesson.seed)
    begin_mapping(network.mapping, features, rng)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        z, target = examples(lesson.batch, features, rng)
        w = network.mapping(z.to(device))[:, 0]
        error = (w - target.to(device)).square().mean()
        return error, {"r2": 1 - float(error.detach() / target.var(0).mean())}

    return fit(lesson.name, network.mapping, loss, lesson.steps, lesson.rate, folder, rng,
               ema=0.998)


@torch.no_grad()
def settle(
    network: Generator,                     # its latent_avg is set
    n: int,                                 # random z
    seed: int,
) -> None:
    """The centre of truncation: the mean code of n random z."""
    network.latent_avg.copy_(samples(network, n, seed).mean(0))
