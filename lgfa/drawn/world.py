"""All that trainings and reports ask of a drawn domain: how it draws, whom, and in which words.

A drawn domain has a truth: a face is one row of K numbers, a renderer makes a picture of it, and a
z stands for it. Its package brings one `World` (toon/world.py); training/drawn/ trains its networks
and evaluate/bundled.py measures them by it and by nothing else.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from .captions import Words
from .parameters import Parameter, limits


class Draws(Protocol):
    """params [B, K], R -> pictures [B, 3, R, R], float32, -1..1, RGB, on the parameters' device."""

    def __call__(self, params: Tensor, resolution: int) -> Tensor: ...


class People(Protocol):
    """People with neutral faces, no two alike: [n, K]."""

    def __call__(self, n: int, rng: torch.Generator) -> Tensor: ...


class Faces(Protocol):
    """Faces to train on, a share `named` of them with a named expression: [n, K]."""

    def __call__(self, n: int, rng: torch.Generator, named: float = ...) -> Tensor: ...


class Expresses(Protocol):
    """People [B, K] with the expressions of these numbers [B], which go on with Words.pairs;
    strength [B] or one for all, 0 = neutral, 1 = as named; jitter: a variation in half ranges,
    drawn from rng. [B, K]"""

    def __call__(self, params: Tensor, which: Tensor, strength: Tensor | float = ...,
                 jitter: float = ..., rng: torch.Generator | None = ...) -> Tensor: ...


class Dials(Protocol):
    """params [B, K] -> some z [B, z_dim] whose faces these are; rng draws what is free in z."""

    def __call__(self, params: Tensor, rng: torch.Generator) -> Tensor: ...


class Reads(Protocol):
    """z [B, z_dim] -> the faces that the generator is to draw for it, [B, K]."""

    def __call__(self, z: Tensor) -> Tensor: ...


class Bends(Protocol):
    """Column -> quantiles of its entry of z at which the parameter, as a function of it, bends."""

    def __call__(self, column: int) -> list[float]: ...


@dataclass(frozen=True)
class World:
    """A drawn domain's truth. The columns of a table say who it is first, what the face does
    then; entry i of z decides column i."""

    name: str                               # of the domain and of its folder of networks
    parameters: tuple[Parameter, ...]       # the table's K columns
    who: int                                # so many of them say who it is and what is behind
    pose: tuple[str, ...]                   # columns that are 0 in the domain: faces are aligned
    outfit: tuple[str, ...]                 # columns of `who` in which one person may vary
    expressions: Tensor                     # rows of the named expressions, the neutral one first,
    #                                         zero in the columns of `who`, [E, K]
    words: Words                            # its sentences; they name the expressions
    z_dim: int                              # length of the generator's z
    draw: Draws
    people: People
    faces: Faces
    with_expression: Expresses
    z_from_params: Dials
    params_from_z: Reads
    bends: Bends

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Name of a parameter -> its column."""
        return {parameter.name: i for i, parameter in enumerate(self.parameters)}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the expressions, in the order of their numbers."""
        return tuple(self.words.expressions)

    @property
    def columns(self) -> int:
        """K, columns of the table."""
        return len(self.parameters)

    @property
    def count(self) -> int:
        """E, named expressions."""
        return len(self.expressions)

    @property
    def looks(self) -> int:
        """Named expressions and pairs of them."""
        return self.count + len(self.words.pairs)

    @property
    def face(self) -> slice:
        """The columns that say what the face does."""
        return slice(self.who, self.columns)

    @cached_property
    def live(self) -> tuple[int, ...]:
        """Columns that vary in the domain: all but the pose's."""
        return tuple(i for name, i in self.index.items() if name not in self.pose)

    # ---- changes of a face, in half ranges

    def scaled(
        self,
        params: Tensor,                     # [.., K], parameters or differences of them
    ) -> Tensor:
        """In units of half of each parameter's range. [.., K]"""
        low, high = limits(self.parameters, params.device)
        return params * 2 / (high - low)

    def wanted(
        self,
        which: Tensor,                      # [B], long, numbers of expressions
    ) -> Tensor:
        """The change from neutral that each expression asks for, [B, columns of the face]."""
        rows = self.scaled(self.expressions)
        return (rows[which] - rows[0])[:, self.face]

    def changed(
        self,
        start: Tensor,                      # [B, K]
        end: Tensor,                        # [B, K]
    ) -> Tensor:
        """What changed in the face, [B, columns of the face]."""
        return (self.scaled(end) - self.scaled(start))[:, self.face]

    def leading(
        self,
        which: int,                         # number of an expression
    ) -> tuple[int, float]:
        """The column (of all K) that an expression changes most, and which way: 1 or -1."""
        rows = self.scaled(self.expressions)
        change = rows[which] - rows[0]
        column = int(change.abs().argmax())
        return column, float(change[column].sign())
