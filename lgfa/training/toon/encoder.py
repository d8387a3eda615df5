"""Train the toon encoder: first the known codes of drawn faces, then their pictures."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ...config import EncoderConfig
from ...embed.e4e import Encoder
from ...toon import sampling
from ...toon.renderer import render
from . import faces
from .fit import fit
from .generator import drawing_loss, importance

SEED = 505
STEPS = (600, 350)  # on codes, then on pictures


def config(generator) -> EncoderConfig:
    return EncoderConfig(
        num_layers=generator.num_layers, resolution=generator.resolution, input_size=128,
        widths=(24, 40, 72, 120, 192), units=(1, 1, 1, 1), heads="linear", head_width=24,
        stem_stride=2,
    )  # fmt: skip


def _people(n: int, rng: torch.Generator) -> Tensor:
    """Half clear identities with named expressions, half whatever the domain holds: [n, K]."""
    return sampling.domain_params(n, rng, named=0.75)


def learn_codes(network, codes, steps, batch, rate, folder, seed=SEED, device="cpu"):
    """Regress `codes(params)` [B, w_dim] for every style from slightly spoilt pictures."""
    rng = torch.Generator().manual_seed(seed)
    size = network.config.input_size

    def loss(step):
        params = _people(batch, rng)
        x = faces.harder(render(params, size), rng, 0.25).to(device)
        target = codes(params).to(device)[:, None]
        with torch.autocast(device, torch.bfloat16):
            w = network(x)
        error = (w.float() - target).square().mean()
        return error, {"r2": 1 - float(error.detach() / target.var(0).mean())}

    return fit("encode_codes", network, loss, steps, rate, folder, rng, weight_decay=1e-3)


def learn_pictures(network, generator, identity, codes, steps, batch, rate, folder,
                   seed=SEED + 1, device="cpu"):  # fmt: skip
    """Fine-tune through the frozen generator: picture, identity, and codes near the truth."""
    rng = torch.Generator().manual_seed(seed)
    size = generator.resolution
    weight = importance(size).to(device)
    generator.requires_grad_(False)
    identity.requires_grad_(False).eval()

    def loss(step):
        params = _people(batch, rng)
        clean = render(params, size).to(device)
        target = codes(params).to(device)[:, None]
        with torch.autocast(device, torch.bfloat16):
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
        return value, {
            "db": float((10 * torch.log10(4 / mse)).mean()),
            "codes": float(error.detach()),
            "identity": float(person.detach()),
        }

    return fit("encode_pictures", network, loss, steps, rate, folder, rng, weight_decay=1e-3)


def untrained(generator, device="cpu") -> Encoder:
    torch.manual_seed(SEED)
    network = Encoder(config(generator)).to(device, memory_format=torch.channels_last)
    network.latent_avg.copy_(generator.latent_avg.expand_as(network.latent_avg))
    return network


def train_encoder(folder: Path, generator, identity, codes, steps=STEPS, batch=(64, 12),
                  device="cpu") -> Encoder:  # fmt: skip
    network = untrained(generator, device)
    network = learn_codes(network, codes, steps[0], batch[0], 2e-3, folder, device=device)
    minutes = network.minutes
    network = learn_pictures(network, generator, identity, codes, steps[1], batch[1], 5e-4, folder,
                             device=device)  # fmt: skip
    network.minutes += minutes
    return network
