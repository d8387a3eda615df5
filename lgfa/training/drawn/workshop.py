"""The trainings of one drawn domain, one after the other, each with what it needs of the others."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from ... import formats
from ..loop import Trained
from .generator import Lesson

SIZES = torch.float16                       # how weights are stored
FEWEST = 4                                  # steps of a training that is scaled down


class Workshop:
    """Trains networks by a domain's recipes; what one needs of another it loads from `out`."""

    def __init__(
        self,
        domain: str,                        # its name; `python -m lgfa.NAME` trains it
        recipes: Mapping[str, Recipe],      # kind of network -> its training, in order
        out: Path,                          # folder of the finished files
        folder: Path,                       # of checkpoints; a stopped training goes on
        device: str = "cpu",
        scale: float = 1.0,                 # factor of all step numbers
    ) -> None:
        self.domain, self.recipes = domain, recipes
        self.out, self.folder, self.device, self.scale = out, folder, device, scale

    def steps(self, number: int) -> int:
        """A number of steps, scaled."""
        return max(int(number * self.scale), FEWEST)

    def shortened(self, lessons: tuple[Lesson, ...]) -> tuple[Lesson, ...]:
        """The same lessons with their steps scaled."""
        return tuple(replace(lesson, steps=self.steps(lesson.steps)) for lesson in lessons)

    def load(self, kind: str) -> nn.Module:
        """A finished network, on the device."""
        return formats.load(self.out / f"{kind}.safetensors", kind, self.device)

    def train(self, kind: str) -> Path:
        """Trains one network and writes it with a header that says how; its file."""
        trained = self.recipes[kind](self)
        info = {"domain": self.domain, "command": f"python -m lgfa.{self.domain} {kind}",
                "minutes": round(trained.minutes, 1), "device": self.device,
                "threads": torch.get_num_threads(), **trained.info}
        path = self.out / f"{kind}.safetensors"
        formats.save(path, trained.network, info, SIZES)
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, {info['minutes']} minutes")
        return path


Recipe = Callable[[Workshop], Trained]
