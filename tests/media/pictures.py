"""Pictures for tests, and the sentence that comes of a bad one."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from lgfa.errors import LGFAError


def ramp(height: int = 24, width: int = 32) -> np.ndarray:
    """uint8 [H,W,3] with a different gradient in every channel."""
    y, x = np.mgrid[0:height, 0:width]
    picture = np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (height + width)], 2)
    return picture.astype(np.uint8)


def as_x(picture: np.ndarray) -> torch.Tensor:
    """What a network should see of uint8 [H,W,3]."""
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1


def sentence(call, *args) -> str:
    """The message of the LGFAError that the call raises; must be one line."""
    with pytest.raises(LGFAError) as caught:
        call(*args)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".") and len(text) < 400
    return text
