"""What of a checkpoint is taken up: parts, clocks, random states; nothing before all is right."""
from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lgfa.errors import LGFAError
from lgfa.training import resume
from lgfa.training.average import Average
from lgfa.training.checkpoints import Unlike


class Small:
    """A network after some steps, with all that belongs to it."""

    def __init__(self, steps: int) -> None:
        torch.manual_seed(steps)
        self.network, self.rng = nn.Linear(2, 2), torch.Generator().manual_seed(steps)
        self.adam = torch.optim.Adam(self.network.parameters(), 0.1 / (1 + steps))
        self.average = Average(self.network, 0.5)
        for _ in range(steps):
            self.adam.zero_grad()
            self.network(torch.randn(3, 2, generator=self.rng)).square().sum().backward()
            self.adam.step()
            self.average.update()

    def parts(self, **more: Any) -> resume.Parts:
        return resume.Parts({"network": self.network, "adam": self.adam, "average": self.average,
                             "rng": self.rng, "seconds": resume.Clock()}, **more)

    def stored(self, step: int) -> dict[str, Any]:
        return {"step": step, **copy.deepcopy(self.parts().state_dict())}


def test_all_of_it_is_taken_over():
    one, two = Small(3), Small(0)
    stored = one.stored(3)
    stored["seconds"] = 60.0
    parts = two.parts()
    parts.check(stored)
    parts.load_state_dict(stored)
    for name, value in one.network.state_dict().items():
        assert torch.equal(value, two.network.state_dict()[name])
        assert torch.equal(one.average.means[name], two.average.means[name])
    for mine, other in zip(one.adam.state.values(), two.adam.state.values(), strict=True):
        assert all(torch.equal(mine[name], other[name]) for name in resume.MOMENTS)
    assert torch.equal(torch.randn(4, generator=one.rng), torch.randn(4, generator=two.rng))
    assert 60 <= parts.parts["seconds"].seconds < 120
    assert two.adam.param_groups[0]["lr"] == 0.1                    # rates are set by each step


@pytest.mark.parametrize("change, words", [
    (lambda s: s["network"].pop("bias"), "its network has not the parts"),
    (lambda s: s["average"]["bias"].fill_(float("inf")), "its average holds NaN"),
    (lambda s: s["adam"].clear(), "its optimizer is not this training's"),
    (lambda s: s["adam"]["state"].clear(), "its optimizer has no state"),
    (lambda s: s["adam"]["state"][0]["step"].fill_(4), "impossible numbers"),
    (lambda s: s.update(rng=torch.zeros(5)), "its state"),
    (lambda s: s.update(seconds=-1.0), "its seconds are no time"),
    (lambda s: s.update(seconds="long"), "its seconds are no time"),
    (lambda s: s.pop("average"), "its state"),
])
def test_one_wrong_part_is_enough(change, words):
    stored = Small(3).stored(3)
    change(stored)
    with pytest.raises(LGFAError, match=words):
        Small(0).parts().check(stored)


def test_optimisers_may_learn_more_often_than_once_a_step_or_late():
    twice, never = Small(4).stored(2), Small(0).stored(2)
    with pytest.raises(LGFAError, match="impossible"):
        Small(0).parts().check(twice)
    Small(0).parts(updates=2).check(twice)
    with pytest.raises(LGFAError, match="no state"):
        Small(0).parts().check(never)
    Small(0).parts(late=["adam"]).check(never)


def test_clock():
    clock = resume.Clock()
    clock.check(clock.state_dict())
    clock.load_state_dict(100)
    time.sleep(0.02)
    assert 100.02 <= clock.seconds < 160
    for wrong in (None, -1, float("nan"), float("inf"), "1"):
        with pytest.raises(LGFAError, match="no time"):
            clock.check(wrong)


def test_the_same_settings():
    same = resume.Same({"rate": 0.1, "betas": [0, 1], "steps": 9}, ["steps"], Path("here"))
    same.check({"rate": 0.1, "betas": [0, 1], "steps": 12})
    for other in ({"rate": 0.2, "betas": [0, 1]}, {"rate": 0.1}, {"rate": 0.1, "betas": [0, 2]}):
        with pytest.raises(Unlike, match="here holds a training with other settings"):
            same.check(other)


def test_random_states():
    generator = torch.Generator().manual_seed(4)
    states = resume.RandomStates(generator, torch.device("cpu"))
    stored = states.state_dict()
    assert stored["device"] is None
    states.check(stored)
    with torch.random.fork_rng(devices=[]):
        drawn = torch.randn(3), torch.randn(3, generator=generator)
        states.load_state_dict(stored)
        again = torch.randn(3), torch.randn(3, generator=generator)
    assert all(map(torch.equal, drawn, again))
    for wrong in (None, {}, {**stored, "torch": torch.zeros(3)}, {**stored, "device": "cuda"},
                  {name: stored[name] for name in ("training", "torch")}):
        with pytest.raises(LGFAError, match="its random state"):
            states.check(wrong)


@pytest.mark.parametrize("stored", [None, [], {"a": 1}, {"a": float("nan")}, {1: 1.0}])
def test_values_are_finite_floats_by_name(stored):
    resume.check_values({"a": 1.0})
    with pytest.raises(LGFAError, match="losses"):
        resume.check_values(stored)
