"""A picture of what was aligned: crops, points and numbers drawn over the photograph."""
from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from .align import Alignment

CHOSEN, OTHER, POINT = (64, 220, 120), (250, 190, 60), (240, 70, 90)


def sketch(
    image: Tensor,                      # [H,W,C], 0..1
    faces: np.ndarray,                  # [N,5,2], all that were found
    chosen: int,                        # the face that was aligned
    where: Alignment,                   # of the picture's face
    number: int = 0,                    # of the picture in the alignment
) -> Tensor:
    """The picture with the crop's outline and the faces' points, [H,W,3], 0..1."""
    pixels = image[..., :3].detach().cpu().float().clamp(0, 1).mul(255).round().to(torch.uint8)
    picture = Image.fromarray(pixels.numpy())
    draw = ImageDraw.Draw(picture)
    thick = max(2, round(max(picture.size) / 300))

    corners = [tuple(corner) for corner in where.corners()[number]]
    draw.line([*corners, corners[0]], fill=CHOSEN, width=thick)
    draw.line(corners[:2], fill=POINT, width=thick)             # the upper edge
    for index, points in enumerate(faces):
        for x, y in points + 0.5:
            draw.ellipse((x - thick, y - thick, x + thick, y + thick), fill=POINT)
        x, y = points.min(0) - 6 * thick
        draw.text((x, y), str(index), fill=CHOSEN if index == chosen else OTHER)
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)
