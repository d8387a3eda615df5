"""Train the toon motion model by the project's trainer: sampled stills, sentences, no labels."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from ... import formats
from ...drawn.captions import Captioner
from ...motion.model import MotionModel
from ...toon import captions, sampling
from ...toon import parameters as tb
from ..config import TrainConfig
from ..data import SampleSource
from ..prompts import Prompts
from ..setup import enlarge, new_motion
from ..trainer import Trainer

SEED = 606


#: one offset for all layers, which keeps the path in W, where the generator was trained to draw
CHOICES = {
    "mapper_hidden": 512, "shared_layers": True, "visual": False, "visual_mapper": False,
    "hidden_std": 0.01,
}  # fmt: skip


#: a strong `w_reg` leaves the direction of the paths true and stops them short: the offsets are
#: made this much larger after training
GAIN = 1.5

#: .. and after word_settings(), whose `w_reg` is weaker
WORD_GAIN = 1.2

#: .. and h(1), which the seed draws, is spread this much wider than in training: seeds then differ
#: to the eye, and the faces are as clean
SPREAD = 0.2


def prompts(count: int = 8) -> Prompts:
    """Every expression as a word with `count` sentences, "The person is ..." among them."""
    captioner = Captioner(captions.WORDS, torch.Generator().manual_seed(SEED))
    words = []
    for index, name in enumerate(tb.EXPRESSION_NAMES):
        verbs, nouns = captions.PHRASES[name]
        texts = [f"The person is {v}" for v in verbs] + [f"The person has {n}" for n in nouns]
        texts += [captioner.expression(index) for _ in range(count)]
        # capitals do not matter to CLIP's tokenizer
        words.append(list({t.casefold(): t for t in texts}.values()))
    return Prompts(words, ("{}",))


class Stills:
    """Codes of people to animate: mostly neutral, some in another expression (for chains)."""

    def __init__(self, generator, neutral: float = 0.75):
        self.generator, self.neutral = generator, neutral

    @torch.no_grad()
    def __call__(self, count: int, rng: torch.Generator) -> Tensor:
        people = sampling.identities(count, rng)
        which = torch.randint(len(tb.EXPRESSIONS), (count,), generator=rng)
        calm = torch.rand(count, generator=rng) < self.neutral
        params = sampling.with_expression(people, torch.where(calm, torch.zeros_like(which), which))
        z = sampling.z_from_params(params, rng).to(self.generator.latent_avg.device)
        return self.generator.mapping(z)


    @torch.no_grad()
    def spread(self, count: int) -> Tensor:
        """Codes [count, w_dim] that vary as one person's code does from face to face.

        Differences between two faces of a person: so the offsets of the motion model cannot
        change hair, skin, clothes or backdrop. What the faces are is not said.
        """
        rng = torch.Generator().manual_seed(SEED)
        one, other = (sampling.domain_params(count, rng, named=0.85) for _ in range(2))
        other[:, : len(tb.IDENTITY)] = one[:, : len(tb.IDENTITY)]
        z = (sampling.z_from_params(params, rng) for params in (one, other))
        one, other = (self.generator.mapping(v.to(self.generator.latent_avg))[:, 0] for v in z)
        return (one - other) / 2**0.5


def fresh(generator, clip, words: Prompts | None = None, offsets: str = "w", **choices):
    """A motion model that begins at the still; its offsets are in the span of W."""
    return new_motion(generator, clip, source(generator), words or prompts(), SEED,
                      offsets=offsets, **{**CHOICES, **choices})  # fmt: skip


def source(generator) -> SampleSource:
    stills = Stills(generator)
    return SampleSource(generator, sample_still=stills, spread=stills.spread)


def settings(**changes) -> TrainConfig:
    """What the bundled model was trained with; the paper's values where not said otherwise.

    A strong `w_reg` in whitened units is what keeps faces drawn cleanly: with a weak one paths go
    on, past any doubt of CLIP's, along whatever tells a word from the others (a smile's tongue
    is less than none), and out of what the generator was taught to draw. It also holds the
    frames on the way back, so the last step would be a jump: hence the strong `path_reg`.
    """
    return TrainConfig(**{
        "iterations": 600, "batch": 14, "frames": 4, "seed": SEED, "mapper_rate": 2.5e-3,
        "rate_end": 0.02, "w_reg": 40.0, "path_reg": 40.0, "latent_units": "white",
        "cont": 1.0, "lpips": 0.1, "lpips_frames": ("last",), "identity": 1.0,
        "precision": "bf16", "ema_decay": 0.98, "save_every": 100, "sample_every": 0,
        **changes,
    })  # fmt: skip


#: what new words change of the settings above
WORDS = {"mapper_rate": 5e-3, "w_reg": 4.0, "path_reg": 10.0, "cont": 2.0}


def word_settings(**changes) -> TrainConfig:
    """For a few new words whose offsets go along all of W: hair, glasses, backdrop.

    A word then moves little of what can vary, and few steps must suffice: weaker regularisers,
    higher rates.
    """
    return settings(**{"iterations": 120, "batch": 6, **WORDS, **changes})


def train_motion(
    folder: Path,
    generator,
    clip,
    perceptual,
    identity,
    device="cpu",
    changes: dict | None = None,  # of the settings
    choices: dict | None = None,  # of the model
    words: Prompts | None = None,  # other sentences
    offsets: str = "w",  # see prepare.new_motion
    gain: float = GAIN,
) -> MotionModel:
    words = words or prompts()
    model = fresh(generator, clip, words, offsets, **(choices or {}))
    trainer = Trainer(
        settings(**(changes or {})), model, generator,
        source(generator), words,
        clip=clip, perceptual=perceptual, identity=identity, out=Path(folder) / "motion",
        progress=_tell,
    )  # fmt: skip
    begun = time.monotonic()
    result = trainer.run(resume=True)
    model = formats.load(result.network, "motion", device)
    enlarge(model, gain)
    model.config = model.rnn.config = replace(model.config, hidden_std=SPREAD)
    model.minutes = (time.monotonic() - begun) / 60
    model.info = {"training": asdict(trainer.config)}
    return model


def _tell(p) -> None:
    if p.step % 50 == 0 or p.step == p.iterations:
        values = " ".join(f"{k} {v:.4g}" for k, v in p.values.items())
        minutes = p.step * p.seconds / 60
        print(f"motion {p.step}/{p.iterations} {minutes:.1f} min {values}", flush=True)
