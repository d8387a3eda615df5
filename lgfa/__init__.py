"""Language-guided face animation: a still and a sentence become a clip.

Everything here is loaded on first use: `import lgfa` alone costs nothing and needs no network.
"""
from __future__ import annotations

import sys

if sys.argv[:1] == ["-m"]:      # `python -m lgfa` begins: signals are looked after from here on
    from . import signals

    signals.install()

import importlib
from typing import TYPE_CHECKING, Any

from .errors import LGFAError
from .version import __version__

if TYPE_CHECKING:
    from .animate import Animator, Clip
    from .formats.loading import load_clip, load_encoder, load_generator, load_identity, load_motion

__all__ = [
    "Animator", "Clip", "LGFAError", "__version__", "load_clip", "load_encoder", "load_generator",
    "load_identity", "load_motion",
]

_HOMES = {
    "Animator": "animate", "Clip": "animate", **dict.fromkeys(
        ("load_clip", "load_encoder", "load_generator", "load_identity", "load_motion"),
        "formats.loading"),
}


def __getattr__(name: str) -> Any:
    """Imports a public name's module when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
