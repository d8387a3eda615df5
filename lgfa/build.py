"""The only place where kinds of networks meet their classes, and names meet files.

Classes are named by strings and imported on first use, so that looking into a file does not
load every network of the project.
"""
from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch.nn.modules import module as hooks

from .config import plain
from .domains import MODELS
from .errors import LGFAError
from .registry import KINDS, named, stands_for

LIMIT = 1_000_000           # no number in a network's settings comes near it
LIMIT_LENGTH = 64           # .. no list is longer
LIMIT_TEXT = 10_000         # .. and no text

# What a network may have beside the weights of its file: buffers that follow from its settings,
# and modules without weights.
SPARE_TENSORS, SPARE_NUMBERS, MODULES_PER_TENSOR = 64, 4_000_000, 8
# .. but a trunk, one of three, is cut out of a whole classifier: VGG-16 has 138 million numbers
SPARE = {"perceptual": 140_000_000}


def kind_of(network: torch.nn.Module) -> str:
    """The kind whose class a network has; LGFAError for a class that no kind has."""
    for kind, entry in KINDS.items():
        if stands_for(entry.network, type(network)):
            return kind
    raise LGFAError(f"{type(network).__name__} is none of the networks that can be saved "
                    f"({', '.join(KINDS)}).")


def settings(network: torch.nn.Module) -> dict[str, Any]:
    """A network's settings as plain data: {"config": {..}, ..}, ready for JSON."""
    out = {}
    for attribute, _ in KINDS[kind_of(network)].configs:
        config = getattr(network, attribute, None)
        if config is not None:
            check_stored(config)
            out[attribute] = plain(config)
    return out


def configs(kind: str, plain: Mapping[str, Any]) -> tuple[Any, ...]:
    """Frozen settings from plain data, one for each argument of the network's constructor."""
    if kind not in KINDS:
        raise LGFAError(f"the file holds a network of the unknown kind {kind!r}; "
                        f"known are {', '.join(KINDS)}: a newer version may read it.")
    out = []
    for attribute, reference in KINDS[kind].configs:
        values = plain.get(attribute)
        if values is None and out:          # a motion model without a CLIP of its own
            continue
        cls = named(reference)
        known = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(values, Mapping):
            raise LGFAError(f"the {KINDS[kind].what}'s settings ({attribute}) are missing, or no "
                            f"table: the file is damaged.")
        _check_plain(values, kind)
        strange = sorted(set(values) - known)
        if strange:
            raise LGFAError(f"the {KINDS[kind].what}'s settings hold the unknown "
                            f"{', '.join(strange)}: a newer version may read the file.")
        lacking = [field.name for field in dataclasses.fields(cls) if field.name not in values
                   and field.default is field.default_factory is dataclasses.MISSING]
        if lacking:
            raise LGFAError(f"the {KINDS[kind].what}'s settings lack {', '.join(lacking)}: the "
                            f"file is damaged.")
        out.append(cls(**values))
        check_stored(out[-1])
    return tuple(out)


def check_stored(config: Any) -> None:
    """LGFAError for settings that no file of ours may hold (ClipConfig.check_stored)."""
    check = getattr(config, "check_stored", None)
    if check is not None:
        check()


def network(kind: str, config: Any, shapes: Mapping[str, tuple[int, ...]] | None = None):
    """A new network of a kind; `config` is its settings, or a tuple of them.

    With `shapes` (names and shapes of the weights to come) these are compared before memory is
    taken. The global random state is left as it was.
    """
    if shapes is not None:
        check(kind, config, shapes)
    with torch.random.fork_rng(devices=[]):
        return named(KINDS[kind].network)(*_tuple(config))


def check(
    kind: str, config: Any, shapes: Mapping[str, tuple[int, ...]],
) -> dict[str, torch.Tensor]:
    """LGFAError unless weights of these names and shapes fit the network, whose state dict without
    numbers (on "meta") is returned; takes no memory.

    Thus a file cannot make us allocate more than it holds.
    """
    cls = named(KINDS[kind].network)
    with torch.random.fork_rng(devices=[]), torch.device("meta"), _no_larger(shapes, kind):
        sketch = cls(*_tuple(config)).state_dict()
    compare({k: tuple(v.shape) for k, v in sketch.items()}, shapes, KINDS[kind].what)
    return sketch


@contextmanager
def _no_larger(shapes: Mapping[str, tuple[int, ...]], kind: str) -> Iterator[None]:
    """LGFAError as soon as a constructor in this thread has made more or larger weights than a
    file has, whichever of its settings is to blame: there are few of them, but they multiply."""
    thread = threading.get_ident()
    left = {"tensors": len(shapes) + SPARE_TENSORS,
            "numbers": sum(map(prod, shapes.values())) + SPARE.get(kind, SPARE_NUMBERS),
            "modules": MODULES_PER_TENSOR * (len(shapes) + SPARE_TENSORS)}

    def book(what: str, count: int) -> None:
        left[what] -= count
        if left[what] < 0 and threading.get_ident() == thread:
            raise LGFAError(f"the {KINDS[kind].what}'s settings describe a larger network than "
                            f"the one whose weights are in the file: it is not whole, or was made "
                            f"to do harm.")

    def tensor(_: Any, name: str, value: torch.Tensor | None) -> None:
        if value is not None:
            book("tensors", 1)
            book("numbers", value.numel())

    def part(_: Any, name: str, value: Any) -> None:
        book("modules", 1)

    handles = [hooks.register_module_parameter_registration_hook(tensor),
               hooks.register_module_buffer_registration_hook(tensor),
               hooks.register_module_module_registration_hook(part)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _tuple(config: Any) -> tuple[Any, ...]:
    return config if isinstance(config, tuple) else (config,)


def compare(
    wanted: Mapping[str, tuple[int, ...]],  # names and shapes of the network
    given: Mapping[str, tuple[int, ...]],   # names and shapes of the file
    what: str,                              # the network in words
) -> None:
    """LGFAError that lists what is missing, left over and of unequal shape, when anything is."""
    missing = [k for k in wanted if k not in given]
    left_over = [k for k in given if k not in wanted]
    unequal = [f"{k} {list(given[k])} for {list(wanted[k])}"
               for k in wanted if k in given and tuple(given[k]) != tuple(wanted[k])]
    parts = [f"{title} {listed(names)}" for title, names in
             (("missing:", missing), ("left over:", left_over), ("unequal:", unequal)) if names]
    if parts:
        raise LGFAError(f"the weights do not fit the {what}: {'; '.join(parts)}.")


def listed(names: list[str], most: int = 6) -> str:
    """The first few names and the number of the others."""
    first = ", ".join(name[:160] for name in names[:most])
    return first + (f" and {len(names) - most} more" if len(names) > most else "")


def resolve(name: str | os.PathLike[str], kind: str | None = None) -> Path:
    """The file behind a path, a domain ("toon") or a known public model's name.

    A domain's networks lie in models/<domain>/<kind>.safetensors; a public model is found when
    it has been downloaded. Raises LGFAError otherwise; nothing is downloaded here.
    """
    path = Path(name)
    if os.path.exists(path) or path.suffix or len(path.parts) != 1:
        return path
    if (MODELS / path).is_dir():
        if kind is None:
            raise LGFAError(f"{name!r} is a domain of several networks: "
                            f"say which ({', '.join(domain_kinds(str(name)))}).")
        file = MODELS / path / f"{kind}.safetensors"
        if not file.is_file():
            raise LGFAError(f"the domain {name!r} has no {KINDS[kind].what} at {file}.")
        return file
    from . import models  # late: loading a path does not need the table
    if str(name) in models.MODELS:
        return models.local(str(name))
    return path


def domain_kinds(domain: str) -> list[str]:
    """The kinds of networks that a domain's folder holds."""
    return [k for k in KINDS if (MODELS / domain / f"{k}.safetensors").is_file()]


def _check_plain(value: Any, kind: str, depth: int = 0) -> None:
    """Refuses settings that are no plain numbers and words, or larger than any network's."""
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, str):
        fine = len(value) <= LIMIT_TEXT
    elif isinstance(value, int | float):
        fine = abs(value) <= LIMIT              # not of NaN
    else:
        fine = isinstance(value, Mapping | list) and len(value) <= LIMIT_LENGTH and depth < 4
    if not fine:
        raise LGFAError(f"the {KINDS[kind].what}'s settings hold something that no network has: "
                        f"the file is broken or made to do harm.")
    if isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            _check_plain(item, kind, depth + 1)
