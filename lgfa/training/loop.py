"""The one loop of all trainings. A training brings its step and its state; here is what surrounds
them: going on from a checkpoint, requests to stop, the check for divergence, log and checkpoints.

    rates -> batch -> losses -> gradients -> weights -> averages        the training's `step`
    asked to stop? -> step -> finite? -> log -> checkpoint -> progress  `run`

A step may hold any number of networks and optimisers, and may let them take turns by its number.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from ..errors import LGFAError
from . import checkpoints
from .distributed import Ranks
from .resume import Clock


class State(Protocol):
    """What a training holds between two steps; `resume.Parts` is one."""

    def state_dict(self) -> dict[str, Any]:
        """All of it, of tensors and plain data; no "step"."""

    def check(self, stored: dict[str, Any]) -> None:
        """LGFAError unless a checkpoint can be taken up as a whole; changes nothing."""

    def load_state_dict(self, stored: dict[str, Any]) -> None:
        """Takes up what was checked."""


class Diverged(Exception):
    """Why a training cannot go on, as half a sentence: "the loss total is no finite number"."""


@dataclass(frozen=True)
class End:
    """How a run ended."""

    step: int                               # steps done
    stopped: bool                           # True: it was asked to
    checkpoint: Path | None                 # the last one; None where nothing is kept


@dataclass(frozen=True)
class Trained:
    """What a training gives, that has nothing more to say."""

    network: nn.Module                      # in eval mode, with averaged weights if there are any
    minutes: float                          # that it took, over all its runs
    info: dict[str, Any] = field(default_factory=dict)  # its settings, for the file's header


def run(
    step: Callable[[int], dict[str, float]],    # does the step of a number, from 0: its terms
    steps: int,                             # in all
    state: State | None = None,             # what checkpoints hold
    files: checkpoints.Numbered | checkpoints.Single | None = None,     # where they lie; None =
    #                                         there are none
    *,
    save_every: int = 0,                    # steps between two checkpoints; 0 = only the last
    limit: float = math.inf,                # a term beyond it is divergence, as NaN is
    name: str = "the training",             # for the sentence about divergence
    remedy: str = "lower the rate",         # .. and what may help
    begin: Callable[[int, Path | None], None] | None = None,    # told the steps that are done, and
    #                                         the checkpoint that they come from
    log: Callable[[int, dict[str, float]], None] | None = None,     # after each step, before its
    #                                         checkpoint, on the first rank: steps done, terms
    tell: Callable[[int, dict[str, float]], None] | None = None,    # after it, on every rank
    should_stop: Callable[[], bool] = lambda: False,    # asked before each step
    note: Callable[[str], None] | None = None,      # told of checkpoints that are left out
    ranks: Ranks = Ranks(),                 # noqa: B008 - this process among others
) -> End:
    """Goes on from the newest checkpoint, to the last step or until it is asked to stop.

    Raises LGFAError when a checkpoint is another training's, when a term is no number any more,
    and when the disk is full; the last checkpoint then stays.
    """
    done, saved = take_up(state, files, note)
    kept, stopped = done if saved is not None else -1, False    # kept: the step that is safe
    if begin is not None:
        begin(done, saved)

    def save() -> Path:
        return files.write({"step": done, **state.state_dict()})

    def leave() -> Path | None:
        if log is not None:
            log(done, terms)
        return save() if files is not None and is_due(done, save_every, steps) else None

    while done < steps:
        stopped = ranks.any(should_stop())
        if stopped:
            break
        try:
            terms = step(done)
            check(terms, limit)
        except Diverged as error:
            safe = f"the checkpoint {saved} is kept" if saved else "nothing was saved yet"
            raise LGFAError(
                f"{name} stops at step {done + 1}, since {error}: {remedy} ({safe}).") from error
        done += 1
        if (written := ranks.on_first(leave)) is not None:
            saved, kept = written, done
        if tell is not None:
            tell(done, terms)
    if files is not None:
        saved = ranks.on_first(lambda: saved if kept == done else save()) or saved
    return End(done, stopped, saved)


def take_up(
    state: State | None,                    # takes over the newest whole checkpoint
    files: checkpoints.Numbered | checkpoints.Single | None,
    note: Callable[[str], None] | None = None,      # told of checkpoints that are left out
) -> tuple[int, Path | None]:
    """The steps that are done and the checkpoint that says so; (0, None) where there is none.
    LGFAError, and nothing is changed, when there is one that is of no use."""
    found = None if files is None else files.latest(state.check, note)
    if found is None:
        return 0, None
    path, stored = found
    state.load_state_dict(stored)
    return stored["step"], path


def check(
    terms: dict[str, float],
    limit: float = math.inf,                # of a term's size
) -> None:
    """Raises Diverged when a term is no number, or beyond the limit."""
    for name, value in reversed(terms.items()):
        if not abs(value) < limit:
            raise Diverged(f"{name} is beyond {limit:g}" if math.isfinite(value)
                           else f"{name} is no finite number")


def is_due(
    done: int,                              # steps done
    every: int,                             # 0 = never
    steps: int,                             # in all: the last counts always
) -> bool:
    """Whether what is done every so many steps is done after this one."""
    return every > 0 and (done % every == 0 or done == steps)


# ---- for a training's step

class Rates:
    """The peak rates of optimisers, group by group, of which each step sets its share."""

    def __init__(self, *optimizers: torch.optim.Optimizer) -> None:
        self._peaks = [(optimizer, [group["lr"] for group in optimizer.param_groups])
                       for optimizer in optimizers]

    def set(self, share: float) -> None:
        """The same share, 0..1, of all of them."""
        for optimizer, peaks in self._peaks:    # its groups are other ones after going on
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * share


class Lines:
    """Lines of progress, "NAME 25/600 1.3 min loss 0.12 ..", as a run's `log`."""

    def __init__(
        self,
        name: str,                          # of the training
        steps: int,                         # in all
        every: int,                         # steps from one line to the next
        say: Callable[[str], None],         # takes the line
        clock: Clock | None = None,         # None = a line without minutes
        form: str = ".4g",                  # of the figures
        smooth: bool = True,                # means over about twenty steps; False = the last step's
    ) -> None:
        self.name, self.steps, self.every, self.say = name, steps, every, say
        self.clock, self.form, self.smooth = clock, form, smooth
        self._figures: dict[str, float] = {}

    def __call__(self, done: int, terms: Mapping[str, float]) -> None:
        for name, value in terms.items():
            before = self._figures.get(name)
            self._figures[name] = value if before is None or not self.smooth else (
                0.95 * before + 0.05 * value)
        if is_due(done, self.every, self.steps):
            time = [f"{self.clock.seconds / 60:.1f} min"] if self.clock is not None else []
            figures = [f"{name} {value:{self.form}}" for name, value in self._figures.items()]
            self.say(" ".join([f"{self.name} {done}/{self.steps}", *time, *figures]))
