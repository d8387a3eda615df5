"""Averaged weights: what a training shows, measures and stores in place of its last step's."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from . import resume


class Average:
    """Copies that follow what learns: mean <- decay mean + (1 - decay) weight at each update.

    A network's floating-point buffers, such as BatchNorm's statistics, are averaged as its weights
    are; counters and other integers are copied. Of no weights at all it does nothing.
    """

    def __init__(
        self,
        followed: nn.Module | Sequence[nn.Parameter],   # a whole network, or some weights alone
        decay: float | Callable[[int], float],      # 0..1, or what it is at a step, from 0
    ) -> None:
        self.followed = followed if isinstance(followed, nn.Module) else list(followed)
        self.decay = decay
        self.means = {name: live.detach().clone() for name, live in self._live().items()}

    @torch.no_grad()
    def update(
        self,
        step: int = 0,                      # number of the step, for a decay that depends on it
    ) -> None:
        """Moves the averages towards the weights as they are now."""
        decay = self.decay(step) if callable(self.decay) else self.decay
        for mean, live in self._pairs():
            if mean.is_floating_point():
                mean.lerp_(live, 1 - decay)
            else:
                mean.copy_(live)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The averages in the weights' place; nothing may learn in the meantime."""
        pairs = self._pairs()
        _swap(pairs)
        try:
            yield
        finally:
            _swap(pairs[::-1])              # backwards: weights may have two names

    @torch.no_grad()
    def install(self) -> None:
        """Writes the averages over the weights, for good."""
        for mean, live in self._pairs():
            live.copy_(mean)

    # ---- for checkpoints

    def state_dict(self) -> dict[str, Tensor] | list[Tensor]:
        """The averages by the network's own names; of some weights alone a list in their order."""
        return dict(self.means) if isinstance(self.followed, nn.Module) else [*self.means.values()]

    def check(
        self,
        stored: Any,
        name: str = "average",              # of this part of the checkpoint
    ) -> None:
        """LGFAError unless they are averages of the same weights, all finite."""
        if isinstance(self.followed, nn.Module):
            resume.check_tensors(stored, self.means, name)
        else:
            resume.check_average(stored, [*self.means.values()])

    @torch.no_grad()
    def load_state_dict(self, stored: dict[str, Tensor] | list[Tensor]) -> None:
        """Takes over stored averages, which `check` has found to be right."""
        if not isinstance(stored, dict):
            stored = {str(index): value for index, value in enumerate(stored)}
        for name, mean in self.means.items():
            mean.copy_(stored[name])

    # ---- weights and their averages

    def _live(self) -> dict[str, Tensor]:
        if isinstance(self.followed, nn.Module):
            return self.followed.state_dict(keep_vars=True)
        return {str(index): weight for index, weight in enumerate(self.followed)}

    def _pairs(self) -> list[tuple[Tensor, Tensor]]:
        """Each average and its weight."""
        return [(self.means[name], live) for name, live in self._live().items()]


def warming(
    decay: float,                           # after the start
) -> Callable[[int], float]:
    """A decay that is short at the start, when weights move the fastest."""
    return lambda step: min(decay, (step + 1) / (step + 10))


def _swap(pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
    for mean, live in pairs:
        mean.data, live.data = live.data, mean.data
