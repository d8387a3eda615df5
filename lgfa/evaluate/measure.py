"""Makes and measures clips: every job of a suite, by one method, one record each."""
from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ..animate import Animator
from ..media.images import from_unit, to_unit
from ..methods.method import Prompt
from ..metrics import registry, toon_traits
from ..metrics.registry import Eyes, Shown
from ..motion.understanding import Understanding
from ..toon import sampling
from ..toon.renderer import render
from ..trajectory.chain import chain_frames
from .contenders import Subject
from .plan import Job
from .records import Record, Store

CHUNK = 8                                   # pictures at a time
GROUP = 13                                  # clips that a method may prepare together


class Maker:
    """Still, trajectory and frames of a job, and what the metrics say of them."""

    def __init__(
        self,
        generator: nn.Module,
        encoder: nn.Module | None,          # only drawn stills need it
        eyes: Eyes,
        domain: str = "toon",
    ) -> None:
        self.generator, self.encoder, self.eyes, self.domain = generator, encoder, eyes, domain

    @torch.no_grad()
    def still(self, job: Job) -> Tensor:
        """What is animated: a latent [1,L,w_dim], or a drawing [H,W,3], 0..1."""
        if not job.drawn:
            return sampling.still_latents(self.generator, [job.person])
        random = torch.Generator().manual_seed(job.person)
        picture = render(sampling.identities(1, random), self.generator.resolution)[0]
        return to_unit(picture.permute(1, 2, 0))

    @torch.no_grad()
    def frames(self, latents: Tensor) -> Tensor:
        """Codes [T,L,w_dim] -> pictures [T,3,H,W], -1..1."""
        latents = latents.to(self.generator.latent_avg)
        return torch.cat([self.generator.synthesis(part)
                          for part in latents.split(CHUNK)]).clamp(-1, 1)

    def begin(self, subject: Subject, jobs: Sequence[Job]) -> float:
        """Lets a method that is faster on several clips at once begin with these; the seconds
        that it took for each."""
        if any(job.drawn or len(job.texts) > 1 for job in jobs):
            return 0.0
        stills, begun = torch.cat([self.still(job) for job in jobs]), time.monotonic()
        subject.method.begin(stills, [Prompt(job.texts[0]) for job in jobs])
        return (time.monotonic() - begun) / len(jobs)

    def record(
        self,
        subject: Subject,
        job: Job,
        frames: int,                        # of the whole clip
        keep: bool = False,                 # the latents too
        add: bool = False,                  # see Animator.trajectory
    ) -> Record:
        """Makes the clip and measures it."""
        animator = Animator(self.generator, self.encoder, motion=subject.method,
                            domain=self.domain)
        understood: list[Understanding | None] = []
        still, begun = self.still(job), time.monotonic()
        latents = animator.trajectory(still, list(job.texts), frames, job.seed, add=add,
                                      told=understood.append)
        seconds = time.monotonic() - begun
        pictures = self.frames(latents)
        shown = self._shown(job, latents, pictures, still)

        # All of the whole clip first: the eyes remember the latest clip alone.
        metrics = registry.measure_clip(shown, self.eyes)
        curves = registry.curves(shown, self.eyes)
        features = {f"set.{name}": value.half()
                    for name, value in registry.set_features(shown, self.eyes).items()}
        seen, ends = [], self._ends(job, shown)
        for number, part in enumerate(ends, start=1):
            seen.append(registry.seen_as(part, self.eyes))
            if len(ends) > 1:
                found = registry.measure_clip(part, self.eyes, ("recognised", "progress"))
                metrics |= {f"{name}_{number}": value for name, value in found.items()}
        kept = {"latents": latents.half()} if keep else {}
        read = {} if job.wanted is None else self._read(pictures[-1:])
        return Record(metrics, seen, curves, read, seconds, features | kept,
                      [one.plain() for one in understood if one is not None])

    # ---- inside

    def _shown(self, job: Job, latents: Tensor, pictures: Tensor, still: Tensor) -> Shown:
        if job.drawn:
            picture = from_unit(still.permute(2, 0, 1))
        else:
            picture = self.frames(still)[0]
        return Shown(pictures, latents, job.texts[-1], job.targets[-1], picture)

    def _ends(self, job: Job, shown: Shown) -> list[Shown]:
        """One per sentence: the clip until that sentence's expression is there."""
        if len(job.texts) == 1:
            return [shown]
        counts, parts, end = chain_frames(len(shown.frames), len(job.texts)), [], 0
        for text, target, count in zip(job.texts, job.targets, counts, strict=True):
            end += count - 1
            parts.append(replace(shown, frames=shown.frames[:end + 1], text=text, target=target,
                                 latents=shown.latents[:end + 1]))
        return parts

    def _read(self, picture: Tensor) -> dict[str, int]:
        """Hair, glasses, age and backdrop of one picture [1,3,H,W]."""
        found = toon_traits.read_all(picture, self.eyes)
        return {name: int(value) for name, value in found.items()}


def run(
    maker: Maker,
    subject: Subject,
    jobs: Sequence[Job],
    frames: int,
    folder: Path,                           # of the records
    keep: bool = False,                     # latents too
    add: bool = False,                      # later sentences add to earlier ones
    rank: int = 0,
    size: int = 1,
    progress: Callable[[int, int, float], None] = lambda done, total, seconds: None,
    #                                         (clips done, in all, seconds a clip), of this process
) -> Store:
    """Does the jobs that are not done yet, every size-th of them; returns when all are there,
    also those of the other processes."""
    stamp = f"{subject.stamp} {frames} {keep} {VERSION}"
    store = Store(folder, stamp + " added" * add)
    store.tidy()
    own = [job for job in jobs[rank::size] if not store.has(job)]
    begun, before = time.monotonic(), 0.0
    for done, job in enumerate(own):
        if done % GROUP == 0:
            before = maker.begin(subject, own[done:done + GROUP])
        record = maker.record(subject, job, frames, keep, add)
        store.write(job, replace(record, seconds=record.seconds + before))
        progress(done + 1, len(own), (time.monotonic() - begun) / (done + 1))
    while not all(store.has(job) for job in jobs):
        time.sleep(1)
    return store


VERSION = 1                                 # of what a record holds
