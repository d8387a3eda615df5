"""Mixing stills by layers."""
from __future__ import annotations

import pytest
import torch

from lgfa.errors import LGFAError
from lgfa.trajectory.layers import LAYERS, mix_layers


def test_the_parts_make_up_the_whole():
    a, b = torch.randn(2, 18, 8), torch.randn(2, 18, 8)
    out = a
    for name in list(LAYERS)[1:]:
        out = mix_layers(out, b, 1.0, name)
    assert torch.allclose(out, mix_layers(a, b, 1.0)) and torch.allclose(out, b)


def test_small_generators_have_no_fine_layers():
    a, b = torch.randn(1, 6, 8), torch.randn(1, 6, 8)
    assert torch.equal(mix_layers(a, b, 1.0, "fine (colour, texture)"), a)


def test_one_goes_with_many_and_beyond():
    a, b = torch.zeros(1, 6, 8), torch.ones(3, 6, 8)
    assert torch.allclose(mix_layers(a, b, 2.0), 2 * b) and a.eq(0).all()
    assert torch.allclose(mix_layers(b, a, 0.25), 0.75 * b)


@pytest.mark.parametrize("a, b, amount, layers, said", [
    ((1, 6, 8), (1, 8, 8), 0.5, "all layers", "different generators"),
    ((2, 6, 8), (3, 6, 8), 0.5, "all layers", "give as many, or one"),
    ((1, 6, 8), (1, 6, 8), float("nan"), "all layers", "finite"),
    ((1, 6, 8), (1, 6, 8), 0.5, "hair", "no layers 'hair'"),
])
def test_refusals(a, b, amount, layers, said):
    with pytest.raises(LGFAError, match=said):
        mix_layers(torch.zeros(a), torch.zeros(b), amount, layers)
