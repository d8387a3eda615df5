"""Which format a tree has, by its content: our own safetensors, and those of other projects, whose
layouts are listed in registry.py and lie in layouts/ and in the folders of methods."""
from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .. import registry
from ..errors import LGFAError, article, reading
from .kinds import configs
from .trees import is_own, summary, tree_of


@dataclass(frozen=True)
class Format:
    """One checkpoint format."""

    name: str                               # as users know it
    kind: str                               # the kind of network that it holds (registry.KINDS)
    matches: Callable[[Any], bool]          # tree -> is it this format?
    convert: Callable[[Any], tuple[Any, dict[str, torch.Tensor]]] | None = None
    #                                         tree -> (settings or a tuple of them, our state dict)
    refuse: str | None = None               # why it cannot be used and what to do, one sentence
    beside: Callable[[Any, Path], Any] | None = None
    #                                         tree, file -> the tree with what lies in other files


def refused(name: str, kind: str, matches: Callable[[Any], bool], why: str) -> Format:
    """A format that is known and cannot be used; `kind` is what users most likely took it for."""
    return Format(name, kind, matches, refuse=f"this is {name}: {why}")


def own_formats() -> list[Format]:
    """Our own safetensors, one format for each kind of network."""
    def of(kind: str) -> Format:
        return Format(
            name="LGFA safetensors",
            kind=kind,
            matches=lambda tree: is_own(tree) and tree["lgfa"]["kind"] == kind,
            convert=lambda tree: (configs(kind, tree["lgfa"]), dict(tree["state_dict"])),
        )
    return [of(kind) for kind in registry.KINDS]


def all_formats() -> list[Format]:
    """Every known format: our own first, then each stage's, the ones we only refuse last."""
    return own_formats() + [form for layout in registry.LAYOUTS
                            for form in registry.named(layout).FORMATS]


def read(path: str | os.PathLike[str]) -> Any:
    """The tree of any file (trees.tree_of), with what its format keeps in files beside it."""
    tree = tree_of(path)
    with reading(path):
        for form in all_formats():
            if form.beside is not None and _matches(form, tree):
                with reading(part="the files beside it"):
                    return form.beside(tree, Path(path))
        return tree


def candidates(tree: Any) -> list[Format]:
    """Every format that a tree has, one for each network in it: an e4e file holds two."""
    found: dict[str, Format] = {}
    for form in all_formats():
        if form.kind not in found and _matches(form, tree):
            found[form.kind] = form
    return list(found.values())


def recognise(tree: Any, kind: str | Sequence[str] | None = None) -> Format:
    """The format of a tree, by its content; with `kind`, the format that holds such a network (or
    one of several kinds, of which errors name the first).

    Raises LGFAError that names both sides when the tree holds another kind of network, and
    lists what it holds and the known formats when nothing matches.
    """
    found = candidates(tree)
    kinds = (kind,) if isinstance(kind, str) else kind
    fitting = [f for f in found if kinds is None or f.kind in kinds]
    if fitting:
        return fitting[0]
    if found and found[0].refuse is not None:
        raise LGFAError(found[0].refuse)
    if found:
        raise LGFAError(f"this is {article(found[0].name)} with "
                        f"{article(what(found[0].kind))}, but {article(what(kinds[0]))} is needed.")
    if is_own(tree):
        configs(tree["lgfa"]["kind"], {})         # says that the kind is unknown
    names = dict.fromkeys(f.name for f in all_formats() if f.refuse is None)
    raise LGFAError(f"the file is none of the known formats ({', '.join(names)}); "
                    f"it holds {summary(tree)}.")


def what(kind: str | None) -> str:
    """A kind in words."""
    return registry.KINDS[kind].what if kind in registry.KINDS else str(kind)


def _matches(form: Format, tree: Any) -> bool:
    """Whether a format claims a tree; a matcher that stumbles over strange data does not."""
    try:
        with reading():
            return bool(form.matches(tree))
    except LGFAError:
        return False
