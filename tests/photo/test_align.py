"""Cutting faces out: the FFHQ recipe, the toons' frame, turned and scaled faces."""
from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from lgfa.errors import LGFAError
from lgfa.media import examples
from lgfa.photo import align
from lgfa.toon import scene

FACE = np.array([[100.0, 120], [160, 118], [131, 150], [108, 182], [155, 181]])


def turned(points: np.ndarray, degrees: float, factor: float, shift=(0.0, 0.0)) -> np.ndarray:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return (points - 130) @ np.array([[c, s], [-s, c]]) * factor + 130 + shift


def ffhq_quad(points: np.ndarray) -> np.ndarray:
    """The corners that the recipe of the FFHQ paper gives, top left first, clockwise."""
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    across, down = points[1] - points[0], mouth - eyes
    x = across - np.array([-down[1], down[0]])
    x = x / np.hypot(*x) * max(np.hypot(*across) * 2.0, np.hypot(*down) * 1.8)
    y = np.array([-x[1], x[0]])
    c = eyes + down * 0.1
    return np.stack([c - x - y, c + x - y, c + x + y, c - x + y])


@pytest.mark.parametrize("degrees", [0, 20, -40, 170])
def test_ffhq_crop_is_the_recipes_quad(degrees):
    points = turned(FACE, degrees, 1.3)
    _, where = align.align(torch.rand(1, 300, 280, 3), points, 64, "FFHQ")
    assert np.allclose(where.corners()[0], ffhq_quad(points) + 0.5, atol=1e-9)


def test_sampling_agrees_with_pillow():
    picture = scene.draw_face(size=256)
    points = turned(scene.face_points(scene.BOY) * 256 - 0.5, 15, 0.6)
    crop, where = align.align(picture, points, 256, "FFHQ")       # larger: nothing is shrunk
    fits = Image.fromarray((picture[0].numpy() * 255).round().astype(np.uint8)).transform(
        (256, 256), Image.Transform.AFFINE,
        np.concatenate([where.matrix[0][:, :2] / 256, where.matrix[0][:, 2:]], 1).ravel().tolist(),
        Image.Resampling.BICUBIC)
    inside = slice(48, 208)                     # Pillow knows no mirroring beyond the edge
    ours = crop[0, inside, inside].numpy()
    assert np.abs(ours - np.asarray(fits)[inside, inside] / 255).mean() < 0.01


@pytest.mark.parametrize("degrees,factor", [(0, 1.0), (30, 0.5), (-25, 2.0)])
def test_a_turned_and_scaled_face_is_brought_upright(degrees, factor):
    points = scene.face_points(scene.BOY) * 256 - 0.5
    _, where = align.align(torch.rand(1, 260, 260, 3), turned(points, degrees, factor), 64, "toon")
    assert align.angle(where)[0] == pytest.approx(degrees, abs=1e-6)
    assert where.sides()[0] == pytest.approx(256 * factor, rel=0.005)


def test_faces_of_the_scene_come_out_as_their_renders():
    picture, points = examples.load("lgfa_two_toons")[0], scene.scene_points()
    for figure, face in zip(scene.FIGURES, points, strict=True):
        crop, where = align.align(picture, face, 128, "toon")
        assert np.abs(where.matrix[0] - scene.matrix(figure)).max() < 0.5
        render = scene.draw_face(figure.params, 128)
        difference = (crop - render)[0, 44:92, 44:84].abs()     # the face, without any backdrop
        assert difference.mean() < 0.025


def test_large_faces_are_shrunk_without_aliasing():
    stripes = (torch.arange(800) // 2 % 2).float()[None, None, :, None].expand(1, 800, 800, 3)
    points = scene.face_points(scene.BOY) * 700
    crop, _ = align.align(stripes, points, 64, "toon")
    assert (crop - 0.5).abs().max() < 0.05


def test_beyond_the_edge_the_picture_is_mirrored():
    picture = torch.rand(1, 64, 64, 3)
    points = scene.face_points(scene.BOY) * 64 - 0.5 - [32, 0]          # half outside on the left
    crop, where = align.align(picture, points, 64, "toon")
    assert where.matrix[0, 0, 2] == pytest.approx(-32, abs=0.2)
    assert (crop[0, :, :32] - crop[0, :, 32:].flip(1)).abs().mean() < 0.05


def test_several_pictures_and_alpha():
    pictures = torch.rand(2, 200, 220, 4)
    crops, where = align.align(pictures, np.stack([FACE, FACE + 5]), 48, "FFHQ")
    assert crops.shape == (2, 48, 48, 3) and len(where) == 2 and where.photo == (200, 220)
    assert 0 <= crops.min() and crops.max() <= 1


def test_alignment_follows_the_photos_size():
    _, where = align.align(torch.rand(1, 200, 220, 3), FACE, 48, "FFHQ")
    twice = where.resized(400, 440)
    assert np.allclose(twice.matrix, where.matrix * 2)
    with pytest.raises(LGFAError, match="220 x 200 px"):
        where.resized(200, 200)


@pytest.mark.parametrize("points,words", [
    (np.zeros((5, 2)), "on top of each other"),
    (FACE[:3], "five points"),
    (FACE * np.nan, "five points"),
    (FACE + 4000, "beside the picture"),
    (FACE[[3, 4, 2, 0, 1]] * [1.0, 0.5], "order of the points|beside"),
])
def test_impossible_points_are_refused(points, words):
    with pytest.raises(LGFAError, match=words):
        align.align(torch.rand(1, 300, 300, 3), points, 64, "toon")


def test_points_can_be_read_back():
    from lgfa.photo.faces import parse_points

    text = align.points_text(np.stack([FACE, FACE + 7]))
    assert text.count("\n") == 1
    assert np.allclose(parse_points(text), [FACE, FACE + 7])
