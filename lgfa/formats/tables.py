"""Names and shapes of weights in foreign files: wrappers, prefixes, numbers, sizes.

A file's names are claims. What is taken from them (how many blocks a network has, how wide it
is) is checked here before anything is looped over, multiplied or allocated.
"""
from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from ..errors import LGFAError
from .trees import is_own

MOST = 100              # blocks, layers or heads of one kind; the deepest published CLIP has 64
WIDEST = 65_536         # rows or columns that a network here may have, vocabularies apart

# Where training programs keep the weights, and what they put before every name.
WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "module")
PREFIXES = ("module.", "model.", "clip.", "clip_model.", "_orig_mod.")
PARALLEL = ("module.",)     # .. and of those, what parallel training does
DEPTH = 4               # wrappers in wrappers, or prefixes before prefixes

# Batch norms carry a counter that no computation reads; older files lack it.
COUNTER = "num_batches_tracked"


def bare(tree: Any, prefixes: Iterable[str] = PREFIXES) -> dict[str, Any]:
    """The table of weights in a tree, without the wrappers and prefixes of training programs.

    A prefix is taken away where every name has it. Empty where there is no table, where it is one
    of our own files, and where a name is no text.
    """
    for _ in range(DEPTH):
        inner = [tree[name] for name in WRAPPERS if isinstance(tree.get(name), Mapping)] \
            if isinstance(tree, Mapping) and "lgfa" not in tree else []
        if not inner:
            break
        tree = inner[0]
    if not isinstance(tree, Mapping) or not tree or "lgfa" in tree \
            or not all(isinstance(key, str) for key in tree):
        return {}
    return unprefixed(tree, prefixes)


def state_dict(tree: Any) -> dict[str, Any]:
    """The table under "state_dict", which checkpoints keep beside options and counters, without
    what parallel training puts before the names; empty for any other tree."""
    if not isinstance(tree, Mapping) or not isinstance(tree.get("state_dict"), Mapping) \
            or is_own(tree):
        return {}
    return bare({"state_dict": tree["state_dict"]}, PARALLEL)


def unprefixed(
    state: Mapping[Any, Any],
    prefixes: Iterable[str] = PREFIXES,
    apart: Iterable[str] = (),              # names that never have one
) -> dict[Any, Any]:
    """A table without the prefixes that every name of it has, one before the other."""
    for _ in range(DEPTH):
        keys = [key for key in state if key not in apart]
        common = next((p for p in prefixes if keys and all(
            isinstance(key, str) and key.startswith(p) for key in keys)), None)
        if common is None:
            break
        state = {key.removeprefix(common): value for key, value in state.items()}
    return dict(state)


def below(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The entries whose names begin with a prefix, without it."""
    return {key[len(prefix):]: value for key, value in state.items() if key.startswith(prefix)}


def renamed(
    state: Mapping[str, Any],
    table: Mapping[str, str],               # {their name: our name}
    whole: str = "",                        # a network in words, if all of the table must be there;
    #                                         counters that are lacking are added then
) -> dict[str, Any]:
    """The entries under our names. One without a rule keeps its own, marked where that is one of
    ours, so that the strict comparison lists it as left over. LGFAError for what must be there
    and is not."""
    ours = set(table.values())
    out = {table.get(key, f"(original) {key}" if key in ours else key): value
           for key, value in state.items()}
    if whole:
        lacking((key for key in table if not key.endswith(COUNTER)), state, whole)
        out |= {name: torch.zeros((), dtype=torch.int64) for key, name in table.items()
                if key not in state}
    return out


def count_of(
    keys: Iterable[str],
    prefix: str,                        # what stands before the number: "transformer.resblocks."
    first: int = 0,                     # the number of the first part
    most: int = MOST,
) -> int:
    """How many parts a network has, by the numbers that follow a prefix, up to the next point.

    LGFAError unless they are first, first + 1, .. without a gap, and no more than `most`: so that
    neither a huge number nor a lost part decides how large a network becomes.
    """
    found = {key[len(prefix):].split(".", 1)[0] for key in keys if key.startswith(prefix)}
    if not found:
        raise LGFAError(f"the file has no weights {prefix}{first}..: it is not whole, or of "
                        "another architecture.")
    if len(found) > most:
        raise LGFAError(f"the file has {len(found):,} parts {prefix}0, {prefix}1, ..: no network "
                        f"known here has more than {most}.")
    strange = sorted(found - {str(first + n) for n in range(len(found))})
    if strange:
        raise LGFAError(f"the file has weights {prefix}{strange[-1][:40]}, but only {len(found)} "
                        f"such parts, which should be numbered from {first} without a gap: it is "
                        "not whole, or of another architecture.")
    return len(found)


def shape_of(
    state: Mapping[str, Any],
    key: str,
    ndim: int,
    largest: int = WIDEST,              # of any side
) -> tuple[int, ...]:
    """The shape of a weight with so many dimensions, none of them empty.

    LGFAError that names the weight where it is missing, no tensor, or of another form.
    """
    value = state.get(key)
    if value is None:
        raise LGFAError(f"the file lacks {key}: it is not whole, or of another architecture.")
    if not isinstance(value, torch.Tensor):
        raise LGFAError(f"the file holds no tensor under {key}.")
    shape = tuple(value.shape)
    if len(shape) != ndim or not all(1 <= side <= largest for side in shape):
        raise LGFAError(f"the file's {key} has the shape {list(shape)}, and it should have {ndim} "
                        f"dimension{'s' if ndim > 1 else ''} of 1 to {largest:,}.")
    return shape


def is_tensor(state: Mapping[str, Any], key: str, ndim: int) -> bool:
    """Whether there is a tensor of so many dimensions under a name."""
    value = state.get(key)
    return isinstance(value, torch.Tensor) and value.ndim == ndim


def square(count: int, key: str) -> int:
    """The side of a square of `count` places, as a grid of patches is; LGFAError for others."""
    side = math.isqrt(count) if count > 0 else 0
    if side < 1 or side * side != count:
        raise LGFAError(f"the file's {key} has {count} places for patches, which make no square.")
    return side


def side_of(layers: int, whose: str) -> int:
    """Side in pixels of the images of a generator with L style codes: 18 -> 1024.

    LGFAError where there is no such generator; `whose` says what claims it.
    """
    if not 4 <= layers <= 18 or layers % 2:
        raise LGFAError(f"{whose} is made for a generator of {layers} style codes, and there is "
                        "none: they have 4 (8 px), 6, .. 18 (1024 px).")
    return 2 ** (layers // 2 + 1)


def options(tree: Mapping[str, Any], key: str = "opts") -> dict[str, Any]:
    """The training's options in a tree: a table, a namespace in forks, or nothing."""
    found = tree.get(key)
    if found is None:
        return {}
    if isinstance(found, argparse.Namespace):
        found = vars(found)
    if not isinstance(found, Mapping):
        raise LGFAError(f"the file's {key} are no table of options but one "
                        f"{type(found).__name__}: it is damaged.")
    return {name: value for name, value in found.items() if isinstance(name, str)}


def lacking(names: Iterable[str], state: Mapping[str, Any], what: str) -> None:
    """LGFAError that lists which of the names a table lacks, when it lacks any."""
    missing = [name for name in names if name not in state]
    if missing:
        more = f" and {len(missing) - 6} more" if len(missing) > 6 else ""
        raise LGFAError(f"the {what} of this file lacks {', '.join(missing[:6])}{more}: "
                        "it is not whole, or of another architecture.")
