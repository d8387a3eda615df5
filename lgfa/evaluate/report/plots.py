"""The report's plots: metrics, accuracy, confusions, curves over time, paths in W+.

Drawn with matplotlib's objects alone: no window, no global state. Colours are those that people
who see no red or no green tell apart (Okabe and Ito); line styles and markers repeat what they say.
"""
from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...files import atomic_path
from ...optional import package

FOLDER = "plots"
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#28282F", "#8C783C")
STYLES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)))
MARKERS = "os^DvPX"
INK, FAINT = "#28282F", "#D4D6DE"
DPI = 100
WIDTH = 11.0                                # inches: 1100 px, read well in a README

# What is drawn of a report's metrics, in this order, as far as it has them.
IMPORTANT = (
    "recognised", "progress", "direction", "clip_score_last", "fd_toon", "fid_inception",
    "fvd_toon", "acd_toon", "acd_irse50", "acd_inceptionresnet", "identity_last", "jerk_pixels",
    "jerk_w", "step_pixels", "leak_hair", "leak_skin",
)
MOST_PANELS = 12
WAYS = {"higher": " \N{RIGHTWARDS ARROW} better", "lower": " \N{LEFTWARDS ARROW} better"}
CURVES = {                                  # of metrics.registry.curves -> title of its panel
    "probability": "probability of the asked expression",
    "progress": "progress towards the expression",
    "identity": "identity distance to the still",
    "clip": "CLIP score of frame and sentence",
}


def ready() -> None:
    """LGFAError when matplotlib is missing: to be called before hours of work, not after."""
    package("matplotlib")


def write_all(
    report: Mapping[str, Any],              # what report.json holds
    folder: str | Path,                     # the report's; plots lie in its folder "plots"
) -> list[Path]:
    """Every plot that the report has figures for, as PNG; older ones without figures go."""
    ready()
    paths = []
    for name, (_, draw) in PLOTS.items():
        path = Path(folder) / FOLDER / f"{name}.png"
        figure = draw(report)
        if figure is None:
            path.unlink(missing_ok=True)
            continue
        memory = io.BytesIO()               # given a file, Pillow hides why it cannot write
        figure.savefig(memory, dpi=DPI, facecolor="white", bbox_inches="tight",
                       pad_inches=0.15, metadata={"Software": None})
        with atomic_path(path) as target:
            target.write_bytes(memory.getvalue())
        paths.append(path)
    return paths


def shown(report: Mapping[str, Any]) -> dict[str, Any]:
    """The methods of the main comparison, `report["main"]`, in its order; else all."""
    methods = report.get("methods") or {}
    names = [name for name in report.get("main") or () if name in methods]
    return {name: methods[name] for name in names or methods}


def finite(value: Any) -> bool:
    """Is it a number that can be drawn?"""
    return isinstance(value, (int, float)) and math.isfinite(value)


# ---------------------------------------------------------------- metrics

def metrics(report: Mapping[str, Any]) -> Any:
    """A panel for each metric: a bar for each method, its bootstrap interval, its value."""
    methods = shown(report)
    names = [name for name in IMPORTANT
             if any(_interval(method, name) for method in methods.values())][:MOST_PANELS]
    if not names:
        return None
    columns = min(len(names), 3 if len(names) <= 6 else 4)
    figure, axes = _grid(len(names), columns, 0.85 + 0.27 * len(methods))
    for i, (name, ax) in enumerate(zip(names, axes, strict=False)):
        about = (report.get("metrics") or {}).get(name, {})
        ax.set_title(name + WAYS.get(about.get("better", ""), ""), fontsize=9.5, color=INK)
        _bars(ax, [_interval(method, name) for method in methods.values()])
        ax.set_yticks(range(len(methods)), list(methods) if i % columns == 0 else [])
        ax.set_ylim(len(methods) - 0.4, -0.6)
    return figure


def _interval(method: Mapping[str, Any], name: str) -> tuple[float, float, float] | None:
    """(value, low, high) of a metric; the ends are the value where there are none."""
    found = (method.get("metrics") or {}).get(name)
    values = list(found) if isinstance(found, (list, tuple)) else [found]
    if not values or not finite(values[0]):
        return None
    ends = values[1:3] if len(values) >= 3 and all(map(finite, values[1:3])) else values[:1] * 2
    return values[0], ends[0], ends[1]


def _bars(ax: Any, intervals: Sequence[tuple[float, float, float] | None]) -> None:
    """Horizontal bars from 0; None leaves its row empty."""
    most = max((abs(end) for found in intervals if found for end in found), default=1.0) or 1.0
    low = min((found[1] for found in intervals if found), default=0.0)
    for row, found in enumerate(intervals):
        if found is None:
            ax.text(0.02 * most, row, "not measured", va="center", fontsize=8, color="#777777")
            continue
        value, left, right = found
        ax.barh(row, value, height=0.66, color=COLORS[row % len(COLORS)])
        ax.plot([left, right], [row, row], color=INK, linewidth=1.4, marker="|", markersize=6)
        ax.text(max(value, right, 0) + 0.03 * most, row, f"{value:#.3g}".rstrip("."), va="center",
                fontsize=8.5)
    ax.set_xlim(1.08 * min(low, 0), 1.3 * most)
    ax.axvline(0, color=INK, linewidth=0.8)
    _calm(ax, "x")


# ---------------------------------------------------------------- matrices

def accuracy(report: Mapping[str, Any]) -> Any:
    """Methods x expressions: the share of clips in which the asked expression is seen."""
    methods = {name: method["accuracy"] for name, method in shown(report).items()
               if method.get("accuracy")}
    words = list(dict.fromkeys(word for row in methods.values() for word in row))
    if not words:
        return None
    rows = []
    for row in methods.values():
        values = [row.get(word, math.nan) for word in words]
        known = [value for value in values if finite(value)]
        rows.append([*values, sum(known) / len(known) if known else math.nan])
    return _matrix(rows, list(methods), [*words, "mean"], divide=len(words))


def seen_as(report: Mapping[str, Any]) -> Any:
    """Asked against seen, of the first method of the comparison that has it."""
    name, counts = next(((name, method["seen_as"]) for name, method in shown(report).items()
                         if method.get("seen_as")), ("", []))
    if not counts:
        return None
    from ...toon.parameters import EXPRESSION_NAMES

    seen = list(EXPRESSION_NAMES) if len(counts[0]) == len(EXPRESSION_NAMES) else \
        [str(i) for i in range(len(counts[0]))]
    asked = seen if len(counts) == len(seen) else [str(i) for i in range(len(counts))]
    rows = {asked[i]: [value / sum(row) for value in row]
            for i, row in enumerate(counts) if sum(row) > 0}
    if not rows:
        return None
    return _matrix(list(rows.values()), list(rows), seen, title=f"{name}: asked (rows), seen "
                   "(columns)", blank_zeros=True)


def _matrix(
    rows: Sequence[Sequence[float]],        # shares 0..1
    names: Sequence[str],                   # of the rows
    words: Sequence[str],                   # of the columns
    title: str = "",
    divide: int | None = None,              # a white line before this column
    blank_zeros: bool = False,              # leave shares of exactly 0 without a number
) -> Any:
    """A heat map with its percentages."""
    width = min(WIDTH, 2.2 + 0.6 * len(words))
    figure = _figure(width, 1.4 + 0.36 * len(rows))
    ax = figure.add_subplot()
    colors = package("matplotlib").colormaps["Blues"].with_extremes(bad="#EEEEEE")
    ax.imshow([[v if finite(v) else math.nan for v in row] for row in rows],
              cmap=colors, vmin=0, vmax=1, aspect="auto")
    for y, row in enumerate(rows):
        for x, value in enumerate(row):
            text = "-" if not finite(value) else f"{100 * value:.0f}"
            if not (blank_zeros and value == 0):
                ink = "white" if finite(value) and value > 0.6 else INK
                ax.text(x, y, text, ha="center", va="center", fontsize=9, color=ink)
    if divide is not None:
        ax.axvline(divide - 0.5, color="white", linewidth=4)
    ax.set_yticks(range(len(names)), names, fontsize=9)
    ax.set_xticks(range(len(words)), words, fontsize=9, rotation=35, ha="left",
                  rotation_mode="anchor")
    ax.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    ax.spines[:].set_visible(False)
    if title:
        figure.suptitle(title, fontsize=10, color=INK)
    return figure


# ---------------------------------------------------------------- over time

def curves(report: Mapping[str, Any]) -> Any:
    """A panel for each figure over the frames: mean and 95% band, one line a method."""
    methods = shown(report)
    names = [name for name in CURVES
             if any(_curve(method, name) for method in methods.values())]
    if not names:
        return None
    figure, axes = _grid(len(names), min(len(names), 2 if len(names) == 4 else 3), 2.9)
    lines: dict[str, Any] = {}
    for name, ax in zip(names, axes, strict=False):
        for i, (label, method) in enumerate(methods.items()):
            found = _curve(method, name)
            if not found:
                continue
            style = dict(color=COLORS[i % len(COLORS)], linestyle=STYLES[i // len(COLORS) % 3])
            frames = range(1, len(found["mean"]) + 1)
            banded = len(found.get("low", ())) == len(found.get("high", ())) == len(frames)
            if banded and len(methods) <= len(COLORS):      # more bands hide each other
                ax.fill_between(frames, found["low"], found["high"], alpha=0.18, linewidth=0,
                                color=style["color"])
            lines[label], = ax.plot(frames, found["mean"], linewidth=2, **style)
        ax.set_title(CURVES[name], fontsize=9.5, color=INK)
        ax.set_xlabel("frame", fontsize=9)
        ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
        _calm(ax, "both")
        ax.xaxis.get_major_locator().set_params(integer=True)
    _legend(figure, lines)
    return figure


def _curve(method: Mapping[str, Any], name: str) -> Mapping[str, Sequence[float]] | None:
    found = (method.get("curves") or {}).get(name)
    return found if found and found.get("mean") and all(map(finite, found["mean"])) else None


# ---------------------------------------------------------------- paths

def paths(report: Mapping[str, Any]) -> Any:
    """A panel for each method, axes shared: paths from the still, one colour and marker for each
    expression, thin for a clip, thick for the mean of the clips."""
    methods = {name: kept for name, method in shown(report).items()
               if (kept := {word: clips for word, clips in (method.get("paths") or {}).items()
                            if clips})}
    if not methods:
        return None
    words = list(dict.fromkeys(word for each in methods.values() for word in each))
    figure, axes = _grid(len(methods), min(len(methods), 3), 3.4)
    lines: dict[str, Any] = {}
    for (name, each), ax in zip(methods.items(), axes, strict=False):
        for word, clips in each.items():
            i = words.index(word)
            style = dict(color=COLORS[i % 7], linestyle=STYLES[i // 7 % 3])
            moved = [[(x - clip[0][0], y - clip[0][1]) for x, y in clip] for clip in clips]
            for clip in moved:
                ax.plot(*zip(*clip, strict=True), color=style["color"], linewidth=0.8, alpha=0.3)
            mean = [[sum(at) / len(at) for at in zip(*points, strict=True)]
                    for points in zip(*moved, strict=False)]
            lines[word], = ax.plot(*zip(*mean, strict=True), linewidth=1.8, markersize=5.5,
                                   marker=MARKERS[i % len(MARKERS)], markevery=[-1],
                                   markerfacecolor="white" if i // 7 % 2 else None, **style)
        ax.plot([0], [0], marker="o", color=INK, markersize=5, zorder=9)
        ax.set_title(name, fontsize=10, color=INK)
        _calm(ax, "both")
    _share(axes[:len(methods)])
    _legend(figure, lines, most=7)
    return figure


def _share(axes: Sequence[Any]) -> None:
    """One range for all panels, so that lengths can be compared."""
    for get, set_ in (("get_xlim", "set_xlim"), ("get_ylim", "set_ylim")):
        ends = [getattr(ax, get)() for ax in axes]
        for ax in axes:
            getattr(ax, set_)(min(low for low, _ in ends), max(high for _, high in ends))


# ---------------------------------------------------------------- drawing

def _figure(width: float, height: float) -> Any:
    """An empty figure of that many inches."""
    package("matplotlib.backends.backend_agg")
    return package("matplotlib.figure").Figure(figsize=(width, height), layout="constrained")


def _grid(count: int, columns: int, height: float) -> tuple[Any, list[Any]]:
    """A figure and `count` axes in rows of `columns`, each `height` inches high."""
    rows = -(-count // columns)
    figure = _figure(WIDTH if columns > 1 else WIDTH * 0.6, rows * height)
    return figure, [figure.add_subplot(rows, columns, i + 1) for i in range(count)]


def _calm(ax: Any, grid: str) -> None:
    """Few lines around what is drawn."""
    ax.grid(axis=grid, color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8.5, colors=INK)
    ax.locator_params(axis="x", nbins=5)


def _legend(figure: Any, lines: Mapping[str, Any], most: int = 6) -> None:
    """All names in rows below the panels."""
    figure.legend(list(lines.values()), list(lines), loc="outside lower center", frameon=False,
                  ncols=min(most, len(lines)), fontsize=9, handlelength=2.8)


Draw = Callable[[Mapping[str, Any]], Any]

#: file name -> (what it shows, how it is drawn)
PLOTS: dict[str, tuple[str, Draw]] = {
    "metrics": ("Metrics with bootstrap 95% intervals; the arrow points to the better side.",
                metrics),
    "accuracy": ("How often (%) the asked expression is seen in the last frame by the independent "
                 "attribute network.", accuracy),
    "seen_as": ("What is seen (%) where an expression was asked for.", seen_as),
    "curves": ("Frame by frame: means over all clips with 95% bands.", curves),
    "paths": ("Paths in W+ from the still (black dot), in the plane of two principal directions "
              "that all methods share: thin for a clip, thick for the mean of the clips drawn.",
              paths),
}
