"""The independent attribute network: what a drawn face shows, for measuring and for nothing else.

No loss uses it and no other network sees its weights or its training images' seeds.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from ..config import Frozen


@dataclass(frozen=True)
class AttributesConfig(Frozen):
    """Settings of the attribute network of one domain; the defaults are the toon domain's."""

    input_size: int = 64                    # side to which pictures are brought
    widths: tuple[int, ...] = (24, 40, 72, 120)     # channels, one halving each
    features: int = 192                     # length of the feature vector
    expressions: int = 14                   # E, named expressions
    parameters: int = 37                    # K, columns of the parameter table


class Attributes(nn.Module):
    """Faces [B, 3, H, W] in -1..1 -> expression logits, parameter estimates and features."""

    def __init__(self, config: AttributesConfig) -> None:
        super().__init__()
        self.config = config
        widths = (3, *config.widths)
        self.body = nn.ModuleList(
            _halving(before, after) for before, after in zip(widths, widths[1:], strict=False))
        side = config.input_size // 2 ** len(config.widths)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(widths[-1] * side * side, config.features), nn.ReLU())
        self.expression = nn.Linear(config.features, config.expressions)
        self.parameters_ = nn.Linear(config.features, config.parameters)

    def features(self, x: Tensor) -> Tensor:
        """What statistics of pictures are taken over, from pictures [B, 3, H, W]. [B, features]"""
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
        """Expression logits [B, E] and parameters [B, K] in the units of the domain's table."""
        seen = self.features(x)
        return self.expression(seen), self.parameters_(seen)


def _halving(
    inputs: int,
    outputs: int,
) -> nn.Sequential:
    """Two 3x3 convolutions, the first with stride 2: [B, inputs, H, W] -> [B, outputs, H/2, W/2]"""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())
