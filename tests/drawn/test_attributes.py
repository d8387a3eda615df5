"""The attribute network: shapes, sizes of pictures, and what it is asked. Its training:
tests/training/drawn/test_judges.py; how well it reads toons: tests/evaluate/test_bundled.py."""
from __future__ import annotations

import pytest
import torch

from lgfa.drawn.attributes import Attributes, AttributesConfig
from lgfa.nn.random import fresh_weights


@pytest.fixture(scope="module")
def network() -> Attributes:
    with fresh_weights(1):
        return Attributes(AttributesConfig(input_size=32, widths=(4, 8, 8), features=12,
                                           expressions=3, parameters=5)).eval()


@pytest.mark.parametrize("size", [16, 32, 50, 128])
@torch.no_grad()
def test_shapes(network: Attributes, size: int) -> None:
    x = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    logits, params = network(x)
    assert logits.shape == (2, 3) and params.shape == (2, 5)
    assert network.features(x).shape == (2, 12)


@torch.no_grad()
def test_what_is_beyond_the_range_is_as_its_end(network: Attributes) -> None:
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2
    assert torch.equal(network.features(x), network.features(x.clamp(-1, 1)))


def test_keys_of_the_file() -> None:
    names = set(Attributes(AttributesConfig()).state_dict())
    assert {"body.0.0.weight", "body.3.4.running_mean", "head.1.bias", "expression.weight",
            "parameters_.bias"} <= names
