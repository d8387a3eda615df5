"""Weights that begin with a seed."""
from __future__ import annotations

import pytest
import torch
from torch import nn

from lgfa.nn.random import fresh_weights


def test_weights_are_those_of_the_seed_and_nothing_else_changes() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        wanted = nn.Linear(3, 2).weight
    before = torch.get_rng_state()
    with fresh_weights(5):
        made = nn.Linear(3, 2).weight
    assert torch.equal(made, wanted)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_failure_within_leaves_the_random_state_alone() -> None:
    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), fresh_weights(5):
        torch.rand(3)
        raise ZeroDivisionError
    assert torch.equal(torch.get_rng_state(), before)
