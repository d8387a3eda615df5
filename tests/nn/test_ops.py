"""StyleGAN2's operations against slow versions of the papers' formulas, in float64; gradients;
what half precision and autocast may change."""
from __future__ import annotations

import contextlib
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from lgfa.nn import ops

F64 = torch.float64
FIR = torch.tensor([1.0, 3, 3, 1], dtype=F64)
EPS = 1e-8


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Random numbers, float64."""
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def near(found: Tensor, wanted: Tensor, tolerance: float = 1e-11) -> None:
    """The same shapes, and numbers that differ by no more than this share of the rms."""
    assert found.shape == wanted.shape
    error = (found.to(wanted) - wanted).abs().max() / wanted.square().mean().sqrt()
    assert float(error) <= tolerance


# ---- the papers' formulas, number by number

def correlated(image: Tensor, kernel: Tensor) -> Tensor:
    """A map [H, W] and a kernel [h, w] by four loops -> [H - h + 1, W - w + 1]."""
    (high, wide), (h, w) = image.shape, kernel.shape
    out = torch.zeros(high - h + 1, wide - w + 1, dtype=F64)
    for y in range(len(out)):
        for x in range(out.shape[1]):
            for v in range(h):
                for u in range(w):
                    out[y, x] += image[y + v, x + u] * kernel[v, u]
    return out


def padded(image: Tensor, before: int, after: int) -> Tensor:
    """A map [H, W] with zeros around it."""
    out = torch.zeros(len(image) + before + after, image.shape[1] + before + after, dtype=F64)
    out[before:before + len(image), before:before + image.shape[1]] = image
    return out


def stuffed(image: Tensor) -> Tensor:
    """A map [H, W] with a zero after every number, along both axes. [2H, 2W]"""
    out = torch.zeros(2 * len(image), 2 * image.shape[1], dtype=F64)
    out[::2, ::2] = image
    return out


def fir_gain_4() -> Tensor:
    """[1, 3, 3, 1] along both axes, of sum 1, times 4 for the zeros of zero-stuffing. [4, 4]"""
    return 4 * FIR[:, None] * FIR[None, :] / FIR.sum() ** 2


def each_map(call: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A function of maps [H, W], for all of [B, C, H, W]."""
    return torch.stack([torch.stack([call(one) for one in sample]) for sample in x])


def modulated(
    x: Tensor,                          # [B, I, H, W]
    weight: Tensor,                     # [O, I, k, k], variance 1
    style: Tensor,                      # [B, I]
    demodulate: bool = True,
    up: bool = False,
) -> Tensor:
    """StyleGAN2's eq. 1 and 3: each sample is convolved with weights of its own. [B, O, .., ..]"""
    out_channels, channels, size, _ = weight.shape
    samples = []
    for image, scale in zip(x, style, strict=True):
        own = weight / math.sqrt(channels * size * size) * scale[None, :, None, None]   # eq. 1
        if demodulate:                                                                  # eq. 3
            own = own / (own.square().sum((1, 2, 3), keepdim=True) + EPS).sqrt()
        maps = []
        for o in range(out_channels):
            total = 0
            for i in range(channels):
                if up:
                    # Convolution (the kernel turned round) of the zero-stuffed map, then the FIR.
                    turned = own[o, i].flip(0, 1)
                    full = correlated(padded(stuffed(image[i])[:-1, :-1], size - 1, size - 1),
                                      turned)
                    total = total + correlated(padded(full, 1, 1), fir_gain_4())
                else:
                    total = total + correlated(padded(image[i], size // 2, size // 2), own[o, i])
            maps.append(total)
        samples.append(torch.stack(maps))
    return torch.stack(samples)


# ---- small ones

@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (2, 3, 5)])
def test_pixel_norm(shape):
    x = normal(*shape)
    wanted = torch.empty_like(x)
    for index in torch.cartesian_prod(*(torch.arange(n) for n in shape[:-1])).reshape(-1, len(
            shape) - 1).tolist():
        row = x[tuple(index)]
        wanted[tuple(index)] = row / math.sqrt(sum(float(v) ** 2 for v in row) / len(row) + EPS)
    near(ops.pixel_norm(x), wanted)


def test_pixel_norm_of_zero_is_zero_with_a_gradient():
    x = torch.zeros(2, 4, dtype=F64, requires_grad=True)
    y = ops.pixel_norm(x)
    y.sum().backward()
    assert not y.any() and bool(torch.isfinite(x.grad).all()) and bool(x.grad.any())


@pytest.mark.parametrize("lr_multiplier", [1.0, 0.01])
@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5)])
def test_equalized_linear(shape, lr_multiplier):
    x, weight, bias = normal(*shape), normal(4, 5, seed=1), normal(4, seed=2)
    wanted = torch.zeros(*shape[:-1], 4, dtype=F64)
    for o in range(4):
        for i in range(5):
            wanted[..., o] += x[..., i] * weight[o, i] * lr_multiplier / math.sqrt(5)
    near(ops.equalized_linear(x, weight, None, lr_multiplier), wanted)
    near(ops.equalized_linear(x, weight, bias, lr_multiplier), wanted + bias * lr_multiplier)


@pytest.mark.parametrize(("dtype", "tolerance"), [
    (F64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 2e-2), (torch.float16, 2e-3)])
def test_equalized_linear_has_the_inputs_dtype(dtype, tolerance):
    x, weight, bias = normal(3, 64), normal(4, 64, seed=1).float(), normal(4, seed=2).float()
    found = ops.equalized_linear(x.to(dtype), weight, bias, 0.5)
    assert found.dtype == dtype
    near(found, (x @ weight.double().T / 8 + bias.double()) / 2, tolerance)


def test_equalized_linear_scales_before_it_rounds():
    """Stored weights of a small learning rate would overflow float16."""
    weight, bias = torch.full((1, 4), 1e6), torch.full((1,), 1e6)
    found = ops.equalized_linear(torch.ones(1, 4, dtype=torch.float16), weight, bias, 1e-5)
    assert found.item() == pytest.approx(4 * 1e6 * 1e-5 / 2 + 10, rel=1e-3)


def test_scaled_leaky_relu():
    x = torch.tensor([-5.0, -0.0, 0.0, 2.0], dtype=F64)
    near(ops.scaled_leaky_relu(x), torch.tensor([-math.sqrt(2), 0, 0, 2 * math.sqrt(2)], dtype=F64))
    assert float(ops.scaled_leaky_relu(normal(100_000)).square().mean()) == \
        pytest.approx(1.04, rel=0.02)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_at_least_float32(dtype):
    for x in (torch.ones(2), torch.ones(2, dtype=F64)):
        assert ops.at_least_float32(x) is x
    raised = ops.at_least_float32(torch.ones(2, dtype=dtype))
    assert raised.dtype == torch.float32 and raised.tolist() == [1, 1]


def test_no_autocast():
    x = torch.ones(2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert (x @ x).dtype == torch.bfloat16
        with ops.no_autocast(x):
            assert (x @ x).dtype == torch.float32
        assert (x @ x).dtype == torch.bfloat16
    assert isinstance(ops.no_autocast(x), contextlib.nullcontext)


# ---- FIR resampling

@pytest.mark.parametrize("dtype", [F64, torch.float32, torch.float16])
def test_fir_kernel(dtype):
    kernel = ops.fir_kernel(torch.empty(3, dtype=dtype))
    assert kernel.dtype == dtype
    assert torch.equal(kernel.double(), fir_gain_4())           # sixteenths are exact
    assert float(kernel.sum()) == 4


@pytest.mark.parametrize("shape", [(1, 1, 2, 2), (2, 3, 5, 4), (3, 1, 7, 9)])
def test_fir_blur(shape):
    x = normal(*shape)
    near(ops.fir_blur(x), each_map(lambda one: correlated(padded(one, 1, 1), fir_gain_4()), x))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 4, 4), (3, 2, 5, 3)])
def test_double(shape, layout):
    """Zero-stuffing, two rows and columns of zeros before and one after, the FIR."""
    x = normal(*shape)
    wanted = each_map(lambda one: correlated(padded(stuffed(one), 2, 1), fir_gain_4()), x)
    near(ops.double(x.contiguous(memory_format=layout)), wanted)


def test_double_keeps_the_mean_inside_and_fades_to_zero():
    y = ops.double(torch.ones(1, 1, 4, 4))[0, 0]
    assert bool((y[1:-1, 1:-1] == 1).all())
    assert y[0, 0] == 0.75 ** 2 and bool((y[0, 1:-1] == 0.75).all())


# ---- modulated convolutions

SHAPES = [                              # B, I, O, k, H, W
    (1, 1, 1, 1, 1, 1),
    (2, 3, 4, 3, 4, 4),
    (3, 2, 5, 3, 5, 3),
    (2, 4, 3, 1, 3, 6),
    (2, 2, 2, 5, 4, 5),
]


@pytest.mark.parametrize(("batch", "channels", "outputs", "size", "high", "wide"), SHAPES)
def test_modulated_conv2d(batch, channels, outputs, size, high, wide):
    x, weight = normal(batch, channels, high, wide), normal(outputs, channels, size, size, seed=1)
    style, bias = normal(batch, channels, seed=2), normal(outputs, 1, 1, seed=3)
    wanted = modulated(x, weight, style)
    near(ops.modulated_conv2d(x, weight, style, torch.zeros((), dtype=F64)), wanted)
    near(ops.modulated_conv2d(x, weight, style, bias, gain=1.7), 1.7 * (wanted + bias))


@pytest.mark.parametrize(("batch", "channels", "outputs", "high", "wide"), [
    (1, 1, 1, 1, 1), (2, 3, 4, 4, 4), (3, 2, 5, 3, 5)])
def test_modulated_conv2d_that_doubles(batch, channels, outputs, high, wide):
    x, weight = normal(batch, channels, high, wide), normal(outputs, channels, 3, 3, seed=1)
    style, bias = normal(batch, channels, seed=2), normal(outputs, 1, 1, seed=3)
    wanted = modulated(x, weight, style, up=True)
    assert wanted.shape[2:] == (2 * high, 2 * wide)
    near(ops.modulated_conv2d(x, weight, style, bias, up=True, gain=1.7), 1.7 * (wanted + bias))


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("maps", ["one for all", "one each"])
def test_noise_is_a_shift_for_every_pixel(up, maps):
    x, weight, style = normal(2, 3, 4, 5), normal(4, 3, 3, 3, seed=1), normal(2, 3, seed=2)
    side = (8, 10) if up else (4, 5)
    noise = normal(*side, seed=4) if maps == "one for all" else normal(2, 1, *side, seed=4)
    shift = normal(4, 1, 1, seed=3) + noise
    near(ops.modulated_conv2d(x, weight, style, shift, up=up, gain=ops.SQRT2),
         math.sqrt(2) * (modulated(x, weight, style, up=up) + shift))


@pytest.mark.parametrize(("batch", "channels", "high", "wide"), [
    (1, 1, 1, 1), (2, 5, 4, 4), (3, 4, 3, 6)])
def test_modulated_rgb(batch, channels, high, wide):
    x, weight = normal(batch, channels, high, wide), normal(3, channels, 1, 1, seed=1)
    style, bias = normal(batch, channels, seed=2), normal(3, seed=3)
    wanted = modulated(x, weight, style, demodulate=False) + bias[:, None, None]
    near(ops.modulated_rgb(x, weight, style, bias), wanted)


def test_demodulation():
    weight, style = normal(4, 3, 3, 3, seed=1), normal(2, 3, seed=2)
    wanted = torch.zeros(2, 4, dtype=F64)
    for b in range(2):
        for o in range(4):
            energy = sum(float(style[b, i] * w) ** 2 for i in range(3)
                         for w in weight[o, i].flatten())
            wanted[b, o] = 1 / math.sqrt(energy + EPS)
    near(ops.demodulation(weight, style), wanted)
    assert ops.demodulation(torch.zeros(1, 2, 3, 3), torch.ones(1, 2)).item() == \
        pytest.approx(1e4, rel=1e-5)


def test_demodulation_keeps_unit_variance():
    """What eq. 3 is for: maps of unit variance stay so, whatever the style."""
    x, weight = normal(1, 32, 64, 64), normal(4, 32, 3, 3, seed=1)
    y = ops.modulated_conv2d(x, weight, 1e3 * normal(1, 32, seed=2), torch.zeros((), dtype=F64))
    assert (y[:, :, 1:-1, 1:-1].std((2, 3)) - 1).abs().max() < 0.1


@pytest.mark.parametrize("dtype", [F64, torch.float32, torch.float16, torch.bfloat16])
def test_dead_styles_and_weights_leave_the_shift(dtype):
    x, shift = normal(1, 2, 3, 3).to(dtype), torch.full((2, 1, 1), 0.25)
    for weight, style in ((torch.zeros(2, 2, 3, 3), torch.ones(1, 2)),
                          (torch.ones(2, 2, 3, 3), torch.zeros(1, 2))):
        y = ops.modulated_conv2d(x, weight, style, shift, gain=2.0)
        assert y.dtype == dtype and bool((y == 0.5).all())


# ---- gradients

def wants_gradients(*tensors: Tensor) -> list[Tensor]:
    return [tensor.clone().requires_grad_() for tensor in tensors]


CALLS = {
    "pixel_norm": (ops.pixel_norm, lambda: [normal(2, 3)]),
    "equalized_linear": (lambda x, w, b: ops.equalized_linear(x, w, b, 0.1),
                         lambda: [normal(2, 3), normal(2, 3, seed=1), normal(2, seed=2)]),
    "scaled_leaky_relu": (ops.scaled_leaky_relu, lambda: [normal(2, 3)]),
    "fir_blur": (ops.fir_blur, lambda: [normal(1, 2, 3, 2)]),
    "double": (ops.double, lambda: [normal(1, 2, 3, 2)]),
    "demodulation": (ops.demodulation, lambda: [normal(2, 2, 3, 3), normal(2, 2, seed=1)]),
    "modulated_conv2d": (
        lambda x, w, s, b: ops.modulated_conv2d(x, w, s, b, gain=1.3),
        lambda: [normal(2, 2, 3, 2), normal(2, 2, 3, 3, seed=1), normal(2, 2, seed=2),
                 normal(2, 1, 1, seed=3)]),
    "modulated_conv2d up": (
        lambda x, w, s, b: ops.modulated_conv2d(x, w, s, b, up=True, gain=1.3),
        lambda: [normal(1, 2, 2, 3), normal(1, 2, 3, 3, seed=1), normal(1, 2, seed=2),
                 normal(1, 1, 1, seed=3)]),
    "modulated_rgb": (
        ops.modulated_rgb,
        lambda: [normal(2, 2, 2, 3), normal(3, 2, 1, 1, seed=1), normal(2, 2, seed=2),
                 normal(3, seed=3)]),
}


@pytest.mark.parametrize("name", CALLS)
def test_gradients_and_their_gradients(name):
    call, given = CALLS[name]
    assert gradcheck(call, wants_gradients(*given()))
    assert gradgradcheck(call, wants_gradients(*given()))


# ---- half precision and autocast

@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [
    (torch.float32, 1e-5), (torch.bfloat16, 5e-2), (torch.float16, 5e-3)])
def test_modulated_conv2d_has_the_inputs_dtype(dtype, tolerance, up):
    x, weight, style = normal(2, 4, 3, 4), normal(3, 4, 3, 3, seed=1), normal(2, 4, seed=2)
    bias = normal(3, 1, 1, seed=3)
    found = ops.modulated_conv2d(x.to(dtype), weight.float(), style.float(), bias.float(), up=up)
    assert found.dtype == dtype
    near(found, modulated(x, weight, style, up=up) + bias, tolerance)


@pytest.mark.parametrize(("of_style", "of_weight"), [
    (1e6, 1.0), (1e-6, 1.0), (1.0, 1e6), (1.0, 1e-6), (1e5, 1e5)])
def test_float16_stands_what_demodulation_removes(of_style, of_weight):
    """Styles and weights beyond float16's range, which ends at 65504 and at 6e-8."""
    x, weight, style = normal(2, 4, 4, 4), normal(3, 4, 3, 3, seed=1), normal(2, 4, seed=2)
    found = ops.modulated_conv2d(x.half(), (weight * of_weight).float(), (style * of_style).float(),
                                 torch.zeros(()))
    near(found, modulated(x, weight, style), 5e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_modulated_rgb_in_half_precision(dtype):
    x, weight, style = normal(2, 8, 4, 4), normal(3, 8, 1, 1, seed=1), normal(2, 8, seed=2)
    bias = normal(3, seed=3)
    found = ops.modulated_rgb(x.to(dtype), weight.float(), style.float(), bias.float())
    assert found.dtype == dtype
    near(found, modulated(x, weight, style, False) + bias[:, None, None], 3e-2)


@pytest.mark.parametrize("up", [False, True])
def test_autocast_leaves_small_tensors_alone(up):
    """The convolution itself may be of half precision, styles and norms are not."""
    x, weight, style = (t.float() for t in (
        normal(2, 4, 3, 4), normal(3, 4, 3, 3, seed=1), normal(2, 4, seed=2)))
    bias = torch.zeros(3)
    plain = ops.modulated_conv2d(x.bfloat16(), weight, style, torch.zeros(()), up=up)
    rgb = ops.modulated_rgb(x, weight[:3, :, :1, :1], style, bias)
    with torch.autocast("cpu", torch.bfloat16):
        found = ops.modulated_conv2d(x.bfloat16(), weight, style, torch.zeros(()), up=up)
        found_rgb = ops.modulated_rgb(x, weight[:3, :, :1, :1], style, bias)
        whole = ops.modulated_conv2d(x, weight, style, torch.zeros(()), up=up)
    assert found.dtype == torch.bfloat16 and torch.equal(found, plain)
    assert found_rgb.dtype == torch.float32 and torch.equal(found_rgb, rgb)
    near(whole, modulated(x.double(), weight.double(), style.double(), up=up), 5e-2)
