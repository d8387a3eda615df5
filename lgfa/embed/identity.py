"""IR-SE: the residual body shared with e4e, and face recognition by it.

Body: He et al., "Identity Mappings" (2016), with the block order of Deng et al., "ArcFace" (2019)
and the channel gates of Hu et al., "Squeeze-and-Excitation Networks" (2018). The 50-layer weights
that e4e and StyleCLIP measure identity with have this form (`model_ir_se50.pth`).
"""
from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from ..config import IdentityConfig, InceptionResNetConfig
from ..errors import LGFAError

_SE_REDUCTION = 16                          # a channel gate thinks in this many times fewer values
_CROP_SIZE = 256                            # side of the image in which the crop is given


class ChannelGate(nn.Module):
    """Squeeze and excitation: [B, C, H, W] times a gate in 0..1 per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(channels // _SE_REDUCTION, 1)
        self.reduce = nn.Conv2d(channels, inner, 1, bias=False)
        self.expand = nn.Conv2d(inner, channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        squeezed = x.mean((2, 3), keepdim=True)
        return x * self.expand(self.reduce(squeezed).relu()).sigmoid()


class Shortcut(nn.Module):
    """1x1 convolution with stride and batch norm, where a block changes the channels."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(x))


class IRBlock(nn.Module):
    """Norm, 3x3 convolution, PReLU, 3x3 convolution with the stride, norm, gate; plus shortcut."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, 1, 1, bias=False)
        self.act = nn.PReLU(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, stride, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.gate = ChannelGate(out_channels)
        changes = in_channels != out_channels
        self.shortcut = Shortcut(in_channels, out_channels, stride) if changes else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Without a change of channels the shortcut only drops pixels, even at stride 2.
        if self.shortcut is not None:
            short = self.shortcut(x)
        else:
            short = x[:, :, ::self.stride, ::self.stride]
        y = self.conv2(self.act(self.conv1(self.norm1(x))))
        return self.gate(self.norm2(y)) + short


class IRBody(nn.Module):
    """Stem and stages; every stage, the first one too, begins with stride 2."""

    def __init__(
        self,
        widths: tuple[int, ...],            # channels: stem, then one per stage
        units: tuple[int, ...],             # residual blocks of each stage
        stem_stride: int = 1,               # 2 makes every map half as large
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, stem_stride, 1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.PReLU(widths[0]),
        )
        self.stages = nn.ModuleList(
            nn.Sequential(
                IRBlock(before, width, stride=2),
                *(IRBlock(width, width, stride=1) for _ in range(count - 1)),
            )
            for before, width, count in zip(widths, widths[1:], units, strict=False)
        )

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """[B, 3, H, W] -> the map after every stage k >= 1, [B, widths[k], H / 2^k, W / 2^k]."""
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class Identity(nn.Module):
    """Face image to a unit vector: near for one person, far for two."""

    def __init__(self, config: IdentityConfig) -> None:
        super().__init__()
        self.config = config
        width, side = config.widths[-1], config.last_size
        self.body = IRBody(config.widths, config.units, config.stem_stride)
        self.norm = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout(config.dropout)
        self.linear = nn.Linear(width * side * side, config.embed_dim)
        self.embed_norm = nn.BatchNorm1d(config.embed_dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, 3, H, W] in -1..1 -> [B, embed_dim] of length 1; see `prepare` for the crop."""
        return F.normalize(self.embed_raw(x), dim=-1)

    def embed_raw(self, x: torch.Tensor) -> torch.Tensor:
        """The same before normalisation."""
        x = self.prepare(x)
        if x.dtype != self.linear.weight.dtype or x.device != self.linear.weight.device:
            x = x.to(self.linear.weight)
        x = self.dropout(self.norm(self.body(x)[-1]))
        return self.embed_norm(self.linear(x.flatten(1)))

    def prepare(self, x: torch.Tensor) -> torch.Tensor:
        """[B, 3, H, W] -> [B, 3, input_size, input_size], as around e4e's identity loss.

        Sizes change by averages where the image gets smaller (not interpolated).
        """
        return face_crop(x, self.config, shrink_or_grow, "the identity network")


def face_crop(
    x: torch.Tensor,                        # [B, 3, H, W]
    config: IdentityConfig | InceptionResNetConfig,
    resize: Callable[[torch.Tensor, int], torch.Tensor],    # to size x size
    reader: str,                            # the network in words
) -> torch.Tensor:
    """The faces of images as a face recognition reads them, [B, 3, input_size, input_size].

    An image of the input size is taken as it is: already cropped to the face. Any other is brought
    to 256 px, cropped to the face and resized.
    """
    if x.ndim != 4 or x.shape[1] != 3:
        raise LGFAError(f"{reader} reads images of shape [B, 3, H, W], not {list(x.shape)}.")
    size = config.input_size
    if x.shape[-2:] == (size, size):
        return x
    if config.crop is not None:
        top, bottom, left, right = config.crop
        x = resize(x, _CROP_SIZE)[:, :, top:bottom, left:right]
    return resize(x, size)


def shrink_or_grow(x: torch.Tensor, size: int) -> torch.Tensor:
    """To size x size: averages where that makes the image smaller, else bilinear."""
    if x.shape[-2:] == (size, size):
        return x
    if min(x.shape[-2:]) >= size:
        return F.adaptive_avg_pool2d(x, size)
    return F.interpolate(x, (size, size), mode="bilinear", align_corners=False)
