"""How far a motion model's language goes: phrases that nothing was trained on, and its verdicts."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..drawn.world import World
from ..embed.clip import CLIP
from ..frames.stylegan2 import Generator
from ..metrics.changes import direction, progress
from ..metrics.metric import batched


@torch.no_grad()
def reached(
    sentences: Mapping[int, Sequence[str]],     # number of an expression -> what asks for it
    w: Tensor,                              # neutral stills [people, L, D], an odd number
    motion: nn.Module,
    generator: Generator,
    clip: CLIP,
    attributes: nn.Module,                  # pictures -> (logits [B, E], parameters)
    frames: int = 8,                        # T of a clip, of which the last frame is looked at
) -> dict[int, Tensor]:
    """Whether the attribute network sees the expression on most of the people, each sentence. [n]
    """
    still = batched(generator.synthesis, w) if motion.config.visual else None
    found = {}
    for number, texts in sentences.items():
        ends = [motion.trajectory(w, [text] * len(w), still, frames, seed=0, clip=clip)[:, -1]
                for text in texts]
        shown = batched(lambda code: attributes(generator.synthesis(code))[0], torch.cat(ends))
        right = (shown.argmax(1) == number).unflatten(0, (len(texts), len(w)))
        found[number] = right.sum(1) * 2 > len(w)
    return found


class Both(NamedTuple):
    """How two expressions that were asked for at once come out, means over all pairs."""

    progress: float                         # 0 = still, 1 = all the way to what shows both
    direction: float                        # cosine of the change


@torch.no_grad()
def both(
    world: World,
    w: Tensor,                              # neutral stills [people, L, D]
    motion: nn.Module,
    generator: Generator,
    clip: CLIP,
    attributes: nn.Module,                  # pictures -> (logits [B, E], parameters [B, K])
    frames: int = 8,                        # T of a clip, of which the last frame is looked at
    numbers: Sequence[int] | None = None,   # of looks that are pairs; None = every one
) -> Both:
    """Pairs of the domain, in the first words of their two expressions."""
    said = {name: ways.plain.being[0] for name, ways in world.words.expressions.items()}
    still = batched(generator.synthesis, w)
    start = attributes(still)[1]
    found = []
    for number in range(world.count, world.looks) if numbers is None else numbers:
        text = " and ".join(said[name] for name in world.words.names_of(number))
        end = motion.trajectory(w, [f"The person is {text}"] * len(w), still, frames, seed=0,
                                clip=clip)[:, -1]
        which = torch.tensor([number, 0])
        wanted = world.with_expression(start[:1].expand(2, -1), which)
        want = world.changed(wanted[1:], wanted[:1]).expand(len(w), -1)
        change = world.changed(start, attributes(generator.synthesis(end))[1])
        found.append((progress(change, want).mean(), direction(change, want).mean()))
    return Both(*(float(torch.stack(one).mean()) for one in zip(*found, strict=True)))


class Verdicts(NamedTuple):
    """Shares of sentences, 0..1."""

    true_unknown: float                     # of those that mean a word, called unknown
    true_known: float                       # .. called known
    foreign_not_known: float                # of those about other things, called unsure or unknown


def verdicts(
    motion: nn.Module,                      # with words
    clip: CLIP,
    true: Sequence[str],                    # sentences that mean a word
    foreign: Sequence[str],                 # .. that mean none
) -> Verdicts:
    """What the model says that it understands."""
    def share(texts: Sequence[str], verdict: str) -> float:
        found = motion.understand(texts, clip)
        return sum(one.verdict == verdict for one in found) / len(texts)

    return Verdicts(share(true, "unknown"), share(true, "known"), 1 - share(foreign, "known"))
