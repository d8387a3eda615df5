"""What moves the latents: a Method reads a prompt and turns a still into a trajectory.

The paper's motion model is one; others take its place, so that neither the Animator nor anything
that measures its clips asks which one ran. A sub-class says how a prompt is read (`embed`) and how
a still moves (`__call__`); everything else has a default.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..embed.clip import CLIP
from ..embed.e4e import Encoder
from ..embed.sentences import check_text
from ..errors import LGFAError
from ..formats import kinds
from ..motion.understanding import Understanding
from ..registry import KINDS, METHODS, named
from ..trajectory.chain import straight

FPS = 10.0                                  # of the paper (IV-A)


@dataclass(frozen=True, eq=False)
class Prompt:
    """What a still shall do: a sentence, or the motion of a driving video and what it shall show
    besides. Raises LGFAError when it says nothing."""

    text: str = ""                          # a sentence
    video: Tensor | None = None             # frames [K, 3, H, W], -1..1, K at least 2
    fps: float = FPS                        # .. of which this many are a second

    def __post_init__(self) -> None:
        if self.text or self.video is None:
            check_text(self.text)
        if self.video is not None:
            _check_video(self.video, self.fps)

    def check_for(self, method: Method) -> None:
        """LGFAError unless a method can read this."""
        if method.driven and self.video is None:
            raise LGFAError("this motion model is driven by a video, and there is none: give "
                            "Prompt(video=frames).")
        if self.video is not None and not method.driven:
            raise LGFAError("this motion model reads sentences and looks at no video: give it a "
                            "sentence, or take one that is driven by a video.")


def _check_video(video: Tensor, fps: float) -> None:
    if not isinstance(video, Tensor) or not video.is_floating_point() or video.ndim != 4 \
            or video.shape[1] != 3 or len(video) < 2 or 0 in video.shape:
        shape = list(video.shape) if isinstance(video, Tensor) else type(video).__name__
        raise LGFAError(f"a driving video is a tensor of frames [K, 3, H, W] in -1..1, two at "
                        f"least, not {shape}.")
    if not bool(torch.isfinite(video).all()):
        raise LGFAError("there are NaN or infinite numbers in the driving video.")
    if not 0 < fps < float("inf"):
        raise LGFAError(f"a driving video needs a number of frames a second above 0, not {fps}.")


def as_prompts(given: str | Prompt | Sequence[str | Prompt]) -> tuple[Prompt, ...]:
    """One or several prompts, of which texts are sentences; LGFAError for an empty one."""
    several = (given,) if isinstance(given, str | Prompt) else tuple(given)
    return tuple(one if isinstance(one, Prompt) else Prompt(one) for one in several or ("",))


class Embedded(NamedTuple):
    """What a method has read of a prompt; whoever keeps it need not read again."""

    z_v: Tensor | None                      # of the still [1, d], or None
    z_t: Tensor                             # of the prompt [1, ..], in a shape of the method's own


class Method:
    """What an Animator asks of a way to animate. Tensors are on the networks' device."""

    num_layers: int | None = None           # L of the generator that it moves, None = any
    w_dim: int                              # length of a style code
    resolution: int | None = None           # side of the generator's images, None = any
    sees_still: bool = False                # does `embed` look at the picture?
    carries_on: bool = False                # does it look where it starts, so that what an earlier
    #                                         one moved need not fade while it moves?
    driven: bool = False                    # does it need a driving video in place of a sentence?

    def __init__(self, sizes: Any = None) -> None:
        """Takes the three sizes of anything that has them: settings, or another Method."""
        if sizes is not None:
            self.num_layers, self.w_dim = sizes.num_layers, sizes.w_dim
            self.resolution = sizes.resolution

    @classmethod
    def of(
        cls,
        network: Any,                       # of the kind that registry.METHODS has for this class
        clip: CLIP | None = None,           # of the Animator, for a network that has none
        encoder: Encoder | None = None,     # of the Animator, alike
    ) -> Method:
        """The Method around a network."""
        return cls(network)

    @classmethod
    def borrows_clip(cls, network: Any) -> bool:
        """Whether `of` needs the Animator's CLIP for this network."""
        return False

    def embed(self, still: Tensor | None, prompt: Prompt) -> Embedded:
        """Picture [1,3,R,R], -1..1 (None where nobody asks for it), and prompt -> what was read.
        LGFAError for a prompt that it cannot show."""
        raise NotImplementedError

    def understand(self, prompt: Prompt, embedded: Embedded | None = None) -> Understanding | None:
        """What the prompt's sentence is taken for, `embedded` being what `embed` made of it where
        that is known; None where there is no saying."""
        return None

    def content(self, w_inv: Tensor, embedded: Embedded) -> Tensor:
        """Inverted code [1,L,w_dim] -> content code w_s [1,L,w_dim], the still of the clip."""
        return w_inv

    def begin(self, stills: Tensor, prompts: Sequence[Prompt]) -> None:
        """Told which clips will be asked for next, codes [B,L,w_dim] and B prompts, where that
        saves time; what they come out as does not depend on it."""

    def __call__(
        self,
        w_s: Tensor,                        # [1, L, w_dim], frame 1
        embedded: Embedded,
        frames: int,                        # T
        seed: int,                          # same seed, same trajectory
    ) -> Tensor:
        """Trajectory [1, T, L, w_dim]."""
        raise NotImplementedError


class Edit(Method):
    """A straight way at constant speed to a code that shows the prompt; the seed changes nothing.
    """

    def edited(self, w_s: Tensor, embedded: Embedded) -> Tensor:
        """Still [1, L, w_dim] -> the code that shows the prompt [1, L, w_dim]."""
        raise NotImplementedError

    def __call__(self, w_s: Tensor, embedded: Embedded, frames: int, seed: int) -> Tensor:
        if frames == 1:
            return w_s[:, None].clone()
        return straight(w_s, self.edited(w_s, embedded), frames)


def as_method(
    motion: nn.Module | Method,
    clip: CLIP | None = None,               # lent to a network that has none
    encoder: Encoder | None = None,         # alike
) -> Method:
    """The Method around a network whose kind has one (registry.METHODS); a Method as it is."""
    if isinstance(motion, Method):
        return motion
    if not isinstance(motion, nn.Module):
        raise LGFAError(f"{type(motion).__name__} cannot animate: give a motion model, or a "
                        f"sub-class of Method.")
    return class_for(motion).of(motion, clip, encoder)


def class_for(network: nn.Module) -> type[Method]:
    """The sub-class of Method that a network's kind has; LGFAError for one that has none."""
    kind = kinds.kind_of(network)
    if kind not in METHODS:
        raise LGFAError(f"{KINDS[kind].what} cannot animate: give a motion model.")
    return named(METHODS[kind])
