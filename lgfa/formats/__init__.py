"""Every checkpoint format: read, recognise, rename, verify, load, save."""
from .core import Format, all_formats, copy_strict, load, read, recognise, save

__all__ = ["Format", "all_formats", "copy_strict", "load", "read", "recognise", "save"]
