"""One of each, or one for all: batches of things that belong together."""
from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..errors import LGFAError


def same_count(**items: Tensor | Sequence | None) -> int:
    """How many clips come of these, one of each serving all; LGFAError for unequal counts.

    The names of the arguments are the words of the message; None is left out of account.
    """
    counts = {name: len(item) for name, item in items.items() if item is not None}
    size = max(counts.values())
    for name, count in counts.items():
        if count not in (1, size):
            raise LGFAError(f"{size} clips need {size} {name.replace('_', ' ')} or one for all, "
                            f"not {count}.")
    return size


def row(items: Tensor, index: int) -> Tensor:
    """Row `index` [1, ..] of a batch, or the only row."""
    return items[index:index + 1] if len(items) > 1 else items[:1]
