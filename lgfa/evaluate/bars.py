"""What is asked of a drawn domain's networks: a report's settings, and a figure with its bar."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..drawn.world import World


@dataclass(frozen=True)
class Report:
    """What is measured of a domain's networks, and what their cards say."""

    world: World
    bars: Mapping[str, float]               # name of a figure (see the calls of `line`) -> its bar;
    #                                         without one it is for information
    questions: tuple[str, ...]              # zero-shot figures of CLIP, in order, see zero_shot
    read: tuple[str, ...]                   # parameters whose estimate is measured
    watched: tuple[str, ...]                # expressions that have a bar of their own
    absent: Mapping[str, tuple[str, ...]]   # parameter -> expressions in which it stays nearly 0
    untouched: tuple[tuple[float, float], ...]      # centres of squares, -1..1, that no expression
    #                                         changes
    template: str                           # sentence around an expression's first word
    cards: Mapping[str, tuple[str, str]]    # network -> what it is, what it was trained from
    limits: str                             # what no network of the domain is for
    seed: int = 77_000                      # of everything that is drawn here; trainings have
    #                                         seeds below 10,000

    def rng(self, number: int) -> torch.Generator:
        """Random numbers of one measurement, alike in every report."""
        return torch.Generator().manual_seed(self.seed + number)

    def line(
        self,
        network: str,
        key: str,                           # of the bar, without the network's name
        what: str,                          # in words
        value: Tensor | float,
        at_most: bool = False,              # the bar is an upper one
    ) -> Line:
        """A figure with its bar."""
        return Line(network, what, float(value), self.bars.get(f"{network}.{key}"), at_most)


class Line(NamedTuple):
    """One figure of a report."""

    network: str
    what: str                               # in words
    value: float
    bar: float | None                       # None = for information
    at_most: bool = False                   # the bar is an upper one

    @property
    def met(self) -> bool:
        """Is the figure on the right side of its bar?"""
        if self.bar is None:
            return True
        return self.value <= self.bar if self.at_most else self.value >= self.bar

    def __str__(self) -> str:
        text = f"{self.network:<11} {self.what:<62} {self.value:9.3f}"
        if self.bar is None:
            return text
        sign, end = "<=" if self.at_most else ">=", "met" if self.met else "MISSED"
        return f"{text}   {sign} {self.bar:g}   {end}"
