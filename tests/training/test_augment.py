"""Changes before the loss CLIP: each kind alone, ranks, gradients."""
from __future__ import annotations

import pytest
import torch

from lgfa.training import augment

KINDS = ("shift", "crop", "colour", "noise")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(4, 3, 16, 16, generator=seeded(1)) * 2 - 1


def test_draws_do_not_depend_on_the_ranks(images) -> None:
    draws = augment.draw(KINDS, 4, seeded())
    whole = augment.apply(images, draws)
    part = augment.apply(images[2:], draws.rows(slice(2, 4)))
    torch.testing.assert_close(whole[2:], part)
    assert (whole - images).abs().mean() > 0.05


def test_nothing_asked_for_changes_nothing(images) -> None:
    assert torch.equal(augment.apply(images, augment.draw((), 4, seeded())), images)


def test_every_kind_takes_the_same_numbers() -> None:
    """What is drawn after it is the same whatever is switched on: trainings stay comparable."""
    after = set()
    for kinds in ((), *((kind,) for kind in KINDS), KINDS):
        random = seeded()
        augment.draw(kinds, 4, random)
        after.add(float(torch.rand((), generator=random)))
    assert len(after) == 1
    alone, both = (augment.draw(kinds, 4, seeded()) for kinds in (("crop",), ("crop", "colour")))
    assert torch.equal(alone.zoom, both.zoom) and not alone.colour.any() and both.colour.any()


def test_bounds() -> None:
    draws = augment.draw(KINDS, 2000, seeded())
    assert augment.CROP <= draws.zoom.min() < 0.81 and 0.99 < draws.zoom.max() <= 1
    assert draws.colour.abs().max() <= augment.COLOUR and (draws.noise >= 0).all()
    # Shifted by part of the side, and inside what the crop leaves.
    assert (draws.shift.abs() <= 1 - draws.zoom[:, None] + 2 * augment.SHIFT + 1e-6).all()


def test_a_crop_is_a_part_made_larger() -> None:
    """Half of a slope's side, centred: the slope is half as steep."""
    slope = torch.linspace(-1, 1, 33).expand(1, 3, 33, 33)
    draws = augment.Draws(torch.tensor([0.5]), torch.zeros(1, 2), torch.zeros(1, 6),
                          torch.tensor([-1]))
    torch.testing.assert_close(augment.apply(slope, draws), slope / 2, atol=1e-5, rtol=0)


def test_a_shift_moves_the_picture_and_continues_its_edge() -> None:
    slope = torch.linspace(-1, 1, 32).expand(1, 3, 32, 32)
    draws = augment.Draws(torch.ones(1), torch.tensor([[0.5, 0.0]]), torch.zeros(1, 6),
                          torch.tensor([-1]))
    moved = augment.apply(slope, draws)          # by a quarter of the side: eight pixels
    torch.testing.assert_close(moved[..., :24], slope[..., 8:], atol=1e-5, rtol=0)
    torch.testing.assert_close(moved[..., 24:], torch.ones(1, 3, 32, 8), atol=1e-5, rtol=0)


def test_colour_by_hand() -> None:
    """Contrast about mid grey, brightness, saturation about the pixel's grey, channel gains."""
    pixel = torch.tensor([0.6, 0.0, -0.3]).reshape(1, 3, 1, 1)
    changes = torch.tensor([[0.1, 0.2, -0.5, 0.02, 0.0, -0.04]])
    draws = augment.Draws(torch.ones(1), torch.zeros(1, 2), changes, torch.tensor([-1]))
    x = [0.6 * 1.2 + 0.05, 0.05, -0.3 * 1.2 + 0.05]
    grey = sum(x) / 3
    wanted = [grey + (value - grey) * 0.5 + gain / 2
              for value, gain in zip(x, (0.02, 0.0, -0.04), strict=True)]
    torch.testing.assert_close(augment.apply(pixel, draws).flatten(), torch.tensor(wanted))


def test_noise_is_the_images_own() -> None:
    grey = torch.zeros(64, 3, 8, 8)
    noise = augment.apply(grey, augment.draw(("noise",), 64, seeded()))
    assert float(noise.std()) == pytest.approx(augment.NOISE, rel=0.05)
    assert abs(float(noise.mean())) < 0.002
    assert len({tuple(one.flatten().tolist()) for one in noise}) == 64


def test_gradients_reach_the_pictures(images) -> None:
    images.requires_grad_(True)
    augment.apply(images, augment.draw(KINDS, 4, seeded())).sum().backward()
    assert (images.grad.flatten(1).abs().sum(dim=1) > 0).all()
