"""Files <-> networks, in this order: names.py (which file), trees.py (read), recognition.py (which
format), kinds.py (settings), build.py (compare, copy), loading.py (all of it: open this first)."""
from __future__ import annotations

from ..registry import on_first_use

__all__ = ["Format", "all_formats", "copy_strict", "load", "read", "recognise", "save"]

_HOMES = {"Format": "recognition", "all_formats": "recognition", "copy_strict": "build",
          "load": "loading", "read": "recognition", "recognise": "recognition", "save": "loading"}
__getattr__ = on_first_use(__name__, _HOMES)
