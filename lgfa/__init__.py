"""Language-guided face animation: a still and a sentence become a clip.

Everything here is loaded on first use: `import lgfa` alone costs nothing and needs no network.
"""
from __future__ import annotations

import sys

if sys.argv[:1] == ["-m"]:      # `python -m lgfa` begins: signals are looked after from here on
    from . import signals

    signals.install()

from typing import TYPE_CHECKING

from .errors import LGFAError
from .registry import on_first_use
from .version import __version__

if TYPE_CHECKING:
    from .animate import Animator, Clip
    from .formats.loading import load_clip, load_encoder, load_generator, load_identity, load_motion
    from .methods.method import Prompt

__all__ = [
    "Animator", "Clip", "LGFAError", "Prompt", "__version__", "load_clip", "load_encoder",
    "load_generator", "load_identity", "load_motion",
]

_HOMES = {
    "Animator": "animate", "Clip": "animate", "Prompt": "methods.method", **dict.fromkeys(
        ("load_clip", "load_encoder", "load_generator", "load_identity", "load_motion"),
        "formats.loading"),
}
__getattr__ = on_first_use(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
