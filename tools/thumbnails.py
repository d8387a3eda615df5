"""Runs the shipped workflows and makes their thumbnails: `python tools/thumbnails.py URL [NAME]`.

The thumbnail of workflows/X.json is workflows/X.jpg, as ComfyUI's template browser wants it: a
square of four frames of the workflow's clip, the still first.
"""
from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "integration")]

from client import Client, frames_of  # noqa: E402

from lgfa.media.images import to_uint8  # noqa: E402
from tools.workflows import SHEETS  # noqa: E402

SIDE = 400                                  # px
WHEN = (0.0, 0.4, 0.7, 1.0)                 # of the clip
MOMENTS = {"chain": (0.0, 0.5, 0.75, 1.0), "timeline": (0.0, 0.1, 0.27, 0.5)}


def collage(frames: np.ndarray, moments: tuple[float, ...]) -> Image.Image:
    """Frames [T, H, W, 3], 0..1: four of them, two by two, or wide ones one below the other."""
    chosen = [Image.fromarray(to_uint8(torch.from_numpy(frames[round(t * (len(frames) - 1))])))
              for t in moments]
    width, height = chosen[0].size
    sheet = Image.new("RGB", (SIDE, SIDE), "white")
    if width > height:
        size = (SIDE, SIDE // 2 - 1)
        for row, one in enumerate((chosen[0], chosen[-1])):
            sheet.paste(fill(one, size), (0, row * (size[1] + 2)))
        return sheet
    size = (SIDE // 2 - 1, SIDE // 2 - 1)
    for k, one in enumerate(chosen):
        sheet.paste(fill(one, size), ((k % 2) * (size[0] + 2), (k // 2) * (size[1] + 2)))
    return sheet


def fill(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Cut at the top and enlarged to a size; faces are at the bottom of wide pictures."""
    scale = max(size[0] / picture.width, size[1] / picture.height)
    grown = picture.resize((round(picture.width * scale), round(picture.height * scale)),
                           Image.Resampling.LANCZOS)
    left, top = (grown.width - size[0]) // 2, grown.height - size[1]
    return grown.crop((left, top, left + size[0], top + size[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("server", help="address of a running ComfyUI that has the pack")
    parser.add_argument("name", nargs="*", help="workflows (default: all)")
    options = parser.parse_args()
    with Client(options.server.rstrip("/")) as client:
        for name in options.name or SHEETS:
            prompt = json.loads((ROOT / "workflows" / "api" / f"{name}.json").read_text())
            done = client.run(prompt, 1800)
            preview = next(i for i, node in prompt.items()
                           if node["_meta"]["title"] == "All frames")
            frames = np.concatenate([frames_of(client.fetch(f), f["filename"])
                                     for f in done.outputs[preview]["images"]])
            path = ROOT / "workflows" / f"{SHEETS[name][0]}.jpg"
            collage(frames, MOMENTS.get(name, WHEN)).save(path, quality=88)
            print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
