"""What expressions move in a toon face: mouth, eyes, brows, tears; and the nose between them."""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .canvas import (
    EYE_Y,
    MOUTH_Y,
    NOSE_Y,
    WHITE,
    Face,
    Window,
    capsule,
    circle,
    ellipse,
    rounded_box,
)
from .parameters import IRIS


def paint_nose(f: Face) -> None:
    """A small button: the lower arc of a circle and a dab of light."""
    w = f.window(-0.16, 0.16, 0.12, 0.38)
    r = 0.042 + 0.024 * f["nose"]
    x, y = w.x, w.y - NOSE_Y
    arc = torch.maximum(circle(x, y, r).abs() - 0.013, 0.15 * r - y)
    w.paint(w.cover(circle(x, y + 0.01, r * 0.9)) * 0.35, f.skin * 0.9)
    w.paint(w.cover(circle(x + 0.012, y + 0.022, 0.016)) * 0.5, f.skin * 0.4 + 0.6)
    w.paint(w.cover(arc) * 0.85, f.line)


# ---- mouth


class _Mouth(NamedTuple):
    """A bent centre line that opens up and down; all [B, h, w] but the first."""

    half: Tensor                            # half of its width, [B, 1, 1]
    height: Tensor                          # of the opening in its middle, [B, 1, 1]
    arch: Tensor                            # 0 at the corners, 1 in the middle
    center: Tensor                          # y of the line
    top: Tensor                             # y of the opening's edges
    bottom: Tensor
    distance: Tensor                        # to the opening


def paint_mouth(f: Face) -> None:
    """Lips and line, then what is inside, then a tongue that is out."""
    w = f.window(-0.48, 0.48, 0.24, 0.74)
    mouth = _mouth(f, w)
    _lips(f, w, mouth)
    _inside(f, w, mouth)
    _tongue_out(f, w, mouth)


def _mouth(f: Face, w: Window) -> _Mouth:
    half = 0.225 + 0.095 * f["mouth_width"]
    curve, opened = f["curve"], f["open"]
    u = w.x / half
    uc = u.clamp(-1, 1)
    bow = (1 - uc * uc).clamp(min=1e-4)
    arch = bow.sqrt()
    center = MOUTH_Y + 0.02 * opened + curve * 0.165 * (0.42 - uc * uc) * (half / 0.225) ** 0.6
    center = center + f["wave"] * 0.032 * torch.sin(uc * 9.0)

    # the opening's share above and below the line: a smile opens downwards, a frown upwards
    height, share = opened * 0.235, 0.5 - 0.36 * curve
    top, bottom = center - height * share * arch, center + height * (1 - share) * arch
    slope = (1 + (curve * 0.33 * uc / half) ** 2).rsqrt()
    distance = ((w.y - (top + bottom) / 2).abs() - (bottom - top) / 2) * slope
    distance = torch.maximum(distance, (u.abs() - 1) * half)
    return _Mouth(half, height, arch, center, top, bottom, distance)


def _lips(f: Face, w: Window, mouth: _Mouth) -> None:
    """Pouting lips with an outline, or the line alone."""
    lip, distance = f["lip"], mouth.distance
    rose = torch.tensor((0.88, 0.27, 0.32), device=f.params.device)
    lips = f.skin * 0.40 + rose * 0.60
    pucker = 0.004 + 0.072 * lip * mouth.arch
    w.paint(w.cover(distance - pucker - 0.016) * (lip > 0.02), lips * 0.50)
    w.paint(w.cover(distance - pucker) * (lip > 0.02), lips)
    w.paint(w.cover(distance - 0.021) * (1 - lip), f.line)
    w.paint(w.cover(distance - 0.008) * lip, lips * 0.40)


def _inside(f: Face, w: Window, mouth: _Mouth) -> None:
    """A dark red, the tongue at the bottom, teeth at the top."""
    curve, opened = f["curve"], f["open"]
    inside = w.cover(mouth.distance + 0.006) * (opened > 0.02)
    w.paint(inside, (0.44, 0.09, 0.14))
    tongue = ellipse(w.x, w.y - mouth.bottom + 0.005, mouth.half * 0.60, 0.105 * opened + 0.012)
    w.paint(w.cover(tongue) * inside, (0.95, 0.48, 0.50))

    # teeth follow the upper lip of a smile, less that of a frown, and not that of a round mouth
    bent = torch.where(curve > 0, curve * 1.7, -0.75 * curve).clamp(max=1)
    show = bent * (opened * 2.2).clamp(max=1)
    teeth = w.y - mouth.top - 0.062 * show
    w.paint(w.cover(teeth) * inside * (show > 0.02), WHITE)


def _tongue_out(f: Face, w: Window, mouth: _Mouth) -> None:
    """Over the lower lip, with an outline and a groove."""
    out = f["tongue"]
    if not bool((out > 0.02).any()):
        return
    tip = 0.03 + 0.10 * out
    middle = mouth.center - mouth.height * 0.1
    blade = rounded_box(w.x, w.y - MOUTH_Y - 0.02 - tip, mouth.half * 0.46, tip, 0.085)
    blade = torch.maximum(blade, middle - w.y)
    w.paint(w.cover(blade - 0.018) * (out * 4).clamp(max=1), (0.55, 0.14, 0.20))
    w.paint(w.cover(blade) * (out * 4).clamp(max=1), (0.97, 0.52, 0.55))
    groove = capsule(w.x, w.y, 0, 0.46, 0, 0.47 + 0.10 * out, 0.008)
    w.paint(w.cover(groove) * (out * 4 - 1).clamp(0, 1) * 0.8, (0.80, 0.33, 0.40))


# ---- eyes


class _Eye(NamedTuple):
    """One eye between its lids; all [B, h, w] but the first two."""

    side: int                               # -1 left of the picture, 1 right
    hang: Tensor                            # how far the line of closed lids sags, [B, 1, 1]
    x: Tensor                               # from the eye's centre
    y: Tensor
    meet: Tensor                            # y of the line on which the lids meet
    top: Tensor                             # y of the lids' edges
    bottom: Tensor
    slope: Tensor                           # cosine of the edges' slope
    inside: Tensor                          # coverage of the eyeball, 0..1


def paint_eyes(f: Face) -> None:
    """Each eye: white, iris with two lights, lids as thick lines that close into an arc."""
    iris = f.colours("iris", IRIS)
    for side, name in ((-1, "lid_left"), (1, "lid_right")):
        left, right = sorted((side * 0.06, side * 0.50))
        w = f.window(left, right, -0.20, 0.34)
        eye = _eye(f, w, side, f[name])
        w.paint(eye.inside, (1.0, 1.0, 0.99))
        _iris(f, w, eye, iris)
        _lids(f, w, eye)


def _eye(
    f: Face,
    w: Window,
    side: int,                              # -1 left of the picture, 1 right
    lid: Tensor,                            # [B, 1, 1]: closed 0, relaxed 1, wide 1.3
) -> _Eye:
    happy, r = f["happy_lids"], f.eye_r
    x, y = w.x - side * f.eye_x, w.y - EYE_Y
    u = x / r
    uc = u.clamp(-1, 1)
    arch = (1 - uc * uc).clamp(min=1e-4).sqrt()
    closed = (1 - lid).clamp(0, 1)

    # the line the lids meet on: hanging when asleep, arched when laughing
    hang = closed * r * 0.50 * (1 - 2 * happy)
    meet = hang * (0.9 * (1 - uc * uc) - 0.4)
    tall = r * 1.18 * lid
    top, bottom = meet - tall * arch, meet + tall * arch * (0.95 - 0.45 * happy)
    slope = (1 + (lid.clamp(max=1.2) * 1.18 * uc / arch.clamp(min=0.35)) ** 2).rsqrt()
    distance = ((y - (top + bottom) / 2).abs() - (bottom - top) / 2) * slope
    distance = torch.maximum(distance, (u.abs() - 1) * r)
    inside = w.cover(distance) * (lid > 0.03)
    return _Eye(side, hang, x, y, meet, top, bottom, slope, inside)


def _iris(
    f: Face,
    w: Window,
    eye: _Eye,
    colour: Tensor,                         # [B, 3]
) -> None:
    """Iris with a darker rim, pupil, two lights."""
    r = f.eye_r
    x = eye.x - f["gaze_x"] * r * 0.34
    y = eye.y - f["gaze_y"] * r * 0.32 - eye.meet * 0.5
    ring = r * 0.74
    w.paint(w.cover(circle(x, y, ring)) * eye.inside, colour * 0.55)
    shade = (0.95 + 0.9 * (y / ring).clamp(-1, 1) * 0.5)[:, None]
    shaded = (colour.view(-1, 3, 1, 1) * shade + 0.06).clamp(0, 1)
    w.paint(w.cover(circle(x, y, ring - 0.018)) * eye.inside, shaded)
    w.paint(w.cover(circle(x, y, ring * 0.52)) * eye.inside, (0.05, 0.04, 0.07))
    light = circle(x + ring * 0.34, y + ring * 0.36, ring * 0.30)
    w.paint(w.cover(light) * eye.inside, WHITE)
    light = circle(x - ring * 0.36, y - ring * 0.40, ring * 0.15)
    w.paint(w.cover(light) * eye.inside * 0.9, WHITE)


def _lids(f: Face, w: Window, eye: _Eye) -> None:
    """The upper lid's shadow on the eyeball, both lids, a lash."""
    r, x, y, u = f.eye_r, eye.x, eye.y, eye.x / f.eye_r
    w.paint(eye.inside * ((eye.top + 0.05 - y) / 0.06).clamp(0, 1) * 0.30, f.line)
    lower = torch.maximum((y - eye.bottom).abs() * eye.slope - 0.008, (u.abs() - 0.92) * r)
    w.paint(w.cover(lower) * 0.8, f.line)
    upper = torch.maximum((y - eye.top).abs() * eye.slope - 0.026, (u.abs() - 1.04) * r)
    w.paint(w.cover(upper), f.line * 0.55)
    at = eye.side * r * 0.98
    lash = capsule(x, y - eye.hang * -0.4, at, 0.0, at + eye.side * 0.055, -0.035, 0.014)
    w.paint(w.cover(lash), f.line * 0.55)


# ---- brows and tears


def paint_brows(f: Face) -> None:
    """Tapered strokes over the hair, so that their line is always readable."""
    raised, angle = f["brow_height"], f["brow_angle"]
    colour = f.hair * 0.42 + f.line * 0.12
    for side in (-1, 1):
        left, right = sorted((side * 0.02, side * 0.54))
        w = f.window(left, right, -0.52, 0.06)
        x, y = w.x - side * f.eye_x, w.y - EYE_Y
        span = 0.185
        u = x / span
        uc = u.clamp(-1, 1)
        line = -0.245 - 0.105 * raised + side * uc * 0.105 * angle + 0.042 * uc * uc
        line = line + 0.035 * (-angle).clamp(min=0)
        thick = (0.020 + 0.018 * f["brow_weight"]) * (1 - 0.40 * side * uc)
        distance = torch.maximum((y - line).abs() - thick, (u.abs() - 1) * span)
        w.paint(w.cover(distance), colour)


def paint_tears(f: Face) -> None:
    """A stream under each eye that grows with the parameter, with a drop at its end."""
    tears = f["tears"]
    if not bool((tears > 0.01).any()):
        return
    w = f.window(-0.48, 0.48, 0.10, 0.72)
    x = w.x.abs() - f.eye_x - 0.02
    start, end = EYE_Y + 0.13, EYE_Y + 0.19 + 0.33 * tears
    stream = rounded_box(x, w.y - (start + end) / 2, 0.030 + 0.022 * tears,
                         (end - start) / 2 + 0.02, 0.03)
    drop = ellipse(x, w.y - end, 0.035 + 0.045 * tears, 0.040 + 0.050 * tears)
    distance = torch.minimum(stream, drop)
    alpha = (tears * 4).clamp(0, 1)
    w.paint(w.cover(distance - 0.016) * alpha, (0.22, 0.48, 0.82))
    w.paint(w.cover(distance) * alpha, (0.58, 0.85, 1.0))
    w.paint(w.cover(circle(x + 0.02, w.y - end + 0.005, 0.018)) * alpha, WHITE)
