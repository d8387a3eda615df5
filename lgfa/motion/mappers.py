"""Mappers from CLIP space to W+ offsets: H_v (content) and H_t (motion), paper III-D, eq. 6-7.

Architecture as in the authors' code: linear layers with equalised learning rate, d -> hidden ->
.. -> L * w_dim, each followed by a leaky ReLU 0.2 times sqrt(2).  What stands before the first
layer is a choice (`MotionConfig.code_norm`):

pixel   StyleGAN2's pixel norm, as the authors have it.  It erases the length of a code: frame 2
        stands as far from frame 1 as the last frame does, until training bends that into a path,
        and a zero code gives the biases' output, not zero.
scale   one learned gain, and the answer to zero is subtracted: H(z) = MLP(gain z) - MLP(0).
        Zero in, zero out, and motion grows from nothing.
"""
from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..config import MotionConfig
from ..nn.layers import EqualizedLinear
from ..nn.ops import pixel_norm, scaled_leaky_relu

LAST_LAYER = 0.1        # "scale": initial size of the last weights, so that training starts
#                         at the still (offsets of about a tenth of W's spread)


class Mapper(nn.Module):
    """H_v or H_t: codes [.., d] -> offsets [.., L, w_dim]."""

    def __init__(
        self,
        config: MotionConfig,           # embed_dim, mapper_*, num_layers, w_dim, code_norm, ..
        code_rms: float | None = None,  # "scale": typical rms of a code; None = of unit vectors
    ) -> None:
        super().__init__()
        self.config = config
        self.rows = 1 if config.shared_layers else config.num_layers
        inner = [config.embed_dim] + [config.mapper_hidden] * (config.mapper_depth - 1)
        layers = [EqualizedLinear(a, b) for a, b in zip(inner, inner[1:], strict=False)]

        # Without an activation behind it, the last bias would cancel in MLP(gain z) - MLP(0).
        scaled = config.code_norm == "scale"
        layers.append(EqualizedLinear(
            inner[-1], self.rows * config.w_dim,
            bias=not scaled or config.final_activation,
            weight_std=LAST_LAYER if scaled else 1.0,
        ))
        self.layers = nn.ModuleList(layers)

        # The gain is learned as a logarithm: one learning rate then suits every size of it.
        self.log_gain = nn.Parameter(torch.zeros(())) if scaled else None
        self.set_code_rms(code_rms or config.embed_dim ** -0.5)

    @torch.no_grad()
    def set_code_rms(self, rms: float) -> None:
        """Makes codes of this root mean square enter the first layer with unit size ("scale")."""
        if self.log_gain is not None:
            self.log_gain.fill_(-math.log(max(rms, 1e-8)))

    def forward(
        self,
        code: Tensor,                   # [.., d]
        basis: Tensor | None = None,    # [w_dim, w_dim] that turns the output into W units
    ) -> Tensor:
        """Offsets [.., L, w_dim] in the code's dtype.  With code_norm "scale" a code of zeros
        gives zeros exactly; with "pixel" it gives the biases' output."""
        x = code.to(self.layers[0].weight)
        if self.log_gain is None:
            out = self._mlp(pixel_norm(x))
        else:
            zero = x.new_zeros(1, x.shape[-1])
            out = self._mlp(x * self.log_gain.exp()) - self._mlp(zero)[0]
            # Two matrix products may round differently: zero is made exact, not nearly so.
            out = out.masked_fill((x == 0).all(dim=-1, keepdim=True), 0.0)
        out = out.unflatten(-1, (self.rows, self.config.w_dim))
        if basis is not None:
            out = out @ basis.to(out)
        return out.expand(*out.shape[:-2], self.config.num_layers, -1).to(code.dtype)

    def _mlp(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = scaled_leaky_relu(layer(x))
        x = self.layers[-1](x)
        return scaled_leaky_relu(x) if self.config.final_activation else x
