"""The command `words`: what a motion model knows of language."""
from __future__ import annotations

import argparse
from typing import Any

from ..errors import printable

DESCRIPTION = """\
Lists the words that a motion model was taught, with the number of phrasings of each, and from which
similarity on it takes a sentence for known. What it does not know becomes some other motion, with a
warning; `animate --strict` refuses it instead.
"""


def add_parser(subparsers: Any) -> None:
    """Adds `words`; its handler is a function of the parsed arguments."""
    parser = subparsers.add_parser(
        "words", help="list what a motion model knows", description=DESCRIPTION)
    parser.add_argument("--motion", default="toon", metavar="FILE",
                        help="a motion model's file, or a domain (default: toon)")
    parser.set_defaults(handler=words)


def words(args: argparse.Namespace) -> None:
    """Prints one word a line, then the thresholds."""
    from .. import formats
    from ..registry import METHODS

    model = formats.load(args.motion, tuple(METHODS))
    known = getattr(model, "words_config", None)
    if known is None:
        print(f"{printable(args.motion)} keeps no words: it says of no sentence whether it is "
              f"known.")
        return
    wide = max(map(len, known.names))
    for name, count in zip(known.names, known.taught, strict=True):
        print(f"{name:<{wide}}  {count:>6,} phrasing{'s' if count > 1 else ''}")
    print(f"{len(known.names)} words; a sentence is known from a similarity of "
          f"{known.known_at:.3f} on, and unknown below {known.unsure_at:.3f}.")
