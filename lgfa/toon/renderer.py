"""Draw toon faces: a table of parameters [B, K] -> pictures [B, 3, R, R] in -1..1.

Every shape is a signed distance (negative inside), every layer an anti-aliased alpha-over, all
batched torch, on any device, at any resolution, and a pure function of its table. Coordinates
run from -1 (left, top) to 1 (right, bottom). Layers are drawn inside a window that surely holds
them, which makes the drawing about three times as fast as painting the whole canvas each time.
"""

from __future__ import annotations

import math

import torch

from . import parameters as tb

WHITE = (1.0, 1.0, 1.0)
EYE_Y, MOUTH_Y, NOSE_Y = 0.06, 0.42, 0.245


def render(
    params: torch.Tensor, resolution: int = 128, plain: float | None = None
) -> torch.Tensor:
    """Draw a batch of faces.

    params: [B, K], columns as in `table.PARAMETERS`, values inside their ranges.
    plain: a grey 0..1 in place of the backdrop, to cut figures out of it.
    Returns [B, 3, resolution, resolution] float32 in -1..1, RGB.
    """
    if params.dim() != 2 or params.shape[1] != tb.K:
        raise ValueError(f"params must be [B, {tb.K}], got {tuple(params.shape)}.")
    face = _Face(params.float(), resolution)
    if plain is None:
        _backdrop(face)
    else:
        face.image.fill_(plain)
    for layer in (_back_hair, _body, _head, _marks, _nose, _mouth, _eyes, _front_hair, _brows,
                  _tears, _glasses):  # fmt: skip
        layer(face)
    return face.image.clamp_(0, 1).mul_(2).sub_(1)


# ----------------------------------------------------------------------------- canvas


class _Face:
    """The canvas, its coordinates and the parameters, shared by all layers."""

    def __init__(self, params: torch.Tensor, resolution: int):
        self.params, self.resolution = params, resolution
        self.batch, device = len(params), params.device
        self.image = torch.empty(self.batch, 3, resolution, resolution, device=device)
        self.px = 2.0 / resolution
        ticks = (torch.arange(resolution, device=device) + 0.5) * self.px - 1
        self.y0, self.x0 = torch.meshgrid(ticks, ticks, indexing="ij")

        # colours that several layers need
        self.skin = tb.palette(params[:, tb.INDEX["skin"]], [c for _, c in tb.SKIN])
        self.hair = tb.palette(params[:, tb.INDEX["hair_color"]], [c for _, c in tb.HAIR])
        self.line = self.skin * 0.28 + 0.02
        self.hair_line = self.hair * 0.48

        # the head's own frame: moved and turned about the neck
        self.posed = bool((params[:, [tb.INDEX[n] for n in tb.POSE]] != 0).any())
        angle = self["roll"] * 0.3
        self.cos, self.sin = torch.cos(angle), torch.sin(angle)
        self.width = 0.60 + 0.045 * self["head_width"]
        self.eye_r = 0.150 + 0.022 * self["eye_size"]
        self.eye_x = 0.262 + 0.024 * self["eye_gap"]

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.params[:, tb.INDEX[name]].view(-1, 1, 1)

    def window(self, left: float, right: float, top: float, bottom: float, head: bool = True):
        """Pixels that hold [left, right] x [top, bottom] of the head's frame (or the picture's)."""
        margin = 0.30 if head and self.posed else 0.0
        return _Window(self, left - margin, right + margin, top - margin, bottom + margin, head)


class _Window:
    """A rectangle of the canvas with coordinates x, y and painting."""

    def __init__(self, face: _Face, left, right, top, bottom, head):
        def index(v):
            return min(max(int(math.floor((v + 1) / face.px)), 0), face.resolution)

        rows, cols = slice(index(top), index(bottom) + 1), slice(index(left), index(right) + 1)
        self.face, self.px = face, face.px
        self.image = face.image[:, :, rows, cols]
        self.x, self.y = face.x0[rows, cols][None], face.y0[rows, cols][None]
        if head and face.posed:
            x = self.x - 0.12 * face["shift_x"]
            y = self.y - 0.08 * face["shift_y"] - 0.75
            self.x = x * face.cos + y * face.sin
            self.y = y * face.cos - x * face.sin + 0.75

    def cover(self, distance: torch.Tensor) -> torch.Tensor:
        """Signed distance -> coverage 0..1, one and a quarter pixels soft."""
        return (0.5 - distance / (1.25 * self.px)).clamp_(0, 1)

    def paint(self, alpha: torch.Tensor, color) -> None:
        """Alpha-over. alpha [B|1, h, w]; color rgb tuple, [B, 3] or [B, 3, h, w]."""
        if not torch.is_tensor(color):
            color = torch.tensor(color, device=self.image.device)
        if color.dim() < 4:
            color = color.view(-1, 3, 1, 1)
        self.image.add_((color - self.image) * alpha[:, None])

    def shape(self, distance, color, outline=None, thickness: float = 0.02) -> torch.Tensor:
        """Outline, then fill; returns the fill's coverage."""
        if outline is not None:
            self.paint(self.cover(distance - thickness), outline)
        alpha = self.cover(distance)
        self.paint(alpha, color)
        return alpha


# ----------------------------------------------------------------------------- distances


def _ellipse(x, y, a, b):
    """First-order distance to an axis-aligned ellipse with half axes a, b."""
    u, v = x / a, y / b
    k0 = (u * u + v * v).sqrt().clamp_(min=1e-4)
    k1 = ((u / a) ** 2 + (v / b) ** 2).sqrt().clamp_(min=1e-4)
    return k0 * (k0 - 1) / k1


def _circle(x, y, r):
    return (x * x + y * y).sqrt() - r


def _capsule(x, y, ax, ay, bx, by, r):
    """Distance to a segment a-b thickened by r."""
    dx, dy = bx - ax, by - ay
    h = (((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)).clamp(0, 1)
    return ((x - ax - h * dx) ** 2 + (y - ay - h * dy) ** 2).sqrt() - r


def _rounded_box(x, y, half_w, half_h, r):
    qx, qy = x.abs() - half_w + r, y.abs() - half_h + r
    outside = (qx.clamp(min=0) ** 2 + qy.clamp(min=0) ** 2).sqrt()
    return outside + torch.maximum(qx, qy).clamp(max=0) - r


# ----------------------------------------------------------------------------- layers


def _backdrop(f: _Face) -> None:
    """Sky gradient and what belongs to the weather: sun, clouds, rain, stars and moon, hills."""
    w = f.window(-1, 1, -1, 1, head=False)
    kinds = tb.category_weights(f.params[:, tb.INDEX["backdrop"]], len(tb.BACKDROP))
    share = {name: kinds[:, i].view(-1, 1, 1) for i, (name, _, _) in enumerate(tb.BACKDROP)}
    device = f.params.device
    top = kinds @ torch.tensor([t for _, t, _ in tb.BACKDROP], device=device)
    bottom = kinds @ torch.tensor([b for _, _, b in tb.BACKDROP], device=device)
    blend = ((w.y + 1) / 2)[:, None]
    f.image[:] = top.view(-1, 3, 1, 1) * (1 - blend) + bottom.view(-1, 3, 1, 1) * blend

    def scene(name, window, distance, color, opacity=1.0):
        if bool((share[name] > 0).any()):
            window.paint(window.cover(distance) * (share[name] * opacity), color)

    # sun with a halo, moon as a crescent
    w = f.window(0.30, 1, -1, -0.30, head=False)
    scene("sunny", w, _circle(w.x - 0.76, w.y + 0.74, 0.26), (1.0, 0.97, 0.75), 0.45)
    scene("sunny", w, _circle(w.x - 0.76, w.y + 0.74, 0.17), (1.0, 0.90, 0.40))
    moon = torch.maximum(
        _circle(w.x - 0.76, w.y + 0.74, 0.16), -_circle(w.x - 0.68, w.y + 0.79, 0.14)
    )
    scene("night", w, moon, (1.0, 0.95, 0.72))
    # stars
    w = f.window(-1, 1, -1, 0.2, head=False)
    stars = ((-0.85, -0.85, 0.030), (-0.62, -0.62, 0.020), (-0.90, -0.42, 0.022),
             (-0.40, -0.92, 0.022), (0.30, -0.93, 0.018), (0.90, -0.35, 0.026),
             (-0.86, -0.05, 0.018), (0.86, 0.02, 0.018))  # fmt: skip
    if bool((share["night"] > 0).any()):
        for x, y, r in stars:
            s = f.window(x - 0.08, x + 0.08, y - 0.08, y + 0.08, head=False)
            scene("night", s, (s.x - x).abs() + (s.y - y).abs() - 1.5 * r, (1.0, 0.98, 0.85))

    # clouds: three discs on a line
    def cloud(cx, cy, size):
        parts = [
            _circle(w.x - cx - dx * size, w.y - cy - dy * size, r * size)
            for dx, dy, r in ((-0.8, 0.1, 0.55), (0.0, -0.2, 0.75), (0.8, 0.08, 0.6))
        ]
        return torch.minimum(torch.minimum(parts[0], parts[1]), parts[2])

    clouds = torch.minimum(cloud(-0.72, -0.66, 0.22), cloud(0.74, -0.42, 0.20))
    scene("cloudy", w, clouds, (0.97, 0.98, 0.99))
    scene("rainy", w, clouds, (0.47, 0.53, 0.61))
    scene("sunset", w, torch.minimum(cloud(-0.78, -0.30, 0.17), cloud(0.82, -0.62, 0.14)),
          (1.0, 0.66, 0.62), 0.8)  # fmt: skip
    # rain: slanted strokes on a lattice, beside the head
    if bool((share["rainy"] > 0).any()):
        w = f.window(-1, 1, -0.35, 1, head=False)
        u, v = (w.x + 0.25 * w.y) / 0.22, w.y / 0.34
        row = torch.remainder(torch.floor(u), 2)
        du = (torch.remainder(u, 1) - 0.5) * 0.22
        dv = (torch.remainder(v + 0.5 * row, 1) - 0.5) * 0.34
        scene("rainy", w, _rounded_box(du, dv, 0.016, 0.085, 0.015), (0.76, 0.87, 0.95), 0.85)
    # setting sun and hills at the horizon
    w = f.window(-1, 1, 0.0, 1, head=False)
    scene("sunset", w, _circle(w.x + 0.80, w.y - 0.42, 0.20), (1.0, 0.90, 0.58))
    hills = torch.minimum(_ellipse(w.x + 0.8, w.y - 1.0, 0.8, 0.62),
                          _ellipse(w.x - 0.8, w.y - 1.05, 0.9, 0.55))  # fmt: skip
    scene("meadow", w, hills, (0.42, 0.70, 0.38))
    scene("sunset", w, hills, (0.46, 0.30, 0.50))


def _curl(f: _Face, x, y):
    """Scalloped hair outline: an offset along the angle around the head."""
    return 0.030 * f["hair_curl"] * torch.cos(11.0 * torch.atan2(x, 0.2 - y))


def _back_hair(f: _Face) -> None:
    """What hangs behind the head: cap, long sides, bun, pigtails."""
    w = f.window(-1, 1, -1.0, 1.0)
    x, y = w.x, w.y
    length = f["hair_length"]
    broad = f.width + 0.12
    bottom = -0.10 + 1.00 * length
    curl = _curl(f, x, y)
    # cap, cut off at the ears when the hair is short
    cap = torch.maximum(_ellipse(x, y + 0.10, broad, 0.74), y - bottom.clamp(min=0.15))
    # long sides: a rounded box from the temples down
    half = (bottom + 0.25).clamp(min=0.1) / 2
    sides = _rounded_box(x, y - (bottom - half), broad + 0.03 * length, half, 0.14)
    sides = sides + 9.0 * (bottom < 0.12)
    distance = torch.minimum(cap, sides)
    # bun and pigtails grow out of nothing
    bun, tails = f["bun"], f["tails"]
    distance = torch.minimum(distance, _circle(x, y + 0.83, 0.20 * bun - 0.03))
    tail = _ellipse(x.abs() - broad - 0.07, y - 0.30, 0.03 + 0.135 * tails, 0.03 + 0.27 * tails)
    distance = torch.minimum(distance, tail + 0.3 * (tails < 0.05))
    w.shape(distance - curl, f.hair * 0.80, f.hair_line, 0.024)


def _body(f: _Face) -> None:
    """Neck with the chin's shadow, shirt with a collar, ears."""
    w = f.window(-0.30, 0.30, 0.45, 1.0)
    neck = _rounded_box(w.x, w.y - 0.78, 0.185, 0.28, 0.05)
    w.shape(neck, f.skin * 0.88, f.line)
    w.paint(w.cover(_ellipse(w.x, w.y - 0.62, 0.24, 0.16)) * w.cover(neck) * 0.35, f.skin * 0.55)
    w = f.window(-0.95, 0.95, 0.72, 1.0, head=False)
    x = w.x - 0.04 * f["shift_x"]
    shirt = tb.palette(f.params[:, tb.INDEX["shirt"]], [c for _, c in tb.SHIRT])
    body = torch.maximum(_ellipse(x, w.y - 1.22, 0.86, 0.42), -_ellipse(x, w.y - 0.80, 0.20, 0.115))
    w.shape(body, shirt, shirt * 0.45, 0.022)
    collar = _ellipse(x, w.y - 0.80, 0.225, 0.14).abs() - 0.022
    w.paint(w.cover(torch.maximum(collar, 0.82 - w.y)), shirt * 0.72)
    w = f.window(-0.85, 0.85, -0.15, 0.35)
    ears = _ellipse(w.x.abs() - f.width - 0.005, w.y - 0.10, 0.095, 0.135)
    w.shape(ears, f.skin * 0.94, f.line)
    inner = _ellipse(w.x.abs() - f.width - 0.02, w.y - 0.10, 0.045, 0.075)
    w.paint(w.cover(inner) * 0.5, f.skin * 0.70)


def _head(f: _Face) -> None:
    """The face's egg with soft light from above, blush on the cheeks."""
    w = f.window(-0.75, 0.75, -0.65, 0.80)
    x, y = w.x, w.y
    taper = 1 - (0.15 + 0.10 * f["jaw"]) * (y.clamp(0, 0.7) / 0.7) ** 1.5
    distance = _ellipse(x, y - 0.05, f.width * taper, 0.665)
    light = (1.03 - 0.07 * (y + 0.1) - 0.08 * x * x)[:, None]
    alpha = w.shape(distance, f.skin.view(-1, 3, 1, 1) * light, f.line, 0.022)
    # blush: soft ellipses under the eyes, visible on every skin
    glow = torch.exp(-(((x.abs() - 0.37) / 0.13) ** 2 + ((y - 0.285) / 0.085) ** 2) * 1.1)
    rose = f.skin * 0.45 + torch.tensor((0.98, 0.30, 0.34), device=f.skin.device) * 0.55
    w.paint(glow * alpha * (0.12 + 0.80 * f["blush"]), rose)


def _marks(f: _Face) -> None:
    """Age: freckles on a child, folds and lines on an elder."""
    age = f["age"]
    child, elder = ((0.25 - age) / 0.15).clamp(0, 1), ((age - 0.65) / 0.2).clamp(0, 1)
    if bool((child > 0).any()):
        w = f.window(-0.50, 0.50, 0.15, 0.38)
        spots = None
        for sx, sy in ((0.27, 0.25), (0.34, 0.29), (0.41, 0.245), (0.34, 0.22)):
            d = _circle(w.x.abs() - sx, w.y - sy, 0.014)
            spots = d if spots is None else torch.minimum(spots, d)
        w.paint(w.cover(spots) * child * 0.75, f.skin * 0.62)
    if bool((elder > 0).any()):
        w = f.window(-0.60, 0.60, -0.35, 0.62)
        x, y = w.x.abs(), w.y
        # folds beside the mouth, bags under the eyes, lines on the forehead
        fold = _capsule(x, y, 0.235, 0.30, 0.335, 0.46, 0.010)
        bag = torch.maximum(_ellipse(x - f.eye_x, y - EYE_Y - 0.10, 0.13, 0.115).abs() - 0.009,
                            EYE_Y + 0.165 - y)  # fmt: skip
        brow_lines = torch.minimum((y + 0.245 + 0.10 * x * x).abs(), (y + 0.185).abs()) - 0.008
        brow_lines = torch.maximum(brow_lines, x - 0.22)
        lines = torch.minimum(torch.minimum(fold, bag), brow_lines)
        w.paint(w.cover(lines) * elder * 0.8, f.skin * 0.55)


def _nose(f: _Face) -> None:
    """A small button: the lower arc of a circle and a dab of light."""
    w = f.window(-0.16, 0.16, 0.12, 0.38)
    r = 0.042 + 0.024 * f["nose"]
    x, y = w.x, w.y - NOSE_Y
    arc = torch.maximum(_circle(x, y, r).abs() - 0.013, 0.15 * r - y)
    w.paint(w.cover(_circle(x, y + 0.01, r * 0.9)) * 0.35, f.skin * 0.9)
    w.paint(w.cover(_circle(x + 0.012, y + 0.022, 0.016)) * 0.5, f.skin * 0.4 + 0.6)
    w.paint(w.cover(arc) * 0.85, f.line)


def _mouth(f: _Face) -> None:
    """A bent centre line that opens up and down; lips, teeth and tongue."""
    w = f.window(-0.48, 0.48, 0.24, 0.74)
    half = 0.225 + 0.095 * f["mouth_width"]
    curve, opened, lip, out = f["curve"], f["open"], f["lip"], f["tongue"]
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
    # lips, line, inside
    device = f.params.device
    lips = f.skin * 0.40 + torch.tensor((0.88, 0.27, 0.32), device=device) * 0.60
    pucker = 0.004 + 0.072 * lip * arch
    w.paint(w.cover(distance - pucker - 0.016) * (lip > 0.02), lips * 0.50)
    w.paint(w.cover(distance - pucker) * (lip > 0.02), lips)
    w.paint(w.cover(distance - 0.021) * (1 - lip), f.line)
    w.paint(w.cover(distance - 0.008) * lip, lips * 0.40)
    inside = w.cover(distance + 0.006) * (opened > 0.02)
    w.paint(inside, (0.44, 0.09, 0.14))
    tongue = _ellipse(w.x, w.y - bottom + 0.005, half * 0.60, 0.105 * opened + 0.012)
    w.paint(w.cover(tongue) * inside, (0.95, 0.48, 0.50))
    # teeth follow the upper lip of a smile, less that of a frown, and not that of a round mouth
    bent = torch.where(curve > 0, curve * 1.7, -0.75 * curve).clamp(max=1)
    show = bent * (opened * 2.2).clamp(max=1)
    teeth = w.y - top - 0.062 * show
    w.paint(w.cover(teeth) * inside * (show > 0.02), WHITE)
    # tongue out, over the lower lip
    if bool((out > 0.02).any()):
        tip = 0.03 + 0.10 * out
        middle = center - height * 0.1
        blade = _rounded_box(w.x, w.y - MOUTH_Y - 0.02 - tip, half * 0.46, tip, 0.085)
        blade = torch.maximum(blade, middle - w.y)
        w.paint(w.cover(blade - 0.018) * (out * 4).clamp(max=1), (0.55, 0.14, 0.20))
        w.paint(w.cover(blade) * (out * 4).clamp(max=1), (0.97, 0.52, 0.55))
        groove = _capsule(w.x, w.y, 0, 0.46, 0, 0.47 + 0.10 * out, 0.008)
        w.paint(w.cover(groove) * (out * 4 - 1).clamp(0, 1) * 0.8, (0.80, 0.33, 0.40))


def _eyes(f: _Face) -> None:
    """Each eye: white, iris with two lights, lids as thick lines that close into an arc."""
    iris = tb.palette(f.params[:, tb.INDEX["iris"]], [c for _, c in tb.IRIS])
    happy, r = f["happy_lids"], f.eye_r
    for side, name in ((-1, "lid_left"), (1, "lid_right")):
        left, right = sorted((side * 0.06, side * 0.50))
        w = f.window(left, right, -0.20, 0.34)
        lid = f[name]
        x, y = w.x - side * f.eye_x, w.y - EYE_Y
        u = x / r
        uc = u.clamp(-1, 1)
        arch = (1 - uc * uc).clamp(min=1e-4).sqrt()
        closed = (1 - lid).clamp(0, 1)
        # the line the lids meet on: hanging when asleep, arched when laughing
        meet = closed * r * 0.50 * (1 - 2 * happy) * (0.9 * (1 - uc * uc) - 0.4)
        tall = r * 1.18 * lid
        top, bottom = meet - tall * arch, meet + tall * arch * (0.95 - 0.45 * happy)
        slope = (1 + (lid.clamp(max=1.2) * 1.18 * uc / arch.clamp(min=0.35)) ** 2).rsqrt()
        distance = ((y - (top + bottom) / 2).abs() - (bottom - top) / 2) * slope
        distance = torch.maximum(distance, (u.abs() - 1) * r)
        inside = w.cover(distance) * (lid > 0.03)
        w.paint(inside, (1.0, 1.0, 0.99))
        # iris, pupil, lights
        ix, iy = x - f["gaze_x"] * r * 0.34, y - f["gaze_y"] * r * 0.32 - meet * 0.5
        ring = r * 0.74
        w.paint(w.cover(_circle(ix, iy, ring)) * inside, iris * 0.55)
        shade = (0.95 + 0.9 * (iy / ring).clamp(-1, 1) * 0.5)[:, None]
        color = (iris.view(-1, 3, 1, 1) * shade + 0.06).clamp(0, 1)
        w.paint(w.cover(_circle(ix, iy, ring - 0.018)) * inside, color)
        w.paint(w.cover(_circle(ix, iy, ring * 0.52)) * inside, (0.05, 0.04, 0.07))
        w.paint(w.cover(_circle(ix + ring * 0.34, iy + ring * 0.36, ring * 0.30)) * inside, WHITE)
        w.paint(
            w.cover(_circle(ix - ring * 0.36, iy - ring * 0.40, ring * 0.15)) * inside * 0.9, WHITE
        )
        # shadow of the upper lid on the eyeball, lids, a lash
        w.paint(inside * ((top + 0.05 - y) / 0.06).clamp(0, 1) * 0.30, f.line)
        lower = torch.maximum((y - bottom).abs() * slope - 0.008, (u.abs() - 0.92) * r)
        w.paint(w.cover(lower) * 0.8, f.line)
        upper = torch.maximum((y - top).abs() * slope - 0.026, (u.abs() - 1.04) * r)
        w.paint(w.cover(upper), f.line * 0.55)
        at = side * r * 0.98
        end = meet * 0 + closed * r * 0.50 * (1 - 2 * happy) * -0.4
        lash = _capsule(x, y - end, at, 0.0, at + side * 0.055, -0.035, 0.014)
        w.paint(w.cover(lash), f.line * 0.55)


def _front_hair(f: _Face) -> None:
    """The cap over the forehead: a swept, scalloped fringe with a band of light."""
    w = f.window(-0.95, 0.95, -1.0, 0.30)
    x, y = w.x, w.y
    fringe, sweep = f["hair_fringe"], f["hair_sweep"]
    edge = -0.46 + 0.20 * fringe + 0.15 * sweep * x / 0.5 + (0.62 - 0.22 * fringe) * x * x
    edge = edge - 0.045 * (0.5 + 0.5 * torch.cos(x * 19.0 + 1.0))
    cap = _ellipse(x, y + 0.10, f.width + 0.085, 0.72) - _curl(f, x, y)
    # shadow the fringe throws on the forehead
    below = torch.maximum(_ellipse(x, y - 0.05, f.width, 0.66), y - edge - 0.055)
    w.paint(w.cover(below) * 0.25, f.skin * 0.45)
    distance = torch.maximum(cap, (y - edge) * 0.85)
    alpha = w.shape(distance, f.hair, f.hair_line, 0.022)
    band = torch.exp(-(((x + 0.12) / 0.42) ** 4) - ((y + 0.60 - 0.35 * x * x) / 0.050) ** 2)
    w.paint(band * alpha * 0.40, f.hair * 0.45 + 0.55)


def _brows(f: _Face) -> None:
    """Tapered strokes over the hair, so that their line is always readable."""
    raise_, angle = f["brow_height"], f["brow_angle"]
    color = f.hair * 0.42 + f.line * 0.12
    for side in (-1, 1):
        left, right = sorted((side * 0.02, side * 0.54))
        w = f.window(left, right, -0.52, 0.06)
        x, y = w.x - side * f.eye_x, w.y - EYE_Y
        span = 0.185
        u = x / span
        uc = u.clamp(-1, 1)
        line = -0.245 - 0.105 * raise_ + side * uc * 0.105 * angle + 0.042 * uc * uc
        line = line + 0.035 * (-angle).clamp(min=0)
        thick = (0.020 + 0.018 * f["brow_weight"]) * (1 - 0.40 * side * uc)
        distance = torch.maximum((y - line).abs() - thick, (u.abs() - 1) * span)
        w.paint(w.cover(distance), color)


def _tears(f: _Face) -> None:
    """A stream under each eye that grows with the parameter, with a drop at its end."""
    tears = f["tears"]
    if not bool((tears > 0.01).any()):
        return
    w = f.window(-0.48, 0.48, 0.10, 0.72)
    x = w.x.abs() - f.eye_x - 0.02
    start, end = EYE_Y + 0.13, EYE_Y + 0.19 + 0.33 * tears
    stream = _rounded_box(
        x, w.y - (start + end) / 2, 0.030 + 0.022 * tears, (end - start) / 2 + 0.02, 0.03
    )
    drop = _ellipse(x, w.y - end, 0.035 + 0.045 * tears, 0.040 + 0.050 * tears)
    distance = torch.minimum(stream, drop)
    alpha = (tears * 4).clamp(0, 1)
    w.paint(w.cover(distance - 0.016) * alpha, (0.22, 0.48, 0.82))
    w.paint(w.cover(distance) * alpha, (0.58, 0.85, 1.0))
    w.paint(w.cover(_circle(x + 0.02, w.y - end + 0.005, 0.018)) * alpha, WHITE)


def _glasses(f: _Face) -> None:
    """Round glasses: tinted lenses, frame, bridge and arms."""
    worn = f["glasses"]
    if not bool((worn > 0).any()):
        return
    w = f.window(-0.80, 0.80, -0.22, 0.36)
    x, y = w.x.abs(), w.y - EYE_Y - 0.01
    lens = _circle(x - f.eye_x - 0.005, y, 0.232)
    w.paint(w.cover(lens) * worn * 0.16, (0.80, 0.93, 1.0))
    glint = torch.maximum(lens + 0.04, (x - f.eye_x + y * 0.6 + 0.10).abs() - 0.02)
    w.paint(w.cover(glint) * worn * 0.25, WHITE)
    bridge = torch.maximum((y + 0.05 - 0.6 * x * x).abs() - 0.016, x - 0.06)
    arm = torch.maximum((y + 0.04).abs() - 0.016, (x - (f.eye_x + 0.235 + f.width) / 2).abs()
                        - (f.width - f.eye_x - 0.235).clamp(min=0) / 2)  # fmt: skip
    frame = torch.minimum(torch.minimum(lens.abs() - 0.020, bridge), arm)
    w.paint(w.cover(frame) * worn, (0.14, 0.12, 0.18))
