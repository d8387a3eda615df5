"""Seeds, and weights that begin with them."""
from __future__ import annotations

import pytest
import torch
from torch import nn

from lgfa.errors import LGFAError
from lgfa.nn.random import check_seed, fresh_weights


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, True, "7", None])
def test_what_is_no_seed(seed: object) -> None:
    with pytest.raises(LGFAError, match="whole number from 0 to 2"):
        check_seed(seed)


def test_every_seed_is_kept() -> None:
    assert check_seed(0) == 0 and check_seed(2**64 - 1) == 2**64 - 1


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
