"""A picture of what was aligned: crops, points and numbers drawn over the photograph."""
from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from ..media.images import from_uint8, to_uint8
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
    picture = Image.fromarray(to_uint8(image[..., :3]))
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
    return from_uint8(picture)
