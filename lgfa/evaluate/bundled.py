"""Reads the figures of a drawn domain's networks off their weights: `python -m lgfa.toon report`.

Networks that measure (attributes, identity) were trained apart from those that are measured.
Every picture here is drawn from seeds that no training used. What a domain is and what is asked of
its networks, a `Report` says (toon.py beside).
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..drawn.world import World
from ..embed.clip import CLIP
from ..embed.e4e import Encoder
from ..frames.stylegan2 import Generator
from ..metrics.changes import apart
from ..metrics.metric import batched
from ..motion.foreign import MEASURING
from ..training.drawn import faces, judges
from ..training.drawn.clip import zero_shot
from ..training.prompts import evenly
from .bars import Line, Report
from .language import both, reached, verdicts
from .moved import Judged, judge

RENDER = 128                                # side of the drawings that other networks look at


def decibel(
    image: Tensor,                          # [B, 3, R, R], clamped to -1..1 first
    truth: Tensor,                          # [B, 3, R, R], -1..1
) -> Tensor:
    """PSNR of each picture, peak to peak 2. [B]"""
    mse = (image.clamp(-1, 1) - truth).square().mean((1, 2, 3))
    return 10 * torch.log10(4 / mse.clamp(min=1e-10))


def strangers(
    world: World,
    identity: nn.Module,
    rng: torch.Generator,
    n: int = 300,                           # pairs
) -> float:
    """Mean identity distance of two random people."""
    one, other = (world.draw(world.people(n, rng), RENDER) for _ in range(2))
    return float(apart(batched(identity, one), batched(identity, other)).mean())


# ---- networks


@torch.no_grad()
def generator_lines(
    report: Report,
    generator: Generator,
    attributes: nn.Module,
    n: int = 280,                           # faces of each figure
) -> list[Line]:
    """Drawing against the renderer, and expressions dialled in z."""
    world, rng = report.world, report.rng(1)

    def quality(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        truth = batched(lambda params: world.draw(params, generator.resolution),
                        world.params_from_z(z))
        image = batched(lambda v: generator.synthesis(generator.mapping(v)), z).clamp(-1, 1)
        halved = decibel(F.avg_pool2d(image, 2), F.avg_pool2d(truth, 2))
        return decibel(image, truth), halved, image

    # faces as in training (two thirds named expressions), random z alone, named ones alone
    mixed, halved, _ = quality(world.z_from_params(world.faces(n, rng), rng))
    wild, *_ = quality(torch.randn(n, world.z_dim, generator=rng))
    which = torch.arange(n) % world.count
    people = world.with_expression(world.people(n, rng), which)
    named, _, image = quality(world.z_from_params(people, rng))
    seen = batched(lambda x: attributes(x)[0], image).argmax(1)
    hits = (seen == which).float().mean()
    return [
        report.line("generator", "db", f"dB against the renderer, {n} unseen faces", mixed.mean()),
        report.line("generator", "halved",
                    f"  both reduced to {generator.resolution // 2} px by averages", halved.mean()),
        report.line("generator", "random", f"  of {n} random z", wild.mean()),
        report.line("generator", "named", f"  of {n} full named expressions", named.mean()),
        report.line("generator", "dialled",
                    f"expression dialled in z is recognised, {n} faces", hits),
    ]


@torch.no_grad()
def clip_lines(
    report: Report,
    clip: CLIP,
    n: int = 1000,                          # renders
) -> list[Line]:
    """Expressions and attributes found by sentences."""
    found = zero_shot(report.world, clip, n, report.seed + 2)
    return [report.line("clip", name, f"zero-shot {name}, {n} renders", found[name])
            for name in report.questions]


@torch.no_grad()
def encoder_lines(
    report: Report,
    encoder: Encoder,
    generator: Generator,
    identity: nn.Module,
    attributes: nn.Module,
    n: int = 280,                           # renders
) -> list[Line]:
    """What is kept of drawings that are encoded and drawn by the generator."""
    world, rng = report.world, report.rng(3)
    which = torch.arange(n) % world.count
    people = world.with_expression(world.people(n, rng), which, 1.0, 0.05, rng)
    truth = world.draw(people, generator.resolution)
    image = batched(lambda x: generator.synthesis(encoder(x)), truth)
    seen = batched(lambda x: attributes(x)[0], image).argmax(1)
    away = apart(batched(identity, image.clamp(-1, 1)), batched(identity, truth)).mean()
    return [
        report.line("encoder", "db", f"dB image -> W+ -> image, {n} held-out renders",
                    decibel(image, truth).mean()),
        report.line("encoder", "expression", "expression agrees", (seen == which).float().mean()),
        report.line("encoder", "identity", "identity distance / that of two people",
                    float(away) / strangers(world, identity, rng), at_most=True),
    ]


@torch.no_grad()
def identity_lines(
    report: Report,
    identity: nn.Module,
    n: int = 400,                           # people
    name: str = "identity",                 # of the network: there may be two
) -> list[Line]:
    """Pairs of one person against pairs of two."""
    a, b = (batched(identity, x) for x in judges.pairs(report.world, n, RENDER, report.rng(4)))
    near = apart(a, b)
    far = torch.cat([apart(a, b.roll(k, 0)) for k in range(1, 6)])
    auc = (near[:, None] < far[None]).float().mean()
    return [
        report.line(name, "auc", f"AUC, {n} same pairs against {len(far)} others", auc),
        report.line(name, "near", "distance of the same person, other face", near.mean()),
        report.line(name, "far", "distance of two people", far.mean()),
    ]


@torch.no_grad()
def attribute_lines(
    report: Report,
    attributes: nn.Module,
    n: int = 1400,                          # renders
) -> list[Line]:
    """The expression's name, and how well parameters are read."""
    world = report.world
    seen = faces.faces(world, n, RENDER, report.rng(5), named=1.0, weakest=0.8)
    logits, guess = batched(attributes, seen.image)
    right = (logits.argmax(1) == seen.expression).float().mean()
    lines = [report.line("attributes", "expression", f"expression, {n} renders", right)]
    for name in report.read:
        column = world.index[name]
        truth, found = seen.params[:, column], guess[:, column]
        r2 = 1 - (found - truth).square().mean() / truth.var()
        lines.append(report.line("attributes", "r2", f"R2 of {name}", r2))
    return lines


# ---- motion


def people_stills(
    report: Report,
    generator: Generator,
    people: int,
    number: int = 6,                        # of the measurement, see Report.rng
) -> Tensor:
    """Neutral stills' latents, drawn for measuring only. [people, L, D]"""
    world, rng = report.world, report.rng(number)
    return generator.mapping(world.z_from_params(world.people(people, rng), rng))


@torch.no_grad()
def motion_lines(
    report: Report,
    motion: nn.Module,
    generator: Generator,
    clip: CLIP,
    attributes: nn.Module,
    identity: nn.Module,
    people: int = 24,                       # unseen ones
    frames: int = 16,                       # T of each clip
    details: bool = True,                   # lines of each expression, too
) -> list[Line]:
    """Every expression but the neutral one, from neutral stills of each person."""
    world = report.world
    w = people_stills(report, generator, people)
    still = batched(generator.synthesis, w)
    far = strangers(world, identity, report.rng(7))
    seen: dict[str, Judged] = {}
    ends: dict[str, Tensor] = {}            # parameters of the last frames
    for number, name in enumerate(world.names[1:], 1):
        text = report.template.format(world.words.expressions[name].plain.being[0])
        path = motion.trajectory(w, [text] * people, still, frames, seed=0, clip=clip)
        shown = batched(generator.synthesis, path.flatten(0, 1)).unflatten(0, (people, frames))
        which = torch.full((people,), number)
        seen[name] = judge(world, still, path, shown, which, attributes, identity, far,
                           report.untouched)
        ends[name] = attributes(shown[:, -1])[1]
    lines = _motion_lines(report, seen, people)
    for parameter, names in report.absent.items():
        shown = torch.cat([ends[name][:, world.index[parameter]] for name in names])
        lines.append(report.line("motion", parameter, f"{parameter} in {', '.join(names)}",
                                 shown.mean(), at_most=True))
    lines += language_lines(report, motion, generator, clip, attributes)
    if details:
        for name, one in seen.items():
            lines += [
                report.line("motion", "each", f"  {name}: recognised", one.recognised.mean()),
                report.line("motion", "each", f"  {name}: progress", one.progress.mean())]
    return lines


def _motion_lines(
    report: Report,
    seen: Mapping[str, Judged],             # expression -> its clips
    people: int,
) -> list[Line]:
    """Means over all clips, and of those expressions that are watched."""
    every = Judged(*(torch.cat(parts) for parts in zip(*seen.values(), strict=True)))
    count = f"{len(seen)} expressions x {people} unseen people"
    right = sum(float(one.key.mean()) > 0 for one in seen.values()) / len(seen)

    def line(key: str, what: str, value: Tensor | float, at_most: bool = False) -> Line:
        return report.line("motion", key, what, value, at_most)

    return [
        line("recognised", f"recognised, {count}", every.recognised.mean()),
        *(line("watched", f"  {name}", seen[name].recognised.mean()) for name in report.watched),
        line("right", "expressions whose parameter moves the right way (share)", right),
        line("clips", "clips whose parameter moves the right way", (every.key > 0).float().mean()),
        line("progress", "progress towards the expression", every.progress.mean()),
        line("cosine", "direction of the change (cosine)", every.cosine.mean()),
        line("identity", "identity distance of the last frame / that of two people",
             every.identity.mean(), at_most=True),
        line("step", "largest step of a path / its mean step, in W+", every.step.mean(),
             at_most=True),
        line("pixels", "  in the pictures", every.step_pixels.mean(), at_most=True),
        line("tint", "tint: change of untouched colours, of 255", every.tint.mean(),
             at_most=True),
    ]


@torch.no_grad()
def language_lines(
    report: Report,
    motion: nn.Module,
    generator: Generator,
    clip: CLIP,
    attributes: nn.Module,
    people: int = 3,
    most: int = 40,                         # phrases of an expression
) -> list[Line]:
    """Phrases that no training saw, and, of a model with words, what it says of them."""
    world, held = report.world, report.world.words.held_out()
    w = people_stills(report, generator, people, 8)
    lines = []
    for key, what, texts in (("phrases", "held-out phrases", held),
                             ("asked", "sentences by another hand", world.words.asked)):
        chosen = {number: evenly(texts[name], most) for number, name in enumerate(world.names)
                  if number and name in texts}
        found = reached(chosen, w, motion, generator, clip, attributes)
        every = torch.cat([*found.values()]).float()
        worst = min(found, key=lambda number: found[number].float().mean())
        lines += [
            report.line("motion", key, f"{what} reached, {len(every)} x {people} people",
                        every.mean()),
            report.line("motion", "worst", f"  of the worst, {world.names[worst]}, "
                        f"{len(found[worst])} sentences", found[worst].float().mean())]
    if world.words.pairs:
        two = both(world, w, motion, generator, clip, attributes)
        lines += [
            report.line("motion", "both", f"two at once, {len(world.words.pairs)} pairs: progress",
                        two.progress),
            report.line("motion", "both", "  direction of the change (cosine)", two.direction)]
    if motion.words is None:
        return lines
    # the others calibrated the verdicts, see training/drawn/motion.py
    true = [text for texts in held.values() for text in texts[1::2] or texts]
    seen = verdicts(motion, clip, true, MEASURING)
    return [
        *lines,
        report.line("motion", "unknown", f"{len(true)} true phrases, called unknown",
                    seen.true_unknown, at_most=True),
        report.line("motion", "known", "  called known", seen.true_known),
        report.line("motion", "foreign", f"{len(MEASURING)} foreign sentences, not called known",
                    seen.foreign_not_known)]


# ---- all of them


def all_lines(
    report: Report,
    load: Callable[[str], nn.Module],       # kind -> network
    only: Sequence[str] | None = None,      # kinds to measure; None = all
) -> list[Line]:
    """Every figure, printed as it is found."""
    attributes, identity = load("attributes"), load("identity")
    makers: dict[str, Callable[[], list[Line]]] = {
        "attributes": lambda: attribute_lines(report, attributes),
        "identity": lambda: identity_lines(report, identity),
        "judge": lambda: identity_lines(report, load("judge"), name="judge"),
        "clip": lambda: clip_lines(report, load("clip")),
        "generator": lambda: generator_lines(report, load("generator"), attributes),
        "encoder": lambda: encoder_lines(
            report, load("encoder"), load("generator"), identity, attributes),
        "motion": lambda: motion_lines(
            report, load("motion"), load("generator"), load("clip"), attributes, identity),
    }
    found = []
    for kind, make in makers.items():
        if only and kind not in only:
            continue
        for line in make():
            print(line, flush=True)
            found.append(line)
    return found
