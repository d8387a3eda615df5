"""The one loop, under a training of two networks that work against each other."""
from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lgfa.errors import LGFAError
from lgfa.training import checkpoints, loop, resume
from lgfa.training.average import Average, warming
from lgfa.training.distributed import Ranks

STEPS = 7


class Duel:
    """A maker and its critic take turns, each with an optimiser; the maker is averaged, the critic
    has statistics: what adversarial trainings need of the loop."""

    def __init__(self, penalty: float = 1.0) -> None:
        torch.manual_seed(0)
        self.maker = nn.Linear(3, 2)
        self.critic = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        self.average = Average(self.maker, warming(0.9))
        self.made = torch.optim.Adam(self.maker.parameters(), 1e-2, (0.0, 0.99))
        self.judged = torch.optim.AdamW(self.critic.parameters(), 2e-2)
        self.rates = loop.Rates(self.made, self.judged)
        self.rng, self.penalty = torch.Generator().manual_seed(5), penalty
        self.asked: list[int] = []

    def step(self, number: int) -> dict[str, float]:
        self.asked.append(number)
        self.rates.set(1 - number / STEPS)
        real = torch.randn(6, 2, generator=self.rng)
        made = self.maker(torch.randn(6, 3, generator=self.rng))
        terms = {"critic": self.critic(made.detach()).mean() - self.critic(real).mean()
                 + self.penalty * self.critic(real).square().mean()}
        self.judged.zero_grad()
        terms["critic"].backward()
        self.judged.step()
        if number % 3:                      # now and then the critic alone
            terms["maker"] = -self.critic(made).mean()
            self.made.zero_grad()
            terms["maker"].backward()
            self.made.step()
        self.average.update(number)
        return {name: float(value.detach()) for name, value in terms.items()}

    def state(self, folder: Path) -> resume.Parts:
        names = ("maker", "critic", "average", "made", "judged", "rng")
        return resume.Parts({
            "settings": resume.Same({"penalty": self.penalty, "steps": STEPS}, ("steps",), folder),
            **{name: getattr(self, name) for name in names}, "seconds": resume.Clock(),
        }, late=["made"])

    def run(self, folder: Path | None, steps: int = STEPS, **more: Any) -> loop.End:
        where = Path("nowhere") if folder is None else folder
        files = None if folder is None else checkpoints.Numbered(folder)
        return loop.run(self.step, steps, self.state(where), files, **{"save_every": 2, **more})


def tensors(tree: Any) -> list[Tensor]:
    """All tensors of a state, in order."""
    if isinstance(tree, dict | list | tuple):
        return [one for part in (tree.values() if isinstance(tree, dict) else tree)
                for one in tensors(part)]
    return [tree] if isinstance(tree, Tensor) else []


def equal(one: Duel, two: Duel) -> bool:
    """Whether everything is the same, to the bit: weights, moments, averages, random numbers."""
    a, b = (tensors(duel.state(Path()).state_dict()) for duel in (one, two))
    return len(a) == len(b) > 10 and all(map(torch.equal, a, b))


@pytest.fixture(scope="module")
def whole() -> Duel:
    duel = Duel()
    assert duel.run(None) == loop.End(STEPS, False, None)
    return duel


# ---- going on

@pytest.mark.parametrize("stop", range(STEPS + 1))
def test_stopped_at_any_step_it_goes_on_bit_for_bit(tmp_path, whole, stop):
    first, rest = Duel(), Duel(penalty=1.0)
    asked = iter([False] * stop + [True])
    end = first.run(tmp_path, should_stop=lambda: next(asked))
    assert end.step == stop and end.stopped == (stop < STEPS)
    assert end.checkpoint == tmp_path / f"step-{stop:08d}.pt" and end.checkpoint.is_file()
    assert rest.run(tmp_path) == loop.End(STEPS, False, tmp_path / f"step-{STEPS:08d}.pt")
    assert first.asked + rest.asked == list(range(STEPS))
    assert equal(rest, whole)


@pytest.mark.parametrize("dead", range(STEPS))
def test_killed_in_any_step_it_goes_on_bit_for_bit(tmp_path, whole, dead):
    first, rest = Duel(), Duel()

    def step(number: int) -> dict[str, float]:
        terms = first.step(number)
        if number == dead:
            raise KeyboardInterrupt
        return terms

    with pytest.raises(KeyboardInterrupt):
        loop.run(step, STEPS, first.state(tmp_path), checkpoints.Numbered(tmp_path), save_every=2)
    begun: list[tuple] = []
    rest.run(tmp_path, begin=lambda *where: begun.append(where))
    saved = dead - dead % 2                 # by the steps before
    assert begun == [(saved, tmp_path / f"step-{saved:08d}.pt" if saved else None)]
    assert rest.asked == list(range(saved, STEPS)) and equal(rest, whole)


def test_a_finished_training_stays(tmp_path):
    Duel().run(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = Duel()
    assert again.run(tmp_path).step == STEPS and not again.asked
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_a_broken_checkpoint_is_passed_over(tmp_path, whole):
    newest = Duel().run(tmp_path).checkpoint
    newest.write_bytes(newest.read_bytes()[:-100])
    rest, notes = Duel(), []
    rest.run(tmp_path, note=notes.append)
    assert rest.asked == [6] and equal(rest, whole)
    assert len(notes) == 1 and newest.name in notes[0]


def test_other_settings_are_refused_and_change_nothing(tmp_path):
    Duel().run(tmp_path)
    other = Duel(penalty=2.0)
    with pytest.raises(checkpoints.Unlike, match="other settings"):
        other.run(tmp_path)
    assert equal(other, Duel(penalty=2.0)) and not other.asked


@pytest.mark.parametrize("part", ["maker", "critic", "average", "made", "judged", "rng", "seconds"])
def test_a_checkpoint_that_lacks_a_part_changes_nothing(tmp_path, part):
    path = Duel().run(tmp_path, steps=2).checkpoint
    state = torch.load(path, weights_only=True)
    del state[part]
    torch.save(state, path)
    other = Duel()
    with pytest.raises(LGFAError, match="none of the 1 checkpoints"):
        other.run(tmp_path)
    assert equal(other, Duel())


# ---- logs, checkpoints, progress

def test_what_is_told_and_saved(tmp_path):
    events: list[tuple] = []

    class Watched(checkpoints.Numbered):
        def write(self, state: dict[str, Any]) -> Path:
            events.append(("save", state["step"]))
            return super().write(state)

    duel = Duel()
    loop.run(lambda number: events.append(("step", number)) or duel.step(number), STEPS,
             duel.state(tmp_path), Watched(tmp_path, keep=2), save_every=3,
             begin=lambda done, saved: events.append(("begin", done, saved)),
             log=lambda done, terms: events.append(("log", done)),
             tell=lambda done, terms: events.append(("tell", done, set(terms))))
    assert events[:4] == [("begin", 0, None), ("step", 0), ("log", 1), ("tell", 1, {"critic"})]
    assert [event[1] for event in events if event[0] == "log"] == list(range(1, STEPS + 1))
    assert [event[1] for event in events if event[0] == "save"] == [3, 6, 7]
    assert events[-3:] == [("log", 7), ("save", 7), ("tell", 7, {"critic"})]
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "step-00000006.pt", "step-00000007.pt"]


def test_only_the_last_checkpoint(tmp_path):
    Duel().run(tmp_path, save_every=0)
    assert [path.name for path in tmp_path.iterdir()] == [f"step-{STEPS:08d}.pt"]


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    logged: list[int] = []
    loop.run(lambda number: {"loss": 0.0}, 3, log=lambda done, terms: logged.append(done))
    assert logged == [1, 2, 3] and not list(tmp_path.iterdir())


def test_a_full_disk_ends_it_with_a_sentence_and_keeps_the_last(tmp_path):
    class Full(checkpoints.Numbered):
        def write(self, state: dict[str, Any]) -> Path:
            if state["step"] > 2:
                raise LGFAError("the disk is full.")
            return super().write(state)

    duel = Duel()
    with pytest.raises(LGFAError, match="full"):
        loop.run(duel.step, STEPS, duel.state(tmp_path), Full(tmp_path), save_every=2)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000002.pt"]


def test_only_the_first_rank_logs_and_saves(tmp_path, monkeypatch):
    """As the second of two, with the exchange of flags left out: nothing else is exchanged."""
    monkeypatch.setattr(Ranks, "any", lambda self, flag: flag)
    logged, told = [], []
    end = Duel().run(tmp_path, ranks=Ranks(1, 2), log=lambda *what: logged.append(what),
                     tell=lambda *what: told.append(what))
    assert end == loop.End(STEPS, False, None)
    assert not logged and len(told) == STEPS and not list(tmp_path.iterdir())


# ---- divergence

@pytest.mark.parametrize("value, limit, words", [
    (math.nan, math.inf, "b is no finite number"), (math.inf, math.inf, "b is no finite number"),
    (-math.inf, 5.0, "b is no finite number"), (-5.5, 5.0, r"b is beyond 5"),
    (5.0, 5.0, "b is beyond 5"),
])
def test_divergence_ends_it_and_keeps_the_checkpoint(tmp_path, value, limit, words):
    duel, logged = Duel(), []

    def step(number: int) -> dict[str, float]:
        duel.step(number)
        return {"a": 0.0, "b": value if number == 5 else 1.0, "c": -1.0}

    with pytest.raises(LGFAError, match=f"it stops at step 6, since {words}: pray .*00000004.pt"):
        loop.run(step, STEPS, duel.state(tmp_path), checkpoints.Numbered(tmp_path), save_every=2,
                 limit=limit, name="it", remedy="pray",
                 log=lambda done, terms: logged.append(done))
    assert logged == [1, 2, 3, 4, 5] and checkpoints.paths(tmp_path)[-1].name == "step-00000004.pt"


def test_a_step_may_say_itself_why_it_diverged():
    def step(number: int) -> dict[str, float]:
        raise loop.Diverged("the gradient is not finite")

    with pytest.raises(LGFAError, match="step 1, since the gradient .*nothing was saved yet"):
        loop.run(step, 2)


def test_check():
    loop.check({"a": 0.0, "b": -1e300})
    with pytest.raises(loop.Diverged, match="last"):
        loop.check({"first": math.nan, "last": math.nan})


# ---- rates and lines

def test_rates_are_shares_of_each_groups_own_also_after_going_on():
    first, second = nn.Linear(1, 1), nn.Linear(1, 1)
    adam = torch.optim.Adam([{"params": [first.weight], "lr": 1.0},
                             {"params": [first.bias], "lr": 0.1}])
    other = torch.optim.AdamW(second.parameters(), 0.5)
    rates = loop.Rates(adam, other)

    def now() -> list[float]:
        return [group["lr"] for one in (adam, other) for group in one.param_groups]

    rates.set(0.5)
    assert now() == [0.5, 0.05, 0.25]
    adam.load_state_dict(copy.deepcopy(adam.state_dict()))          # new groups, the rates halved
    rates.set(0.25)
    assert now() == [0.25, 0.025, 0.125]


def test_lines():
    said: list[str] = []
    smooth = loop.Lines("one", 5, 2, said.append, resume.Clock())
    plain = loop.Lines("two", 5, 4, said.append, form=".2f", smooth=False)
    for done in range(1, 6):
        terms = {"a": float(done), **({"b": 2.0} if done == 3 else {})}
        smooth(done, terms)
        plain(done, terms)
    assert said == ["one 2/5 0.0 min a 1.05", "one 4/5 0.0 min a 1.29 b 2", "two 4/5 a 4.00 b 2.00",
                    "one 5/5 0.0 min a 1.476 b 2", "two 5/5 a 5.00 b 2.00"]


def test_due():
    assert [done for done in range(1, 8) if loop.is_due(done, 3, 7)] == [3, 6, 7]
    assert not any(loop.is_due(done, 0, 7) for done in range(1, 8))
