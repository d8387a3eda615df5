"""Tensor functions of StyleGAN2: equalised linear layers, FIR resampling, modulated convolution.

Plain functions in pure PyTorch, all of them twice differentiable. Every function takes the
dtype and the device of its first argument and casts the weights to it, so that one set of
float32 weights serves float64, float16 and bfloat16 inputs. Small tensors (styles, norms) are
always computed in float32 or better, under autocast too.

Sources: StyleGAN2 (Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN"),
section 2.2 (modulation eq. 1, demodulation eq. 3) and appendix B; Progressive GAN (Karras et al.
2018), section 4 (equalised learning rate, pixel norm); StyleGAN (Karras et al. 2019), section 2
(bilinear resampling, which the [1, 3, 3, 1] filter does).
"""
from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F
from torch import Tensor

SQRT2 = 2.0**0.5
_FIR = (0.25, 0.75, 0.75, 0.25)     # [1, 3, 3, 1] / 8 along one axis, times 2 for zero-stuffing


def no_autocast(x: Tensor) -> AbstractContextManager:
    """Context in which operations on the device of `x` keep the dtype of their inputs."""
    if torch.is_autocast_enabled(x.device.type):
        return torch.autocast(x.device.type, enabled=False)
    return contextlib.nullcontext()


def at_least_float32(x: Tensor) -> Tensor:
    """`x` itself, or its float32 copy when it is of half precision."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def pixel_norm(x: Tensor) -> Tensor:
    """x / sqrt(mean(x^2) + 1e-8) along the last axis: a mean square of 1, and zero stays zero
    (Progressive GAN, section 4.2). [.., C] -> [.., C]"""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-8)


def equalized_linear(
    x: Tensor,                      # [.., I]
    weight: Tensor,                 # [O, I], stored with a variance of 1 / lr_multiplier^2
    bias: Tensor | None,            # [O], stored as 1 / lr_multiplier of its effect
    lr_multiplier: float = 1.0,     # how much slower than others the layer learns
) -> Tensor:
    """x W^T lr_multiplier / sqrt(I) + b lr_multiplier. [.., I] -> [.., O]

    The run-time scale equalises the learning rates of all layers (Progressive GAN, section 4.1;
    He's constant but for its factor sqrt(2), which `scaled_leaky_relu` has). It is multiplied in
    the wider of the two dtypes, so that half precision rounds once.
    """
    wide = torch.promote_types(x.dtype, weight.dtype)
    weight = weight.to(x.device, wide) * (lr_multiplier / weight.shape[1] ** 0.5)
    if bias is not None:
        bias = bias.to(x.device, wide)
        bias = (bias * lr_multiplier if lr_multiplier != 1.0 else bias).to(x)
    return F.linear(x, weight.to(x), bias)


def scaled_leaky_relu(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2 times sqrt(2): a normal input of variance 1 comes out with a mean
    square of 1.04. Any shape, which is kept."""
    return F.leaky_relu(x, 0.2) * SQRT2


def fir_kernel(like: Tensor) -> Tensor:
    """Outer product of [1, 3, 3, 1] / 4 with itself, dtype and device of `like`. [4, 4]"""
    taps = torch.tensor(_FIR, dtype=like.dtype, device=like.device)
    return torch.outer(taps, taps)


def fir_blur(x: Tensor) -> Tensor:
    """Blurs a zero-stuffed image (gain 4, padding 1). [B, C, H, W] -> [B, C, H-1, W-1]

    One grouped convolution: on the CPU, channels last, it is as fast as two separable ones and
    1.5 to 3 times as fast as sums of slices or three 2x2 average pools.
    """
    kernel = fir_kernel(x).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(x, kernel, padding=1, groups=x.shape[1])


def double(x: Tensor) -> Tensor:
    """Doubles an image with the [1, 3, 3, 1] filter, zeros beyond it. -> [B, C, 2H, 2W]

    The filter's two phases are (1, 3) / 4 and (3, 1) / 4: bilinear interpolation, except that
    bilinear would repeat the border where StyleGAN2 has zeros.
    """
    x = F.pad(x, (1, 1, 1, 1))
    x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    return x[:, :, 2:-2, 2:-2]


def modulated_conv2d(
    x: Tensor,                      # [B, I, H, W]
    weight: Tensor,                 # [O, I, k, k], stored with variance 1; k is odd
    style: Tensor,                  # [B, I] float32 or float64, scale of each input channel
    shift: Tensor,                  # broadcasts to the output: bias, or bias plus noise
    up: bool = False,               # double the resolution (k = 3)
    gain: float = 1.0,              # factor of the result, the shift included
) -> Tensor:
    """gain * (demod * conv(style * x, weight / sqrt(I k k)) + shift). -> [B, O, H or 2H, W or 2W]

    Style scales the activations and demodulation the result, so that one convolution serves the
    whole batch; equal to StyleGAN2's eq. 1-3, where the weights of each sample are scaled.
    Doubling is a transposed convolution (a true one of the zero-stuffed map), then `fir_blur`.
    """
    _, channels, size, _ = weight.shape
    with no_autocast(x):
        # float16 cannot hold large styles or weights; demodulation removes any common factor.
        if x.dtype == torch.float16:
            weight = weight.float()
            weight = weight / weight.abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(1e-8)
            style = style / style.abs().amax(dim=1, keepdim=True).clamp_min(1e-8)
        style = style / (channels * size * size) ** 0.5
        demod = demodulation(weight.to(style), style) * gain
        x = x * style[:, :, None, None].to(x.dtype)

    # The FIR after the transposed convolution is cheaper than one folded 6x6 convolution.
    weight = weight.to(x)
    if up:
        x = fir_blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2))
    else:
        x = F.conv2d(x, weight, padding=size // 2)
    return torch.addcmul((shift * gain).to(x), x, demod[:, :, None, None].to(x.dtype))


def demodulation(weight: Tensor, style: Tensor) -> Tensor:
    """1 / the norm of each output channel's scaled weights, whose squares have 1e-8 added to their
    sum (StyleGAN2, eq. 3). [O, I, k, k], [B, I] -> [B, O]"""
    energy = weight.square().sum(dim=(2, 3))                # [O, I]
    return torch.rsqrt(style.square() @ energy.t() + 1e-8)


def modulated_rgb(
    x: Tensor,                      # [B, I, H, W]
    weight: Tensor,                 # [O, I, 1, 1], stored with variance 1; O is 3
    style: Tensor,                  # [B, I] float32 or float64, scale of each input channel
    bias: Tensor,                   # [O]
) -> Tensor:
    """A 1x1 modulated convolution without demodulation. -> [B, O, H, W]

    With few outputs it is cheaper to scale the weights: one matrix product per sample, in half
    of the time of a convolution over scaled activations.
    """
    with no_autocast(x):
        weight = weight.to(style).flatten(1) * style[:, None] / weight.shape[1] ** 0.5  # [B, O, I]
        y = torch.bmm(weight.to(x.dtype), x.flatten(2))                             # [B, O, H W]
        return (y + bias.to(y)[:, None]).unflatten(2, x.shape[2:])
