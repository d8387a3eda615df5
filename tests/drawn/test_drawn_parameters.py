"""Tables of drawn faces: walks along lists of categories, ranges."""
from __future__ import annotations

import pytest
import torch

from lgfa.drawn import parameters


def test_categories_have_plateaus() -> None:
    weights = parameters.category_weights(torch.tensor([0.0, 0.02, 1.0, 0.5 / 7]), 8)
    assert torch.allclose(weights.sum(1), torch.ones(4))
    assert weights[0, 0] == 1 and weights[1, 0] == 1 and weights[2, 7] == 1
    assert weights[3, :2].tolist() == pytest.approx([0.5, 0.5])


def test_palettes_blend_neighbours_alone() -> None:
    colours = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    found = parameters.palette(torch.tensor([0.0, 0.25, 0.5, 1.0, 7.0]), colours)
    wanted = torch.tensor([[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]])
    assert torch.allclose(found, wanted.float())


def test_nearest_category() -> None:
    assert parameters.category(torch.tensor([[-1.0, 0.0, 0.24], [0.26, 1.0, 9.0]]), 3).tolist() == [
        [0, 0, 0], [1, 2, 2]]


def test_limits() -> None:
    rows = [parameters.Parameter("a", -1, 2, ""), parameters.Parameter("b", 0, 1.3, "")]
    low, high = parameters.limits(rows)
    assert low.tolist() == [-1, 0] and high.tolist() == pytest.approx([2, 1.3])
