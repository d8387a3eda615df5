"""What toon faces are drawn on and with: a canvas, windows of it, signed distances of shapes.

Coordinates run from -1 (left, top) to 1 (right, bottom). Distances are negative inside a shape;
x, y and the sizes of shapes are tensors that broadcast to [B, h, w], or plain numbers.
"""
from __future__ import annotations

import math

import torch
from torch import Tensor

from ..drawn.parameters import Colour, palette
from .parameters import HAIR, INDEX, POSE, SKIN

Number = Tensor | float

WHITE = (1.0, 1.0, 1.0)
EYE_Y, MOUTH_Y, NOSE_Y = 0.06, 0.42, 0.245          # heights in the head's frame
NECK_Y = 0.75                               # about which the head turns
MARGIN = 0.30                               # how far a pose takes the head's parts


class Face:
    """The canvas, its coordinates and the parameters, shared by all layers."""

    def __init__(
        self,
        params: Tensor,                     # [B, K]
        resolution: int,                    # R, side of the canvas in pixels
    ) -> None:
        self.params, self.resolution = params, resolution
        self.batch, device = len(params), params.device
        self.image = torch.empty(self.batch, 3, resolution, resolution, device=device)  # 0..1
        self.px = 2.0 / resolution          # side of a pixel
        ticks = (torch.arange(resolution, device=device) + 0.5) * self.px - 1
        self.y0, self.x0 = torch.meshgrid(ticks, ticks, indexing="ij")

        # colours that several layers need
        self.skin = self.colours("skin", SKIN)
        self.hair = self.colours("hair_color", HAIR)
        self.line = self.skin * 0.28 + 0.02
        self.hair_line = self.hair * 0.48

        # the head's own frame: moved and turned about the neck
        self.posed = bool((params[:, [INDEX[name] for name in POSE]] != 0).any())
        angle = self["roll"] * 0.3
        self.cos, self.sin = torch.cos(angle), torch.sin(angle)
        self.width = 0.60 + 0.045 * self["head_width"]
        self.eye_r = 0.150 + 0.022 * self["eye_size"]
        self.eye_x = 0.262 + 0.024 * self["eye_gap"]

    def __getitem__(self, name: str) -> Tensor:
        """A parameter, [B, 1, 1]."""
        return self.params[:, INDEX[name]].view(-1, 1, 1)

    def colours(
        self,
        name: str,                          # of a parameter that walks along colours
        named: tuple[tuple[str, Colour], ...],
    ) -> Tensor:
        """Each face's colour, [B, 3], 0..1."""
        return palette(self.params[:, INDEX[name]], [colour for _, colour in named])

    def window(
        self,
        left: float,
        right: float,
        top: float,
        bottom: float,
        head: bool = True,                  # coordinates of the head's frame, not the picture's
    ) -> Window:
        """Pixels that surely hold a rectangle, whatever the head's pose."""
        margin = MARGIN if head and self.posed else 0.0
        return Window(self, left - margin, right + margin, top - margin, bottom + margin, head)


class Window:
    """A rectangle of the canvas with coordinates x, y [B|1, h, w] and painting."""

    def __init__(
        self,
        face: Face,
        left: float,
        right: float,
        top: float,
        bottom: float,
        head: bool,                         # x, y in the head's frame
    ) -> None:
        def index(v: float) -> int:
            return min(max(int(math.floor((v + 1) / face.px)), 0), face.resolution)

        rows, cols = slice(index(top), index(bottom) + 1), slice(index(left), index(right) + 1)
        self.face, self.px = face, face.px
        self.image = face.image[:, :, rows, cols]
        self.x, self.y = face.x0[rows, cols][None], face.y0[rows, cols][None]
        if head and face.posed:
            x = self.x - 0.12 * face["shift_x"]
            y = self.y - 0.08 * face["shift_y"] - NECK_Y
            self.x = x * face.cos + y * face.sin
            self.y = y * face.cos - x * face.sin + NECK_Y

    def cover(self, distance: Tensor) -> Tensor:
        """Signed distance -> coverage 0..1, one and a quarter pixels soft."""
        return (0.5 - distance / (1.25 * self.px)).clamp_(0, 1)

    def paint(
        self,
        alpha: Tensor,                      # [B|1, h, w], 0..1
        colour: Colour | Tensor,            # rgb in 0..1: one, [B, 3] or [B, 3, h, w]
    ) -> None:
        """Lays a colour over what is there."""
        if not torch.is_tensor(colour):
            colour = torch.tensor(colour, device=self.image.device)
        if colour.dim() < 4:
            colour = colour.view(-1, 3, 1, 1)
        self.image.add_((colour - self.image) * alpha[:, None])

    def shape(
        self,
        distance: Tensor,                   # [B|1, h, w]
        colour: Colour | Tensor,            # as `paint` takes it
        outline: Colour | Tensor,
        thickness: float,                   # of the outline
    ) -> Tensor:
        """Paints an outline, then the shape; the shape's coverage. [B|1, h, w], 0..1"""
        self.paint(self.cover(distance - thickness), outline)
        alpha = self.cover(distance)
        self.paint(alpha, colour)
        return alpha


# ---- distances


def ellipse(x: Tensor, y: Tensor, a: Number, b: Number) -> Tensor:
    """To an axis-aligned ellipse with half axes a, b about 0, to first order. [B|1, h, w]"""
    u, v = x / a, y / b
    k0 = (u * u + v * v).sqrt().clamp_(min=1e-4)
    k1 = ((u / a) ** 2 + (v / b) ** 2).sqrt().clamp_(min=1e-4)
    return k0 * (k0 - 1) / k1


def circle(x: Tensor, y: Tensor, r: Number) -> Tensor:
    """To a circle of radius r about 0. [B|1, h, w]"""
    return (x * x + y * y).sqrt() - r


def capsule(
    x: Tensor,
    y: Tensor,
    ax: Number,                             # one end of the segment
    ay: Number,
    bx: Number,                             # the other
    by: Number,
    r: Number,                              # half of its thickness
) -> Tensor:
    """To a segment with round ends. [B|1, h, w]"""
    dx, dy = bx - ax, by - ay
    h = (((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)).clamp(0, 1)
    return ((x - ax - h * dx) ** 2 + (y - ay - h * dy) ** 2).sqrt() - r


def rounded_box(x: Tensor, y: Tensor, half_w: Number, half_h: Number, r: Number) -> Tensor:
    """To a box about 0 of these half sides, its corners rounded by r. [B|1, h, w]"""
    qx, qy = x.abs() - half_w + r, y.abs() - half_h + r
    outside = (qx.clamp(min=0) ** 2 + qy.clamp(min=0) ** 2).sqrt()
    return outside + torch.maximum(qx, qy).clamp(max=0) - r
