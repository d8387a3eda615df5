"""The picture of what was aligned."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from lgfa.photo.align import FFHQ_POINTS, align
from lgfa.photo.preview import CHOSEN, OTHER, POINT, sketch


def has(picture: torch.Tensor, colour: tuple[int, int, int]) -> bool:
    """Whether a colour is in a picture; numbers have soft edges."""
    return bool(((picture * 255 - torch.tensor(colour)).abs() < 50).all(-1).any())


@pytest.mark.parametrize("channels", (3, 4))
def test_crop_points_and_numbers_are_drawn(channels: int) -> None:
    photo = torch.full((200, 300, channels), 0.5)
    faces = np.stack([FFHQ_POINTS * 80 + (20, 60), FFHQ_POINTS * 80 + (170, 60)])
    _, where = align(photo[None, ..., :3], faces[:1], 64, "FFHQ")
    before = photo.clone()
    shown = sketch(photo, faces, 0, where)
    assert shown.shape == (200, 300, 3) and shown.dtype == torch.float32
    assert torch.equal(photo, before)                       # drawn on a copy
    assert all(has(shown, colour) for colour in (CHOSEN, OTHER, POINT))
    for x, y in faces.reshape(-1, 2):
        seen = shown[int(y + 0.5), int(x + 0.5)] * 255
        assert seen.round().int().tolist() == [*POINT]


def test_values_beyond_the_range_are_clamped() -> None:
    photo = torch.tensor([-1.0, 2.0, 0.5]).expand(200, 300, 3)
    _, where = align(photo[None].clamp(0, 1), FFHQ_POINTS[None] * 80, 64, "FFHQ")
    corner = sketch(photo, FFHQ_POINTS[None] * 80, 0, where)[-1, -1]
    assert (corner * 255).round().tolist() == [0, 255, 128]
