"""A report such as an evaluation writes, with invented figures."""
from __future__ import annotations

import math
import random
from typing import Any

WORDS = ("smiling", "laughing", "sad", "crying", "angry", "surprised", "scared", "disgusted",
         "winking", "closing eyes", "pouting", "sleepy", "shouting")
METRICS = {
    "recognised": ("share of clips with the asked expression", "higher", "share", 0.9),
    "progress": ("way to the expression", "higher", "share", 0.8),
    "direction": ("cosine of the change", "higher", "", 0.85),
    "clip_score_last": ("CLIP score of the last frame", "higher", "", 0.31),
    "fd_toon": ("Frechet distance of frames", "lower", "", 14.2),
    "fvd_toon": ("Frechet distance of clips", "lower", "", 120.0),
    "acd_toon": ("average content distance", "lower", "", 0.21),
    "identity_last": ("identity distance of the last frame", "lower", "", 0.08),
    "jerk_pixels": ("mean second difference of pixels", "lower", "1/255", 0.4),
    "jerk_w": ("mean second difference in W+", "lower", "", 0.02),
    "leak_hair": ("change of the hair's colour", "lower", "", 0.01),
    "still_error": ("largest difference of frame 1 and the still", "lower", "", 0.0),
}
MAIN = ("lgfa", "styleclip-opt", "styleclip-mapper", "styleclip-global", "mocogan-hd")


def method(number: int, frames: int, words: tuple[str, ...]) -> dict[str, Any]:
    draw = random.Random(number)
    worse = 1 + 0.35 * number
    metrics = {}
    for name, (_, better, _, value) in METRICS.items():
        value = value / worse if better == "higher" else value * worse
        metrics[name] = [value, 0.94 * value, 1.07 * value]
    way = [i / (frames - 1) for i in range(frames)]
    paths = {}
    for i, word in enumerate(words):
        angle = 2 * math.pi * i / len(words)
        paths[word] = [[[t * math.cos(angle + 0.5 * t + turn) * 8 / worse,
                         t * math.sin(angle + 0.5 * t + turn) * 8 / worse] for t in way]
                       for turn in (draw.uniform(-0.2, 0.2) for _ in range(3))]
    curves = {name: {"mean": mean, "low": [0.95 * v for v in mean],
                     "high": [1.05 * v for v in mean]}
              for name, mean in (("probability", [t**worse / worse for t in way]),
                                 ("progress", [t / worse for t in way]),
                                 ("identity", [0.1 * t * worse for t in way]),
                                 ("clip", [0.2 + 0.1 * t / worse for t in way]))}
    counts = [[0] * 14 for _ in range(14)]
    for row in range(1, 14):
        counts[row][row], counts[row][row % 13 + 1] = 14, 2
    return {"what": f"method number {number}", "texts": "any", "clips": 208, "metrics": metrics,
            "accuracy": {word: max(0.0, 1 - 0.2 * number * draw.random()) for word in words},
            "seen_as": counts, "curves": curves, "paths": paths}


def example(names: tuple[str, ...] = MAIN, frames: int = 16) -> dict[str, Any]:
    """report.json of these methods."""
    methods = {name: method(i, frames, WORDS) for i, name in enumerate(names)}
    rows = [[name, *[methods[name]["metrics"][m] for m in ("fd_toon", "recognised")], 3]
            for name in names]
    return {
        "format": 1, "command": "python -m lgfa evaluate --domain toon --out report/",
        "domain": "toon", "seed": 0, "clips": 208, "frames": frames,
        "minutes": {name: 1.25 for name in names}, "versions": {"lgfa": "0.1.0", "torch": "2.0"},
        "metrics": {name: {"what": what, "better": better, "unit": unit}
                    for name, (what, better, unit, _) in METRICS.items()},
        "main": list(names), "methods": methods,
        "tables": [{"name": "table-1", "title": "Table I", "caption": "As in the paper | ours.",
                    "columns": ["method", "FD (toon)", "recognised", "clips"],
                    "better": [None, "lower", "higher", None], "rows": rows}],
        "bars": [{"what": "recognised", "value": 0.99, "bar": ">= 0.85", "met": True, "note": ""},
                 {"what": "ACD", "value": [0.21, 0.2, 0.22], "bar": "<= 0.1", "met": False,
                  "note": "the identity network is strict"}],
        "findings": ["The ablation does not collapse: 93% are recognised."],
        "strips": [{"file": "strips/main clips.webp", "title": "The person is [smiling]"}],
        "notes": ["One processor."],
    }
