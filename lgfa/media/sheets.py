"""Contact sheets: several clips as labelled rows of one picture, to judge them at a glance, and
the small frames that they are made of."""
from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..errors import LGFAError
from ..files import atomic_path
from .clips import check_place
from .images import to_uint8

KINDS = {".png": "PNG", ".webp": "WEBP", ".jpg": "JPEG", ".jpeg": "JPEG"}
PAPER, INK = (255, 255, 255), (40, 40, 48)


def contact_sheet(
    clips: Sequence[Any],                   # each a Clip or [T,H,W,3], 0..1; one row each
    labels: Sequence[str] = (),             # one a row; none = no labels
    columns: int = 6,                       # frames shown of each clip, evenly spaced
    gap: int = 6,                           # pixels between the pictures
    title: str = "",                        # a line above everything
) -> Image.Image:
    """Rows of frames, first and last always among them, with a label above each row."""
    if not clips or (labels and len(labels) != len(clips)):
        raise LGFAError(f"a contact sheet needs one label for each clip, "
                        f"not {len(labels)} for {len(clips)}.")
    rows = [_row(getattr(clip, "frames", clip), columns, gap) for clip in clips]
    font = font_of_size(max(11, min(24, rows[0].shape[0] // 9)))
    line = sum(font.getbbox("Ag")[1::2]) + 2 if labels or title else 0

    width = max(row.shape[1] for row in rows) + 2 * gap
    height = sum(row.shape[0] + gap + (line if labels else 0) for row in rows) + gap
    sheet = Image.new("RGB", (width, height + (line + gap if title else 0)), PAPER)
    draw, y = ImageDraw.Draw(sheet), gap
    if title:
        draw.text((gap, y), title, fill=INK, font=font)
        y += line + gap
    for number, row in enumerate(rows):
        if labels:
            draw.text((gap, y), labels[number], fill=INK, font=font)
            y += line
        sheet.paste(Image.fromarray(row), (gap, y))
        y += row.shape[0] + gap
    return sheet


def thumbnails(
    pictures: Tensor,                       # [T,3,H,W], floats of any range
    side: int = 160,                        # pixels that the longer side may have
) -> Tensor:
    """The pictures, larger ones made this small, [T,3,H',W'] in the same range, unclamped."""
    height, width = pictures.shape[2:]
    longer = max(height, width)
    if longer <= side:
        return pictures
    size = [max(1, round(one * side / longer)) for one in (height, width)]
    return F.interpolate(pictures.float(), size, mode="bilinear", antialias=True)


def font_of_size(size: int) -> Any:
    """Pillow's own font of about this height in pixels."""
    try:
        return ImageFont.load_default(size=size)
    except TypeError:                       # Pillow before 10.1 has one size only
        return ImageFont.load_default()


def save_picture(path: str | Path, picture: Image.Image) -> Path:
    """Writes one picture, format by suffix, atomically."""
    path = check_picture(path)
    memory = io.BytesIO()                   # given a file, Pillow hides why it cannot write
    picture.save(memory, KINDS[path.suffix.lower()])
    with atomic_path(path) as target:
        target.write_bytes(memory.getvalue())
    return path


def check_picture(path: str | Path) -> Path:
    """Refuses, before anything is drawn, what `save_picture` could not write in the end."""
    path = Path(path)
    if path.suffix.lower() not in KINDS:
        raise LGFAError(f"the suffix {path.suffix or '(none)'} of {path} is unknown for a picture: "
                        f"use .png, .webp or .jpg.")
    check_place(path)
    return path


def _row(frames: Any, columns: int, gap: int) -> np.ndarray:
    """[T,H,W,3] -> evenly spaced frames side by side, uint8 [H,W',3]."""
    frames = torch.as_tensor(frames)
    if frames.ndim != 4 or frames.shape[-1] != 3 or len(frames) == 0:
        raise LGFAError(f"a clip must be [T,H,W,3], not {list(frames.shape)}.")
    count = min(columns, len(frames))
    chosen = torch.linspace(0, len(frames) - 1, count).round().long()
    paper = np.full((frames.shape[1], gap, 3), 255, dtype=np.uint8)
    parts = [part for i in chosen for part in (to_uint8(frames[i]), paper)]
    return np.concatenate(parts[:-1], axis=1)
