"""A small CLIP for tests of files, and what it looks at."""
from __future__ import annotations

import torch

from lgfa.config import ClipConfig

TEXTS = ["The person is smiling", "The person is angry"]


def tiny(**options) -> ClipConfig:
    """64 channels everywhere, so that heads are as OpenAI's."""
    return ClipConfig(
        embed_dim=24,
        vision_cfg={"layers": 1, "width": 64, "patch_size": 16, "image_size": 32},
        text_cfg={"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
        options=options,
    )


def pictures(count: int = 2, size: int = 40) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1
