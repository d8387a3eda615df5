"""From embeddings to a trajectory: expressions that follow each other, each with its timing.

Nobody reads sentences or looks at pictures here: embeddings are given, so that whoever has them
already (an Animator, a node with a cache) does not need CLIP again.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import LGFAError
from . import wplus
from .timeline import Cue
from .timing import one_way, there_and_back
from .wplus import TIME, check_frames, check_path, resample

Embedded = Any                          # what was read of a prompt; handed to the mover as it is
# (w_s [1,L,w_dim], embedded, frames, seed) -> [1,frames,L,w_dim]; a Method
Move = Callable[[Tensor, Embedded, int, int], Tensor]


def perform(
    move: Move,
    w_s: Tensor,                        # content code [1, L, w_dim], frame 1
    embedded: Sequence[Embedded],       # one for each expression
    frames: int,                        # of the whole, everything included
    seed: int = 0,                      # of the first expression; the next ones count on
    strength: float = 1.0,              # as in Animator.trajectory, like all that follows
    easing: str = "none",
    hold: int = 0,
    loop: bool = False,
    ping_pong: bool = False,
    add: bool = False,                  # later expressions are added to what came before; else
    #                                     that fades while they come
) -> Tensor:
    """Expressions that share the frames evenly -> trajectory [frames, L, w_dim] on w_s's device.

    Each begins with the last latent of the one before (paper IV-E2). Offsets that depend on the
    sentence alone then add up, and a pout after a cry still cries: so by default the old offset
    fades.
    Settings that no clip can have are to be refused before, by timing.check_motion.
    """
    hold = hold if frames > 1 else 0

    def step(start: Tensor, part: int, count: int) -> Tensor:
        path = move(start, embedded[part], count - hold, seed_of(seed, part))
        path = wplus.strength(path, strength)
        if part and not add:
            path = wplus.let_go(path, w_s)
        return wplus.hold(wplus.ease(path, easing), end=hold)

    there = one_way(frames, hold, loop, ping_pong)
    path = chain(step, w_s, len(embedded), there)[0]
    return there_and_back(path, frames, hold, loop, ping_pong)


def perform_cues(
    move: Move,
    w_s: Tensor,                        # content code [1, L, w_dim], frame 1
    cues: Sequence[Cue],                # lines of a timeline
    embedded: Sequence[Embedded | None],    # one for each cue; None where it leads to the still
    seed: int = 0,                      # as in `perform`
) -> Tensor:
    """A timeline -> trajectory [sum of the cues' frames, L, w_dim] on w_s's device."""
    def step(start: Tensor, part: int, count: int) -> Tensor:
        cue, given = cues[part], embedded[part]
        if given is None:
            path = straight(start, w_s, count - cue.hold)
        else:
            path = move(start, given, count - cue.hold, seed_of(seed, part))
        path = wplus.strength(path, cue.strength)
        if part and given is not None:
            path = wplus.let_go(path, w_s)      # as in `perform`
        return wplus.hold(wplus.ease(path, cue.easing), end=cue.hold)

    # The still is frame 1 of the first cue; the others begin with the frame before theirs.
    counts = [cue.frames + (part > 0) for part, cue in enumerate(cues)]
    return chain_counts(step, w_s, counts)[0]


def straight(start: Tensor, end: Tensor, frames: int) -> Tensor:
    """A straight way at constant speed, [1, L, w_dim] to the same -> [1, frames, L, w_dim]."""
    share = torch.linspace(0, 1, frames, dtype=torch.float64).to(start)
    return torch.lerp(start[:, None], end[:, None], share[:, None, None])


def seed_of(seed: int, index: int) -> int:
    """The seed of a later expression, or of a later clip of a batch; the first one's is `seed`."""
    return seed if index == 0 else (seed + index) % 2**64


def chain_frames(frames: int, parts: int) -> list[int]:
    """Frames of each part of a chain, neighbours sharing the frame at their seam, so that the
    chain has `frames` in all; at least 2 each (a chain with fewer is resampled afterwards)."""
    if parts < 1:
        raise LGFAError("a chain needs at least one sentence.")
    steps = max(check_frames(frames) - 1, parts)
    cuts = [k * steps // parts for k in range(parts + 1)]
    return [b - a + 1 for a, b in zip(cuts, cuts[1:], strict=False)]


def chain(
    step: Callable[[Tensor, int, int], Tensor],     # (start [.., L, w], part, frames) -> path
    start: Tensor,                                  # the still [L, w_dim] or [B, L, w_dim]
    parts: int,                                     # expressions, any number from 1
    frames: int,                                    # frames of the whole, exact
) -> Tensor:
    """Next expression from the last latent of the one before (paper IV-E2): [.., frames, L, w].

    `step` makes one expression's trajectory of exactly the frames asked, beginning at `start`;
    its first frame is the seam and comes once.
    """
    return resample(chain_counts(step, start, chain_frames(frames, parts)), frames)


def chain_counts(
    step: Callable[[Tensor, int, int], Tensor],     # as in `chain`
    start: Tensor,                                  # as in `chain`
    counts: Sequence[int],                          # frames of each part, its seam included
) -> Tensor:
    """A chain whose parts have frame counts of their own: [.., sum - parts + 1, L, w]."""
    done: list[Tensor] = []
    for part, count in enumerate(counts):
        path = check_path(step(start, part, count))
        if path.shape[TIME] != count:
            raise LGFAError(f"part {part + 1} of the chain has {path.shape[TIME]} frames where "
                            f"{count} were asked.")
        start = path.select(TIME, count - 1)
        done.append(path.narrow(TIME, 1, count - 1) if done else path)
    return torch.cat(done, dim=TIME)
