"""LGFA for ComfyUI: language-guided face animation as nodes.

ComfyUI loads this file. It imports nothing by itself, so that the folder is also a plain Python
project; everything begins in `comfy_entrypoint`.
"""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """The extension that ComfyUI asks for its nodes (V3)."""
    from .nodes import LGFAExtension

    return LGFAExtension()


__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
