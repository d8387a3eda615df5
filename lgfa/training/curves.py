"""A training's losses as a picture, drawn with Pillow alone."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw

from ..media.sheets import INK, PAPER, font_of_size
from .losses import TERMS

GRID, FAINT = (226, 226, 232), (198, 206, 222)
COLORS = {"total": (40, 40, 48), **{term.name: term.colour for term in TERMS}}
OTHER = (140, 120, 60)                      # of a name that no term has
LOWEST = 1e-6                               # values are shown as logarithms
SMOOTH = 0.06                               # part of the steps over which a line is averaged
MOST_POINTS = 600                           # of a line; longer trainings are thinned out


def draw_losses(
    log: Sequence[Mapping[str, Any]],       # {"step": 1, "total": 2.3, "cont": ..}, one a step
    iterations: int = 0,                    # right end of the picture; 0 = the last step
    size: tuple[int, int] = (512, 288),     # width and height in pixels
    title: str = "",
) -> Image.Image:
    """Every loss over the steps, averaged a little, on one logarithmic scale; their last values
    beside them. Without any step the empty axes."""
    picture = Image.new("RGB", size, PAPER)
    draw, font = ImageDraw.Draw(picture), font_of_size(max(10, size[1] // 24))
    line = sum(font.getbbox("Ag")[1::2]) + 3
    names = [name for name, value in (log[-1] if log else {}).items()
             if name != "step" and isinstance(value, (int, float))]
    curves = {name: _curve(log, name) for name in names}
    last = max(iterations, int(log[-1]["step"]) if log else 1, 1)
    low, high = _decades([value for curve in curves.values() for _, value in curve])

    beside = max((font.getlength(_label(name, log)) for name in names), default=0)
    box = (font.getlength("0.0001") + 10, line + 8, size[0] - beside - 24, size[1] - line - 10)

    def place(step: float, value: float) -> tuple[float, float]:
        height = (math.log10(max(value, 10.0**low)) - low) / (high - low)
        return (box[0] + (box[2] - box[0]) * step / last, box[3] - (box[3] - box[1]) * height)

    draw.text((box[0], 3), title, fill=INK, font=font)
    for decade in range(low, high + 1):
        _, y = place(0, 10.0**decade)
        draw.line([(box[0], y), (box[2], y)], fill=GRID)
        text = f"{10.0**decade:g}"
        draw.text((box[0] - 6 - font.getlength(text), y - line / 2), text, fill=INK, font=font)
    draw.line([(box[0], box[1]), (box[0], box[3]), (box[2], box[3])], fill=INK)
    for share in (0, 0.5, 1):
        text = f"{round(share * last)}"
        x = box[0] + share * (box[2] - box[0]) - share * font.getlength(text)
        draw.text((x, box[3] + 4), text, fill=INK, font=font)

    if "total" in names:                    # what every step was, behind the average
        raw = [place(*point) for point in _thinned(_points(log, "total"))]
        draw.line(raw, fill=FAINT, width=1)
    for name, curve in reversed(curves.items()):
        draw.line([place(*point) for point in curve], fill=COLORS.get(name, OTHER), width=2)
    for row, name in enumerate(names):
        draw.text((box[2] + 12, box[1] + row * (line + 3)), _label(name, log),
                  fill=COLORS.get(name, OTHER), font=font)
    return picture


def with_strips(
    curves: Image.Image,
    strips: Image.Image | None,             # a sheet of sample frames, made as wide
) -> Image.Image:
    """The curves above the strips."""
    if strips is None:
        return curves
    height = max(1, round(strips.height * curves.width / strips.width))
    strips = strips.convert("RGB").resize((curves.width, height), Image.Resampling.LANCZOS)
    picture = Image.new("RGB", (curves.width, curves.height + height), PAPER)
    picture.paste(curves, (0, 0))
    picture.paste(strips, (0, curves.height))
    return picture


def _curve(log: Sequence[Mapping[str, Any]], name: str) -> list[tuple[int, float]]:
    """(step, value), each value a mean of those before it."""
    keep = 1 - 1 / max(1.0, SMOOTH * len(log))
    total = weight = 0.0
    points = []
    for step, value in _points(log, name):
        total, weight = keep * total + value, keep * weight + 1
        points.append((step, total / weight))
    return _thinned(points)


def _points(log: Sequence[Mapping[str, Any]], name: str) -> list[tuple[int, float]]:
    """(step, value) of the steps that have a finite one."""
    return [(entry["step"], entry[name]) for entry in log
            if isinstance(entry.get(name), (int, float)) and math.isfinite(entry[name])]


def _thinned(items: Sequence[Any]) -> list[Any]:
    """Evenly spaced ones, the last among them."""
    step = max(1, math.ceil(len(items) / MOST_POINTS))
    return [*items[:-1:step], *items[-1:]]


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """Whole powers of ten below and above the values, at most six."""
    logs = [math.log10(max(value, LOWEST)) for value in values] or [0.0]
    high = math.ceil(max(logs) + 1e-9)
    return max(min(math.floor(min(logs)), high - 1), high - 6), high


def _label(name: str, log: Sequence[Mapping[str, Any]]) -> str:
    return f"{name} {log[-1][name]:.3g}"
