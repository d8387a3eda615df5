"""Training of a drawn domain's encoder: the known codes of drawn faces, then their pictures."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from ...config import EncoderConfig
from ...drawn.world import World
from ...embed.e4e import Encoder
from ...frames.stylegan2 import Generator
from ...nn.modules import half
from ...nn.random import fresh_weights
from ..loop import Trained
from . import faces
from .fit import fit
from .generator import drawing_loss

NAMED = 0.75                                # share of faces with a named expression


class Codes(Protocol):
    """params [B, K] -> the codes [B, w_dim] that the generator has for these faces."""

    def __call__(self, params: Tensor) -> Tensor: ...


def untrained(
    config: EncoderConfig,
    generator: Generator,                   # whose mean code the encoder's offsets are added to
    seed: int,
    device: str = "cpu",
) -> Encoder:
    """An encoder with random weights."""
    with fresh_weights(seed):
        network = Encoder(config)
    network.to(device, memory_format=torch.channels_last)
    network.latent_avg.copy_(generator.latent_avg.expand_as(network.latent_avg))
    return network


def learn_codes(
    network: Encoder,                       # learns in place
    world: World,
    codes: Codes,
    steps: int,
    batch: int,
    rate: float,
    folder: Path,                           # of checkpoints
    seed: int,                              # of the faces
    device: str = "cpu",
) -> Trained:
    """Regresses the codes for every style from slightly spoilt pictures."""
    rng = torch.Generator().manual_seed(seed)
    size = network.config.input_size

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        params = world.faces(batch, rng, named=NAMED)
        x = faces.harder(world.draw(params, size), rng, 0.25).to(device)
        target = codes(params).to(device)[:, None]
        with half(torch.device(device)):
            w = network(x)
        error = (w.float() - target).square().mean()
        return error, {"r2": 1 - float(error.detach() / target.var(0).mean())}

    return fit("encode_codes", network, loss, steps, rate, folder, rng, weight_decay=1e-3)


def learn_pictures(
    network: Encoder,                       # learns in place
    world: World,
    generator: Generator,                   # frozen here
    identity: nn.Module,                    # frozen here
    codes: Codes,
    importance: Tensor,                     # [1, 1, R, R], what counts more in a picture
    steps: int,
    batch: int,
    rate: float,
    folder: Path,                           # of checkpoints
    seed: int,                              # of the faces
    device: str = "cpu",
) -> Trained:
    """Fine-tunes through the frozen generator: picture, identity, and codes near the truth."""
    rng = torch.Generator().manual_seed(seed)
    size, weight = generator.resolution, importance.to(device)
    generator.requires_grad_(False)
    identity.requires_grad_(False).eval()

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        params = world.faces(batch, rng, named=NAMED)
        clean = world.draw(params, size).to(device)
        target = codes(params).to(device)[:, None]
        with half(torch.device(device)):
            w = network(faces.harder(clean, rng, 0.15))
            image = generator.synthesis(w, noise="none")
            who = identity(image)
        image = image.float()
        with torch.no_grad():
            truth = identity(clean)
        error = (w.float() - target).square().mean()
        # e4e's own regulariser: codes of different layers stay near each other
        spread = (w.float() - w.float().mean(1, keepdim=True)).square().mean()
        person = (1 - (who.float() * truth).sum(1)).mean()
        mse = (image.detach().clamp(-1, 1) - clean).square().mean((1, 2, 3))
        value = drawing_loss(image, clean, weight) + 0.3 * error + 0.3 * spread + 0.5 * person
        return value, {"db": float((10 * torch.log10(4 / mse)).mean()),
                       "codes": float(error.detach()), "identity": float(person.detach())}

    return fit("encode_pictures", network, loss, steps, rate, folder, rng, weight_decay=1e-3)


def train_encoder(
    world: World,
    config: EncoderConfig,
    generator: Generator,
    identity: nn.Module,
    codes: Codes,
    importance: Tensor,                     # [1, 1, R, R], what counts more in a picture
    folder: Path,                           # of checkpoints; an interrupted training goes on
    steps: tuple[int, int],                 # on codes, then on pictures
    seed: int,                              # of the weights and the first lesson; the second has
    #                                         the next one
    batch: tuple[int, int] = (64, 12),
    device: str = "cpu",
) -> Trained:
    """Encoder: both lessons."""
    network = untrained(config, generator, seed, device)
    first = learn_codes(network, world, codes, steps[0], batch[0], 2e-3, folder, seed, device)
    second = learn_pictures(network, world, generator, identity, codes, importance, steps[1],
                            batch[1], 5e-4, folder, seed + 1, device)
    return replace(second, minutes=first.minutes + second.minutes)
