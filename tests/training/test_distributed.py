"""Ranks: shares of a batch, one alone, words for what goes wrong; several at work: test_trainer."""
from __future__ import annotations

import pytest
import torch
from torch import nn

from lgfa.errors import LGFAError
from lgfa.training import distributed
from lgfa.training.distributed import Ranks


def test_rows_are_shared_without_rest():
    shares = [Ranks(rank, 3).rows(12) for rank in range(3)]
    assert [row for share in shares for row in range(12)[share]] == list(range(12))
    assert Ranks().rows(5) == slice(0, 5)
    with pytest.raises(LGFAError, match="a batch of 4 cannot be shared by 3 ranks"):
        Ranks(0, 3).rows(4)


def test_alone_nothing_changes():
    alone, layer = Ranks(), nn.Linear(2, 2)
    layer(torch.ones(1, 2)).sum().backward()
    before = layer.weight.grad.clone()
    alone.mean_gradients(layer.parameters())
    alone.share(layer.parameters())
    alone.wait()
    assert torch.equal(layer.weight.grad, before) and alone.first
    value = torch.tensor([1.0, 2.0], requires_grad=True)
    mean = alone.mean(value)
    assert torch.equal(mean, value) and not mean.requires_grad
    assert alone.any(True) is True and alone.any(False) is False
    assert alone.on_first(lambda: 5) == 5


def test_what_fails_on_the_first_rank_fails_everywhere(monkeypatch):
    def fail() -> None:
        raise OSError("no disk")

    with pytest.raises(OSError, match="no disk"):
        Ranks().on_first(fail)
    monkeypatch.setattr(Ranks, "any", lambda self, flag: True)      # the first one says so
    with pytest.raises(LGFAError, match="first rank says above"):
        Ranks(1, 2).on_first(fail)


@pytest.mark.parametrize("value", ["", "two", "-1", "1.5", "\u0663", "9" * 12])
def test_an_environment_that_torchrun_does_not_make(monkeypatch, value):
    monkeypatch.setenv("WORLD_SIZE", value)
    with pytest.raises(LGFAError, match="WORLD_SIZE.* which torchrun would not set"):
        distributed.start("cpu")


def test_without_torchrun_one_is_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert distributed.start("cpu") == Ranks(device=torch.device("cpu"))
    distributed.stop()                                              # .. and leaves nothing


def test_a_lost_connection_is_told_as_the_others_end():
    error = RuntimeError("[gloo] Connection closed by peer [127.0.0.1]:1234")
    assert distributed.lost(error, Ranks()) is error                # alone there is no other
    assert "another rank has ended" in str(distributed.lost(error, Ranks(0, 2)))
    other = RuntimeError("shapes differ")
    assert distributed.lost(other, Ranks(0, 2)) is other
