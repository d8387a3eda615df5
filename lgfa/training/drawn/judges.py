"""Trainings of the networks that look at drawn faces: attributes, identity, the LPIPS trunk.

An attribute network and a second identity network (the judge) measure and enter no loss; identity
and the trunk may enter losses. So each needs a seed of its own.
"""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...config import IdentityConfig, PerceptualConfig
from ...drawn.attributes import Attributes, AttributesConfig
from ...drawn.world import World
from ...embed.identity import Identity
from ...embed.perceptual import Perceptual
from ...nn.modules import half
from ...nn.random import fresh_weights
from ..loop import Trained
from . import faces
from .fit import fit

SIZE = 64                                   # side of the pictures that they learn from
POSED = 8                                   # one batch in so many has moved heads

# ---- losses


def parameter_loss(
    world: World,
    guess: Tensor,                          # [B, K]
    params: Tensor,                         # [B, K]
) -> Tensor:
    """Mean squared error in units of half of each parameter's range. []"""
    return world.scaled(guess - params).square().mean()


def named_loss(
    logits: Tensor,                         # [B, E]
    which: Tensor,                          # [B], long, -1 where no name fits
) -> tuple[Tensor, float]:
    """Cross entropy [] and accuracy 0..1 over the faces that have a name."""
    named = which >= 0
    hit = (logits.argmax(1) == which)[named].float().mean()
    return F.cross_entropy(logits[named], which[named]), float(hit)


def reading_loss(
    world: World,
    logits: Tensor,                         # [B, E]
    guess: Tensor,                          # [B, K]
    seen: faces.Batch,
    weights: tuple[float, float],           # of the expression's name, of the parameters
) -> tuple[Tensor, dict[str, float]]:
    """How well a network reads faces: the loss [], and figures to print."""
    cross, hit = named_loss(logits, seen.expression.to(logits.device))
    error = parameter_loss(world, guess, seen.params.to(guess.device))
    value = weights[0] * cross + weights[1] * error
    return value, {"accuracy": hit, "mse": float(error.detach())}


# ---- attributes


def train_attributes(
    world: World,
    folder: Path,                           # of checkpoints; an interrupted training goes on
    steps: int,
    seed: int,                              # of weights and pictures
    batch: int = 96,
    device: str = "cpu",
) -> Trained:
    """Attributes: the expression by name, every parameter by regression."""
    rng = torch.Generator().manual_seed(seed)
    with fresh_weights(seed):
        network = Attributes(AttributesConfig(expressions=world.count, parameters=world.columns))
    network.to(device, memory_format=torch.channels_last)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        # moved heads are slower to draw, but the network must stand them
        seen = faces.faces(world, batch, SIZE, rng, named=0.75, posed=float(step % POSED == 0),
                           weakest=0.5)
        x = faces.harder(seen.image, rng, 0.7).to(device)
        with half(torch.device(device)):
            logits, guess = network(x)
        return reading_loss(world, logits.float(), guess.float(), seen, (1, 4))

    return fit("attributes", network, loss, steps, 2e-3, folder, rng, weight_decay=1e-2, ema=0.995)


# ---- perceptual trunk


class _Trunk(nn.Module):
    """The LPIPS trunk with a head for its lessons; the head is dropped afterwards."""

    def __init__(
        self,
        perceptual: Perceptual,
        outputs: int,                       # of the head
    ) -> None:
        super().__init__()
        self.perceptual = perceptual
        self.trunk = perceptual.lpips.net
        for p in self.trunk.parameters():
            p.requires_grad_(True)
        self.pool = nn.AdaptiveAvgPool2d(3)
        self.head = nn.Linear(256 * 9, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures [B, 3, R, R], -1..1 -> [B, outputs]."""
        x = self.trunk(self.perceptual.lpips.scaling_layer(x))[-1]
        return self.head(self.pool(x).flatten(1))


def train_perceptual(
    world: World,
    folder: Path,                           # of checkpoints
    steps: int,
    seed: int,                              # of weights and pictures
    batch: int = 64,
    device: str = "cpu",
) -> Trained:
    """Perceptual: AlexNet's layers taught to read every parameter and expression of a face."""
    rng = torch.Generator().manual_seed(seed)
    sizes = (world.count, world.columns)
    with fresh_weights(seed):
        perceptual = Perceptual(PerceptualConfig(net="alex", weighted=False, input_size=SIZE))
        network = _Trunk(perceptual, sum(sizes))
        for layer in network.trunk.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
    network.to(device)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        seen = faces.faces(world, batch, SIZE, rng, named=0.7, weakest=0.3)
        x = faces.harder(seen.image, rng, 0.5).to(device)
        with half(torch.device(device)):
            out = network(x)
        logits, guess = out.float().split(sizes, 1)
        return reading_loss(world, logits, guess, seen, (1, 6))

    trained = fit("perceptual", network, loss, steps, 7e-4, folder, rng, weight_decay=1e-2,
                  ema=0.995)
    result = Perceptual(perceptual.config)      # frozen again, as a new one is
    result.load_state_dict(perceptual.state_dict())
    return replace(trained, network=result)


# ---- identity


def pairs(
    world: World,
    n: int,
    resolution: int,                        # R
    rng: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Two pictures [n, 3, R, R] of each of n people, with another expression and outfit."""
    people = world.people(n, rng)
    shots = []
    for _ in range(2):
        face = world.faces(n, rng, named=0.8)
        person = people.clone()
        person[:, world.face] = face[:, world.face]
        for name in world.outfit:
            person[:, world.index[name]] = face[:, world.index[name]]
        shots.append(world.draw(person, resolution))
    return shots[0], shots[1]


class _Person(nn.Module):
    """The identity network, and a head beside it that no loss asks: checkpoints of this training
    hold it, and it is dropped afterwards."""

    def __init__(
        self,
        identity: Identity,
        outputs: int,
    ) -> None:
        super().__init__()
        self.identity = identity
        self.head = nn.Linear(identity.config.embed_dim, outputs)


def train_identity(
    world: World,
    folder: Path,                           # of checkpoints
    steps: int,
    seed: int,                              # of weights and pictures
    config: IdentityConfig,
    name: str = "identity",                 # of the training
    batch: int = 48,
    device: str = "cpu",
) -> Trained:
    """Identity: one person's faces near, two people's far (both directions of InfoNCE)."""
    rng = torch.Generator().manual_seed(seed)
    with fresh_weights(seed):
        network = _Person(Identity(config), world.who)
    network.to(device, memory_format=torch.channels_last)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        one, other = pairs(world, batch, SIZE, rng)
        x = faces.harder(torch.cat([one, other]), rng, 0.7).to(device)
        with half(torch.device(device)):
            raw = network.identity.embed_raw(x)
        e = F.normalize(raw.float(), dim=1)
        score = e[:batch] @ e[batch:].t() / 0.1
        target = torch.arange(batch, device=device)
        value = (F.cross_entropy(score, target) + F.cross_entropy(score.t(), target)) / 2
        return value, {"accuracy": float((score.argmax(1) == target).float().mean())}

    trained = fit(name, network, loss, steps, 2e-3, folder, rng, weight_decay=1e-2, ema=0.995)
    return replace(trained, network=network.identity)
