"""Read the toon networks' figures off the shipped weights: `python -m lgfa.toon report`.

Networks that measure (attributes, identity) were trained apart from those that are measured.
Every picture here is drawn from seeds that no training used.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..metrics import toon_truth
from ..metrics.metric import batched
from ..metrics.toon_truth import apart
from ..toon import captions, sampling
from ..toon import parameters as tb
from ..toon.renderer import render
from ..training.toon import faces, judges
from ..training.toon.clip import zero_shot

SEED = 77_000  # of everything that is drawn here; trainings use seeds below 10,000


class Line(NamedTuple):
    network: str
    what: str
    value: float
    bar: float | None  # None = for information
    at_most: bool = False  # the bar is an upper one

    @property
    def met(self) -> bool:
        return self.bar is None or (
            self.value <= self.bar if self.at_most else self.value >= self.bar
        )

    def __str__(self) -> str:
        sign = "<=" if self.at_most else ">="
        bar = (
            ""
            if self.bar is None
            else f"   {sign} {self.bar:g}   {'met' if self.met else 'MISSED'}"
        )
        return f"{self.network:<11} {self.what:<62} {self.value:9.3f}{bar}"


# ----------------------------------------------------------------------------- helpers


def decibel(image: Tensor, truth: Tensor) -> Tensor:
    """PSNR of each picture, peak to peak 2: [B]; pictures are clamped to -1..1 first."""
    mse = (image.clamp(-1, 1) - truth).square().mean((1, 2, 3))
    return 10 * torch.log10(4 / mse.clamp(min=1e-10))


def strangers(identity, rng: torch.Generator, n: int = 300) -> float:
    """Mean identity distance of two random people."""
    one, other = render(sampling.identities(n, rng), 128), render(sampling.identities(n, rng), 128)
    return float(apart(batched(identity, one), batched(identity, other)).mean())


# ----------------------------------------------------------------------------- networks


@torch.no_grad()
def generator_lines(generator, attributes, n: int = 280) -> list[Line]:
    """Drawing against the renderer, and expressions dialled in z."""
    rng = torch.Generator().manual_seed(SEED + 1)
    size = generator.resolution

    def quality(z):
        truth = batched(lambda p: render(p, size), sampling.params_from_z(z))
        image = batched(lambda v: generator.synthesis(generator.mapping(v)), z)
        return decibel(image, truth), image

    # faces as in training (two thirds named expressions), random z alone, named ones alone
    mixed, _ = quality(sampling.z_from_params(sampling.domain_params(n, rng), rng))
    wild, _ = quality(torch.randn(n, sampling.Z_DIM, generator=rng))
    which = torch.arange(n) % len(tb.EXPRESSIONS)
    people = sampling.with_expression(sampling.identities(n, rng), which)
    named, image = quality(sampling.z_from_params(people, rng))
    seen = batched(lambda x: attributes(x)[0], image).argmax(1)
    hits = (seen == which).float().mean()
    return [
        Line("generator", f"dB against the renderer, {n} unseen faces", float(mixed.mean()), 28.0),
        Line("generator", f"  of {n} random z", float(wild.mean()), None),
        Line("generator", f"  of {n} full named expressions", float(named.mean()), None),
        Line("generator", f"expression dialled in z is recognised, {n} faces", float(hits), 0.95),
    ]


@torch.no_grad()
def clip_lines(clip, n: int = 1000) -> list[Line]:
    found = zero_shot(clip, n, SEED + 2)
    bars = {"expression": 0.95, "hair": 0.95, "glasses": 0.98, "backdrop": 0.90, "age": None,
            "expression, among held-out sentences": 0.85,
            "expression, image to held-out sentence": 0.85}  # fmt: skip
    return [
        Line("clip", f"zero-shot {name}, {n} renders", found[name], bars[name]) for name in bars
    ]


@torch.no_grad()
def encoder_lines(encoder, generator, identity, attributes, n: int = 280) -> list[Line]:
    rng = torch.Generator().manual_seed(SEED + 3)
    which = torch.arange(n) % len(tb.EXPRESSIONS)
    truth = render(
        sampling.with_expression(sampling.identities(n, rng), which, 1.0, 0.05, rng),
        generator.resolution,
    )
    image = batched(lambda x: generator.synthesis(encoder(x)), truth)
    seen = batched(lambda x: attributes(x)[0], image).argmax(1)
    away = apart(batched(identity, image.clamp(-1, 1)), batched(identity, truth)).mean()
    return [
        Line(
            "encoder",
            f"dB image -> W+ -> image, {n} held-out renders",
            float(decibel(image, truth).mean()),
            22.0,
        ),
        Line("encoder", "expression agrees", float((seen == which).float().mean()), 0.90),
        Line(
            "encoder",
            "identity distance / that of two people",
            float(away) / strangers(identity, rng),
            0.15,
            True,
        ),
    ]


@torch.no_grad()
def identity_lines(identity, n: int = 400, name: str = "identity") -> list[Line]:
    rng = torch.Generator().manual_seed(SEED + 4)
    a, b = (batched(identity, x) for x in judges.pairs(n, 128, rng))
    near = apart(a, b)
    far = torch.cat([apart(a, b.roll(k, 0)) for k in range(1, 6)])
    auc = (near[:, None] < far[None]).float().mean()
    return [
        Line(name, f"AUC, {n} same pairs against {len(far)} others", float(auc), 0.99),
        Line(name, "distance of the same person, other face", float(near.mean()), None),
        Line(name, "distance of two people", float(far.mean()), None),
    ]


@torch.no_grad()
def attribute_lines(attributes, n: int = 1400) -> list[Line]:
    rng = torch.Generator().manual_seed(SEED + 5)
    seen = faces.faces(n, 128, rng, named=1.0, weakest=0.8)
    logits, guess = batched(attributes, seen.image)
    lines = [
        Line(
            "attributes",
            f"expression, {n} renders",
            float((logits.argmax(1) == seen.expression).float().mean()),
            0.97,
        )
    ]
    for name in ("curve", "open", "lid_left", "lid_right", "brow_height", "brow_angle", "tears"):
        truth, found = seen.params[:, tb.INDEX[name]], guess[:, tb.INDEX[name]]
        r2 = 1 - (found - truth).square().mean() / truth.var()
        lines.append(Line("attributes", f"R2 of {name}", float(r2), 0.95))
    return lines


class Judged(NamedTuple):
    """What the independent networks see in a batch of clips, [B] each."""

    recognised: Tensor  # 0 or 1
    progress: Tensor  # 0 = still, 1 = the whole way to the expression
    key: Tensor  # change of the expression's leading parameter, positive = the right way
    identity: Tensor  # distance of the last frame to the still, in strangers' distances
    step: Tensor  # largest step of the path over the mean step, in W+
    step_pixels: Tensor  # the same in the pictures
    tint: Tensor  # change of colours that no expression touches, in 1/255
    cosine: Tensor  # direction of the change in parameters


@torch.no_grad()
def judge(first, last, path, frames, which, attributes, identity, far: float) -> Judged:
    """first, last [B,3,R,R]; path [B,T,L,D]; frames [B,T,3,r,r]; which [B] expression index."""
    logits, end = attributes(last)
    _, start = attributes(first)
    want, change = toon_truth.wanted(which), toon_truth.changed(start, end)
    leads = [toon_truth.leading(int(w)) for w in which]
    key = torch.stack([change[i, column - tb.EXPRESSION_SLICE.start] * way
                       for i, (column, way) in enumerate(leads)])  # fmt: skip
    steps = path.diff(dim=1).flatten(2).norm(dim=2)
    pixels = frames.diff(dim=1).flatten(2).abs().mean(2)
    return Judged(
        (logits.argmax(1) == which).float(), toon_truth.progress(change, want), key,
        apart(identity(first.clamp(-1, 1)), identity(last.clamp(-1, 1))) / far,
        steps.amax(1) / steps.mean(1), pixels.amax(1) / pixels.mean(1),
        untouched(first, last), toon_truth.direction(change, want),
    )  # fmt: skip


# centres of squares that no expression changes: sky, hair, temples, ears, neck, shirt
_PATCHES = ((-0.93, -0.2), (0.93, -0.2), (0.0, -0.66), (-0.25, -0.62), (0.25, -0.62),
            (-0.535, -0.045), (0.535, -0.045), (-0.64, 0.10), (0.64, 0.10), (0.0, 0.76),
            (-0.6, 0.95), (0.6, 0.95))  # fmt: skip


def untouched(first: Tensor, last: Tensor) -> Tensor:
    """Largest mean colour change over patches that expressions leave alone, in 1/255: [B]."""
    one, other = (toon_truth.patch_colours(x, _PATCHES) for x in (first, last))
    return (other - one).abs().mean(2).amax(1) * 127.5


def people_stills(generator, people: int, seed: int) -> Tensor:
    """Neutral stills' latents [people, L, D], drawn for measuring only."""
    rng = torch.Generator().manual_seed(seed)
    return generator.mapping(sampling.z_from_params(sampling.identities(people, rng), rng))


@torch.no_grad()
def motion_lines(
    motion,
    generator,
    clip,
    attributes,
    identity,
    people: int = 24,
    frames: int = 16,
    template: str = "The person is {}",
    details: bool = True,
):
    """>= 13 expressions x `people` unseen people, from neutral stills."""
    w = people_stills(generator, people, SEED + 6)
    still = batched(generator.synthesis, w)
    far = strangers(identity, torch.Generator().manual_seed(SEED + 7))
    names = [n for n in tb.EXPRESSION_NAMES if n != "neutral"]
    seen: dict[str, Judged] = {}
    for name in names:
        which = torch.full((people,), tb.EXPRESSION_NAMES.index(name))
        text = template.format(captions.PHRASES[name][0][0])
        path = motion.trajectory(w, [text] * people, still, frames, seed=0, clip=clip)
        shown = batched(lambda v: generator.synthesis(v), path.flatten(0, 1)).unflatten(
            0, (people, frames)
        )
        seen[name] = judge(still, shown[:, -1], path, shown, which, attributes, identity, far)
    every = Judged(*(torch.cat([getattr(j, f) for j in seen.values()]) for f in Judged._fields))
    count = f"{len(names)} expressions x {people} unseen people"
    right = sum(float(j.key.mean()) > 0 for j in seen.values()) / len(names)
    lines = [
        Line("motion", f"recognised, {count}", float(every.recognised.mean()), 0.75),
        Line("motion", "  crying", float(seen["crying"].recognised.mean()), 0.75),
        Line("motion", "  disgusted", float(seen["disgusted"].recognised.mean()), 0.75),
        Line("motion", "expressions whose parameter moves the right way (share)", right, 1.0),
        Line(
            "motion",
            "clips whose parameter moves the right way",
            float((every.key > 0).float().mean()),
            None,
        ),
        Line("motion", "progress towards the expression", float(every.progress.mean()), 0.6),
        Line("motion", "direction of the change (cosine)", float(every.cosine.mean()), None),
        Line(
            "motion",
            "identity distance of the last frame / that of two people",
            float(every.identity.mean()),
            0.15,
            True,
        ),
        Line(
            "motion",
            "largest step of a path / its mean step, in W+",
            float(every.step.mean()),
            2.5,
            True,
        ),
        Line("motion", "  in the pictures", float(every.step_pixels.mean()), 2.5, True),
        Line(
            "motion",
            "tint: change of untouched colours, of 255",
            float(every.tint.mean()),
            8.0,
            True,
        ),
    ]
    if details:
        for name, j in seen.items():
            lines.append(Line("motion", f"  {name}: recognised", float(j.recognised.mean()), None))
            lines.append(Line("motion", f"  {name}: progress", float(j.progress.mean()), None))
    return lines


def all_lines(load, only: list[str] | None = None) -> list[Line]:
    """`load(kind)` gives a network; prints as it goes and returns the lines."""
    attributes, identity = load("attributes"), load("identity")
    makers = {
        "attributes": lambda: attribute_lines(attributes),
        "identity": lambda: identity_lines(identity),
        "judge": lambda: identity_lines(load("judge"), name="judge"),
        "clip": lambda: clip_lines(load("clip")),
        "generator": lambda: generator_lines(load("generator"), attributes),
        "encoder": lambda: encoder_lines(load("encoder"), load("generator"), identity, attributes),
        "motion": lambda: motion_lines(
            load("motion"), load("generator"), load("clip"), attributes, identity
        ),
    }
    found = []
    for kind, make in makers.items():
        if only and kind not in only:
            continue
        for line in make():
            print(line, flush=True)
            found.append(line)
    return found
