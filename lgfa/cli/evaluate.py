"""The command `evaluate`: metrics, baselines, the paper's tables, as numbers and pictures."""
from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from ..registry import BASELINES
from . import arguments

DESCRIPTION = """\
Animates the same unseen people by the same sentences with several methods, measures the clips with
networks that no training used, and writes into --out:
  report.md              tables, bars, plots, strips, and where the result agrees with the paper
  report.json            every figure with its 95% interval
  plots/ strips/         pictures
  work/                  trained networks and one file per clip (--work puts them elsewhere)
Networks that are missing (baselines, ablations) are trained first. A run that was stopped goes on
where it was when the command is repeated; clips that are there are not made again.
Several processes: torchrun --nproc-per-node 2 -m lgfa evaluate .. (they share the clips)."""

EXAMPLES = """\
examples:
  a look at the bundled model: no training, about a minute
    python -m lgfa evaluate --methods lgfa --clips 26 --out report
  the comparison of the paper
    python -m lgfa evaluate --methods lgfa,styleclip-opt,styleclip-mapper,styleclip-global,\\
mocogan-hd --clips 208 --out report
  everything, ablations too
    python -m lgfa evaluate --methods lgfa,styleclip-opt,styleclip-mapper,styleclip-global,\\
mocogan-hd --tables all --clips 208 --out report
  a page for people to compare two methods, and what they chose
    python -m lgfa evaluate --methods lgfa,styleclip-opt --clips 26 --out report \\
        --ab lgfa,styleclip-opt
    python -m lgfa ab-summary choices-*.json
"""


def add_parser(subparsers: Any) -> None:
    """Adds `evaluate`; its handler is a function of the parsed arguments."""
    parser = subparsers.add_parser(
        "evaluate", help="measure methods against each other", description=DESCRIPTION,
        epilog=EXAMPLES)
    parser.set_defaults(handler=evaluate)
    what = parser.add_argument_group("what is compared")
    what.add_argument("--domain", default="toon", metavar="NAME",
                      help="whose truth is known (default: toon)")
    what.add_argument("--methods", default="lgfa", metavar="A,B,..",
                      help=f"lgfa, {', '.join(BASELINES)}, lgfa:VARIANT (default: lgfa)")
    what.add_argument("--tables", default="main,paraphrases,stills,longer", metavar="A,B,..",
                      help="main, paraphrases, stills, longer, beyond, prompts, ablations, or all; "
                           "the last three train models of their own "
                           "(default: main,paraphrases,stills,longer)")
    what.add_argument("--clips", type=int, default=208, metavar="N",
                      help="clips of each method and kind; multiples of 13 treat the expressions "
                           "alike (default: 208)")
    what.add_argument("--frames", type=int, default=16, metavar="T",
                      help="of a clip (default: 16)")
    what.add_argument("--seed", type=arguments.whole(0, 10_000), default=0,
                      help="other people, 0 to 10000 (default: 0)")
    what.add_argument("--strict", action="store_true",
                      help="make no clip when a method is asked for a sentence that it does not "
                           "know (methods whose networks keep their words)")
    where = parser.add_argument_group("output")
    where.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of the report")
    where.add_argument("--work", type=Path, metavar="FOLDER",
                       help="of trained networks and clips (default: OUT/work)")
    where.add_argument("--ab", metavar="A,B",
                       help="also write a page on which people compare two of the methods")
    cost = parser.add_argument_group("cost")
    cost.add_argument("--scale", type=float, default=1.0, metavar="X",
                      help="multiplies the steps of trainings; 0.01 tries everything quickly, with "
                           "useless networks (default: 1)")
    cost.add_argument("--threads", type=int, default=0, metavar="N",
                      help="CPU threads of each process (default: torch's; 1 under torchrun)")
    cost.add_argument("--device", help="cpu, cuda, mps (default: an accelerator if any)")


def evaluate(args: argparse.Namespace) -> None:
    """Runs it. Raises LGFAError for anything that does not fit."""
    import torch

    from ..errors import LGFAError
    from ..evaluate.evaluation import Evaluation, Options
    from ..evaluate.report.tables import TOPICS
    from ..training import distributed

    topics = tuple(TOPICS) if args.tables.strip() == "all" else _names(args.tables)
    options = Options(
        _names(args.methods), topics, args.clips, args.frames, args.seed, args.out, args.work,
        args.domain, args.scale, command=command(sys.argv[1:]), strict=args.strict)
    pair = None if args.ab is None else _names(args.ab)
    if pair is not None and (len(pair) != 2 or not set(pair) <= set(options.methods)):
        raise LGFAError(f"--ab compares two of the methods that are evaluated "
                        f"({', '.join(options.methods)}), not {args.ab!r}.")
    if args.threads < 0:
        raise LGFAError(f"--threads must be 0 or a positive number, not {args.threads}.")

    here = distributed.start(args.device)
    try:
        if args.threads or here.size > 1:
            torch.set_num_threads(args.threads or 1)
        evaluation = Evaluation(options, here.rank, here.size, here.device,
                                lambda sentence: print(sentence, flush=True))
        report = evaluation.run()
        if report is not None:
            if pair is not None:
                print(evaluation.write_ab(*pair))
            missed = [bar["what"] for bar in report["bars"] if not bar["met"]]
            print(f"{options.out / 'report.md'}: {len(report['bars'])} bars, {len(missed)} missed"
                  + "".join(f"\n  missed: {what}" for what in missed))
    finally:
        distributed.stop()


def command(arguments: list[str]) -> str:
    """The command line as it can be typed again, without this machine's paths."""
    return shlex.join(["python", "-m", "lgfa", *(
        Path(one).name if one.startswith("/") else one for one in arguments)])


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
