"""The toon face's parameter table: names, ranges, colours, named categories and expressions.

A face is one row of `K` numbers; `INDEX[name]` is its column. Identity parameters say who it is and
what is behind, expression parameters what the face does. Everything else in `lgfa.toon` (drawing,
captions, sampling, measuring) reads this table and nothing but it.
"""
from __future__ import annotations

import torch
from torch import Tensor

from ..drawn.parameters import Parameter, limits

IDENTITY = (
    Parameter("skin", 0, 1, "skin tone, light to dark"),
    Parameter("head_width", -1, 1, "narrow to broad head"),
    Parameter("jaw", -1, 1, "round to pointed chin"),
    Parameter("hair_color", 0, 1, "index into HAIR, spread over 0..1"),
    Parameter("hair_length", 0, 1, "cropped, bob, long"),
    Parameter("hair_fringe", 0, 1, "high forehead to low fringe"),
    Parameter("hair_sweep", -1, 1, "parting to the left or the right"),
    Parameter("hair_curl", 0, 1, "smooth to curly outline"),
    Parameter("bun", 0, 1, "a bun on top"),
    Parameter("tails", 0, 1, "two pigtails"),
    Parameter("eye_size", -1, 1, "small to large eyes"),
    Parameter("eye_gap", -1, 1, "close-set to wide-set eyes"),
    Parameter("iris", 0, 1, "index into IRIS, spread over 0..1"),
    Parameter("brow_weight", 0, 1, "thin to thick brows"),
    Parameter("nose", 0, 1, "small to large nose"),
    Parameter("glasses", 0, 1, "round glasses, 0 or 1"),
    Parameter("age", 0, 1, "freckled child, adult, wrinkled elder"),
    Parameter("shirt", 0, 1, "index into SHIRT, spread over 0..1"),
    Parameter("backdrop", 0, 1, "index into BACKDROP, spread over 0..1"),
)
EXPRESSION = (
    Parameter("curve", -1, 1, "mouth corners down to up"),
    Parameter("open", 0, 1, "closed to wide open mouth"),
    Parameter("mouth_width", -1, 1, "narrow to wide mouth"),
    Parameter("wave", 0, 1, "straight to wobbling lip line"),
    Parameter("lip", 0, 1, "thin to pouting lips"),
    Parameter("tongue", 0, 1, "tongue in to out"),
    Parameter("lid_left", 0, 1.3, "left of the picture: closed 0, relaxed 1, wide 1.3"),
    Parameter("lid_right", 0, 1.3, "right of the picture: closed 0, relaxed 1, wide 1.3"),
    Parameter("happy_lids", 0, 1, "closed lids hang (0) or arch (1); lower lids pushed up"),
    Parameter("brow_height", -1, 1, "brows lowered to raised"),
    Parameter("brow_angle", -1, 1, "inner ends down (angry) to up (sad)"),
    Parameter("gaze_x", -1, 1, "looks left to right of the picture"),
    Parameter("gaze_y", -1, 1, "looks up to down"),
    Parameter("blush", 0, 1, "pale to blushing cheeks"),
    Parameter("tears", 0, 1, "no tears to streams"),
    Parameter("shift_x", -1, 1, "head moved left to right"),
    Parameter("shift_y", -1, 1, "head moved up to down"),
    Parameter("roll", -1, 1, "head tilted, in units of 0.3 rad"),
)
PARAMETERS = IDENTITY + EXPRESSION
NAMES = tuple(p.name for p in PARAMETERS)
INDEX = {name: i for i, name in enumerate(NAMES)}
K = len(NAMES)                              # 37
EXPRESSION_SLICE = slice(len(IDENTITY), K)
POSE = ("shift_x", "shift_y", "roll")       # 0 in the domain: its faces are aligned

# Colours: (name, rgb in 0..1); a parameter in 0..1 walks along them with plateaus.
SKIN = (
    ("fair", (1.00, 0.89, 0.80)),
    ("light", (0.99, 0.81, 0.67)),
    ("tan", (0.90, 0.68, 0.50)),
    ("brown", (0.71, 0.48, 0.34)),
    ("dark", (0.47, 0.31, 0.23)),
)
HAIR = (
    ("black", (0.15, 0.13, 0.17)),
    ("brown", (0.43, 0.25, 0.14)),
    ("red", (0.83, 0.31, 0.13)),
    ("blonde", (0.96, 0.80, 0.38)),
    ("gray", (0.76, 0.76, 0.79)),
    ("blue", (0.29, 0.50, 0.88)),
    ("green", (0.36, 0.71, 0.45)),
    ("pink", (0.95, 0.50, 0.68)),
)
IRIS = (
    ("brown", (0.36, 0.21, 0.11)),
    ("blue", (0.20, 0.45, 0.76)),
    ("green", (0.24, 0.56, 0.30)),
    ("violet", (0.52, 0.33, 0.66)),
)
SHIRT = (
    ("red", (0.86, 0.30, 0.30)),
    ("blue", (0.24, 0.42, 0.74)),
    ("green", (0.30, 0.60, 0.46)),
    ("white", (0.95, 0.94, 0.91)),
    ("charcoal", (0.29, 0.29, 0.34)),
)
# Backdrops: (name, rgb of the top, rgb of the bottom); the drawing adds sun, clouds, rain, ..
BACKDROP = (
    ("sunny", (0.47, 0.76, 0.97), (0.86, 0.95, 0.98)),
    ("cloudy", (0.66, 0.74, 0.81), (0.86, 0.89, 0.91)),
    ("rainy", (0.38, 0.46, 0.57), (0.58, 0.67, 0.74)),
    ("night", (0.11, 0.12, 0.30), (0.27, 0.27, 0.50)),
    ("sunset", (0.62, 0.40, 0.66), (1.00, 0.72, 0.45)),
    ("meadow", (0.80, 0.93, 0.80), (0.55, 0.80, 0.46)),
)

NEUTRAL = {
    "curve": 0.12, "open": 0.0, "mouth_width": 0.0, "wave": 0.0, "lip": 0.0, "tongue": 0.0,
    "lid_left": 1.0, "lid_right": 1.0, "happy_lids": 0.0, "brow_height": 0.0, "brow_angle": 0.0,
    "gaze_x": 0.0, "gaze_y": 0.0, "blush": 0.12, "tears": 0.0,
    "shift_x": 0.0, "shift_y": 0.0, "roll": 0.0,
}

#: what each differs in from the neutral face, which comes first
EXPRESSIONS: dict[str, dict[str, float]] = {
    "neutral": {},
    "smiling": {"curve": 0.95, "mouth_width": 0.5, "blush": 0.5, "brow_height": 0.15},
    "laughing": {"curve": 1.0, "open": 0.9, "mouth_width": 0.6, "lid_left": 0.0, "lid_right": 0.0,
                 "happy_lids": 1.0, "brow_height": 0.5, "blush": 0.6},
    "sad": {"curve": -0.8, "brow_angle": 0.9, "lid_left": 0.75, "lid_right": 0.75, "gaze_y": 0.6,
            "mouth_width": -0.2},
    "crying": {"curve": -0.95, "open": 0.55, "mouth_width": 0.15, "brow_angle": 1.0,
               "lid_left": 0.3, "lid_right": 0.3, "tears": 1.0, "blush": 0.6},
    "angry": {"curve": -0.75, "brow_angle": -1.0, "brow_height": -0.6, "lid_left": 0.8,
              "lid_right": 0.8, "mouth_width": 0.15},
    "surprised": {"curve": 0.0, "open": 0.85, "mouth_width": -0.7, "lid_left": 1.3,
                  "lid_right": 1.3, "brow_height": 1.0},
    "closing eyes": {"lid_left": 0.0, "lid_right": 0.0, "happy_lids": 0.0, "curve": 0.2},
    "winking": {"lid_left": 1.05, "lid_right": 0.0, "happy_lids": 0.8, "curve": 0.75,
                "mouth_width": 0.25, "brow_height": 0.2, "blush": 0.3},
    "pouting": {"curve": -0.35, "lip": 1.0, "mouth_width": -0.8, "brow_angle": -0.45,
                "brow_height": -0.2, "blush": 0.75},
    "disgusted": {"curve": -0.5, "open": 0.3, "tongue": 1.0, "wave": 0.8, "lid_left": 0.5,
                  "lid_right": 0.5, "brow_angle": -0.5, "brow_height": -0.5, "mouth_width": 0.2},
    "sleepy": {"curve": -0.05, "open": 0.35, "mouth_width": -0.45, "lid_left": 0.35,
               "lid_right": 0.35, "brow_height": 0.35, "brow_angle": 0.3},
    "shouting": {"curve": -0.6, "open": 1.0, "mouth_width": 0.5, "brow_angle": -1.0,
                 "brow_height": -0.5, "lid_left": 1.0, "lid_right": 1.0},
    "scared": {"curve": -0.45, "open": 0.25, "wave": 1.0, "mouth_width": 0.45, "lid_left": 1.25,
               "lid_right": 1.25, "brow_angle": 0.9, "brow_height": 0.6},
}
EXPRESSION_NAMES = tuple(EXPRESSIONS)

#: two expressions that one face can show at once
PAIRS = (
    ("smiling", "crying"), ("smiling", "surprised"), ("smiling", "closing eyes"),
    ("smiling", "disgusted"), ("smiling", "sleepy"), ("smiling", "scared"), ("smiling", "angry"),
    ("smiling", "winking"), ("smiling", "sad"),
    ("laughing", "crying"), ("laughing", "winking"),
    ("laughing", "disgusted"), ("laughing", "surprised"),
    ("sad", "angry"), ("sad", "surprised"), ("sad", "closing eyes"), ("sad", "winking"),
    ("sad", "pouting"), ("sad", "disgusted"), ("sad", "sleepy"), ("sad", "scared"),
    ("crying", "angry"), ("crying", "surprised"), ("crying", "closing eyes"),
    ("crying", "pouting"), ("crying", "disgusted"), ("crying", "sleepy"),
    ("crying", "shouting"), ("crying", "scared"),
    ("angry", "surprised"), ("angry", "closing eyes"), ("angry", "winking"), ("angry", "pouting"),
    ("angry", "disgusted"), ("angry", "sleepy"), ("angry", "scared"),
    ("surprised", "winking"), ("surprised", "disgusted"), ("surprised", "scared"),
    ("surprised", "closing eyes"),
    ("closing eyes", "pouting"), ("closing eyes", "disgusted"), ("closing eyes", "shouting"),
    ("closing eyes", "scared"),
    ("winking", "pouting"), ("winking", "disgusted"),
    ("winking", "scared"),
    ("pouting", "sleepy"),
    ("disgusted", "sleepy"), ("disgusted", "scared"), ("disgusted", "shouting"),
    ("shouting", "scared"),
)

#: what a pair has besides, where the rule of `pair_table` would lose one of the two
PAIRED = {
    ("laughing", "crying"): {"curve": 1.0, "open": 0.9, "mouth_width": 0.6},
    ("laughing", "winking"): {"lid_left": 1.05},
}


def expression_table() -> Tensor:
    """Rows that hold the named expressions alone; identity columns are zero. [E, K]"""
    rows = torch.zeros(len(EXPRESSIONS), K)
    for row, change in zip(rows, EXPRESSIONS.values(), strict=True):
        for name, value in {**NEUTRAL, **change}.items():
            row[INDEX[name]] = value
    return rows


def pair_table() -> Tensor:
    """Rows of PAIRS, as those of the expressions: each parameter is that of the expression to
    which it matters more, in shares of what the expression changes most. [P, K]"""
    rows = expression_table()
    low, high = limits(PARAMETERS)
    change = (rows - rows[0]) / (high - low)
    weight = change.abs() / change.abs().amax(1, keepdim=True).clamp(min=1e-6)
    numbers = [[EXPRESSION_NAMES.index(name) for name in pair] for pair in PAIRS]
    one, other = torch.tensor(numbers).unbind(1)
    found = torch.where(weight[one] >= weight[other], rows[one], rows[other])
    for pair, change in PAIRED.items():
        for name, value in change.items():
            found[PAIRS.index(pair), INDEX[name]] = value
    return found
