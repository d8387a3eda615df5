"""`python -m lgfa.DOMAIN` of a drawn domain: train its networks, measure them, look at them.

Which domain it is, a `Command` says; nothing of it is loaded before it is needed.
"""
from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from .. import domains, formats, registry
from ..files import atomic_path
from ..media.clips import check_place
from . import arguments
from .entry import Parser, guarded

ALL = "all"                                 # every network, one after the other
GALLERY_FRAMES, GALLERY_FPS = 28, 12        # of each clip of a gallery


@dataclass(frozen=True)
class Command:
    """The command of one domain. What lies in modules is named as in `registry`."""

    domain: str                             # its name: python -m lgfa.NAME
    what: str                               # what the command does, for its help
    order: tuple[str, ...]                  # its networks, as they can be trained one by one
    names: Mapping[str, str]                # of networks that are not called by their kind
    world: str                              # "module:World"
    recipes: str                            # "module:RECIPES"
    report: str                             # "module:Report", its bars and cards

    @property
    def models(self) -> Path:
        """The folder of the bundled files."""
        return domains.MODELS / self.domain


def main(
    command: Command,
    given: list[str] | None = None,         # None = the program's own
) -> int:
    """Runs one command; returns its exit code."""
    return guarded(lambda: _run(command, parser(command).parse_args(given)))


def _run(command: Command, options: argparse.Namespace) -> int:
    doing: dict[str, Callable[[Command, argparse.Namespace], int]] = {
        "report": report, "cards": cards, "look": look, "gallery": gallery}
    return doing.get(options.command, train)(command, options)


# ---- options


def parser(command: Command) -> argparse.ArgumentParser:
    """Every command with its options."""
    top = Parser(
        prog=f"python -m lgfa.{command.domain}", description=command.what,
        epilog="A stopped training goes on from its last checkpoint when the command is repeated.")
    sub = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in command.order:
        what = command.names.get(name) or registry.KINDS[name].what
        _training_options(command, sub.add_parser(name, help=f"train the {what}"))
    what = "train every network, one after the other"
    _training_options(command, sub.add_parser(ALL, help=what))

    one = sub.add_parser("report", help="measure the shipped weights against the bars")
    one.add_argument("--models", type=Path, default=command.models)
    one.add_argument("--only", nargs="*", choices=command.order,
                     help="measure these networks alone")
    one.add_argument("--json", type=Path, help="write the figures to this file, too")

    one = sub.add_parser("cards", help="write the model cards beside the weights")
    one.add_argument("--models", type=Path, default=command.models)
    one.add_argument("--figures", type=Path, help="what `report --json` wrote")

    one = sub.add_parser("look", help="draw a sheet: every expression on a few people")
    one.add_argument("out", type=Path, help="picture to write, e.g. sheet.png")
    one.add_argument("--people", type=arguments.whole(1, 100), default=4)
    one.add_argument("--seed", type=arguments.seed, default=0, help=arguments.SEEDS)
    one.add_argument("--resolution", type=arguments.whole(16, 512), default=256)
    one.add_argument("--generator", action="store_true",
                     help="under each drawing the generator's, from z")

    one = sub.add_parser("gallery", help="an animated picture of many people and expressions")
    one.add_argument("out", type=Path, help="picture to write, e.g. gallery.webp")
    one.add_argument("--rows", type=arguments.whole(1, 20), default=2)
    one.add_argument("--columns", type=arguments.whole(1, 20), default=4)
    one.add_argument("--seed", type=arguments.whole(0, 2**63), default=0)
    return top


def _training_options(command: Command, one: argparse.ArgumentParser) -> None:
    work = Path("runs") / command.domain
    one.add_argument("--out", type=Path, default=command.models,
                     help="folder of the finished .safetensors (default: the bundled one)")
    one.add_argument("--work", type=Path, default=work,
                     help=f"folder of resumable checkpoints (default: {work})")
    one.add_argument("--device", default="cpu", help="cpu, cuda, mps, .. (default: cpu)")
    one.add_argument("--threads", type=arguments.whole(0, 1024), default=0,
                     help="CPU threads (default: torch's)")
    one.add_argument("--scale", type=arguments.number(0, 100), default=1.0,
                     help="multiply all step numbers: 0.01 tries the whole chain quickly")


# ---- commands


def train(command: Command, options: argparse.Namespace) -> int:
    """One network, or all of them."""
    from ..devices import pick_device
    from ..training.drawn.workshop import Workshop

    pick_device(options.device)          # refused before hours of work
    if options.threads:
        torch.set_num_threads(options.threads)
    workshop = Workshop(command.domain, registry.named(command.recipes), options.out, options.work,
                        options.device, options.scale)
    for kind in command.order if options.command == ALL else (options.command,):
        workshop.train(kind)
    return 0


def report(command: Command, options: argparse.Namespace) -> int:
    """The figures of the weights, each with its bar; 1 where one is missed."""
    from ..evaluate import bundled

    if options.json:
        check_place(options.json)
    own = registry.named(command.report)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, seeds from {own.seed}")
    lines = bundled.all_lines(
        own, lambda name: formats.load(options.models / f"{name}.safetensors"), options.only)
    missed = [line for line in lines if not line.met]
    print(f"{sum(line.bar is not None for line in lines)} bars, {len(missed)} missed")
    if options.json:
        figures = [line._asdict() | {"met": line.met} for line in lines]
        with atomic_path(options.json) as path:
            path.write_text(json.dumps(figures, indent=1))
    return 1 if missed else 0


def cards(command: Command, options: argparse.Namespace) -> int:
    """A text beside each file of weights."""
    from ..evaluate import cards

    print(*cards.write(registry.named(command.report), options.models, options.figures), sep="\n")
    return 0


@torch.no_grad()
def look(command: Command, options: argparse.Namespace) -> int:
    """Drawings (and the generator's pictures under them) of every expression on some people."""
    from ..media.images import to_pictures
    from ..media.sheets import check_picture, contact_sheet, save_picture

    check_picture(options.out)
    world = registry.named(command.world)
    rng = torch.Generator().manual_seed(options.seed)
    generator = formats.load(command.domain, "generator") if options.generator else None
    rows = []
    for person in world.people(options.people, rng).split(1):
        which = torch.arange(world.count)
        params = world.with_expression(person.expand(len(which), -1), which)
        rows.append(world.draw(params, options.resolution))
        if generator is not None:
            rows.append(generator(world.z_from_params(params, rng)))
    sheet = contact_sheet([to_pictures(row) for row in rows], columns=world.count, gap=2)
    save_picture(options.out, sheet)
    print(options.out)
    return 0


def gallery(command: Command, options: argparse.Namespace) -> int:
    """A grid of clips as one animated picture: a person and an expression in each cell."""
    from ..animate import Animator
    from ..media.clips import check_target, write

    check_target(options.out, GALLERY_FPS)
    animator = Animator.from_pretrained(command.domain, device="cpu")
    names = registry.named(command.world).names[1:]         # without the neutral one
    template = registry.DOMAINS[command.domain].template
    cells = []
    for i in range(options.rows * options.columns):
        still = animator.sample(options.seed + i)
        clip = animator.animate(still, template.format(names[i % len(names)]), ping_pong=True,
                                frames=GALLERY_FRAMES, hold=5, fps=GALLERY_FPS)
        cells.append(clip.frames)
    rows = [torch.cat(cells[i:i + options.columns], 2)
            for i in range(0, len(cells), options.columns)]
    write(options.out, torch.cat(rows, 1), GALLERY_FPS)
    print(options.out)
    return 0
