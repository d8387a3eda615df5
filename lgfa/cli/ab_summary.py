"""The command about A/B sheets: ab-summary."""
from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

DESCRIPTION = """\
Counts what people chose on an A/B sheet (`evaluate --ab` writes one). Give all the files that they
downloaded from it: choices-....json. Of several files of one sitting the newest counts."""


def add_parser(subparsers: Any) -> None:
    """Adds the command; it sets `handler`, a function of the parsed arguments."""
    parser = subparsers.add_parser(
        "ab-summary", help="count what people chose on an A/B sheet", description=DESCRIPTION)
    parser.add_argument("files", nargs="+", metavar="FILE", help="choices-....json")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the counts as JSON")
    parser.set_defaults(handler=ab_summary)


def ab_summary(args: argparse.Namespace) -> None:
    """Prints the preferences. Raises LGFAError for files that are no choices of one sheet."""
    from ..errors import printable
    from ..evaluate.report import ab_page
    from ..files import atomic_path

    found = ab_page.summarise(args.files)
    print("\n".join(map(printable, lines(found))))
    if args.out is not None:
        with atomic_path(args.out) as target:
            target.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def lines(found: dict[str, Any]) -> list[str]:
    """A summary in words: for each dimension the share that preferred each method."""
    said = [f"sheet {found['sheet'][:8]} ({found['title']}): {found['raters']} "
            f"{'rater' if found['raters'] == 1 else 'raters'}, {found['votes']} votes on "
            f"{found['pairs_judged']} of {found['pairs']} pairs"]
    width = max(map(len, found["methods"]))
    for name, one in found["dimensions"].items():
        said.append(f"{name} ({one['votes']} votes)")
        said += [f"  {method:<{width}}  {_interval(share)}"
                 for method, share in one["preferred"].items()]
    return [*said, f"the left clip was chosen in {_interval(found['left'])}",
            "In brackets: Wilson's 95% interval, as if all votes were independent."]


def _interval(share: list[float] | None) -> str:
    if share is None:
        return "no votes"
    return "{:.1%} ({:.1%} to {:.1%})".format(*share)
