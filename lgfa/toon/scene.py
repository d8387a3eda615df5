"""`python -m lgfa.toon.scene`: draw the example pictures of the shipped workflows.

`lgfa_two_toons` is a meadow with a woman and a girl, each of another size and lean, in front of
one backdrop, as a photograph would show them; `lgfa_toon_face` is one face as the toon domain
frames it. Beside each picture lies a text file of the five points of its faces, a line a face,
since detectors of human faces do not know toons.
"""
from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor

from ..media.examples import FOLDER
from ..media.images import from_uint8, to_uint8, to_unit
from ..photo.align import points_text
from . import parameters
from .canvas import EYE_Y, MOUTH_Y, NOSE_Y
from .parameters import INDEX, NAMES, NEUTRAL, K
from .renderer import render

SIZE = (640, 400)                           # width and height of the scene
FINER = 3                                   # the scene is drawn so many times larger, then shrunk
FACE_SIZE = 256                             # side of the single face

Rgb = tuple[int, int, int]                  # a colour, 0..255


class Figure(NamedTuple):
    """A toon in the scene; the square is what the domain would frame."""

    params: Tensor                          # [1, K]
    x: float                                # centre of the square, pixels of the scene
    y: float
    side: float                             # of the square
    lean: float                             # degrees, clockwise


#: what parameters that walk along names walk along
LISTS = {"skin": parameters.SKIN, "hair_color": parameters.HAIR, "iris": parameters.IRIS,
         "shirt": parameters.SHIRT, "backdrop": parameters.BACKDROP}


def person(
    **values: float,                        # parameters that are not 0 or, of the face, neutral
) -> Tensor:
    """Parameters of one person. [1, K]"""
    params = torch.zeros(1, K)
    for name, value in {**NEUTRAL, **values}.items():
        params[0, INDEX[name]] = value
    return params


def place(
    parameter: str,                         # that walks along a list of names
    wanted: str,                            # one of them
) -> float:
    """Place of a named colour or backdrop on its parameter's range, 0..1."""
    names = [entry[0] for entry in LISTS[parameter]]
    return names.index(wanted) / (len(names) - 1)


WOMAN = person(
    skin=place("skin", "light"), hair_color=place("hair_color", "brown"), hair_length=0.85,
    hair_fringe=0.55, hair_sweep=0.6, iris=place("iris", "blue"), brow_weight=0.4, nose=0.4,
    age=0.45, shirt=place("shirt", "blue"), backdrop=place("backdrop", "sunny"))
GIRL = person(
    skin=place("skin", "light"), hair_color=place("hair_color", "red"), hair_length=0.25,
    hair_fringe=0.75, hair_sweep=-0.3, tails=1.0, iris=place("iris", "blue"), eye_size=0.6,
    brow_weight=0.3, nose=0.15, head_width=0.3, age=0.0, shirt=place("shirt", "red"),
    backdrop=place("backdrop", "sunny"))
BOY = person(
    skin=place("skin", "tan"), hair_color=place("hair_color", "black"), hair_length=0.05,
    hair_fringe=0.5, hair_sweep=-0.5, iris=place("iris", "brown"), brow_weight=0.7, nose=0.5,
    age=0.4, shirt=place("shirt", "green"), backdrop=place("backdrop", "sunny"))
FIGURES = (
    Figure(WOMAN, 206, 265, 272, -5.0),
    Figure(GIRL, 444, 300, 202, 7.0),
)


def face_points(
    params: Tensor,                         # [1, K], unposed
) -> np.ndarray:
    """Eyes, nose and corners of the mouth in units of the face's square, 0..1. [5, 2]"""
    value = {name: float(params[0, INDEX[name]]) for name in NAMES}
    eye = 0.262 + 0.024 * value["eye_gap"]
    half = 0.225 + 0.095 * value["mouth_width"]
    corner = MOUTH_Y + 0.02 * value["open"] - 0.58 * 0.165 * value["curve"] * (half / 0.225) ** 0.6
    points = [(-eye, EYE_Y), (eye, EYE_Y), (0, NOSE_Y), (-half, corner), (half, corner)]
    return (np.array(points) + 1) / 2


def matrix(figure: Figure) -> np.ndarray:
    """(u, v, 1) of the figure's square, 0..1 -> x, y of the scene, its corner = 0. [2, 3]"""
    c, s = math.cos(math.radians(figure.lean)), math.sin(math.radians(figure.lean))
    turn = figure.side * np.array([[c, -s], [s, c]])
    corner = np.array([figure.x, figure.y]) - turn @ [0.5, 0.5]
    return np.concatenate([turn, corner[:, None]], axis=1)


def scene_points(figures: tuple[Figure, ...] = FIGURES) -> np.ndarray:
    """Five points of each figure in pixels of the scene, pixel centres whole. [N, 5, 2]"""
    out = []
    for one in figures:
        unit = np.concatenate([face_points(one.params), np.ones((5, 1))], axis=1)
        out.append(unit @ matrix(one).T - 0.5)
    return np.stack(out)


def draw_scene(figures: tuple[Figure, ...] = FIGURES) -> Tensor:
    """The scene with its figures. [1, H, W, 3], 0..1"""
    canvas = from_uint8(backdrop())
    canvas = canvas.permute(2, 0, 1)[None]
    for one in figures:
        canvas = _stand(canvas, one)
    small = F.interpolate(canvas, SIZE[::-1], mode="bicubic", antialias=True)
    return small.clamp(0, 1).permute(0, 2, 3, 1)


def _stand(canvas: Tensor, figure: Figure) -> Tensor:
    """The canvas [1, 3, h, w], 0..1, with a figure laid over it."""
    cut_out = _cut_out(figure.params, round(figure.side * FINER))
    height, width = canvas.shape[2:]
    there = matrix(figure) * FINER
    back = np.linalg.inv(there[:, :2])
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    place = torch.stack([x - there[0, 2], y - there[1, 2]], dim=-1).double()
    uv = place @ torch.from_numpy(back).T
    # Below the square the shirt goes on, so that a lean leaves no gap at the scene's edge.
    v = uv[..., 1]
    uv[..., 1] = torch.where((v > 1) & (v < 1.2), torch.full_like(v, 0.999), v)
    grid = (uv * 2 - 1).float()[None]
    over = F.grid_sample(cut_out, grid, padding_mode="zeros", align_corners=False)
    return canvas * (1 - over[:, 3:]) + over[:, :3]


def _cut_out(params: Tensor, resolution: int) -> Tensor:
    """The figure without a backdrop: premultiplied colours and coverage. [1, 4, R, R], 0..1"""
    black, white = (to_unit(render(params, resolution, plain)) for plain in (0.0, 1.0))
    coverage = (1 - (white - black).mean(1, keepdim=True)).clamp(0, 1)
    return torch.cat([black, coverage], 1)


# ---- backdrop


def backdrop() -> Image.Image:
    """Sky, sun, clouds, a kite, low hills with a house and trees: RGB, FINER times SIZE.

    The horizon is low, so that the faces stand before the sky, as in the domain's sunny pictures.
    """
    k, (width, height) = FINER, SIZE
    image = _gradient((width * k, height * k), (96, 178, 240), (224, 243, 250))
    glow = Image.new("L", image.size, 0)
    _disc(ImageDraw.Draw(glow), 574, 62, 56, 150)
    glow = glow.filter(ImageFilter.GaussianBlur(11 * k))
    image.paste((255, 246, 190), mask=glow)
    draw = ImageDraw.Draw(image)
    _disc(draw, 574, 62, 34, (255, 229, 112))
    for x, y, size in ((62, 62, 0.85), (300, 50, 0.7), (622, 176, 0.5), (22, 176, 0.42)):
        _cloud(draw, x, y, size)
    _kite(draw, 420, 70)
    _hill(draw, 50, 466, 275, 140, (150, 206, 142))
    _hill(draw, 600, 466, 275, 148, (128, 192, 124))
    for x, y, size in ((20, 336, 1.0), (60, 336, 0.7), (616, 332, 1.0)):
        _tree(draw, x, y, size)
    _house(draw, 574, 328)
    _hill(draw, 320, 534, 640, 174, (112, 184, 96))
    _flowers(draw)
    return image


def _gradient(size: tuple[int, int], top: Rgb, bottom: Rgb) -> Image.Image:
    """From top to bottom; size is (width, height)."""
    t = np.linspace(0, 1, size[1])[:, None, None]
    rows = np.array(top) * (1 - t) + np.array(bottom) * t
    return Image.fromarray(np.broadcast_to(rows.round(), (size[1], size[0], 3)).astype(np.uint8))


def _ellipse(
    draw: ImageDraw.ImageDraw,
    x: float,                               # centre, pixels of the scene
    y: float,
    a: float,                               # half axes
    b: float,
    color: Rgb | int,
) -> None:
    draw.ellipse([v * FINER for v in (x - a, y - b, x + a, y + b)], fill=color)


def _disc(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, color: Rgb | int) -> None:
    _ellipse(draw, x, y, r, r, color)


def _polygon(draw: ImageDraw.ImageDraw, points: list[tuple[float, float]], color: Rgb) -> None:
    draw.polygon([(x * FINER, y * FINER) for x, y in points], fill=color)


def _hill(draw: ImageDraw.ImageDraw, x: float, y: float, a: float, b: float, color: Rgb) -> None:
    _ellipse(draw, x, y, a, b, tuple(int(c * 0.82) for c in color))
    _ellipse(draw, x, y + 2.5, a, b, color)


def _cloud(draw: ImageDraw.ImageDraw, x: float, y: float, size: float) -> None:
    for dx, dy, r in ((-34, 6, 20), (-10, -8, 28), (22, -2, 24), (44, 8, 16), (4, 10, 24)):
        _disc(draw, x + dx * size, y + dy * size, r * size, (250, 252, 253))


def _tree(draw: ImageDraw.ImageDraw, x: float, y: float, size: float) -> None:
    s, top = size, y - 40 * size
    trunk = [(x - 5 * s, y), (x + 5 * s, y), (x + 4 * s, top), (x - 4 * s, top)]
    _polygon(draw, trunk, (124, 84, 56))
    for r, color in ((2.5, (46, 110, 62)), (0, (86, 160, 88))):
        for dx, dy, radius in ((-16, -44, 20), (16, -46, 20), (0, -66, 24)):
            _disc(draw, x + dx * s, y + dy * s, radius * s + r, color)
    for dx, dy in ((-14, -48), (12, -42), (2, -68), (20, -56)):
        _disc(draw, x + dx * s, y + dy * s, 3.2 * s, (222, 78, 70))


def _house(draw: ImageDraw.ImageDraw, x: float, y: float) -> None:
    _polygon(draw, [(x - 26, y), (x + 26, y), (x + 26, y - 34), (x - 26, y - 34)], (250, 236, 212))
    _polygon(draw, [(x - 33, y - 32), (x + 33, y - 32), (x, y - 62)], (196, 88, 72))
    _polygon(draw, [(x - 7, y), (x + 7, y), (x + 7, y - 20), (x - 7, y - 20)], (130, 84, 62))
    for dx in (-17, 17):
        left, right = x + dx - 5, x + dx + 5
        window = [(left, y - 14), (right, y - 14), (right, y - 25), (left, y - 25)]
        _polygon(draw, window, (120, 178, 214))


def _kite(draw: ImageDraw.ImageDraw, x: float, y: float) -> None:
    tail = [(x + 3 - 9 * t + 8 * math.sin(t * 1.4), y + 34 + 11 * t) for t in np.arange(0, 9, 0.1)]
    draw.line([(a * FINER, b * FINER) for a, b in tail], fill=(246, 246, 246), width=FINER + 1)
    for number, color in zip((14, 34, 54, 74), ((236, 94, 88), (252, 206, 84)) * 2, strict=True):
        _disc(draw, *tail[number], 4.5, color)
    top, right, low, left = (x + 8, y - 34), (x + 27, y + 1), (x + 3, y + 34), (x - 21, y - 7)
    middle = (x + 4, y - 3)
    for one, two, color in ((top, right, (246, 122, 98)), (right, low, (252, 206, 84)),
                            (low, left, (98, 168, 226)), (left, top, (238, 94, 122))):
        _polygon(draw, [one, two, middle], color)


def _flowers(draw: ImageDraw.ImageDraw) -> None:
    random = np.random.default_rng(5)
    colors = ((252, 250, 244), (252, 214, 92), (240, 124, 140))
    for _ in range(46):
        x, y = random.uniform(0, SIZE[0]), random.uniform(370, 398)
        r = 1.4 + 1.6 * (y - 370) / 28
        color = colors[random.integers(3)]
        for turn in range(5):
            phase = turn * 2 * math.pi / 5
            _disc(draw, x + r * math.cos(phase), y + r * math.sin(phase), r * 0.72, color)
        _disc(draw, x, y, r * 0.6, (236, 168, 60))


# ---- files


def draw_face(
    params: Tensor = BOY,                   # [1, K]
    size: int = FACE_SIZE,                  # side in pixels
) -> Tensor:
    """One face as the domain frames it. [1, size, size, 3], 0..1"""
    fine = to_unit(render(params, size * 2))
    return F.avg_pool2d(fine, 2).clamp(0, 1).permute(0, 2, 3, 1)


def main(folder: Path = FOLDER) -> None:
    """Writes both pictures and their points, and prints the points."""
    pictures = {
        "lgfa_two_toons": (draw_scene(), scene_points()),
        "lgfa_toon_face": (draw_face(), face_points(BOY)[None] * FACE_SIZE - 0.5),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, (picture, points) in pictures.items():
        pixels = Image.fromarray(to_uint8(picture[0]))
        pixels.save(folder / f"{name}.png", optimize=True)
        text = points_text(points)
        (folder / f"{name}.txt").write_text(text + "\n", encoding="utf-8")
        print(f"{name}.png, {(folder / name).with_suffix('.png').stat().st_size} bytes:\n{text}")


if __name__ == "__main__":
    main()
