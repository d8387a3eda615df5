"""The linear layer: by hand, its variance, its keys and its initial weights."""
from __future__ import annotations

import math

import pytest
import torch

from lgfa.nn.layers import EqualizedLinear


def test_by_hand():
    layer = EqualizedLinear(4, 1, bias_init=0.5)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[2.0, 0.0, -4.0, 6.0]]))
    assert layer(torch.tensor([[1.0, 9.0, 1.0, 1.0]])).item() == (2 - 4 + 6) / 2 + 0.5


@pytest.mark.parametrize(("inputs", "lr_multiplier"), [(16, 1.0), (400, 1.0), (400, 0.01)])
def test_unit_variance_whatever_the_width_and_rate(inputs, lr_multiplier):
    torch.manual_seed(0)
    layer = EqualizedLinear(inputs, 500, lr_multiplier)
    assert layer(torch.randn(500, inputs)).std().item() == pytest.approx(1, abs=0.05)
    assert layer.weight.std().item() == pytest.approx(1 / lr_multiplier, rel=0.05)
    assert layer.gain == pytest.approx(lr_multiplier / math.sqrt(inputs))


def test_what_a_multiplier_changes():
    """One step of the same size on what is stored moves the output by this factor."""
    x = torch.ones(1, 4)
    moved = []
    for lr_multiplier in (1.0, 0.01):
        layer = EqualizedLinear(4, 1, lr_multiplier)
        before = layer(x).item()
        with torch.no_grad():
            layer.weight += 1
            layer.bias += 1
        moved.append(layer(x).item() - before)
    assert moved[0] == pytest.approx(4 / 2 + 1, rel=1e-5)
    assert moved[1] == pytest.approx(0.01 * moved[0], rel=1e-3)


@pytest.mark.parametrize("lr_multiplier", [1.0, 0.01])
def test_the_bias_begins_with_its_effect(lr_multiplier):
    layer = EqualizedLinear(4, 3, lr_multiplier, bias_init=1.0)
    assert layer(torch.zeros(1, 4)).tolist() == [pytest.approx([1, 1, 1])]


def test_initial_weights_of_a_seed_are_one_draw():
    """Trainings that begin with a seed depend on the number and order of the draws."""
    torch.manual_seed(3)
    layers = [EqualizedLinear(5, 4), EqualizedLinear(4, 2, 0.01, weight_std=0.1, bias=False)]
    torch.manual_seed(3)
    assert torch.equal(layers[0].weight, torch.randn(4, 5))
    assert torch.equal(layers[1].weight, 0.1 * torch.randn(2, 4) / 0.01)


def test_keys():
    assert list(EqualizedLinear(2, 3).state_dict()) == ["weight", "bias"]
    bare = EqualizedLinear(2, 3, bias=False)
    assert list(bare.state_dict()) == ["weight"] and bare.bias is None
    assert not bare(torch.zeros(1, 2)).any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_the_input_decides_the_dtype(dtype):
    layer = EqualizedLinear(2, 3, 0.5, bias_init=1.0)
    found = layer(torch.ones(1, 2, dtype=dtype))
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), layer(torch.ones(1, 2)), rtol=2e-2, atol=2e-2)
