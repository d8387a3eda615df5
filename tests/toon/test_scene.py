"""The bundled example pictures are what the script draws, and the encoder knows the faces."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from lgfa import LGFAError
from lgfa.media import examples
from lgfa.photo.faces import parse_points
from lgfa.toon import scene


@pytest.mark.parametrize("name,draw", [("lgfa_two_toons", scene.draw_scene),
                                       ("lgfa_toon_face", scene.draw_face)])
def test_shipped_pictures_are_the_drawn_ones(name, draw):
    picture, _ = examples.load(name)
    assert (draw() - picture).abs().max() < 3 / 255
    assert (examples.FOLDER / f"{name}.png").stat().st_size < 200_000


def test_shipped_points_are_the_drawn_ones():
    assert np.allclose(parse_points(examples.load("lgfa_two_toons")[1]), scene.scene_points(),
                       atol=0.06)
    assert len(parse_points(examples.load("lgfa_toon_face")[1])) == 1


def test_eyes_are_at_the_points():
    picture, _ = examples.load("lgfa_two_toons")
    for face in scene.scene_points():
        for x, y in face[:2].round().astype(int):
            patch = picture[0, y - 2:y + 3, x - 2:x + 3]        # the pupil, and a light beside it
            assert patch.mean() < 0.35


def test_strange_names_are_refused():
    for name in ("nothing", "../README", "lgfa_two_toons.png"):
        with pytest.raises(LGFAError, match="lgfa_toon_face or lgfa_two_toons"):
            examples.load(name)


def test_the_single_face_is_inverted_well():
    from lgfa.formats.loading import load_encoder, load_generator

    generator = load_generator("toon")
    x = torch.nn.functional.interpolate(
        examples.load("lgfa_toon_face")[0].movedim(-1, 1) * 2 - 1, (generator.resolution,) * 2,
        mode="bicubic", antialias=True)
    with torch.no_grad():
        again = generator.synthesis(load_encoder("toon")(x)).clamp(-1, 1)
    assert -10 * torch.log10((again - x).square().mean() / 4) > 21
