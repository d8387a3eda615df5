"""The adversarial training of MoCoGAN-HD's motion generator, across domains, and the baseline.

Tian et al. (ICLR 2021), sections 3.2 and 3.3, in small. Videos come from the renderer, pictures
from the generator, which was taught to draw alike, so that "across domains" is a small step here.

- The video critic tells drawn videos from rendered paths (relativistic least squares); it looks at
  few frames of a clip, in half of the steps spread over all of it, else a run of neighbours.
- The picture critic tells later frames from pictures of the generator's whole domain (hinge), and
  learns to describe pictures by finding two views of the same one (contrastive, with a memory).
- The motion generator pleases both, keeps each frame's description near the first frame's (feature
  matching), and lets its noise be guessed from its state (mutual information).

Clips begin at neutral people, as the videos do. The published code compares later frames with first
frames instead, which there are any pictures; here this would forbid every expression. Against
unstable or uniform training: R1, noise on what critics see, clips judged in pairs,
no momentum, falling rates, averaged weights.
"""
from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ... import formats
from ...errors import LGFAError
from ...frames import latent_space
from ...frames.stylegan2 import Generator
from ...nn.covariance import principal_axes
from ...nn.random import fresh_weights
from ...toon import sampling, videos
from ...training import checkpoints, loop, resume
from ...training.average import Average, warming
from ..baselines import Parts
from . import critics
from .motion import Mocogan, MocoganConfig, MotionGenerator, draw_noise

SEED = 4100                             # of everything that is drawn here


@dataclass(frozen=True)
class Settings:
    """Of one training; the defaults suit the toon generator and one CPU core."""

    steps: int = 600
    batch: int = 6                          # clips a step, two of each person
    frames: int = 16                        # T of a clip
    window: int = 4                         # frames of it that are rendered and judged
    resolution: int = 32                    # side of what the critics see: enough for a mouth, and
    #                                         renderer and generator differ less than at full size
    components: int = 64                    # principal axes of W; on toons these hold all of it
    samples: int = 20_000                   # codes from which they are measured
    pool: int = 512                         # stills to begin at, and pictures of the domain
    rate: float = 4e-4                      # of Adam, motion generator
    critic_rate: float = 1e-3               # of Adam, both critics
    betas: tuple[float, float] = (0.0, 0.99)
    critic_steps: int = 1                   # of the critics for each of the motion generator
    average: float = 0.99                   # decay of the averaged motion generator
    follow: float = 0.99                    # decay of the averaged picture critic of the memory
    memory: int = 1024                      # projections remembered
    match: float = 5.0                      # weight of feature matching
    mutual: float = 1.0                     # weight of the mutual information
    contrast: float = 2.0                   # weight of the contrastive term
    penalty: float = 20.0                   # weight of R1 of the video critic, halved
    picture_penalty: float = 1.0            # the same of the picture critic
    penalty_every: int = 4                  # critic steps from one to the next, weighed so much
    noise: float = 0.1                      # on the videos that the critic sees, std
    precision: str = "bf16"                 # of rendering: "bf16" or "fp32"
    save_every: int = 25                    # steps between two checkpoints

    def scaled(self, scale: float) -> Settings:
        """Fewer steps and smaller pools for scale < 1."""
        def part(number: int, least: int) -> int:
            return max(least, round(number * scale))
        if scale == 1:
            return self
        return replace(self, steps=part(self.steps, 1), pool=part(self.pool, 2 * self.batch),
                       samples=part(self.samples, 4 * self.components))


# ---------------------------------------------------------------- what is learned from

@dataclass(frozen=True)
class Pool:
    """Neutral people to begin at, and pictures of the domain, all of the generator's drawing."""

    codes: Tensor                           # [N, w_dim]
    stills: Tensor                          # [N, 3, r, r], their pictures, float16, -1..1
    faces: Tensor                           # [N, 3, r, r], float16, any expression


@torch.no_grad()
def make_pool(generator: Generator, count: int, resolution: int, rng: torch.Generator) -> Pool:
    """Codes of neutral toon people and their pictures, and pictures of the domain's faces."""
    def pictures(z: Tensor) -> tuple[Tensor, Tensor]:
        w = generator.mapping(z.to(generator.latent_avg))
        parts = [shrink(generator.synthesis(part.bfloat16()), resolution) for part in w.split(16)]
        return w[:, 0], torch.cat(parts).clamp(-1, 1).half()
    people, any_face = sampling.identities(count, rng), sampling.domain_params(count, rng)
    codes, stills = pictures(sampling.z_from_params(people, rng))
    return Pool(codes, stills, pictures(sampling.z_from_params(any_face, rng))[1])


def shrink(x: Tensor, resolution: int) -> Tensor:
    """[N, 3, R, R] -> [N, 3, r, r], float32, by means over squares; r >= R changes nothing."""
    factor = x.shape[-1] // resolution
    return F.avg_pool2d(x.float(), factor) if factor > 1 else x.float()


def chosen_frames(frames: int, window: int, rng: torch.Generator) -> Tensor:
    """Which frames of a clip are judged: evenly spread over it, or a run somewhere in it."""
    spread, start = torch.rand(2, generator=rng).tolist()
    if spread < 0.5:
        return torch.linspace(0, frames - 1, window).round().long()
    return torch.arange(window) + int(start * (frames - window + 1))


# ---------------------------------------------------------------- the training

class Training:
    """Networks, optimisers and random numbers of one training; `step` is one step of it."""

    def __init__(self, generator: Generator, settings: Settings) -> None:
        self.generator, self.settings = generator, settings
        self.device = generator.latent_avg.device
        self.rng = torch.Generator().manual_seed(SEED)
        with fresh_weights(SEED):
            self._networks()
        self.pool = make_pool(generator, settings.pool, settings.resolution, self.rng)
        self.clock = resume.Clock()

    def _networks(self) -> None:
        s, device, shape = self.settings, self.device, self.generator.config
        motion = MotionGenerator(MocoganConfig(
            w_dim=shape.w_dim, components=s.components, num_layers=shape.num_layers,
            resolution=shape.resolution))
        w = latent_space.samples(self.generator, s.samples, self.rng, chunk=4000)
        axes, deviations = principal_axes(w, s.components)
        motion.components.copy_(axes)
        motion.deviations.copy_(deviations)
        self.motion = motion.to(device)
        self.average = Average(self.motion, warming(s.average))
        self.video = critics.VideoCritic().to(device)
        self.image = critics.ImageCritic(s.resolution).to(device)
        self.follower = Average(self.image, s.follow)
        length = self.image.project[-1].out_features
        self.memories = nn.ModuleList(critics.Memory(s.memory, length) for _ in range(2)).to(device)
        self.motion_optimiser = torch.optim.Adam(self.motion.parameters(), s.rate, s.betas)
        self.critic_optimiser = torch.optim.Adam(
            [*self.video.parameters(), *self.image.parameters()], s.critic_rate, s.betas)
        self.rates = loop.Rates(self.motion_optimiser, self.critic_optimiser)

    # ---- one step

    def set_rates(self, done: float) -> None:
        """Rates for when a part `done` is over: constant for the first half, then falling to a
        twentieth, so that motion generator and critics stop chasing each other."""
        self.rates.set(1 - 0.95 * max(0.0, 2 * done - 1))

    def step(self, number: int) -> dict[str, float]:
        """The motion generator's step, then the critics' on the same clips; returns the terms."""
        s = self.settings
        self.set_rates(number / s.steps)
        people = torch.randint(len(self.pool.codes), (s.batch // 2,), generator=self.rng)
        people = people.repeat_interleave(2)
        which = chosen_frames(s.frames, s.window, self.rng)
        first = self.pool.stills[people].float()
        made, terms = self._motion_step(people, which, first)
        for again in range(s.critic_steps):
            terms |= self._critic_step(number * s.critic_steps + again, made.detach(), first, which)
        self.average.update(number)
        self.follower.update()
        return terms

    def _motion_step(
        self,
        people: Tensor,                     # [B], places in the pool where the clips begin
        which: Tensor,                      # [t], frames that are judged
        first: Tensor,                      # [B, 3, r, r], their stills
    ) -> tuple[Tensor, dict[str, float]]:
        """Pictures made [B, t, 3, r, r], with their gradients, and the terms."""
        s = self.settings
        self._learning(False)
        codes = self.pool.codes[people]
        noise = draw_noise(s.batch, s.frames, codes.shape[1], self.rng).to(codes)
        offsets, states = self.motion(codes, noise)
        made = self.render(codes[:, None] + offsets[:, which.to(codes.device)])

        with torch.no_grad():
            real = self.video(*self.drawn(which))
            about_first = self.image(critics.view(first, self.rng))[1]
        score, about = self.image(critics.view(self._later(made, which), self.rng))
        terms = {
            "video": critics.relativistic(self.video(self.noisy(made), first), real),
            "picture": critics.hinge_maker(score),
            "match": critics.matching(about, about_first),
            "mutual": critics.mutual(self.motion.guess(states), noise),
        }
        loss = (terms["video"] + terms["picture"] + s.match * terms["match"]
                + s.mutual * terms["mutual"])
        _descend(loss, self.motion_optimiser)
        size = offsets.detach()[:, -1].norm(dim=1).mean()
        return made, _numbers(terms) | {"moved": float(size)}

    def _critic_step(
        self,
        number: int,                        # of the critics' steps, from 0
        made: Tensor,                       # [B, t, 3, r, r], detached
        first: Tensor,                      # as above
        which: Tensor,
    ) -> dict[str, float]:
        s, (drawn, drawn_first) = self.settings, self.drawn(which)
        self._learning(True)
        terms = {"video critic": critics.relativistic(
            self.video(drawn, drawn_first), self.video(self.noisy(made), first))}
        loss = terms["video critic"]
        if number % s.penalty_every == 0:
            terms["slope"] = critics.slope_penalty(lambda x: self.video(x, drawn_first), drawn)
            loss = loss + 0.5 * s.penalty * s.penalty_every * terms["slope"]

        picked = torch.randint(len(self.pool.faces), (s.batch,), generator=self.rng)
        real, later = self.pool.faces[picked].float(), self._later(made, which)
        groups = [torch.cat([real, first[::2]]), later]         # each still once
        views = [[critics.view(x, self.rng) for _ in range(2)] for x in groups]
        said = [[self.image(x) for x in pair] for pair in views]
        scores = [torch.cat([one[0] for one in pair]) for pair in said]
        count = len(real)                   # neutral first frames are described, not judged
        right = torch.cat([one[0][:count] for one in said[0]])
        terms["picture critic"] = critics.hinge_critic(right, scores[1])
        terms["contrast"] = sum(
            critics.contrastive(pair[0][1], pair[1][1], memory.kept())
            for pair, memory in zip(said, self.memories, strict=True))
        if number % s.penalty_every == 0:
            steep = critics.slope_penalty(lambda x: self.image(x)[0][:, None], real)
            loss = loss + 0.5 * s.picture_penalty * s.penalty_every * steep
        loss = loss + terms["picture critic"] + s.contrast * terms["contrast"]
        _descend(loss, self.critic_optimiser)
        with torch.no_grad(), self.follower.applied():
            for pair, memory in zip(views, self.memories, strict=True):
                memory.add(self.image(pair[0])[1])
        return _numbers(terms)

    # ---- parts of it

    def render(self, codes: Tensor) -> Tensor:
        """Codes [B, t, w_dim] -> pictures [B, t, 3, r, r], float32, not clamped."""
        flat = codes.flatten(0, 1)[:, None].expand(-1, self.generator.num_layers, -1)
        # synthesis runs in its codes' precision, sums and all: autocast would draw otherwise
        flat = flat.bfloat16() if self.settings.precision == "bf16" else flat
        return shrink(self.generator.synthesis(flat), self.settings.resolution).unflatten(
            0, codes.shape[:2])

    def drawn(self, which: Tensor) -> tuple[Tensor, Tensor]:
        """Those frames of new videos of the renderer, noisy, [B, t, 3, r, r], and the first frames
        of the same videos [B, 3, r, r]; neighbours show the same person."""
        s = self.settings
        people = sampling.identities(s.batch // 2, self.rng).repeat_interleave(2, 0)
        params = videos.courses(s.batch, s.frames, self.rng, people)
        params = torch.cat([params[:, :1], params[:, which]], 1)
        x = videos.draw(params, s.resolution).to(self.device)
        return self.noisy(x[:, 1:]), x[:, 0]

    def noisy(self, x: Tensor) -> Tensor:
        """With noise on it, which hides that a generator draws a little softer than a renderer."""
        return x + self.settings.noise * torch.randn(x.shape, generator=self.rng).to(x)

    def _learning(self, learn: bool) -> None:
        for critic in (self.video, self.image):
            critic.requires_grad_(learn)

    def _later(self, made: Tensor, which: Tensor) -> Tensor:
        """One frame of each clip [B, 3, r, r], never the still."""
        least = int(which[0] == 0)
        pick = torch.randint(least, made.shape[1], (len(made),), generator=self.rng)
        return made[torch.arange(len(made)), pick]

    # ---- its state

    def state(
        self,
        folder: Path,                       # of its checkpoints, for a sentence
    ) -> resume.Parts:
        """All that checkpoints hold, by their names."""
        names = ("motion", "average", "video", "image", "follower", "memories",
                 "motion_optimiser", "critic_optimiser", "rng")
        settings = {name: list(value) if isinstance(value, tuple) else value
                    for name, value in asdict(self.settings).items()}
        return resume.Parts({
            "settings": resume.Same(settings, ("steps", "save_every"), folder),
            **{name: getattr(self, name) for name in names},
            "seconds": self.clock,
        }, updates=max(1, self.settings.critic_steps))


def train_motion(
    generator: Generator,                   # frozen
    folder: Path,                           # of checkpoints; an unfinished training goes on
    settings: Settings,
    note: Callable[[str], None],            # lines of progress
) -> loop.Trained:
    """The averaged motion generator, in eval mode, and the minutes that its training took."""
    generator.requires_grad_(False)
    training = Training(generator, settings)
    loop.run(training.step, settings.steps, training.state(folder), checkpoints.Numbered(folder),
             save_every=settings.save_every, limit=1e6, name="MoCoGAN-HD's training",
             remedy="lower the rates, or raise the penalty", note=note,
             log=loop.Lines("mocogan-hd", settings.steps, 25, note, training.clock, ".3g"))
    training.average.install()
    return loop.Trained(training.motion.eval(), training.clock.seconds / 60)


def _numbers(terms: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(value.detach()) for name, value in terms.items()}


def _descend(loss: Tensor, optimiser: torch.optim.Optimizer) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(optimiser.param_groups[0]["params"], 10.0)
    optimiser.step()


def units(texts: Sequence[str]) -> list[str]:
    """One motion generator, whatever the sentences."""
    return ["motion"]


def train(
    unit: str, parts: Parts, folder: Path, note: Callable[[str], None] = print, scale: float = 1.0,
) -> Path:
    """Trains FOLDER/motion.safetensors, or goes on with a training that was stopped there."""
    if unit != "motion" or parts.domain != "toon":
        raise LGFAError("MoCoGAN-HD's one unit is called motion, and it learns from videos, which "
                        "only the toon domain has: train it there.")
    path, work = folder / f"{unit}.safetensors", folder / f"{unit}-training"
    settings = Settings().scaled(scale)
    trained = train_motion(parts.generator, work, settings, note)
    formats.save(path, trained.network, {"baseline": "mocogan-hd", "training": asdict(settings),
                                         "minutes": round(trained.minutes, 2)})
    shutil.rmtree(work, ignore_errors=True)
    return path


def load(parts: Parts, folder: Path, texts: Sequence[str]) -> Mocogan:
    """The Method around FOLDER/motion.safetensors."""
    return Mocogan(formats.load(folder / "motion.safetensors", "mocogan",
                                parts.generator.latent_avg.device))
