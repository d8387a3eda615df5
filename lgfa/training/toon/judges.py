"""Train the networks that look at toon faces: attributes, identity twice, the LPIPS trunk.

The attribute network and the judge, a second identity network, measure and enter no loss;
identity and the trunk may enter losses. Each has seeds of its own.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...config import IdentityConfig, PerceptualConfig
from ...drawn.attributes import Attributes, AttributesConfig
from ...embed.identity import Identity
from ...embed.perceptual import Perceptual
from ...toon import parameters as tb
from ...toon import sampling
from ...toon.renderer import render
from . import faces
from .fit import fit

SEEDS = {"attributes": 101, "identity": 202, "judge": 212, "perceptual": 303}
STEPS = {"attributes": 3100, "identity": 500, "perceptual": 900}


def parameter_loss(guess: Tensor, params: Tensor) -> Tensor:
    """Mean squared error in units of half of each parameter's range."""
    low = torch.tensor([p.low for p in tb.PARAMETERS], device=guess.device)
    high = torch.tensor([p.high for p in tb.PARAMETERS], device=guess.device)
    return (((guess - params) * 2 / (high - low)).square()).mean()


def named_loss(logits: Tensor, which: Tensor) -> tuple[Tensor, float]:
    """Cross entropy and accuracy over the faces that have a name."""
    named = which >= 0
    hit = (logits.argmax(1) == which)[named].float().mean()
    return F.cross_entropy(logits[named], which[named]), float(hit)


def train_attributes(
    folder: Path, steps: int = STEPS["attributes"], batch: int = 96, device="cpu"
) -> Attributes:
    torch.manual_seed(SEEDS["attributes"])
    rng = torch.Generator().manual_seed(SEEDS["attributes"])
    network = Attributes(AttributesConfig(expressions=len(tb.EXPRESSIONS), parameters=tb.K))
    network.to(device, memory_format=torch.channels_last)

    def loss(step):
        # one batch in eight has moved heads: slower to draw, but the network must stand them
        seen = faces.faces(batch, 64, rng, named=0.75, posed=float(step % 8 == 0), weakest=0.5)
        x = faces.harder(seen.image, rng, 0.7).to(device)
        with torch.autocast(device, torch.bfloat16):
            logits, guess = network(x)
        cross, hit = named_loss(logits.float(), seen.expression.to(device))
        error = parameter_loss(guess.float(), seen.params.to(device))
        return cross + 4 * error, {"accuracy": hit, "mse": float(error.detach())}

    return fit("attributes", network, loss, steps, 2e-3, folder, rng, weight_decay=1e-2, ema=0.995)


class _Trunk(nn.Module):
    """The LPIPS trunk with a head for its lessons; the head is dropped afterwards."""

    def __init__(self, perceptual: Perceptual):
        super().__init__()
        self.perceptual = perceptual
        self.trunk = perceptual.lpips.net
        for p in self.trunk.parameters():
            p.requires_grad_(True)
        self.pool = nn.AdaptiveAvgPool2d(3)
        self.head = nn.Linear(256 * 9, len(tb.EXPRESSIONS) + tb.K)

    def forward(self, x):
        x = self.trunk(self.perceptual.lpips.scaling_layer(x))[-1]
        return self.head(self.pool(x).flatten(1))


def train_perceptual(
    folder: Path, steps: int = STEPS["perceptual"], batch: int = 64, device="cpu"
) -> Perceptual:
    """AlexNet's layers taught to read every parameter and expression of a toon face."""
    torch.manual_seed(SEEDS["perceptual"])
    rng = torch.Generator().manual_seed(SEEDS["perceptual"])
    perceptual = Perceptual(PerceptualConfig(net="alex", weighted=False, input_size=64))
    network = _Trunk(perceptual)
    for layer in network.trunk.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    network.to(device)

    def loss(step):
        seen = faces.faces(batch, 64, rng, named=0.7, weakest=0.3)
        x = faces.harder(seen.image, rng, 0.5).to(device)
        with torch.autocast(device, torch.bfloat16):
            out = network(x)
        logits, guess = out.float().split((len(tb.EXPRESSIONS), tb.K), 1)
        cross, hit = named_loss(logits, seen.expression.to(device))
        error = parameter_loss(guess, seen.params.to(device))
        return cross + 6 * error, {"accuracy": hit, "mse": float(error.detach())}

    network = fit(
        "perceptual", network, loss, steps, 7e-4, folder, rng, weight_decay=1e-2, ema=0.995
    )
    result = Perceptual(perceptual.config)
    result.load_state_dict(perceptual.state_dict())
    result.minutes = network.minutes
    return result


def pairs(n: int, resolution: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two pictures [n, 3, R, R] of each of n people: other expression, backdrop and clothes."""
    people = sampling.identities(n, rng)
    shots = []
    for _ in range(2):
        face = sampling.domain_params(n, rng, named=0.8)
        person = people.clone()
        person[:, tb.EXPRESSION_SLICE] = face[:, tb.EXPRESSION_SLICE]
        for name in ("backdrop", "shirt"):
            person[:, tb.INDEX[name]] = face[:, tb.INDEX[name]]
        shots.append(render(person, resolution))
    return shots[0], shots[1]


class _Person(nn.Module):
    """The identity network with a head that names what makes a person; dropped afterwards."""

    def __init__(self, identity: Identity):
        super().__init__()
        self.identity = identity
        self.head = nn.Linear(identity.config.embed_dim, len(tb.IDENTITY))


def train_identity(
    folder: Path, steps: int = STEPS["identity"], batch: int = 48, device="cpu",
    name: str = "identity",
) -> Identity:  # fmt: skip
    """Same person, other face: near; another person: far (both directions of InfoNCE).

    `name` is "identity" or "judge", the same once more with other seeds, for measuring only.
    """
    torch.manual_seed(SEEDS[name])
    rng = torch.Generator().manual_seed(SEEDS[name])
    network = _Person(Identity(IdentityConfig(
        input_size=64, widths=(24, 32, 48, 80, 112), units=(1, 1, 1, 1), embed_dim=128,
        dropout=0.0, crop=None, stem_stride=1,
    )))  # fmt: skip
    network.to(device, memory_format=torch.channels_last)

    def loss(step):
        a, b = pairs(batch, 64, rng)
        x = faces.harder(torch.cat([a, b]), rng, 0.7).to(device)
        with torch.autocast(device, torch.bfloat16):
            raw = network.identity.embed_raw(x)
        e = F.normalize(raw.float(), dim=1)
        score = e[:batch] @ e[batch:].t() / 0.1
        target = torch.arange(batch, device=device)
        value = (F.cross_entropy(score, target) + F.cross_entropy(score.t(), target)) / 2
        return value, {"accuracy": float((score.argmax(1) == target).float().mean())}

    network = fit(name, network, loss, steps, 2e-3, folder, rng, weight_decay=1e-2, ema=0.995)
    network.identity.minutes = network.minutes
    return network.identity
