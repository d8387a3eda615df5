"""Trajectories of several clips -> one block of pictures, drawn chunk by chunk."""
from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..config import LAYOUTS, GeneratorConfig
from ..devices import FLOAT, check_room
from ..errors import LGFAError, is_out_of_memory
from ..media.images import to_pictures
from .render import render
from .stylegan2 import Generator

ONE_AFTER_ANOTHER, SIDE_BY_SIDE = LAYOUTS


def film_shape(clips: int, frames: int, side: int, layout: str) -> tuple[int, int, int, int]:
    """[B, H, W, 3] of clips of so many frames at so many px."""
    if layout not in LAYOUTS:
        raise LGFAError(f"there is no layout {layout!r}: use {' or '.join(LAYOUTS)}.")
    if layout == SIDE_BY_SIDE:
        return frames, side, clips * side, 3
    return clips * frames, side, side, 3


def blank(
    shape: tuple[int, int, int, int],   # of film_shape
    free: int,                          # bytes that the device has left
    device: torch.device | str = "cpu",
) -> Tensor:
    """Black pictures to draw into, or one sentence where they do not fit."""
    count, high, wide, _ = shape
    what = f"{count} frames of {wide} x {high} px"
    advice = "render fewer frames, or one part of them after the other"
    check_room(FLOAT * count * high * wide * 3, free, what, advice)
    try:
        return torch.zeros(shape, device=device)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise LGFAError(f"{what} do not fit into the memory of {device}: {advice}.") from error


def working_bytes(config: GeneratorConfig, chunk: int) -> int:
    """Roughly what drawing a chunk takes: the widest layer some times over, beside the weights."""
    sides = [4 * 2**level for level in range(len(config.channels))]
    widest = max(side**2 * wide for side, wide in zip(sides, config.channels, strict=True))
    return 8 * FLOAT * chunk * widest


def film(
    generator: Generator,
    paths: Tensor,                      # [N, T, L, w_dim]
    out: Tensor,                        # of film_shape; drawn into
    layout: str = ONE_AFTER_ANOTHER,
    chunk: int = 8,                     # as in render
    noise: str = "const",               # as in render
    dtype: torch.dtype | None = None,   # as in render
) -> Iterator[tuple[int, Tensor]]:
    """Draws the frames into `out`; after every chunk yields (frames drawn, latest picture
    [H, W, 3], 0..1). The codes of each frame are drawn as `render` draws them."""
    clips, frames = paths.shape[:2]
    if tuple(out.shape) != film_shape(clips, frames, generator.resolution, layout):
        raise LGFAError(f"the frames of {clips} clips do not fit into {list(out.shape)}.")
    done, side = 0, generator.resolution
    for images in render(generator, paths.flatten(0, 1), chunk, noise, raw=True, dtype=dtype):
        pictures = to_pictures(images.float()).to(out)
        if layout == ONE_AFTER_ANOTHER:
            out[done:done + len(pictures)] = pictures
            done += len(pictures)
            yield done, out[done - 1]
            continue
        for picture in pictures:
            left = done // frames * side
            out[done % frames, :, left:left + side] = picture
            done += 1
        yield done, out[(done - 1) % frames]
