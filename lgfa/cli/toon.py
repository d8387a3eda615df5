"""`python -m lgfa.toon`: train the toon domain's networks, measure them, look at them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from .. import domains, formats, registry, signals
from ..files import atomic_path
from ..media.clips import check_place
from . import arguments
from .entry import Parser, guarded

ORDER = ("attributes", "identity", "judge", "perceptual", "generator", "clip", "encoder", "motion")
WHAT = {"judge": "second identity network, which measures"}
SIZES = torch.float16  # how weights are stored


def parser() -> argparse.ArgumentParser:
    top = Parser(
        prog="python -m lgfa.toon", description=__doc__,
        epilog="A stopped training goes on from its last checkpoint when the command is repeated.",
    )  # fmt: skip
    sub = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in (*ORDER, "all"):
        what = (
            "every network, one after the other"
            if name == "all"
            else f"the {WHAT.get(name) or registry.KINDS[name].what}"
        )
        one = sub.add_parser(name, help=f"train {what}")
        one.add_argument(
            "--out",
            type=Path,
            default=domains.MODELS / "toon",
            help="folder of the finished .safetensors (default: the bundled one)",
        )
        one.add_argument(
            "--work",
            type=Path,
            default=Path("runs/toon"),
            help="folder of resumable checkpoints (default: runs/toon)",
        )
        one.add_argument("--device", default="cpu", help="cpu, cuda, mps, .. (default: cpu)")
        one.add_argument("--threads", type=arguments.whole(0, 1024), default=0,
                         help="CPU threads (default: torch's)")  # fmt: skip
        one.add_argument(
            "--scale",
            type=arguments.number(0, 100),
            default=1.0,
            help="multiply all step numbers: 0.01 tries the whole chain quickly",
        )
    report = sub.add_parser("report", help="measure the shipped weights against the bars")
    report.add_argument("--models", type=Path, default=domains.MODELS / "toon")
    report.add_argument("--only", nargs="*", choices=ORDER, help="measure these networks alone")
    report.add_argument("--json", type=Path, help="write the figures to this file, too")
    cards = sub.add_parser("cards", help="write the model cards beside the weights")
    cards.add_argument("--models", type=Path, default=domains.MODELS / "toon")
    cards.add_argument("--figures", type=Path, help="what `report --json` wrote")
    look = sub.add_parser("look", help="draw a sheet: every expression on a few people")
    look.add_argument("out", type=Path, help="picture to write, e.g. sheet.png")
    look.add_argument("--people", type=arguments.whole(1, 100), default=4)
    look.add_argument("--seed", type=arguments.seed, default=0, help=arguments.SEEDS)
    look.add_argument("--resolution", type=arguments.whole(16, 512), default=128)
    look.add_argument(
        "--generator", action="store_true", help="under each drawing the generator's, from z"
    )
    show = sub.add_parser("gallery", help="an animated picture of many people and expressions")
    show.add_argument("out", type=Path, help="picture to write, e.g. gallery.webp")
    show.add_argument("--rows", type=arguments.whole(1, 20), default=2)
    show.add_argument("--columns", type=arguments.whole(1, 20), default=4)
    show.add_argument("--seed", type=arguments.whole(0, 2**63), default=0)
    return top


class Workshop:
    """Trains one kind after the other; what one needs of another it loads from `out`."""

    def __init__(self, options):
        self.options, self.work = options, options.work

    def steps(self, number: int) -> int:
        return max(int(number * self.options.scale), 4)

    def load(self, kind: str):
        return formats.load(self.options.out / f"{kind}.safetensors", kind, self.options.device)

    def train(self, kind: str) -> None:
        network = getattr(self, kind)()
        info = {"domain": "toon", "command": f"python -m lgfa.toon {kind}",
                "minutes": round(network.minutes, 1), "device": self.options.device,
                "threads": torch.get_num_threads(), **getattr(network, "info", {})}  # fmt: skip
        path = self.options.out / f"{kind}.safetensors"
        formats.save(path, network, info, SIZES)
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, {info['minutes']} minutes")

    def attributes(self):
        from ..training.toon import judges

        return judges.train_attributes(
            self.work, self.steps(judges.STEPS["attributes"]), device=self.options.device
        )

    def identity(self):
        from ..training.toon import judges

        return judges.train_identity(
            self.work, self.steps(judges.STEPS["identity"]), device=self.options.device
        )

    def judge(self):
        from ..training.toon import judges

        steps = self.steps(judges.STEPS["identity"])
        return judges.train_identity(self.work, steps, device=self.options.device, name="judge")

    def perceptual(self):
        from ..training.toon import judges

        return judges.train_perceptual(
            self.work, self.steps(judges.STEPS["perceptual"]), device=self.options.device
        )

    def clip(self):
        from ..training.toon.clip import STEPS, toughen, train_clip

        first, second = (self.steps(n) for n in STEPS)
        clip = train_clip(self.work, first, device=self.options.device)
        generator = self.load("generator").requires_grad_(False)
        return toughen(clip, generator, self.work, second, device=self.options.device)

    def generator(self):
        from ..training.toon import generator

        steps = {name: self.steps(n) for name, n in generator.STEPS.items()}
        return generator.train_generator(self.work, self.options.device, steps)

    def encoder(self):
        from ..training.toon import encoder
        from ..training.toon.generator import Features

        steps = tuple(self.steps(n) for n in encoder.STEPS)
        needed = self.load("generator"), self.load("identity"), Features().codes
        return encoder.train_encoder(self.work, *needed, steps, device=self.options.device)

    def motion(self):
        from ..training.toon import motion

        needed = [self.load(k) for k in ("generator", "clip", "perceptual", "identity")]
        steps = {"iterations": self.steps(motion.settings().iterations)}
        return motion.train_motion(self.work, *needed, device=self.options.device, changes=steps)


def report(options) -> int:
    from ..evaluate.bundled import all_lines

    if options.json:
        check_place(options.json)

    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, seeds from 77000")
    lines = all_lines(
        lambda name: formats.load(options.models / f"{name}.safetensors"), options.only
    )
    missed = [line for line in lines if not line.met]
    print(f"{sum(line.bar is not None for line in lines)} bars, {len(missed)} missed")
    if options.json:
        with atomic_path(options.json) as path:
            path.write_text(
                json.dumps([line._asdict() | {"met": line.met} for line in lines], indent=1)
            )
    return 1 if missed else 0


@torch.no_grad()
def look(options) -> int:
    """Drawings (and the generator's pictures under them) of every expression on some people."""
    from ..media.sheets import check_picture, contact_sheet, save_picture
    from ..toon import parameters as tb
    from ..toon import sampling
    from ..toon.renderer import render

    check_picture(options.out)
    rng = torch.Generator().manual_seed(options.seed)
    generator = formats.load("toon", "generator") if options.generator else None
    rows = []
    for person in sampling.identities(options.people, rng).split(1):
        which = torch.arange(len(tb.EXPRESSIONS))
        params = sampling.with_expression(person.expand(len(which), -1), which)
        rows.append(render(params, options.resolution))
        if generator is not None:
            rows.append(generator(sampling.z_from_params(params, rng)))
    frames = [(row.permute(0, 2, 3, 1).clamp(-1, 1) + 1) / 2 for row in rows]
    save_picture(options.out, contact_sheet(frames, columns=len(tb.EXPRESSIONS), gap=2))
    print(options.out)
    return 0


def gallery(options) -> int:
    """A grid of clips as one animated picture: a person and an expression in each cell."""
    from ..animate import Animator
    from ..media.clips import check_target, write
    from ..toon import parameters as tb

    check_target(options.out, 12)
    animator = Animator.from_pretrained("toon", device="cpu")
    names = [n for n in tb.EXPRESSION_NAMES if n != "neutral"]
    cells = []
    for i in range(options.rows * options.columns):
        text = f"The person is {names[i % len(names)]}"
        still = animator.sample(options.seed + i)
        clip = animator.animate(still, text, frames=28, ping_pong=True, hold=5, fps=12)
        cells.append(clip.frames)
    rows = [torch.cat(cells[i : i + options.columns], 2)
            for i in range(0, len(cells), options.columns)]  # fmt: skip
    write(options.out, torch.cat(rows, 1), 12)
    print(options.out)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    return guarded(lambda: run(parser().parse_args(arguments)))


def run(options) -> int:
    if options.command == "report":
        return report(options)
    if options.command == "look":
        return look(options)
    if options.command == "gallery":
        return gallery(options)
    if options.command == "cards":
        from ..evaluate import cards

        print(*cards.write(options.models, options.figures), sep="\n")
        return 0
    from ..devices import check_device

    check_device(options.device)
    if options.threads:
        torch.set_num_threads(options.threads)
    workshop = Workshop(options)
    for kind in ORDER if options.command == "all" else (options.command,):
        workshop.train(kind)
    return 0


if __name__ == "__main__":
    signals.run(main)
