"""What is behind a toon face: a sky with sun, clouds, rain, stars and a moon, or hills."""
from __future__ import annotations

import torch
from torch import Tensor

from ..drawn.parameters import Colour, category_weights
from .canvas import Face, Window, circle, ellipse, rounded_box
from .parameters import BACKDROP, INDEX

# (x, y, size)
STARS = ((-0.85, -0.85, 0.030), (-0.62, -0.62, 0.020), (-0.90, -0.42, 0.022), (-0.40, -0.92, 0.022),
         (0.30, -0.93, 0.018), (0.90, -0.35, 0.026), (-0.86, -0.05, 0.018), (0.86, 0.02, 0.018))
CLOUD = ((-0.8, 0.1, 0.55), (0.0, -0.2, 0.75), (0.8, 0.08, 0.6))    # discs of a cloud of size 1


def paint_backdrop(face: Face) -> None:
    """Fills the whole canvas."""
    shares = category_weights(face.params[:, INDEX["backdrop"]], len(BACKDROP))     # [B, 6]
    _sky(face, shares)
    weather = _Weather(shares)
    _sun_and_moon(face, weather)
    _stars(face, weather)
    _clouds(face, weather)
    _rain(face, weather)
    _horizon(face, weather)


class _Weather:
    """How much of each backdrop is there; what belongs to one is painted that much."""

    def __init__(
        self,
        shares: Tensor,                     # [B, backdrops], rows sum to 1
    ) -> None:
        self.share = {name: shares[:, i].view(-1, 1, 1)
                      for i, (name, _, _) in enumerate(BACKDROP)}

    def is_there(self, name: str) -> bool:
        """In any picture?"""
        return bool((self.share[name] > 0).any())

    def paint(
        self,
        name: str,                          # of the backdrop
        window: Window,
        distance: Tensor,                   # of the shape, [B|1, h, w]
        colour: Colour,
        opacity: float = 1.0,
    ) -> None:
        if self.is_there(name):
            window.paint(window.cover(distance) * (self.share[name] * opacity), colour)


def _sky(
    face: Face,
    shares: Tensor,                         # [B, backdrops]
) -> None:
    """A gradient from top to bottom."""
    w = face.window(-1, 1, -1, 1, head=False)
    device = face.params.device
    top = shares @ torch.tensor([colour for _, colour, _ in BACKDROP], device=device)
    bottom = shares @ torch.tensor([colour for _, _, colour in BACKDROP], device=device)
    blend = ((w.y + 1) / 2)[:, None]
    face.image[:] = top.view(-1, 3, 1, 1) * (1 - blend) + bottom.view(-1, 3, 1, 1) * blend


def _sun_and_moon(face: Face, weather: _Weather) -> None:
    """The sun with a halo, the moon as a crescent."""
    w = face.window(0.30, 1, -1, -0.30, head=False)
    x, y = w.x - 0.76, w.y + 0.74
    weather.paint("sunny", w, circle(x, y, 0.26), (1.0, 0.97, 0.75), 0.45)
    weather.paint("sunny", w, circle(x, y, 0.17), (1.0, 0.90, 0.40))
    moon = torch.maximum(circle(x, y, 0.16), -circle(w.x - 0.68, w.y + 0.79, 0.14))
    weather.paint("night", w, moon, (1.0, 0.95, 0.72))


def _stars(face: Face, weather: _Weather) -> None:
    """Four-pointed ones."""
    if not weather.is_there("night"):
        return
    for x, y, r in STARS:
        w = face.window(x - 0.08, x + 0.08, y - 0.08, y + 0.08, head=False)
        weather.paint("night", w, (w.x - x).abs() + (w.y - y).abs() - 1.5 * r, (1.0, 0.98, 0.85))


def _clouds(face: Face, weather: _Weather) -> None:
    """Two on each sky that has any."""
    w = face.window(-1, 1, -1, 0.2, head=False)

    def cloud(cx: float, cy: float, size: float) -> Tensor:
        left, middle, right = (circle(w.x - cx - dx * size, w.y - cy - dy * size, r * size)
                               for dx, dy, r in CLOUD)
        return torch.minimum(torch.minimum(left, middle), right)

    clouds = torch.minimum(cloud(-0.72, -0.66, 0.22), cloud(0.74, -0.42, 0.20))
    weather.paint("cloudy", w, clouds, (0.97, 0.98, 0.99))
    weather.paint("rainy", w, clouds, (0.47, 0.53, 0.61))
    clouds = torch.minimum(cloud(-0.78, -0.30, 0.17), cloud(0.82, -0.62, 0.14))
    weather.paint("sunset", w, clouds, (1.0, 0.66, 0.62), 0.8)


def _rain(face: Face, weather: _Weather) -> None:
    """Slanted strokes on a lattice, beside the head."""
    if not weather.is_there("rainy"):
        return
    w = face.window(-1, 1, -0.35, 1, head=False)
    u, v = (w.x + 0.25 * w.y) / 0.22, w.y / 0.34
    row = torch.remainder(torch.floor(u), 2)
    du = (torch.remainder(u, 1) - 0.5) * 0.22
    dv = (torch.remainder(v + 0.5 * row, 1) - 0.5) * 0.34
    strokes = rounded_box(du, dv, 0.016, 0.085, 0.015)
    weather.paint("rainy", w, strokes, (0.76, 0.87, 0.95), 0.85)


def _horizon(face: Face, weather: _Weather) -> None:
    """The setting sun, and hills."""
    w = face.window(-1, 1, 0.0, 1, head=False)
    weather.paint("sunset", w, circle(w.x + 0.80, w.y - 0.42, 0.20), (1.0, 0.90, 0.58))
    hills = torch.minimum(ellipse(w.x + 0.8, w.y - 1.0, 0.8, 0.62),
                          ellipse(w.x - 0.8, w.y - 1.05, 0.9, 0.55))
    weather.paint("meadow", w, hills, (0.42, 0.70, 0.38))
    weather.paint("sunset", w, hills, (0.46, 0.30, 0.50))
