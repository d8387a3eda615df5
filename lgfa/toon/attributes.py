"""The independent attribute network: what a toon face shows, for measuring and for nothing else.

No loss uses it and no other network sees its weights or its training images' seeds.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from ..config import Frozen


@dataclass(frozen=True)
class AttributesConfig(Frozen):
    """What a toon face shows (toon/attributes.py); for measuring only."""

    input_size: int = 64                    # side to which pictures are brought
    widths: tuple[int, ...] = (24, 40, 72, 120)     # channels, one halving each
    features: int = 192                     # length of the feature vector
    expressions: int = 14                   # named expressions
    parameters: int = 37                    # columns of the parameter table


class Attributes(nn.Module):
    """Faces [B, 3, H, W] in -1..1 -> expression logits, parameter estimates and features."""

    def __init__(self, config: AttributesConfig) -> None:
        super().__init__()
        self.config = config
        widths = (3, *config.widths)
        self.body = nn.ModuleList()
        for before, after in zip(widths[:-1], widths[1:], strict=True):
            self.body.append(nn.Sequential(
                nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(),
                nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(),
            ))  # fmt: skip
        side = config.input_size // 2 ** len(config.widths)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(widths[-1] * side * side, config.features), nn.ReLU()
        )
        self.expression = nn.Linear(config.features, config.expressions)
        self.parameters_ = nn.Linear(config.features, config.parameters)

    def features(self, x: Tensor) -> Tensor:
        """[B, features]: what statistics of pictures are taken over."""
        size = self.config.input_size
        x = x.to(self.expression.weight.device)
        if x.shape[-1] != size:
            grow = x.shape[-1] < size
            x = F.interpolate(x, (size, size), mode="bilinear", antialias=not grow)
        x = x.clamp(-1, 1)
        for block in self.body:
            x = block(x)
        return self.head(x)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """-> expression logits [B, E], parameters [B, K] in the units of the table."""
        seen = self.features(x)
        return self.expression(seen), self.parameters_(seen)
