"""How people say what a face does: many phrasings of each expression, of which some are held out.

They are in words/NAME.txt, a phrase a line, in three lists: `being` completes "she is ..", `having`
completes "she has ..", `doing` completes "they ..", in the base form; {own} stands for her, his,
their, my, your, the. The lists called `wider` bring in rarer words, idioms and causes. The frames
around all of them, such as tags and misspellings, are in drawn/captions.py.

The rule of what is held out: of each of the three plain lists of an expression, in the order of the
file, the fifth, the tenth, the fifteenth .. phrase enters no training (`drawn.captions.kept`).
Reports measure by those.
"""
from __future__ import annotations

from pathlib import Path

from ..drawn.captions import Phrases, Ways
from .parameters import EXPRESSION_NAMES

FOLDER = Path(__file__).parent / "words"


def lists(
    path: Path,                             # lines, a [heading] before each list
) -> dict[str, tuple[str, ...]]:
    """Heading -> phrases."""
    found: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("[") and line.endswith("]"):
            phrases = found.setdefault(line[1:-1], [])
        elif line.strip():
            phrases.append(line.strip())
    return {heading: tuple(phrases) for heading, phrases in found.items()}


def ways(name: str) -> Ways:
    """The phrasings of one expression."""
    of = lists(FOLDER / f"{name.replace(' ', '_')}.txt")
    plain, wider = (Phrases(*(of[kind + form] for form in Phrases._fields))
                    for kind in ("", "wider "))
    return Ways(plain, wider)


#: expression -> its phrasings, in the order of the expressions' numbers
PHRASES = {name: ways(name) for name in EXPRESSION_NAMES}

#: expression -> sentences by another hand, written without a look at the phrasings
ASKED = lists(FOLDER / "asked.txt")
