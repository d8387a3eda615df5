"""Domains: generators whose other networks lie beside them, and how pleasant stills are drawn."""
from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from .config import check_number, check_seed
from .errors import LGFAError
from .registry import DOMAINS, named

MODELS = Path(__file__).resolve().parent.parent / "models"   # <domain>/<kind>.safetensors


def domains() -> list[str]:
    """Folders of networks that are there."""
    return sorted(p.name for p in MODELS.iterdir() if p.is_dir()) if MODELS.is_dir() else []


def check_domain(name: str) -> str:
    """The name, if there is a folder of networks for it."""
    if name not in domains():
        known = ", ".join(domains()) or "none is installed"
        raise LGFAError(f"there is no domain {name!r} (known: {known}): "
                        f"give the networks file by file instead.")
    return name


@torch.no_grad()
def sample_latent(
    generator: torch.nn.Module,             # Generator
    seed: int,                              # same seed, same still, on every device
    truncation: float = 0.7,                # psi of an unknown domain: lower = nearer the average
    domain: str | None = None,              # its own sampler is used where it has one
) -> Tensor:
    """The code of a still [1, L, w_dim]: a domain's own neutral face, or a truncated random z."""
    check_seed(seed)
    check_number(truncation, "the truncation")
    if domain in DOMAINS:
        return named(DOMAINS[domain].stills)(generator, [seed])
    z = torch.randn(1, generator.config.z_dim, generator=torch.Generator().manual_seed(seed))
    return generator.mapping(z.to(generator.latent_avg), truncation=truncation)
