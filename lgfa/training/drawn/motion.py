"""What a drawn domain's motion model learns from, and its training by the project's trainer."""
from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ... import formats
from ...drawn.captions import Captioner, Words
from ...drawn.world import World
from ...embed.clip import CLIP
from ...frames.stylegan2 import Generator
from ...motion.model import MotionModel
from ..config import TrainConfig
from ..data import SampleSource
from ..loop import Trained
from ..prompts import Prompts
from ..setup import enlarge
from ..trainer import Progress, Trainer

SINGLE, PAIR = 60, 40                       # random captions of an expression, of a pair of two
OFTEN = 4.0                                 # an expression is drawn so much more often than a pair


def prompts(
    words: Words,
    seed: int,                              # of the random captions
) -> Prompts:
    """Every expression as a word, and every pair of two, with many sentences of each.

    The first of an expression's is "The person is ..", a pair's begins with both names. Of the
    held-out sentences every second calibrates the verdicts; reports measure them by the others.
    """
    captioner = Captioner(words, torch.Generator().manual_seed(seed))
    groups = []
    for index, (name, lessons) in enumerate(words.lessons().items()):
        first = f"The person is {words.expressions[name].plain.being[0]}"
        groups.append(_once([first, *lessons, *_captions(captioner, index, SINGLE)]))
    for index, pair in enumerate(words.pairs, start=len(groups)):
        groups.append(_once([" and ".join(pair), *_captions(captioner, index, PAIR)]))
    held_out = words.held_out()
    taken = {text.casefold() for texts in held_out.values() for text in texts}
    calibrating = [text for texts in held_out.values() for text in texts[::2]]
    weights = [OFTEN] * len(held_out) + [1.0] * len(words.pairs)
    return Prompts([_others(group, taken) for group in groups], ("{}",), calibrating, weights)


def _captions(captioner: Captioner, index: int, count: int) -> list[str]:
    return [captioner.expression(index) for _ in range(count)]


def _once(texts: Sequence[str]) -> list[str]:
    """Capitals do not matter to CLIP's tokenizer."""
    return list({text.casefold(): text for text in texts}.values())


def _others(texts: Sequence[str], taken: set[str]) -> list[str]:
    """Those that nobody has taken, which are taken now: a sentence means one thing."""
    free = [text for text in texts if text.casefold() not in taken]
    taken.update(map(str.casefold, free))
    return free


class Stills:
    """Codes of people to animate: mostly neutral, some in another expression (for chains).

    Checkpoints of trainings store the name of this class.
    """

    def __init__(
        self,
        world: World,
        generator: Generator,
        seed: int,                          # of `spread`
        neutral: float = 0.75,              # share of neutral stills
    ) -> None:
        self.world, self.generator = world, generator
        self.seed, self.neutral = seed, neutral

    @torch.no_grad()
    def __call__(self, count: int, rng: torch.Generator) -> Tensor:
        """Codes [count, L, w_dim] on the generator's device."""
        world = self.world
        people = world.people(count, rng)
        which = torch.randint(world.count, (count,), generator=rng)
        calm = torch.rand(count, generator=rng) < self.neutral
        which = torch.where(calm, torch.zeros_like(which), which)
        z = world.z_from_params(world.with_expression(people, which), rng)
        return self.generator.mapping(z.to(self.generator.latent_avg.device))

    @torch.no_grad()
    def spread(self, count: int) -> Tensor:
        """Codes [count, w_dim] that vary as one person's code does from face to face.

        Differences between two faces of a person: so the offsets of the motion model cannot
        change hair, skin, clothes or backdrop. What the faces are is not said.
        """
        world, rng = self.world, torch.Generator().manual_seed(self.seed)
        one, other = (world.faces(count, rng, named=0.85) for _ in range(2))
        other[:, :world.who] = one[:, :world.who]
        z = (world.z_from_params(params, rng) for params in (one, other))
        one, other = (self.generator.mapping(v.to(self.generator.latent_avg))[:, 0] for v in z)
        return (one - other) / 2**0.5


def source(
    world: World,
    generator: Generator,
    seed: int,                              # of what offsets may span
) -> SampleSource:
    """Stills that the generator makes up."""
    stills = Stills(world, generator, seed)
    return SampleSource(generator, sample_still=stills, spread=stills.spread)


def train_motion(
    model: MotionModel,                     # fresh, see setup.new_motion; learns in place
    settings: TrainConfig,
    generator: Generator,
    source: SampleSource,
    words: Prompts,
    clip: CLIP,
    perceptual: nn.Module,
    identity: nn.Module,
    folder: Path,                           # an interrupted training goes on from what is here
    gain: float,                            # all offsets become this much larger afterwards
    spread: float,                          # .. and h(1), which the seed draws, varies this much
    device: str = "cpu",                    # of the finished model
) -> Trained:
    """The finished model, read from its file, and the training's settings."""
    trainer = Trainer(settings, model, generator, source, words, clip=clip, perceptual=perceptual,
                      identity=identity, out=Path(folder), progress=_tell)
    begun = time.monotonic()
    result = trainer.run(resume=True)
    model = formats.load(result.network, "motion", device)
    enlarge(model, gain)
    model.config = model.rnn.config = replace(model.config, hidden_std=spread)
    minutes = (time.monotonic() - begun) / 60
    return Trained(model, minutes, {"training": asdict(trainer.config)})


def _tell(progress: Progress) -> None:
    if progress.step % 50 == 0 or progress.step == progress.iterations:
        values = " ".join(f"{name} {value:.4g}" for name, value in progress.values.items())
        minutes = progress.step * progress.seconds / 60
        print(f"motion {progress.step}/{progress.iterations} {minutes:.1f} min {values}",
              flush=True)
