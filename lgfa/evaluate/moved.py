"""What independent networks see in clips of a drawn domain's faces that a motion model moved."""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..drawn.world import World
from ..metrics.changes import apart, direction, patch_colours, progress

Points = tuple[tuple[float, float], ...]    # centres of squares, x and y in -1..1


class Judged(NamedTuple):
    """What is seen in a batch of clips, [B] each."""

    recognised: Tensor                      # 0 or 1
    progress: Tensor                        # 0 = still, 1 = the whole way to the expression
    key: Tensor                             # change of the expression's leading parameter,
    #                                         positive = the right way
    identity: Tensor                        # distance of the last frame to the still, in strangers'
    step: Tensor                            # largest step of the path over the mean step, in W+
    step_pixels: Tensor                     # the same in the pictures
    tint: Tensor                            # change of colours that no expression touches, in 1/255
    cosine: Tensor                          # direction of the change in parameters


@torch.no_grad()
def judge(
    world: World,
    still: Tensor,                          # [B, 3, R, R], about -1..1
    path: Tensor,                           # [B, T, L, D]
    frames: Tensor,                         # [B, T, 3, R, R], about -1..1
    which: Tensor,                          # [B], long, the expression that was asked for
    attributes: nn.Module,
    identity: nn.Module,
    far: float,                             # mean identity distance of two people
    patches: Points,                        # that no expression changes
) -> Judged:
    """All of it."""
    last = frames[:, -1]
    logits, end = attributes(last)
    _, start = attributes(still)
    want, change = world.wanted(which), world.changed(start, end)
    leads = [world.leading(int(number)) for number in which]
    key = torch.stack([change[i, column - world.who] * way
                       for i, (column, way) in enumerate(leads)])
    steps = path.diff(dim=1).flatten(2).norm(dim=2)
    pixels = frames.diff(dim=1).flatten(2).abs().mean(2)
    return Judged(
        recognised=(logits.argmax(1) == which).float(),
        progress=progress(change, want),
        key=key,
        identity=apart(identity(still.clamp(-1, 1)), identity(last.clamp(-1, 1))) / far,
        step=steps.amax(1) / steps.mean(1),
        step_pixels=pixels.amax(1) / pixels.mean(1),
        tint=untouched(still, last, patches),
        cosine=direction(change, want),
    )


def untouched(
    first: Tensor,                          # [B, 3, R, R], about -1..1
    last: Tensor,                           # [B, 3, R, R]
    patches: Points,
) -> Tensor:
    """Largest mean colour change over patches that expressions leave alone, in 1/255. [B]"""
    one, other = (patch_colours(x, patches) for x in (first, last))
    return (other - one).abs().mean(2).amax(1) * 127.5
