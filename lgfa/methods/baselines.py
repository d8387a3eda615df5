"""The methods that ours is compared with: rows of registry.BASELINES, at work.

The module that a row names has three functions, `units`, `train` and `load`, as `Baseline`
describes them, and `file_name` where files are not called after units. It is imported on first use.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from torch import nn

from ..embed.clip import CLIP
from ..errors import LGFAError
from ..frames.stylegan2 import Generator
from ..registry import BASELINES, named
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
    """One row: what it needs, how it is trained and loaded."""

    name: str                               # a key of registry.BASELINES

    def units(self, texts: Sequence[str]) -> list[str]:
        """Names of what must be trained or measured once before these sentences can be shown."""
        return self._module().units(texts)

    def file_name(self, unit: str) -> str:
        """Name of the file that `train` writes for a unit."""
        own = getattr(self._module(), "file_name", None)
        return f"{unit}.safetensors" if own is None else own(unit)

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
        return named(BASELINES[self.name].module)


def baseline(name: str) -> Baseline:
    """The one of a name; LGFAError that lists the names for any other."""
    if name not in BASELINES:
        raise LGFAError(f"there is no baseline {name!r}: use one of {', '.join(BASELINES)}.")
    return Baseline(name)
