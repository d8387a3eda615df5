"""What moves the latents: a Method turns (w_s, z_v, z_t, T, seed) into a trajectory.

The paper's motion model is one; others take its place by the same four members, so that neither
the Animator nor anything that measures its clips asks which one ran.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor, nn

from ..embed.clip import CLIP
from ..errors import LGFAError
from ..formats import kinds
from ..registry import KINDS, named
from .recurrent import Recurrent


class Method(Protocol):
    """What an Animator asks of a way to animate. Tensors are on the networks' device."""

    num_layers: int | None                  # L of the generator that it moves, None = any
    w_dim: int                              # length of a style code
    resolution: int | None                  # side of the generator's images, None = any
    visual: bool                            # does `embed` look at the still?

    def embed(self, x: Tensor | None, text: str) -> tuple[Tensor | None, Tensor]:
        """Still [1,3,H,W], -1..1, and sentence -> z_v [1,d] or None, z_t [1,d]."""

    def content(self, w_inv: Tensor, z_v: Tensor | None) -> Tensor:
        """Inverted code [1,L,w_dim] -> content code w_s [1,L,w_dim], the still of the clip."""

    def __call__(
        self,
        w_s: Tensor,                        # [1, L, w_dim], frame 1
        z_v: Tensor | None,                 # [1, d]
        z_t: Tensor,                        # [1, d]
        frames: int,                        # T
        seed: int,                          # same seed, same trajectory
    ) -> Tensor:
        """Trajectory [1, T, L, w_dim]."""


# kind of network (registry.KINDS): (network, CLIP or None) -> Method
METHODS: dict[str, Callable[[Any, CLIP | None], Method]] = {
    "motion": Recurrent,
    "mocogan": lambda motion, _: named("methods.mocogan_hd.motion:Mocogan")(motion),
    "mapper": lambda mapper, _: named("methods.styleclip.mapper:Mapped")([mapper]),
}


def as_method(motion: nn.Module | Method, clip: CLIP | None = None) -> Method:
    """The Method around a network of the table; anything else is taken to be a Method."""
    if isinstance(motion, nn.Module):
        kind = kinds.kind_of(motion)
        if kind not in METHODS:
            raise LGFAError(f"{KINDS[kind].what} cannot animate: give a motion model.")
        return METHODS[kind](motion, clip)
    return motion
