"""The drawing of toon faces: renderer.py over canvas.py, features.py and backdrops.py.

What it draws to the shade is held by the shipped example pictures (test_scene.py).
"""
from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lgfa.toon import canvas, parameters, sampling
from lgfa.toon.renderer import render


def people(n: int, seed: int = 0) -> torch.Tensor:
    return sampling.identities(n, torch.Generator().manual_seed(seed))


def change(params: torch.Tensor, **values: float) -> torch.Tensor:
    params = params.clone()
    for name, value in values.items():
        params[:, parameters.INDEX[name]] = value
    return params


@pytest.mark.parametrize("resolution", [32, 64, 100])
def test_render_shape_range_and_repeatability(resolution: int) -> None:
    params = people(5)
    image = render(params, resolution)
    assert image.shape == (5, 3, resolution, resolution)
    assert image.min() >= -1 and image.max() <= 1 and image.isfinite().all()
    assert torch.equal(image, render(params, resolution))


def test_a_face_does_not_depend_on_its_batch() -> None:
    params = sampling.domain_params(8, torch.Generator().manual_seed(3))
    together = render(params, 64)
    alone = torch.cat([render(row[None], 64) for row in params])
    assert (together - alone).abs().max() < 1e-5


def test_resolutions_agree() -> None:
    params = people(4)
    large = torch.nn.functional.avg_pool2d(render(params, 256), 4)
    assert (large - render(params, 64)).abs().mean() < 0.02


def test_render_refuses_other_tables() -> None:
    with pytest.raises(ValueError, match="params must be"):
        render(torch.zeros(2, 3))


@pytest.mark.parametrize("name", [p.name for p in parameters.PARAMETERS])
def test_every_parameter_is_drawn(name: str) -> None:
    """Each parameter changes the picture (in a face where it can be seen)."""
    p = parameters.PARAMETERS[parameters.INDEX[name]]
    params = change(people(6), open=0.6, age=0.5)
    if name == "happy_lids":
        params = change(params, lid_left=0.0, lid_right=0.0)
    low, high = change(params, **{name: p.low}), change(params, **{name: p.high})
    assert (render(low, 64) - render(high, 64)).abs().mean() > 3e-4


def test_moved_heads_move() -> None:
    params = people(2)
    moved = change(params, shift_x=1.0)
    assert (render(params, 64) - render(moved, 64)).abs().mean() > 0.02


def test_a_cut_out_has_a_plain_ground() -> None:
    faces = people(2)
    black, white = (render(faces, 32, plain) for plain in (0.0, 1.0))
    assert (black[..., 0, 0] == -1).all() and (white[..., 0, 0] == 1).all()
    assert torch.equal(black[..., 16, 16], white[..., 16, 16])          # the nose hides it


# ---- canvas


def grid(size: int = 41) -> tuple[Tensor, Tensor]:
    """x and y in -1..1, [1, size, size]."""
    ticks = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    return x[None], y[None]


def test_distances_are_signed_and_in_units_of_length() -> None:
    x, y = grid()
    shapes = {
        "circle": (canvas.circle(x, y, 0.5), x.hypot(y) < 0.5),
        "capsule": (canvas.capsule(x, y, -0.4, 0, 0.4, 0, 0.2),
                    (x - x.clamp(-0.4, 0.4)).hypot(y) < 0.2),
        "box": (canvas.rounded_box(x, y, 0.5, 0.3, 0.0), (x.abs() < 0.5) & (y.abs() < 0.3)),
        "ellipse": (canvas.ellipse(x, y, 0.6, 0.3), (x / 0.6).hypot(y / 0.3) < 1),
    }
    for name, (distance, inside) in shapes.items():
        sure = distance.abs() > 1e-6
        assert torch.equal((distance < 0)[sure], inside[sure]), name
        far = distance[0, 20, 40]               # on the axis, at x = 1
        width = {"circle": 0.5, "capsule": 0.6, "box": 0.5, "ellipse": 0.6}[name]
        assert float(far) == pytest.approx(1 - width, abs=0.3 if name == "ellipse" else 1e-5)


def test_painting_covers_what_it_should() -> None:
    face = canvas.Face(people(2), 32)
    face.image.fill_(0.0)
    window = face.window(-0.5, 0.5, -0.5, 0.5, head=False)
    colours = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    cover = window.shape(canvas.circle(window.x, window.y, 0.3), colours, (0.0, 1.0, 0.0), 0.1)
    assert cover.max() == 1 and cover.min() == 0
    assert torch.equal(face.image[:, :, 16, 16], colours)
    assert face.image[:, 1, 16, 21].min() > 0.9             # the outline, at x = 0.34
    assert not face.image[:, :, :7].any()                   # nothing outside the window


def test_a_pose_moves_the_heads_frame_alone() -> None:
    still, moved = people(1), change(people(1), shift_x=1.0, shift_y=-1.0)
    head, picture = (canvas.Face(moved, 32).window(-1, 1, -1, 1, head=head)
                     for head in (True, False))
    before = canvas.Face(still, 32).window(-1, 1, -1, 1)
    assert torch.allclose(head.x, before.x - 0.12) and torch.allclose(head.y, before.y + 0.08)
    assert torch.equal(picture.x, before.x) and torch.equal(picture.y, before.y)


# ---- backdrops


@pytest.mark.parametrize("number", range(len(parameters.BACKDROP)))
def test_every_backdrop_is_its_own(number: int) -> None:
    count = len(parameters.BACKDROP)
    place = number / (count - 1)
    sky = render(change(people(1), backdrop=place), 64)[0, :, 0, 0].add(1).div(2)
    tops = torch.tensor([top for _, top, _ in parameters.BACKDROP])
    assert int((tops - sky).norm(dim=1).argmin()) == number
