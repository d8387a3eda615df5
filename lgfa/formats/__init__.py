"""Files <-> networks, in this order: names.py (which file), trees.py (read), recognition.py (which
format), kinds.py (settings), build.py (compare, copy), loading.py (all of it: open this first)."""
from __future__ import annotations

import importlib
from typing import Any

__all__ = ["Format", "all_formats", "copy_strict", "load", "read", "recognise", "save"]

_HOMES = {"Format": "recognition", "all_formats": "recognition", "copy_strict": "build",
          "load": "loading", "read": "recognition", "recognise": "recognition", "save": "loading"}


def __getattr__(name: str) -> Any:
    """Imports a public name's module when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value
