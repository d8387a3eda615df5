"""Draw toon faces: a table of parameters [B, K] -> pictures [B, 3, R, R] in -1..1.

Every shape is a signed distance (negative inside), every layer an anti-aliased alpha-over, all
batched torch, on any device, at any resolution, and a pure function of its table. Layers are drawn
inside a window that surely holds them, which makes the drawing about three times as fast as
painting the whole canvas each time. What expressions move is in features.py, what is behind the
face in backdrops.py, what both are drawn with in canvas.py.
"""
from __future__ import annotations

import torch
from torch import Tensor

from .backdrops import paint_backdrop
from .canvas import EYE_Y, WHITE, Face, Window, capsule, circle, ellipse, rounded_box
from .features import paint_brows, paint_eyes, paint_mouth, paint_nose, paint_tears
from .parameters import SHIRT, K

# where freckles are on a cheek
FRECKLES = ((0.27, 0.25), (0.34, 0.29), (0.41, 0.245), (0.34, 0.22))


def render(
    params: Tensor,                         # [B, K], columns as in parameters.PARAMETERS, values
    #                                         inside their ranges
    resolution: int = 256,                  # R
    plain: float | None = None,             # a grey 0..1 in the backdrop's place, to cut faces out
) -> Tensor:
    """Draws a batch of faces: [B, 3, R, R], float32, -1..1, RGB. ValueError for other tables."""
    if params.dim() != 2 or params.shape[1] != K:
        raise ValueError(f"params must be [B, {K}], got {tuple(params.shape)}.")
    face = Face(params.float(), resolution)
    if plain is None:
        paint_backdrop(face)
    else:
        face.image.fill_(plain)
    for layer in LAYERS:
        layer(face)
    return face.image.clamp_(0, 1).mul_(2).sub_(1)


# ---- hair


def _curl(f: Face, w: Window) -> Tensor:
    """Scalloped hair outline: an offset along the angle around the head. [B, h, w]"""
    return 0.030 * f["hair_curl"] * torch.cos(11.0 * torch.atan2(w.x, 0.2 - w.y))


def _back_hair(f: Face) -> None:
    """What hangs behind the head: cap, long sides, bun, pigtails."""
    w = f.window(-1, 1, -1.0, 1.0)
    x, y = w.x, w.y
    length = f["hair_length"]
    broad = f.width + 0.12
    bottom = -0.10 + 1.00 * length

    # cap, cut off at the ears when the hair is short
    cap = torch.maximum(ellipse(x, y + 0.10, broad, 0.74), y - bottom.clamp(min=0.15))

    # long sides: a rounded box from the temples down
    half = (bottom + 0.25).clamp(min=0.1) / 2
    sides = rounded_box(x, y - (bottom - half), broad + 0.03 * length, half, 0.14)
    sides = sides + 9.0 * (bottom < 0.12)
    distance = torch.minimum(cap, sides)

    # bun and pigtails grow out of nothing
    bun, tails = f["bun"], f["tails"]
    distance = torch.minimum(distance, circle(x, y + 0.83, 0.20 * bun - 0.03))
    tail = ellipse(x.abs() - broad - 0.07, y - 0.30, 0.03 + 0.135 * tails, 0.03 + 0.27 * tails)
    distance = torch.minimum(distance, tail + 0.3 * (tails < 0.05))
    w.shape(distance - _curl(f, w), f.hair * 0.80, f.hair_line, 0.024)


def _front_hair(f: Face) -> None:
    """The cap over the forehead: a swept, scalloped fringe with a band of light."""
    w = f.window(-0.95, 0.95, -1.0, 0.30)
    x, y = w.x, w.y
    fringe, sweep = f["hair_fringe"], f["hair_sweep"]
    edge = -0.46 + 0.20 * fringe + 0.15 * sweep * x / 0.5 + (0.62 - 0.22 * fringe) * x * x
    edge = edge - 0.045 * (0.5 + 0.5 * torch.cos(x * 19.0 + 1.0))
    cap = ellipse(x, y + 0.10, f.width + 0.085, 0.72) - _curl(f, w)

    # shadow the fringe throws on the forehead
    below = torch.maximum(ellipse(x, y - 0.05, f.width, 0.66), y - edge - 0.055)
    w.paint(w.cover(below) * 0.25, f.skin * 0.45)
    distance = torch.maximum(cap, (y - edge) * 0.85)
    alpha = w.shape(distance, f.hair, f.hair_line, 0.022)
    band = torch.exp(-(((x + 0.12) / 0.42) ** 4) - ((y + 0.60 - 0.35 * x * x) / 0.050) ** 2)
    w.paint(band * alpha * 0.40, f.hair * 0.45 + 0.55)


# ---- body and head


def _body(f: Face) -> None:
    """Neck with the chin's shadow, shirt with a collar, ears."""
    w = f.window(-0.30, 0.30, 0.45, 1.0)
    neck = rounded_box(w.x, w.y - 0.78, 0.185, 0.28, 0.05)
    w.shape(neck, f.skin * 0.88, f.line, 0.02)
    w.paint(w.cover(ellipse(w.x, w.y - 0.62, 0.24, 0.16)) * w.cover(neck) * 0.35, f.skin * 0.55)

    w = f.window(-0.95, 0.95, 0.72, 1.0, head=False)
    x = w.x - 0.04 * f["shift_x"]
    shirt = f.colours("shirt", SHIRT)
    body = torch.maximum(ellipse(x, w.y - 1.22, 0.86, 0.42), -ellipse(x, w.y - 0.80, 0.20, 0.115))
    w.shape(body, shirt, shirt * 0.45, 0.022)
    collar = ellipse(x, w.y - 0.80, 0.225, 0.14).abs() - 0.022
    w.paint(w.cover(torch.maximum(collar, 0.82 - w.y)), shirt * 0.72)

    w = f.window(-0.85, 0.85, -0.15, 0.35)
    ears = ellipse(w.x.abs() - f.width - 0.005, w.y - 0.10, 0.095, 0.135)
    w.shape(ears, f.skin * 0.94, f.line, 0.02)
    inner = ellipse(w.x.abs() - f.width - 0.02, w.y - 0.10, 0.045, 0.075)
    w.paint(w.cover(inner) * 0.5, f.skin * 0.70)


def _head(f: Face) -> None:
    """The face's egg with soft light from above, blush on the cheeks."""
    w = f.window(-0.75, 0.75, -0.65, 0.80)
    x, y = w.x, w.y
    taper = 1 - (0.15 + 0.10 * f["jaw"]) * (y.clamp(0, 0.7) / 0.7) ** 1.5
    distance = ellipse(x, y - 0.05, f.width * taper, 0.665)
    light = (1.03 - 0.07 * (y + 0.1) - 0.08 * x * x)[:, None]
    alpha = w.shape(distance, f.skin.view(-1, 3, 1, 1) * light, f.line, 0.022)

    # blush: soft ellipses under the eyes, visible on every skin
    glow = torch.exp(-(((x.abs() - 0.37) / 0.13) ** 2 + ((y - 0.285) / 0.085) ** 2) * 1.1)
    rose = f.skin * 0.45 + torch.tensor((0.98, 0.30, 0.34), device=f.skin.device) * 0.55
    w.paint(glow * alpha * (0.12 + 0.80 * f["blush"]), rose)


def _marks(f: Face) -> None:
    """Age: freckles on a child, folds and lines on an elder."""
    age = f["age"]
    child, elder = ((0.25 - age) / 0.15).clamp(0, 1), ((age - 0.65) / 0.2).clamp(0, 1)
    if bool((child > 0).any()):
        w = f.window(-0.50, 0.50, 0.15, 0.38)
        spots = torch.stack([circle(w.x.abs() - x, w.y - y, 0.014) for x, y in FRECKLES]).amin(0)
        w.paint(w.cover(spots) * child * 0.75, f.skin * 0.62)
    if bool((elder > 0).any()):
        w = f.window(-0.60, 0.60, -0.35, 0.62)
        x, y = w.x.abs(), w.y
        # folds beside the mouth, bags under the eyes, lines on the forehead
        fold = capsule(x, y, 0.235, 0.30, 0.335, 0.46, 0.010)
        bag = ellipse(x - f.eye_x, y - EYE_Y - 0.10, 0.13, 0.115).abs() - 0.009
        bag = torch.maximum(bag, EYE_Y + 0.165 - y)
        brow_lines = torch.minimum((y + 0.245 + 0.10 * x * x).abs(), (y + 0.185).abs()) - 0.008
        brow_lines = torch.maximum(brow_lines, x - 0.22)
        lines = torch.minimum(torch.minimum(fold, bag), brow_lines)
        w.paint(w.cover(lines) * elder * 0.8, f.skin * 0.55)


def _glasses(f: Face) -> None:
    """Round glasses: tinted lenses, frame, bridge and arms."""
    worn = f["glasses"]
    if not bool((worn > 0).any()):
        return
    w = f.window(-0.80, 0.80, -0.22, 0.36)
    x, y = w.x.abs(), w.y - EYE_Y - 0.01
    lens = circle(x - f.eye_x - 0.005, y, 0.232)
    w.paint(w.cover(lens) * worn * 0.16, (0.80, 0.93, 1.0))
    glint = torch.maximum(lens + 0.04, (x - f.eye_x + y * 0.6 + 0.10).abs() - 0.02)
    w.paint(w.cover(glint) * worn * 0.25, WHITE)
    bridge = torch.maximum((y + 0.05 - 0.6 * x * x).abs() - 0.016, x - 0.06)
    middle, half = (f.eye_x + 0.235 + f.width) / 2, (f.width - f.eye_x - 0.235).clamp(min=0) / 2
    arm = torch.maximum((y + 0.04).abs() - 0.016, (x - middle).abs() - half)
    frame = torch.minimum(torch.minimum(lens.abs() - 0.020, bridge), arm)
    w.paint(w.cover(frame) * worn, (0.14, 0.12, 0.18))


#: from behind to the front
LAYERS = (_back_hair, _body, _head, _marks, paint_nose, paint_mouth, paint_eyes, _front_hair,
          paint_brows, paint_tears, _glasses)
