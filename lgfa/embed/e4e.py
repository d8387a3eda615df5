"""e4e: an image to the W+ codes of a generator.

Tov et al., "Designing an Encoder for StyleGAN Image Manipulation" (2021), section 4, on the
feature pyramid of Richardson et al., "Encoding in Style" (2021). One code w is predicted for all
layers, and every layer but the first adds an offset of its own to it, which keeps the codes near
W, where a generator can be edited.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from ..config import EncoderConfig
from ..errors import LGFAError
from ..nn.layers import EqualizedLinear
from .identity import IRBody


class ConvHead(nn.Module):
    """The style head of e4e: halve the map down to one pixel, then one linear layer."""

    def __init__(
        self,
        channels: int,                      # of the map, and of every convolution
        size: int,                          # side of the map, a power of two
        w_dim: int,                         # length of the code
    ) -> None:
        super().__init__()
        halvings = size.bit_length() - 1
        self.convs = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, stride=2, padding=1) for _ in range(max(halvings, 1))
        )
        self.linear = EqualizedLinear(channels, w_dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, s, s] -> [B, w_dim]."""
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.01)
        return self.linear(x.flatten(1))


class Squeeze(nn.Module):
    """What the "linear" heads of one map share: few channels, pooled to 4x4 places."""

    side = 4                                # places that still tell eye from mouth

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 1)
        self.act = nn.PReLU(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, s, s] -> [B, width * 16]."""
        return F.adaptive_avg_pool2d(self.act(self.conv(x)), self.side).flatten(1)


class Encoder(nn.Module):
    """Image to W+, for one generator.

    Three maps of the IR-SE body, coarse, middle and fine, join from coarse to fine; style indices
    below `config.coarse` read the coarse one, below `config.middle` the middle one, the rest the
    fine one.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.num_layers = config.num_layers
        self.resolution = config.resolution
        fine, middle, width = config.widths[-3:]
        self.body = IRBody(config.widths, config.units, config.stem_stride)
        self.lateral_middle = nn.Conv2d(middle, width, 1)
        self.lateral_fine = nn.Conv2d(fine, width, 1)

        # One head per style index. Cheap heads share a squeezed map, one per level.
        if config.heads == "conv":
            self.squeeze = None
            heads = [ConvHead(width, config.coarsest_size << config.level(i), config.w_dim)
                     for i in range(config.num_layers)]
        else:
            features = config.head_width * Squeeze.side ** 2
            self.squeeze = nn.ModuleList(Squeeze(width, config.head_width) for _ in range(3))
            heads = [EqualizedLinear(features, config.w_dim) for _ in range(config.num_layers)]
        self.heads = nn.ModuleList(heads)
        self.register_buffer("latent_avg", torch.zeros(config.num_layers, config.w_dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, 3, H, W] in -1..1, any size -> w [B, L, w_dim]."""
        codes = self.codes(x)
        return codes + self.latent_avg if self.config.start_from_latent_avg else codes

    def codes(self, x: torch.Tensor) -> torch.Tensor:
        """The same without the average latent: the code for all layers plus each one's offset."""
        levels = self._levels(self._prepare(x))                                 # 3 x [B, C, s, s]
        if self.squeeze is not None:
            levels = [squeeze(m) for squeeze, m in zip(self.squeeze, levels, strict=True)]
        out = [head(levels[self.config.level(i)]) for i, head in enumerate(self.heads)]
        return torch.stack([out[0]] + [out[0] + delta for delta in out[1:]], 1)  # [B, L, w_dim]

    def _levels(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The feature pyramid: coarse, middle and fine map, all of the coarse map's width."""
        *_, fine, middle, coarse = self.body(x)
        middle = _upsample(coarse, middle) + self.lateral_middle(middle)
        fine = _upsample(middle, fine) + self.lateral_fine(fine)
        return [coarse, middle, fine]

    def _prepare(self, x: torch.Tensor) -> torch.Tensor:
        """To the input size, device and number format of the weights."""
        if x.ndim != 4 or x.shape[1] != 3:
            raise LGFAError(f"the encoder reads images of shape [B, 3, H, W], not {list(x.shape)}.")
        size = (self.config.input_size,) * 2
        if x.shape[-2:] != size:
            x = F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)
        return x.to(self.latent_avg)


def _upsample(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """To the size of `like`, corner pixel upon corner pixel, as e4e was trained."""
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=True)
