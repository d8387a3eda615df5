"""Strips: clips as labelled rows of frames, in a file small enough for a README."""
from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from ...errors import LGFAError
from ...files import atomic_path
from ...frames.render import render
from ...media.images import from_uint8
from ...media.sheets import contact_sheet, thumbnails

COLUMNS = 8                                 # frames shown of each clip
MOST_BYTES = 300_000
QUALITIES = (92, 85, 75, 60, 45)


def strip(
    path: str | Path,                       # .webp
    rows: Sequence[tuple[str, Any]],        # (label, frames [T,H,W,3], 0..1 or uint8)
    title: str = "",
    columns: int = COLUMNS,
    most: int = MOST_BYTES,
) -> Path:
    """Writes one row for each clip, as good as `most` bytes allow."""
    path = Path(path)
    if path.suffix.lower() != ".webp":
        raise LGFAError(f"a strip is written as .webp, not as {path.name}.")
    labels = [label for label, _ in rows]
    clips = [_small(_chosen(frames, columns)) for _, frames in rows]
    coded = _within(contact_sheet(clips, labels, columns, title=title), most)
    with atomic_path(path) as target:
        target.write_bytes(coded)
    return path


def compare(
    path: str | Path,
    clips: Mapping[str, Any],               # method -> frames [T,H,W,3] of one still and sentence
    text: str,                              # the sentence
    columns: int = COLUMNS,
) -> Path:
    """The same still and sentence, a row for each method."""
    return strip(path, list(clips.items()), title=text, columns=columns)


def frames_of(
    generator: nn.Module,
    latents: Tensor,                        # [T, L, w_dim]
    columns: int | None = COLUMNS,          # None = all frames
) -> Tensor:
    """Frames [T', H, W, 3], 0..1; of a strip only those that it shows are drawn."""
    chosen = latents if columns is None else _chosen(latents, columns)
    return torch.cat(list(render(generator, chosen)))


def _chosen(items: Any, columns: int) -> Tensor:
    """Evenly spaced ones along the first axis, first and last always among them."""
    items = torch.as_tensor(getattr(items, "frames", items))
    if items.ndim == 0 or len(items) == 0:
        raise LGFAError("a clip without frames cannot be shown in a strip.")
    return items[torch.linspace(0, len(items) - 1, min(columns, len(items))).round().long()]


def _small(frames: Tensor) -> Tensor:
    """Frames [T,H,W,3], 0..1 or uint8, as floats and no larger than thumbnails are."""
    if frames.ndim != 4:
        return frames                       # the sheet says what is wrong with them
    frames = from_uint8(frames) if frames.dtype == torch.uint8 else frames.float()
    return thumbnails(frames.movedim(-1, 1)).movedim(1, -1).clamp(0, 1)


def _within(picture: Image.Image, most: int) -> bytes:
    """The picture as WebP of at most `most` bytes: first the quality gives way, then the size."""
    while True:
        for quality in QUALITIES:
            memory = io.BytesIO()
            picture.save(memory, "WEBP", quality=quality)
            if memory.tell() <= most:
                return memory.getvalue()
        if min(picture.size) < 64:
            return memory.getvalue()
        picture = picture.resize([max(1, round(0.75 * side)) for side in picture.size],
                                 Image.Resampling.LANCZOS)
