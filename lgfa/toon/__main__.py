"""`python -m lgfa.toon`: train the toon domain's networks, measure them, look at them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch

from .. import build, formats
from ..errors import LGFAError
from ..files import atomic_path

ORDER = ("attributes", "identity", "perceptual", "clip", "generator", "encoder", "motion")
SIZES = torch.float16  # how weights are stored


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m lgfa.toon", description=__doc__,
        epilog="A stopped training goes on from its last checkpoint when the command is repeated.",
    )  # fmt: skip
    sub = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in (*ORDER, "all"):
        what = (
            "every network, one after the other"
            if name == "all"
            else f"the {build.KINDS[name].what}"
        )
        one = sub.add_parser(name, help=f"train {what}")
        one.add_argument(
            "--out",
            type=Path,
            default=build.MODELS / "toon",
            help="folder of the finished .safetensors (default: the bundled one)",
        )
        one.add_argument(
            "--work",
            type=Path,
            default=Path("runs/toon"),
            help="folder of resumable checkpoints (default: runs/toon)",
        )
        one.add_argument("--device", default="cpu", help="cpu, cuda, mps, .. (default: cpu)")
        one.add_argument("--threads", type=int, default=0, help="CPU threads (default: torch's)")
        one.add_argument(
            "--scale",
            type=float,
            default=1.0,
            help="multiply all step numbers: 0.01 tries the whole chain quickly",
        )
    report = sub.add_parser("report", help="measure the shipped weights against the bars")
    report.add_argument("--models", type=Path, default=build.MODELS / "toon")
    report.add_argument("--only", nargs="*", choices=ORDER, help="measure these networks alone")
    report.add_argument("--json", type=Path, help="write the figures to this file, too")
    cards = sub.add_parser("cards", help="write the model cards beside the weights")
    cards.add_argument("--models", type=Path, default=build.MODELS / "toon")
    cards.add_argument("--figures", type=Path, help="what `report --json` wrote")
    look = sub.add_parser("look", help="draw a sheet: every expression on a few people")
    look.add_argument("out", type=Path, help="picture to write, e.g. sheet.png")
    look.add_argument("--people", type=int, default=4)
    look.add_argument("--seed", type=int, default=0)
    look.add_argument("--resolution", type=int, default=128)
    look.add_argument(
        "--generator", action="store_true", help="under each drawing the generator's, from z"
    )
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
        from . import measure

        return measure.train_attributes(
            self.work, self.steps(measure.STEPS["attributes"]), device=self.options.device
        )

    def identity(self):
        from . import measure

        return measure.train_identity(
            self.work, self.steps(measure.STEPS["identity"]), device=self.options.device
        )

    def perceptual(self):
        from . import measure

        return measure.train_perceptual(
            self.work, self.steps(measure.STEPS["perceptual"]), device=self.options.device
        )

    def clip(self):
        from . import language

        return language.train_clip(
            self.work, self.steps(language.STEPS), device=self.options.device
        )

    def generator(self):
        from . import generator

        steps = {name: self.steps(n) for name, n in generator.STEPS.items()}
        return generator.train_generator(self.work, self.options.device, steps)

    def encoder(self):
        from . import encoder
        from .generator import Features

        steps = tuple(self.steps(n) for n in encoder.STEPS)
        return encoder.train_encoder(self.work, self.load("generator"), self.load("identity"),
                                     Features(), steps, device=self.options.device)  # fmt: skip

    def motion(self):
        from . import motion

        needed = [self.load(k) for k in ("generator", "clip", "perceptual", "identity")]
        steps = {"iterations": self.steps(motion.settings().iterations)}
        return motion.train_motion(self.work, *needed, device=self.options.device, changes=steps)


def report(options) -> int:
    from .report import all_lines

    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, seeds from 77000")
    lines = all_lines(
        lambda kind: formats.load(options.models / f"{kind}.safetensors", kind), options.only
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
    from ..sheets import save_picture, sheet_of
    from . import sample
    from . import table as tb
    from .renderer import render

    rng = torch.Generator().manual_seed(options.seed)
    people = sample.identities(options.people, rng).repeat_interleave(len(tb.EXPRESSIONS), 0)
    which = torch.arange(len(tb.EXPRESSIONS)).repeat(options.people)
    params = sample.with_expression(people, which)
    rows = [render(params, options.resolution).split(len(tb.EXPRESSIONS))]
    if options.generator:
        generator = formats.load("toon", "generator")
        z = sample.z_from_params(params, rng)
        image = torch.cat([generator(part) for part in z.split(28)])
        rows.append(image.split(len(tb.EXPRESSIONS)))
    pictures = [picture for group in zip(*rows, strict=True) for picture in group]
    save_picture(options.out, sheet_of(pictures))
    print(options.out)
    return 0


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        if options.command == "report":
            return report(options)
        if options.command == "look":
            return look(options)
        if options.command == "cards":
            from . import cards

            print(*cards.write(options.models, options.figures), sep="\n")
            return 0
        if options.threads:
            torch.set_num_threads(options.threads)
        workshop = Workshop(options)
        for kind in ORDER if options.command == "all" else (options.command,):
            workshop.train(kind)
    except LGFAError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
