"""InceptionResNet-V1: the face recognition network that the paper measures ACD with (IV-A5).

Szegedy et al., "Inception-v4, Inception-ResNet" (2017), in the form of David Sandberg's facenet,
whose VGGFace2 and CASIA-WebFace weights facenet-pytorch published; see
formats/layouts/facenet.py. Every branch is a list of convolutions; the three kinds of residual
block differ in their branches, and so they are a table here.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from ..config import InceptionResNetConfig
from .identity import face_crop

EPS = 1e-3                                  # of every batch norm, as in TensorFlow
RANGE = 127.5 / 128                         # faces are (pixel - 127.5) / 128: not quite -1..1

Conv = tuple[int, tuple[int, int], int, tuple[int, int]]    # channels, kernel, stride, padding


def _conv(channels: int, kernel: int | tuple[int, int] = 1, stride: int = 1) -> Conv:
    """One convolution of a branch: padded to keep its size, unless it strides."""
    size = (kernel, kernel) if isinstance(kernel, int) else kernel
    return channels, size, stride, (size[0] // 2, size[1] // 2) if stride == 1 else (0, 0)


# kind of residual block: (channels, scale of its residual, branches)
BLOCKS: dict[str, tuple[int, float, tuple[tuple[Conv, ...], ...]]] = {
    "35": (256, 0.17, ((_conv(32),), (_conv(32), _conv(32, 3)),
                       (_conv(32), _conv(32, 3), _conv(32, 3)))),
    "17": (896, 0.10, ((_conv(128),), (_conv(128), _conv(128, (1, 7)), _conv(128, (7, 1))))),
    "8": (1792, 0.20, ((_conv(192),), (_conv(192), _conv(192, (1, 3)), _conv(192, (3, 1))))),
}
# where maps are halved, a max pooling joins the branches
REDUCTIONS: dict[str, tuple[tuple[Conv, ...], ...]] = {
    "35": ((_conv(384, 3, 2),), (_conv(192), _conv(192, 3), _conv(256, 3, 2))),
    "17": ((_conv(256), _conv(384, 3, 2)), (_conv(256), _conv(256, 3, 2)),
           (_conv(256), _conv(256, 3), _conv(256, 3, 2))),
}
REPEATS = {"35": 5, "17": 10, "8": 5}
# the stem: convolutions without padding but the third, a max pooling behind it
STEM = ((32, (3, 3), 2, (0, 0)), (32, (3, 3), 1, (0, 0)), (64, (3, 3), 1, (1, 1)),
        (80, (1, 1), 1, (0, 0)), (192, (3, 3), 1, (0, 0)), (256, (3, 3), 2, (0, 0)))
POOL_AFTER = 2


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, in_channels: int, conv: Conv) -> None:
        super().__init__()
        channels, kernel, stride, padding = conv
        self.conv = nn.Conv2d(in_channels, channels, kernel, stride, padding, bias=False)
        self.norm = nn.BatchNorm2d(channels, eps=EPS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(x)).relu()


def chain(in_channels: int, convs: tuple[Conv, ...]) -> nn.Sequential:
    """Convolutions one behind the other."""
    before = (in_channels, *(conv[0] for conv in convs))
    return nn.Sequential(*(ConvNorm(n, conv) for n, conv in zip(before, convs, strict=False)))


class Residual(nn.Module):
    """Branches side by side, joined by a 1x1 convolution, scaled and added to the input."""

    def __init__(self, kind: str, last: bool = False) -> None:
        super().__init__()
        channels, scale, branches = BLOCKS[kind]
        self.branches = nn.ModuleList(chain(channels, convs) for convs in branches)
        self.join = nn.Conv2d(sum(convs[-1][0] for convs in branches), channels, 1)
        self.scale, self.last = (1.0 if last else scale), last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        joined = self.join(torch.cat([branch(x) for branch in self.branches], 1))
        out = x + self.scale * joined
        return out if self.last else out.relu()


class Reduction(nn.Module):
    """Branches of stride 2 beside a max pooling: channels grow, sides halve."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        channels = BLOCKS[kind][0]
        self.branches = nn.ModuleList(chain(channels, convs) for convs in REDUCTIONS[kind])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([*(branch(x) for branch in self.branches), F.max_pool2d(x, 3, 2)], 1)


class InceptionResNet(nn.Module):
    """Face image to a unit vector of 512: near for one person, far for two."""

    def __init__(self, config: InceptionResNetConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = chain(3, STEM)
        self.stages = nn.ModuleDict({
            kind: nn.Sequential(*(Residual(kind) for _ in range(count)))
            for kind, count in REPEATS.items()
        })
        self.reductions = nn.ModuleDict({kind: Reduction(kind) for kind in REDUCTIONS})
        self.last = Residual("8", last=True)
        self.linear = nn.Linear(BLOCKS["8"][0], config.embed_dim, bias=False)
        self.embed_norm = nn.BatchNorm1d(config.embed_dim, eps=EPS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, 3, H, W] in -1..1 -> [B, embed_dim] of length 1; see `prepare` for the crop."""
        return F.normalize(self.embed_raw(x), dim=-1)

    def embed_raw(self, x: torch.Tensor) -> torch.Tensor:
        """The same before normalisation."""
        x = self.prepare(x).to(self.linear.weight) * RANGE
        for number, layer in enumerate(self.stem):
            x = layer(x)
            if number == POOL_AFTER:
                x = F.max_pool2d(x, 3, 2)
        for kind, blocks in self.stages.items():
            x = blocks(x)
            if kind in self.reductions:
                x = self.reductions[kind](x)
        return self.embed_norm(self.linear(self.last(x).mean((2, 3))))

    def prepare(self, x: torch.Tensor) -> torch.Tensor:
        """[B, 3, H, W] -> [B, 3, input_size, input_size].

        Cropped to the face as for IR-SE50; sizes change with antialiasing.
        """
        return face_crop(x, self.config, _resize, "the InceptionResNet")


def _resize(x: torch.Tensor, size: int) -> torch.Tensor:
    return F.interpolate(x, (size, size), mode="bilinear", align_corners=False, antialias=True)
