"""The StyleGAN2 generator: z -> w -> image. Pure PyTorch.

Source: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", figure 2d
(weight demodulation) and figure 7: output skips, residual nets, or neither. Weights of the
rosinality layout and of NVIDIA's two are renamed to this one in formats/.

The dtype of the latent decides the dtype of the arithmetic; parameters are cast on the way.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from ..config import NOISES, GeneratorConfig, check_codes
from ..errors import LGFAError
from ..nn.layers import EqualizedLinear
from ..nn.ops import (
    SQRT2,
    at_least_float32,
    double,
    modulated_conv2d,
    modulated_rgb,
    no_autocast,
    pixel_norm,
    scaled_leaky_relu,
)

# Stored maps; a new map for each sample; one new map for the whole batch; none at all.
NOISE = (*NOISES, "shared")


class Mapping(nn.Module):
    """Mapping network with truncation. [B, z_dim] -> [B, L, w_dim], one code for all layers."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.num_layers = config.num_layers
        widths = [config.z_dim] + [config.w_dim] * config.mapping_layers
        self.layers = nn.ModuleList(
            EqualizedLinear(a, b, config.mapping_lr_multiplier)
            for a, b in zip(widths[:-1], widths[1:], strict=True)
        )
        self.register_buffer("latent_avg", torch.zeros(config.w_dim))

    def forward(
        self,
        z: Tensor,                      # [B, z_dim], standard normal
        truncation: float = 1.0,        # psi: 1 leaves w as it is, 0 gives latent_avg
        cutoff: int | None = None,      # truncate style indices below this only; None = all
    ) -> Tensor:
        if z.ndim != 2 or z.shape[1] != self.layers[0].weight.shape[1]:
            raise LGFAError(f"the mapping network takes z [batch, "
                            f"{self.layers[0].weight.shape[1]}], not {list(z.shape)}.")

        # float32 at least: eight layers of half precision would be seen in the picture.
        with no_autocast(z):
            w = mapped(at_least_float32(z), self.layers)[:, None].repeat(1, self.num_layers, 1)
            return truncate(w, self.latent_avg.to(w), truncation, cutoff).to(z.dtype)


def mapped(
    z: Tensor,                          # [B, z_dim], standard normal
    layers: Iterable[Callable[[Tensor], Tensor]],   # linear, in their order
) -> Tensor:
    """Pixel norm, then the layers with their leaky ReLUs. -> w [B, w_dim]"""
    x = pixel_norm(z)
    for layer in layers:
        x = scaled_leaky_relu(layer(x))
    return x


def truncate(w: Tensor, latent_avg: Tensor, psi: float, cutoff: int | None = None) -> Tensor:
    """latent_avg + psi (w - latent_avg) for the first `cutoff` of L codes. [B, L, D] -> the same"""
    if psi == 1.0:
        return w
    near = latent_avg + psi * (w - latent_avg)
    return near if cutoff is None else torch.cat([near[:, :cutoff], w[:, cutoff:]], dim=1)


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU. [B, I, H, W] -> [B, O, R, R]"""

    def __init__(
        self,
        in_channels: int,               # I
        out_channels: int,              # O
        w_dim: int,                     # length of a style code
        resolution: int,                # R, side of the output
        up: bool = False,               # the output is twice as large as the input
        conv_clamp: float | None = None,    # clamp the output to +-this; None = never
    ) -> None:
        super().__init__()
        self.up = up
        self.conv_clamp = conv_clamp
        self.affine = EqualizedLinear(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise", torch.randn(resolution, resolution))

    def forward(
        self,
        x: Tensor,                      # [B, I, H, W]
        w: Tensor,                      # [B, w_dim]
        noise: str = "const",           # one of NOISE
        generator: torch.Generator | None = None,   # of the random noise, on w's device
    ) -> Tensor:
        with no_autocast(x):
            style = self.affine(at_least_float32(w))
            shift = self.bias.to(style)[:, None, None]
            if noise != "none":
                shift = shift + self._noise(style, noise, generator) * self.noise_strength.to(style)
        x = modulated_conv2d(x, self.weight, style, shift, up=self.up, gain=SQRT2)
        x = nn.functional.leaky_relu(x, 0.2)                # its gain is in the line above
        return x if self.conv_clamp is None else x.clamp(-self.conv_clamp, self.conv_clamp)

    def _noise(self, style: Tensor, noise: str, generator: torch.Generator | None) -> Tensor:
        if noise == "const":
            return self.noise.to(style)                     # [R, R], the same for all samples
        maps = 1 if noise == "shared" else style.shape[0]
        return torch.randn((maps, 1, *self.noise.shape), generator=generator,
                           device=style.device, dtype=style.dtype)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to three channels, not demodulated. [B, I, R, R] -> [B, 3, R, R]"""

    def __init__(
        self,
        in_channels: int,               # I
        w_dim: int,                     # length of a style code
        conv_clamp: float | None = None,    # clamp the output to +-this; None = never
    ) -> None:
        super().__init__()
        self.conv_clamp = conv_clamp
        self.affine = EqualizedLinear(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(3, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        with no_autocast(x):
            style = self.affine(at_least_float32(w))
        y = modulated_rgb(x, self.weight, style, self.bias)
        return y if self.conv_clamp is None else y.clamp(-self.conv_clamp, self.conv_clamp)


class Shortcut(nn.Module):
    """1x1 convolution, doubled: a residual level's other way. [B, I, H, W] -> [B, O, 2H, 2W]"""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.to(x) / self.weight.shape[1] ** 0.5
        return double(nn.functional.conv2d(x, weight))


class Synthesis(nn.Module):
    """Synthesis network. [B, L, w_dim] -> [B, 3, R, R], about -1..1, not clamped.

    `convs` holds the 4 px convolution, then an up-convolution and a convolution per level;
    `to_rgbs` one layer per level in the skip architecture, whose pictures are added up, else one
    for the last level; `shortcuts` one per level from 8 px on in the resnet architecture. A
    level's ToRGB shares its code with the next up-convolution.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.resolution, self.num_layers = config.resolution, config.num_layers
        self.w_dim, self.architecture = config.w_dim, config.architecture
        channels, w_dim, clamp = config.channels, config.w_dim, config.conv_clamp
        self.const = nn.Parameter(torch.randn(channels[0], 4, 4))
        self.convs = nn.ModuleList([StyledConv(channels[0], channels[0], w_dim, 4,
                                               conv_clamp=clamp)])
        self.to_rgbs, self.shortcuts = nn.ModuleList(), nn.ModuleList()
        for level, fine in enumerate(channels):
            if level > 0:
                coarse, side = channels[level - 1], 4 * 2**level
                self.convs.append(StyledConv(coarse, fine, w_dim, side, up=True, conv_clamp=clamp))
                self.convs.append(StyledConv(fine, fine, w_dim, side, conv_clamp=clamp))
                if self.architecture == "resnet":
                    self.shortcuts.append(Shortcut(coarse, fine))
            if self.architecture == "skip" or level == len(channels) - 1:
                self.to_rgbs.append(ToRGB(fine, w_dim, clamp))

    def forward(
        self,
        w: Tensor,                      # [B, L, w_dim]
        noise: str = "const",           # one of NOISE
        generator: torch.Generator | None = None,   # of the random noise, on w's device
    ) -> Tensor:
        self.check(w, noise)
        w = w.contiguous()              # strides would change the rounding, and so the bits
        x = self.const.to(w).expand(w.shape[0], -1, -1, -1)
        if _channels_last(x):
            x = x.contiguous(memory_format=torch.channels_last)

        x = self.convs[0](x, w[:, 0], noise, generator)
        if self.architecture != "skip":
            return self._chained(x, w, noise, generator)

        # 4 px, then per level: double, refine, add the level's picture to the doubled one.
        image = at_least_float32(self.to_rgbs[0](x, w[:, 1]))
        for level, to_rgb in enumerate(self.to_rgbs[1:], start=1):
            x = self._refined(x, w, level, noise, generator)
            image = double(image) + to_rgb(x, w[:, 2 * level + 1])
        return image.to(w.dtype)

    def _chained(self, x: Tensor, w: Tensor, noise: str,
                 generator: torch.Generator | None) -> Tensor:
        """The image where only the last level has a picture."""
        for level in range(1, len(self.convs) // 2 + 1):
            coarse, x = x, self._refined(x, w, level, noise, generator)
            if self.architecture == "resnet":           # the sum of two keeps its variance
                x = (x + self.shortcuts[level - 1](coarse).to(x.dtype)) * SQRT2 / 2
        return self.to_rgbs[-1](x, w[:, -1]).to(w.dtype)

    def _refined(self, x: Tensor, w: Tensor, level: int, noise: str,
                 generator: torch.Generator | None) -> Tensor:
        """A level's feature maps from the coarser ones."""
        x = self.convs[2 * level - 1](x, w[:, 2 * level - 1], noise, generator)
        return self.convs[2 * level](x, w[:, 2 * level], noise, generator)

    def check(self, w: Tensor, noise: str = "const") -> None:
        """Raises LGFAError for codes of another generator and for unknown noise."""
        check_codes("the codes", w, self)
        if noise not in NOISE:
            raise LGFAError(f"unknown noise {noise!r}: use one of {', '.join(NOISE)}.")


def _channels_last(x: Tensor) -> bool:
    """Channels last is about twice as fast on CPUs, and what tensor cores want."""
    return (x.device.type == "cpu" or x.dtype in (torch.float16, torch.bfloat16)
            or torch.is_autocast_enabled(x.device.type))


class Generator(nn.Module):
    """StyleGAN2: `mapping(z)` gives codes in W+, `synthesis(w)` gives images.

    z [B, z_dim] -> w [B, L, w_dim] -> image [B, 3, R, R], about -1..1.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.mapping = Mapping(config)
        self.synthesis = Synthesis(config)

    @property
    def resolution(self) -> int:
        """R, side of the images in pixels."""
        return self.config.resolution

    @property
    def num_layers(self) -> int:
        """L, style codes of an image."""
        return self.config.num_layers

    @property
    def latent_avg(self) -> Tensor:
        """Mean of w, the centre of truncation. [w_dim]"""
        return self.mapping.latent_avg

    def forward(self, z: Tensor, truncation: float = 1.0, noise: str = "const") -> Tensor:
        """Images of z with truncation psi. [B, z_dim] -> [B, 3, R, R]"""
        return self.synthesis(self.mapping(z, truncation), noise)
