"""Any still picture -> [1,3,H,W], -1..1: what the networks read.

Rules, said once: channels-first is the networks' own range -1..1; channels-last is a picture's
range, floats 0..1 or integers over their whole range. Transparency is laid on white, as a page
shows it. Animated files give their first frame; EXIF rotation and colour profiles are applied.
"""
from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ..errors import LGFAError, reading, warn
from .decoding import MAX_PIXELS, MIN_SIDE, check_size, open_image

__all__ = ["MAX_PIXELS", "MIN_SIDE", "check_batch", "check_masks", "from_uint8", "from_unit",
           "levels", "read_batch", "read_image", "square", "to_pictures", "to_uint8", "to_unit"]

OVERSHOOT = 0.5                             # beyond the range: resampling may do that a little
_ORIENTATION, _TURNS = 0x0112, {             # the EXIF tag; how a picture of each value is turned
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90}
_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")     # Pillow clips these on convert()


def read_image(
    image: Any,                             # path, PIL image, array or tensor of one picture
    size: int | None = None,                # cut the centre square and resize; None = leave as is
) -> Tensor:
    """One picture as float32 [1,3,H,W], -1..1, on the CPU.

    Arrays and tensors may be [H,W], [H,W,C], [1,H,W,C] (a ComfyUI IMAGE), [C,H,W] or [1,C,H,W]
    with C = 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA; ranges as the module says.
    Raises LGFAError for anything that is not one picture of a sensible size.
    """
    if isinstance(image, (str, Path)):
        with open_image(Path(image)) as picture:
            x, name = _from_pil(picture, str(image)), str(image)
    elif isinstance(image, Image.Image):
        x, name = _from_pil(image, "the image"), "the image"
    elif isinstance(image, (np.ndarray, Tensor)):
        x, name = _from_array(image), "the image"
    else:
        raise LGFAError(f"an image must be a path, a PIL image, an array or a tensor, "
                        f"not {type(image).__name__}.")
    check_size(x.shape[3], x.shape[2], name)
    return x if size is None else square(x, size)


def read_batch(images: Tensor) -> Tensor:
    """A ComfyUI IMAGE [B,H,W,C] (or [H,W,C]), 0..1 -> centre squares [B,3,S,S], -1..1, CPU."""
    images = images[None] if images.ndim == 3 else images
    if images.ndim != 4 or 0 in images.shape:
        raise LGFAError(f"a batch of images must be [B,H,W,C], not {list(images.shape)}.")
    x = torch.cat([read_image(one) for one in images])
    return square(x, min(x.shape[2:]))


def check_batch(images: Tensor, name: str = "the batch of pictures") -> Tensor:
    """A ComfyUI IMAGE [B,H,W,C], 0..1, C = 1 to 4 as in read_image -> RGB [B,H,W,3], float32,
    0..1, on its device; the same tensor where it is that already.

    Raises LGFAError, which begins with the name and says what is wrong with the pictures.
    """
    shape = list(images.shape)
    if images.ndim != 4 or not 1 <= shape[3] <= 4:
        raise LGFAError(f"{name} has the shape {shape}; pictures are [number, height, width, "
                        f"channels] with 1 to 4 channels.")
    if shape[0] == 0:
        raise LGFAError(f"{name} holds no pictures; give one at least.")
    check_size(shape[2], shape[1], name)
    if not images.is_floating_point():
        raise LGFAError(f"{name} is of the type {_type(images)}; pictures are of floats in 0..1.")
    low, high = _range(images, name)
    if shape[3] == 3 and images.dtype == torch.float32 and low >= 0 and high <= 1:
        return images
    x = images.float().clamp(0, 1)
    if shape[3] in (2, 4):
        x = _on_white(x[..., :-1], x[..., -1:])
    return x.expand(-1, -1, -1, 3).contiguous()


def check_masks(masks: Tensor, name: str = "the batch of masks") -> Tensor:
    """A ComfyUI MASK [B,H,W], [H,W] or [B,1,H,W], 0..1 or bool -> [B,H,W], float32, 0..1.

    Raises LGFAError as check_batch does.
    """
    x, shape = masks, list(masks.shape)
    x = x[None] if x.ndim == 2 else x[:, 0] if x.ndim == 4 and shape[1] == 1 else x
    if x.ndim != 3:
        raise LGFAError(f"{name} has the shape {shape}; masks are [number, height, width].")
    if x.numel() == 0:
        raise LGFAError(f"{name} holds no mask, its shape is {shape}; give one at least.")
    if not x.is_floating_point() and x.dtype != torch.bool:
        raise LGFAError(f"{name} is of the type {_type(x)}; masks are of floats in 0..1.")
    x = x.float()
    _range(x, name)
    return x.clamp(0, 1)


def _range(x: Tensor, name: str) -> tuple[float, float]:
    """Smallest and largest value; LGFAError for NaN, infinity, and what is not meant as 0..1."""
    low, high = (float(one) for one in torch.aminmax(x.detach()))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise LGFAError(f"{name} holds values that are not numbers (NaN or infinity); look at the "
                        f"node or program that made it.")
    if low < -OVERSHOOT or high > 1 + OVERSHOOT:
        raise LGFAError(f"{name} holds values of {low:.3g}..{high:.3g}; they must lie in 0..1.")
    return low, high


def _type(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


def _on_white(colour: Tensor, alpha: Tensor) -> Tensor:
    """Colours 0..1 under an alpha 0..1, as a white page shows them."""
    return colour * alpha + (1 - alpha)


def square(x: Tensor, size: int) -> Tensor:
    """Centre square of x [B,3,H,W], resized with antialiasing to [B,3,size,size]."""
    side = min(x.shape[2:])
    top, left = (x.shape[2] - side) // 2, (x.shape[3] - side) // 2
    x = x[:, :, top:top + side, left:left + side]
    if side == size:
        return x
    x = F.interpolate(x, (size, size), mode="bicubic", align_corners=False, antialias=True)
    return x.clamp(-1, 1)


# ---- ranges: the networks' -1..1, the pictures' 0..1, the files' 0..255
def to_unit(x: Tensor) -> Tensor:
    """-1..1 -> 0..1, clamped; any shape."""
    return x.mul(0.5).add_(0.5).clamp_(0, 1)


def from_unit(x: Tensor) -> Tensor:
    """0..1 -> -1..1; any shape."""
    return x * 2 - 1


def to_pictures(x: Tensor) -> Tensor:
    """Networks' [B,3,H,W], -1..1 -> pictures' [B,H,W,3], 0..1, clamped, contiguous."""
    return to_unit(x).permute(0, 2, 3, 1).contiguous()


def levels(x: Tensor) -> Tensor:
    """0..1 -> the nearest of 0, 1, .. 255, still floats; any shape."""
    return x.mul(255).round_().clamp_(0, 255)


def to_uint8(frame: Tensor) -> np.ndarray:
    """Floats 0..1 (or uint8) [H,W,3] -> uint8; LGFAError for NaN and infinity."""
    if frame.dtype == torch.uint8:
        return frame.cpu().numpy()
    frame = frame.detach().float().cpu()
    if not torch.isfinite(frame).all():
        raise LGFAError("a frame holds values that are not numbers (NaN or infinity): "
                        "try float32 instead of half precision.")
    return levels(frame).to(torch.uint8).numpy()


def from_uint8(pixels: Tensor | np.ndarray | Image.Image) -> Tensor:
    """Bytes, also of a picture of Pillow's -> float32 0..1 of the same shape."""
    x = pixels if isinstance(pixels, Tensor) else torch.from_numpy(np.array(pixels))
    return x.float() / 255


# ---- what read_image is made of


def _from_pil(picture: Image.Image, name: str) -> Tensor:
    """PIL image of any mode -> [1,3,H,W], -1..1."""
    check_size(*picture.size, name)
    with reading(name):
        if picture.tell() != 0:
            picture = picture.copy()        # a frame that the caller chose; seek would move it
        picture.load()
        picture = _upright(picture)
        values = _deep(picture) if picture.mode in _DEEP_MODES else _eight_bit(picture)
    return _finish(values.permute(2, 0, 1)[None])


def _upright(picture: Image.Image) -> Image.Image:
    """Turned as its EXIF data or its XMP say."""
    try:
        turn = _TURNS.get(picture.getexif().get(_ORIENTATION, 1))
    except Exception:                       # broken EXIF data are no reason to refuse a picture
        turn = None
    return picture if turn is None else picture.transpose(turn)


def _eight_bit(picture: Image.Image) -> Tensor:
    """Modes of 8 bits a channel -> [H,W,3 or 4], 0..1, sRGB."""
    transparent = picture.has_transparency_data
    if picture.mode in ("P", "PA", "1", "La", "LA", "RGBa") and transparent:
        picture = picture.convert("RGBA")
    picture = _to_srgb(picture)
    return from_uint8(picture.convert("RGBA" if transparent else "RGB"))


def _to_srgb(picture: Image.Image) -> Image.Image:
    """Applies an embedded colour profile (wide-gamut phones, print CMYK) where there is one."""
    profile = picture.info.get("icc_profile")
    if not profile or picture.mode not in ("RGB", "RGBA", "CMYK", "L"):
        return picture
    try:
        from PIL import ImageCms

        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = "RGBA" if picture.mode == "RGBA" else "RGB"
        return ImageCms.profileToProfile(
            picture, source, ImageCms.createProfile("sRGB"), outputMode=mode)
    except Exception:                       # a broken profile is no reason to refuse a picture
        return picture


def _deep(picture: Image.Image) -> Tensor:
    """Grey of 16 or 32 bits -> [H,W,1], 0..1; the range is that which the values fit in."""
    grey = np.asarray(picture).astype(np.float32)[..., None]
    if not np.isfinite(grey).all():
        raise LGFAError("the image holds values that are not numbers (NaN or infinity).")
    ranges = (1.0, 255.0, 65535.0) if picture.mode == "F" else (255.0, 65535.0)
    if picture.mode.startswith("I;16"):
        ranges = (65535.0,)                 # the mode says it
    top = next((r for r in ranges if grey.max() <= r), None)
    if top is None or grey.min() < 0:
        raise LGFAError(f"the image's values reach from {grey.min():g} to {grey.max():g}: "
                        f"save it with 8 or 16 bits a channel.")
    return torch.from_numpy(grey / top)


def _from_array(array: np.ndarray | Tensor) -> Tensor:
    """Array or tensor -> [1,3,H,W], -1..1, by the rules of the module."""
    shape = tuple(array.shape)
    x = array.detach().cpu() if isinstance(array, Tensor) else _to_tensor(array)
    if x.ndim == 4 and x.shape[0] != 1:
        raise LGFAError(f"one image is animated at a time, not a batch of shape {list(shape)}: "
                        f"pass image[i].")
    x = x[0] if x.ndim == 4 else x
    x = x[..., None] if x.ndim == 2 else x
    if x.ndim != 3 or not (x.shape[0] <= 4 or x.shape[2] <= 4) or 0 in x.shape:
        raise LGFAError(f"an image of shape {list(shape)} is not understood: "
                        f"use [H,W,3] (0..1 or 8 bits) or [3,H,W] (-1..1).")

    first = x.shape[0] <= 4 and x.shape[2] > 4              # [C,H,W]: the networks' range
    x = _scale(x, first)
    return _finish((x if first else x.permute(2, 0, 1))[None])


def _to_tensor(array: np.ndarray) -> Tensor:
    """torch.from_numpy for the kinds that are pictures."""
    if array.dtype.kind not in "buif":
        raise LGFAError(f"an array of type {array.dtype} is no image.")
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:     # torch knows little of these
        return torch.from_numpy(array / np.float64(np.iinfo(array.dtype).max))
    return torch.from_numpy(np.ascontiguousarray(array))


def _scale(x: Tensor, first: bool) -> Tensor:
    """Values of any dtype -> float 0..1; `first` tells channels-first."""
    if x.dtype == torch.bool:
        return x.float()
    if not x.is_floating_point():
        if x.dtype != torch.uint8 and (x.min() < 0 or x.max() > 255):
            raise LGFAError(f"integer pixels must lie in 0..255, not {x.min()}..{x.max()}.")
        return from_uint8(x)

    x = x.float()
    if not torch.isfinite(x).all():
        raise LGFAError("the image holds values that are not numbers (NaN or infinity).")
    low, high = float(x.min()), float(x.max())
    floor, range_name = (-1.0, "-1..1, channels first") if first else (0.0, "0..1, channels last")
    if low < floor - OVERSHOOT or high > 1 + OVERSHOOT:
        raise LGFAError(f"float pixels must lie in {range_name}, not {low:.3g}..{high:.3g}.")
    if first and low >= 0 and high > 0:
        warn("a channels-first image is read as -1..1, but this one has no value below 0: if it "
             "is 0..1, pass x * 2 - 1.", stacklevel=4)
    return to_unit(x) if first else x.clamp(0, 1)


def _finish(x: Tensor) -> Tensor:
    """[1,C,H,W], 0..1 with 1 to 4 channels -> RGB over white, -1..1."""
    if x.shape[1] in (2, 4):
        x = _on_white(x[:, :-1], x[:, -1:])
    return from_unit(x.expand(-1, 3, -1, -1).contiguous().float())
