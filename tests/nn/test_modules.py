"""What is done to whole networks (nn/modules.py); copies are tested in tests/nodes."""
from __future__ import annotations

import pytest
import torch
from torch import nn

from lgfa.nn.modules import freeze, half, normal_tensors


@pytest.mark.parametrize("options, dtype", [
    ({}, torch.bfloat16), ({"precision": "fp16"}, torch.float16),
    ({"precision": "fp32"}, torch.float32), ({"wanted": False}, torch.float32),
])
def test_half_precision_is_of_the_arithmetic_alone(options, dtype):
    layer, x = freeze(nn.Linear(4, 2)), torch.randn(3, 4)
    with half(x.device, **options):
        assert layer(x).dtype == dtype
    assert layer.weight.dtype == layer(x).dtype == torch.float32
    assert not layer.training and not layer.weight.requires_grad


def test_tensors_of_inference_mode_become_ordinary_ones_of_equal_values():
    with torch.inference_mode():
        network = nn.BatchNorm1d(3).requires_grad_(False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    normal_tensors(network)
    assert not any(value.is_inference() for value in network.state_dict().values())
    assert not network.weight.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
