"""Settings of a kind of network: out as plain data, in again with checks."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from ..config import plain as as_plain
from ..errors import LGFAError
from ..registry import KINDS, named, stands_for

LIMIT = 1_000_000           # no number in a network's settings comes near it
LIMIT_LENGTH = 64           # .. no list is longer
LIMIT_TEXT = 10_000         # .. and no text


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
            out[attribute] = as_plain(config)
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
