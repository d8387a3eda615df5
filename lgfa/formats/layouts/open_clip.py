"""open_clip's bare weights of any architecture: its name must be given with them (../open_clip.py),
so the file alone is refused."""
from __future__ import annotations

from typing import Any

from ..recognition import Format
from .openai_clip import clip_weights


def is_open_clip(tree: Any) -> bool:
    """A state dict of open_clip's CLIP, without its architecture's name."""
    return any(key.startswith("visual.") for key in clip_weights(tree))


FORMATS = [
    Format("open_clip weights", "clip", is_open_clip,
           refuse="these are open_clip weights, which do not say their architecture: give its "
                  'name with the file, as in "ViT-B-32:weights.safetensors" or '
                  "from_open_clip(name, file), or once for all: "
                  "`python -m lgfa convert ViT-B-32:weights.safetensors clip.safetensors`."),
]
