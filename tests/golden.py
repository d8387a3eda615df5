"""The reference data: checkpoints, inputs, and what the original programs gave for them."""
from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

WORST = 2e-4                        # max |difference| / rms that float32 may have on the CPU


def recipe(folder: Path) -> ModuleType:
    """The module that fills the reference checkpoints and packs images."""
    spec = importlib.util.spec_from_file_location("recipe", folder / "recipe.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Case:
    """One of them: its manifest, its inputs, its golden outputs."""

    def __init__(self, shared: Path, name: str) -> None:
        self.name, self.folder = name, shared / "reference"
        self.recipe = recipe(self.folder)
        self.manifest = self.recipe.load_manifest(str(self.folder / f"{name}.manifest.json"))
        self.gold = dict(np.load(self.folder / f"{name}.golden.npz"))

    def checkpoint(self) -> dict[str, Any]:
        """The tree of the file, made anew."""
        return self.recipe.build_checkpoint(self.manifest)

    def __getitem__(self, name: str) -> torch.Tensor:
        """An input."""
        entry = self.manifest["golden"]["inputs"][name]
        return torch.from_numpy(self.recipe.inputs(self.manifest["salt"], name, entry["shape"],
                                                   entry.get("kind", "normal")))

    def check(self, name: str, value: torch.Tensor | np.ndarray) -> None:
        """Compares an output with the golden one of that name and prints the figure."""
        gold = self.gold[name].astype(np.float64)
        error = np.abs(np.asarray(value) - gold).max() / np.sqrt((gold**2).mean())
        print(f"{self.name} {name}: max/rms {error:.1e}")
        assert error <= WORST, name

    def check_image(self, name: str, image: torch.Tensor) -> None:
        """The same for pictures, of which the reference keeps a part."""
        for key, value in self.recipe.pack_image(image.numpy(), name).items():
            self.check(key, value)
