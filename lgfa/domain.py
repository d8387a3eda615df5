"""Domains: generators whose other networks lie beside them, and how pleasant stills are drawn."""
from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .build import MODELS
from .errors import LGFAError, short
from .trajectory.wplus import check_number


@dataclass(frozen=True)
class Domain:
    """One folder models/<name>/ and what is known about its stills and sentences."""

    name: str                               # of the folder
    stills: str                             # "module:function" (generator, seeds) -> [N,L,w_dim]
    template: str                           # sentence in which its words were trained
    words: tuple[str, ...]                  # expressions that show it well
    training: str | None = None             # module with its own ways of training (setup.py)


DOMAINS = {
    "toon": Domain(
        name="toon",
        stills="toon.sample:still_latents",
        template="The person is {}",
        words=("smiling", "angry", "crying", "surprised", "winking", "sad"),
        training="toon.motion",
    ),
}


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


def check_fits(what: str, part: Any, generator: Any) -> None:
    """Refuses a network that was made for another generator, naming both sides.

    `part` has w_dim, num_layers and resolution (None = any), `generator` is a GeneratorConfig.
    """
    side = f" for {part.resolution} px" if part.resolution else ""
    if (part.num_layers not in (None, generator.num_layers) or part.w_dim != generator.w_dim
            or part.resolution not in (None, generator.resolution)):
        layers = "any" if part.num_layers is None else part.num_layers
        raise LGFAError(f"the {what} makes {layers} layers of {part.w_dim} numbers{side}, "
                        f"but the generator reads {generator.num_layers} layers of "
                        f"{generator.w_dim} numbers for {generator.resolution} px: they do not "
                        f"belong together.")


def check_seed(seed: int) -> int:
    """The seed, if it is a whole number that a random generator takes."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
        raise LGFAError(f"the seed must be a whole number from 0 to 2^64 - 1, not {short(seed)}.")
    return seed


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
        module, _, name = DOMAINS[domain].stills.partition(":")
        stills = getattr(importlib.import_module(f".{module}", __package__), name)
        return stills(generator, [seed])
    z = torch.randn(1, generator.config.z_dim, generator=torch.Generator().manual_seed(seed))
    return generator.mapping(z.to(generator.latent_avg), truncation=truncation)
