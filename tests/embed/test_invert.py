"""Inversion, and when it is unlike the image."""
from __future__ import annotations

import warnings

import pytest
import torch
from tiny import tiny_encoder, tiny_generator

from lgfa.embed.invert import UNLIKE, distance, invert, warn_unlike
from lgfa.errors import LGFAError
from lgfa.media.images import read_batch


def test_invert_gives_codes_pictures_and_distances():
    generator = tiny_generator()
    x = torch.rand(3, 3, 16, 16) * 2 - 1
    w, again, far = invert(tiny_encoder(), generator, x)
    assert w.shape == (3, 6, 24) and again.shape == x.shape and far.shape == (3,)
    assert torch.equal(again, generator.synthesis(w).clamp(-1, 1)) and not w.requires_grad
    assert torch.allclose(far, distance(x, again))


def test_networks_of_different_generators():
    with pytest.raises(LGFAError, match="encoder makes 6 layers .* do not belong together"):
        invert(tiny_encoder(), tiny_generator(32), torch.zeros(1, 3, 32, 32))


def test_distance_is_in_units_of_the_picture():
    black, white = -torch.ones(2, 3, 40, 40), torch.ones(2, 3, 64, 64)
    assert torch.allclose(distance(black, white), torch.ones(2))
    assert distance(black, black).eq(0).all()


def test_warning_names_the_pictures():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_unlike(torch.full((3,), UNLIKE))
    with pytest.warns(UserWarning, match="unlike the image 1, 3 of 3"):
        warn_unlike(torch.tensor([1.0, 0.0, 1.0]))
    with pytest.warns(UserWarning, match="unlike the image: "):
        warn_unlike(torch.tensor([1.0]))


def test_batches_of_images():
    image = torch.rand(2, 20, 30, 3)
    x = read_batch(image)
    assert x.shape == (2, 3, 20, 20)
    assert torch.allclose(x[1].permute(1, 2, 0) / 2 + 0.5, image[1, :, 5:25], atol=1e-6)
    assert read_batch(image[0]).shape == (1, 3, 20, 20)
    with pytest.raises(LGFAError, match="must be \\[B,H,W,C\\]"):
        read_batch(image[:0])
