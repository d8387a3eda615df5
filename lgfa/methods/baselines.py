"""The methods that ours is compared with: one module, its test and one line of BASELINES each.

A module of the table has three functions, `units`, `train` and `load`, as `Baseline` describes
them. It is imported on first use; it imports `Parts` and `straight` from here.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from torch import Tensor, nn

from ..embed.clip import CLIP
from ..errors import LGFAError
from ..frames.stylegan2 import Generator
from ..registry import named
from ..trajectory.chain import straight as straight  # for the modules of the table

if TYPE_CHECKING:
    from .method import Method


@dataclass(frozen=True)
class Parts:
    """Frozen networks of one domain, on one device."""

    generator: Generator
    clip: CLIP                              # measures how well a picture fits a sentence
    identity: nn.Module | None = None       # faces [B,3,H,W] -> unit vectors [B,e]
    perceptual: nn.Module | None = None     # (pictures, pictures) -> distances [B]
    domain: str | None = None               # whose stills are drawn; None = of any z


@dataclass(frozen=True)
class Baseline:
    """One method: what it is called, what it needs, how it is trained and loaded."""

    name: str
    what: str                               # one line for tables
    paper: str                              # citation
    module: str                             # relative to lgfa

    def units(self, texts: Sequence[str]) -> list[str]:
        """Names of what must be trained or measured once before these sentences can be shown."""
        return self._module().units(texts)

    def file_name(self, unit: str) -> str:
        """Name of the file that `train` writes for a unit."""
        named = getattr(self._module(), "file_name", None)
        return f"{unit}.safetensors" if named is None else named(unit)

    def train(
        self,
        unit: str,                          # one of `units`
        parts: Parts,
        folder: Path,                       # gets the unit's file
        note: Callable[[str], None] = print,    # told how it goes, a line at a time
        scale: float = 1.0,                 # factor of all numbers of steps
    ) -> Path:
        """Writes the unit's .safetensors, with settings and minutes in its header; its path."""
        return self._module().train(unit, parts, Path(folder), note, scale)

    def load(self, parts: Parts, folder: Path, texts: Sequence[str]) -> Method:
        """The method for these sentences, from files that `train` wrote into `folder`."""
        return self._module().load(parts, Path(folder), texts)

    def _module(self) -> ModuleType:
        return named(self.module)


_STYLECLIP = "Patashnik et al., StyleCLIP, ICCV 2021"

BASELINES = {b.name: b for b in (
    Baseline("styleclip-opt", "StyleCLIP latent optimisation, linear interpolation", _STYLECLIP,
             "methods.styleclip.optimisation"),
    Baseline("styleclip-mapper", "StyleCLIP latent mapper, one per text, linear interpolation",
             _STYLECLIP, "methods.styleclip.mapper_training"),
    Baseline("styleclip-global", "StyleCLIP global directions, linear interpolation", _STYLECLIP,
             "methods.styleclip.relevance"),
    Baseline("mocogan-hd", "MoCoGAN-HD: an LSTM along the principal axes of W; reads no sentence",
             "Tian et al., A Good Image Generator Is What You Need, ICLR 2021",
             "methods.mocogan_hd.training"),
)}


def baseline(name: str) -> Baseline:
    """The entry of a name; LGFAError that lists the names for any other."""
    if name not in BASELINES:
        raise LGFAError(f"there is no baseline {name!r}: use one of {', '.join(BASELINES)}.")
    return BASELINES[name]


def check_still(w_s: Tensor, generator: Generator) -> None:
    """LGFAError unless w_s is one code or a batch of codes of this generator."""
    generator.synthesis.check(w_s)
