"""The linear layer of the generator, the encoder and the mappers."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from .ops import equalized_linear


class EqualizedLinear(nn.Module):
    """Linear layer whose weights are stored with the same variance whatever their number, and
    scaled when they are used: one learning rate then suits layers of every width (equalised
    learning rate; Karras et al. 2018, "Progressive Growing of GANs", section 4.1).
    [.., I] -> [.., O], in the dtype of the input."""

    def __init__(
        self,
        inputs: int,                    # I
        outputs: int,                   # O
        lr_multiplier: float = 1.0,     # stored values are 1 / this times the effective ones
        bias_init: float = 0.0,         # effective bias at the start
        bias: bool = True,              # False: there is none
        weight_std: float = 1.0,        # of the initial weights, before both factors
    ) -> None:
        super().__init__()
        self.lr_multiplier = lr_multiplier
        self.weight = nn.Parameter(weight_std * torch.randn(outputs, inputs) / lr_multiplier)
        start = torch.full((outputs,), bias_init / lr_multiplier)
        self.bias = nn.Parameter(start) if bias else None

    @property
    def gain(self) -> float:
        """Factor of the stored weights: lr_multiplier / sqrt(I)."""
        return self.lr_multiplier / self.weight.shape[1] ** 0.5

    def forward(self, x: Tensor) -> Tensor:
        return equalized_linear(x, self.weight, self.bias, self.lr_multiplier)
