"""Any still picture -> [1,3,H,W], -1..1: what the networks read.

Rules, said once: channels-first is the networks' own range -1..1; channels-last is a picture's
range, floats 0..1 or integers over their whole range. Transparency is laid on white, as a page
shows it. Animated files give their first frame; EXIF rotation and colour profiles are applied.
"""
from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from .errors import LGFAError

MIN_SIDE = 16                               # pixels; nothing of a face is left below
MAX_PIXELS = 128_000_000                    # a 108 megapixel photograph passes, a bomb does not
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
        x, name = _from_pil(_open(Path(image)), str(image)), str(image)
    elif isinstance(image, Image.Image):
        x, name = _from_pil(image, "the image"), "the image"
    elif isinstance(image, (np.ndarray, Tensor)):
        x, name = _from_array(image), "the image"
    else:
        raise LGFAError(f"an image must be a path, a PIL image, an array or a tensor, "
                        f"not {type(image).__name__}.")
    _check_size(x.shape[3], x.shape[2], name)
    return x if size is None else square(x, size)


def read_batch(images: Tensor) -> Tensor:
    """A ComfyUI IMAGE [B,H,W,C] (or [H,W,C]), 0..1 -> centre squares [B,3,S,S], -1..1, CPU."""
    images = images[None] if images.ndim == 3 else images
    if images.ndim != 4 or 0 in images.shape:
        raise LGFAError(f"a batch of images must be [B,H,W,C], not {list(images.shape)}.")
    x = torch.cat([read_image(one) for one in images])
    return square(x, min(x.shape[2:]))


def square(x: Tensor, size: int) -> Tensor:
    """Centre square of x [B,3,H,W], resized with antialiasing to [B,3,size,size]."""
    side = min(x.shape[2:])
    top, left = (x.shape[2] - side) // 2, (x.shape[3] - side) // 2
    x = x[:, :, top:top + side, left:left + side]
    if side == size:
        return x
    x = F.interpolate(x, (size, size), mode="bicubic", align_corners=False, antialias=True)
    return x.clamp(-1, 1)


def to_unit(x: Tensor) -> Tensor:
    """Networks' [B,3,H,W], -1..1 -> pictures' [B,H,W,3], 0..1, clamped, contiguous."""
    return x.add(1).div(2).clamp(0, 1).permute(0, 2, 3, 1).contiguous()


def _check_size(width: int, height: int, name: str) -> None:
    """Refuses pictures too small to hold a face and those too large to be meant."""
    if min(width, height) < MIN_SIDE:
        raise LGFAError(f"{name} is {width} x {height} px: "
                        f"at least {MIN_SIDE} px a side are needed.")
    if width * height > MAX_PIXELS:
        raise LGFAError(f"{name} claims {width} x {height} px: more than {MAX_PIXELS // 10**6} "
                        f"megapixels are refused, make it smaller.")


def _open(path: Path) -> Image.Image:
    """Opens a file by its content, size checked before a pixel is unpacked."""
    if path.is_dir():
        raise LGFAError(f"{path} is a folder: give one image file.")
    if not path.exists():
        raise LGFAError(f"there is no image {path}.")
    if path.stat().st_size == 0:
        raise LGFAError(f"{path} is empty: it holds no image.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(path)
    except Image.DecompressionBombError:
        raise LGFAError(f"{path} claims more than {MAX_PIXELS // 10**6} megapixels: "
                        f"that is refused, make it smaller.") from None
    except OSError as error:                # Pillow's UnidentifiedImageError is one
        reason = error.strerror or "its content is no picture format that Pillow knows"
        raise LGFAError(f"{path} cannot be read as an image: {reason}.") from None
    except Exception as error:              # decoders raise whatever a broken header leads to
        raise LGFAError(f"{path} cannot be read as an image: {_first_line(error)}.") from None
    _check_size(*picture.size, str(path))
    return picture


def _first_line(error: Exception) -> str:
    """Another library's complaint, short enough to be part of one sentence."""
    text = (str(error) or type(error).__name__).splitlines()[0]
    return text.rstrip(".")[:120]


def _from_pil(picture: Image.Image, name: str) -> Tensor:
    """PIL image of any mode -> [1,3,H,W], -1..1."""
    _check_size(*picture.size, name)
    try:
        if getattr(picture, "n_frames", 1) > 1 and picture.tell() != 0:
            picture = picture.copy()        # a frame that the caller chose; seek would move it
        picture.load()
        picture = ImageOps.exif_transpose(picture)
        values = _deep(picture) if picture.mode in _DEEP_MODES else _eight_bit(picture)
    except LGFAError:
        raise
    except Exception as error:              # decoders raise whatever broken data leads to
        raise LGFAError(f"{name} cannot be read as an image: {_first_line(error)}.") from None
    return _finish(torch.from_numpy(values).permute(2, 0, 1)[None])


def _eight_bit(picture: Image.Image) -> np.ndarray:
    """Modes of 8 bits a channel -> [H,W,3 or 4], 0..1, sRGB."""
    transparent = picture.has_transparency_data
    if picture.mode in ("P", "PA", "1", "La", "LA", "RGBa") and transparent:
        picture = picture.convert("RGBA")
    picture = _to_srgb(picture)
    picture = picture.convert("RGBA" if transparent else "RGB")
    return np.asarray(picture, dtype=np.float32) / 255


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


def _deep(picture: Image.Image) -> np.ndarray:
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
    return grey / top


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
        return x.float() / 255

    x = x.float()
    if not torch.isfinite(x).all():
        raise LGFAError("the image holds values that are not numbers (NaN or infinity).")
    low, high = float(x.min()), float(x.max())
    floor, range_name = (-1.0, "-1..1, channels first") if first else (0.0, "0..1, channels last")
    if low < floor - 0.5 or high > 1.5:                     # resampling may overshoot a little
        raise LGFAError(f"float pixels must lie in {range_name}, not {low:.3g}..{high:.3g}.")
    if first and low >= 0 and high > 0:
        warnings.warn("a channels-first image is read as -1..1, but this one has no value below "
                      "0: if it is 0..1, pass x * 2 - 1.", stacklevel=4)
    return ((x + 1) / 2 if first else x).clamp(0, 1)


def _finish(x: Tensor) -> Tensor:
    """[1,C,H,W], 0..1 with 1 to 4 channels -> RGB over white, -1..1."""
    if x.shape[1] in (2, 4):
        colour, alpha = x[:, :-1], x[:, -1:]
        x = colour * alpha + (1 - alpha)
    return x.expand(-1, 3, -1, -1).contiguous().float() * 2 - 1
