"""Exact frame counts: how motion, rest and return share the frames of a clip."""
from __future__ import annotations

import torch
from torch import Tensor

from .. import config
from ..errors import LGFAError, short
from . import wplus

MAX_FRAMES = 100_000                        # their latents alone are several GB


def check_motion(
    frames: int,                            # of the whole clip
    seed: int = 0,
    strength: float = 1.0,
    easing: str = "none",
    hold: int = 0,
    loop: bool = False,
    ping_pong: bool = False,
    parts: int = 1,                         # expressions in it
) -> None:
    """Refuses settings of a motion that no clip can have, before anything is computed."""
    wplus.check_frames(frames)
    config.check_number(strength, "the strength")
    config.check_seed(seed)
    if frames > MAX_FRAMES:
        raise LGFAError(f"{short(frames)} frames are too many at once: ask for at most "
                        f"{MAX_FRAMES} and go on from the last latent.")
    wplus.check_easing(easing)
    if loop and ping_pong:
        raise LGFAError("choose either loop or ping-pong: both lead back to the still.")
    if isinstance(hold, bool) or not isinstance(hold, int) or not 0 <= hold <= MAX_FRAMES:
        raise LGFAError(f"frames to hold must be a whole number from 0 to {MAX_FRAMES}, "
                        f"not {short(hold)!r}.")
    if hold and loop:
        raise LGFAError("a loop moves all the time: use ping-pong to hold an expression.")

    # Every expression needs a step that leads to it and its rest.
    least = parts * (hold + 1) + 1
    if loop or ping_pong:
        least = 2 * (least - 1) - hold
    if 1 < frames < least:
        what = f"to hold {parts} expression" if hold else f"for {parts} expression"
        raise LGFAError(f"{frames} frames are too few {what}{'s' * (parts > 1)}"
                        f"{f' for {hold} frames' if hold else ''}: ask for at least {least}.")


def one_way(frames: int, hold: int, loop: bool, ping_pong: bool) -> int:
    """Frames of the way to the last expression, its rest included, in a clip of `frames`."""
    if frames == 1 or not (loop or ping_pong):
        return frames
    return frames // 2 + 1 if loop else (frames + hold) // 2 + 1


def there_and_back(path: Tensor, frames: int, hold: int, loop: bool, ping_pong: bool) -> Tensor:
    """The way back in exactly `frames`; the odd frame out rests on the expression."""
    if loop:
        return wplus.loop(path, frames)
    if frames == 1 or not ping_pong:
        return path
    back = wplus.reverse(path[:len(path) - hold])[1:-1]
    return torch.cat([wplus.hold(path, end=frames - len(path) - len(back)), back])


def retime(
    path: Tensor,                           # [T, L, w_dim]
    frames: int | None = None,              # of the result, everything included; None = T
    strength: float = 1.0,                  # as in Animator.trajectory
    easing: str = "none",
    hold: int = 0,
    loop: bool = False,
    ping_pong: bool = False,
) -> Tensor:
    """A finished trajectory with another length, strength, timing or way back."""
    frames = len(wplus.check_path(path)) if frames is None else frames
    check_motion(frames, 0, strength, easing, hold, loop, ping_pong)
    hold = hold if frames > 1 else 0
    there = one_way(frames, hold, loop, ping_pong)
    path = wplus.ease(wplus.strength(path, strength), easing, there - hold)
    return there_and_back(wplus.hold(path, end=hold), frames, hold, loop, ping_pong)
