"""The timeline: a line for each expression, with its frames, rest, timing and strength.

    # text     | frames | rest   | timing      | how much of it
    smiling    | 16     | hold 4 | ease-in-out
    (still)    | 8
    very angry | 24     | ease-out | strength 1.2

What follows the text may be left out and stands in any order. A line's frames include its rest;
the clip has as many frames as its lines together, and frame 1, the still, is the first of the
first line. "(still)" goes straight back to the still. Empty lines and what follows a # (at the
beginning of a line or after a blank) do not count.
"""
from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from ..config import EASINGS
from ..embed.sentences import has_words
from ..errors import LGFAError
from .timing import MAX_FRAMES

FRAMES = 16                                 # of a line that does not say
STILL = "(still)"                           # the text of a line that goes back
MOST_STRENGTH = 10.0                        # more is a slip of the pen
NO_EASING = "nor an easing"                 # after which all easings are named, once
EXAMPLE = "smiling | 16 | hold 4 | ease-in-out"

_COMMENT = re.compile(r"(?:^|\s)#.*")
_WHOLE = re.compile(r"([0-9]{1,9})(?: ?frames?)?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,9}(?:\.[0-9]*)?|\.[0-9]+)")
_NUMBER_LIKE = re.compile(r"[+-]?[0-9.,]+(?: ?(?:s|sec|seconds|frames?))?")


@dataclass(frozen=True)
class Cue:
    """One line of a timeline."""

    text: str                               # words for the template; STILL = back to the still
    frames: int = FRAMES                    # rest included
    hold: int = 0                           # frames for which the expression rests at the end
    easing: str = "none"                    # one of EASINGS
    strength: float = 1.0                   # 0 = nothing moves, 1 = as trained
    line: int = 0                           # number of the line, from 1

    @property
    def back(self) -> bool:
        """Does it lead back to the still?"""
        return self.text.lower() == STILL


def parse(text: str) -> tuple[Cue, ...]:
    """The cues of a timeline; one LGFAError names every line that cannot be read."""
    cues: list[Cue] = []
    wrong: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = _COMMENT.sub("", line).strip()
        if not has_words(line):
            continue
        cue, said = _cue(line, number, first=not cues and not wrong)
        wrong += [f"line {number}: {one}" for one in said]
        cues.append(cue)
    if not cues:
        raise LGFAError(f'the timeline is empty: write a line such as "{EXAMPLE}".')
    if not wrong and total_frames(cues) > MAX_FRAMES:
        wrong = [f"its lines have {total_frames(cues)} frames together, and at most {MAX_FRAMES} "
                 f"are possible"]
    if wrong:
        known = f" (easings: {', '.join(EASINGS)})" if any(NO_EASING in w for w in wrong) else ""
        raise LGFAError(f"the timeline cannot be read: {'; '.join(wrong)}{known}.")
    return tuple(cues)


def total_frames(cues: tuple[Cue, ...] | list[Cue]) -> int:
    """Frames of the clip, frame 1 (the still) counted."""
    return sum(cue.frames for cue in cues)


# ---- inside
def _cue(line: str, number: int, first: bool) -> tuple[Cue, list[str]]:
    """One line -> its cue and what is wrong with it."""
    words, *parts = (part.strip() for part in line.split("|"))
    values: dict[str, int | float | str] = {}
    wrong = [] if has_words(words) else ["there is no text before the |"]
    for part in parts:
        if not part:
            continue
        try:
            name, value = _part(" ".join(part.lower().split()), part)
        except LGFAError as error:
            wrong.append(str(error))
            continue
        if name in values:
            wrong.append(f"it says twice which {name} it has")
        values[name] = value

    cue = Cue(words, line=number, **values)
    if cue.back and "strength" in values:
        wrong.append(f"{STILL} has no strength")
    least = cue.hold + 1 + first            # a step that leads to the rest; the still before it
    if not wrong and cue.frames < least:
        needs = ["the still"] * first + ["a step"] + [f"a rest of {cue.hold}"] * bool(cue.hold)
        wrong.append(f"{cue.frames} frame{'s' * (cue.frames != 1)} cannot hold "
                     f"{' and '.join(needs)}, write at least {least}")
    return cue, wrong


def _part(part: str, written: str) -> tuple[str, int | float | str]:
    """One part after the text, in small letters -> (field of a Cue, value)."""
    word, _, rest = part.partition(" ")
    if word == "hold":
        return "hold", _whole(rest, "hold", 0)
    if word == "strength":
        return "strength", _strength(rest)
    if _NUMBER_LIKE.fullmatch(part):
        return "frames", _whole(part, "the number of frames", 1)
    if part.replace(" ", "-") in EASINGS:
        return "easing", part.replace(" ", "-")
    near = difflib.get_close_matches(part, list(EASINGS), 1, 0.7)
    meant = f', did you mean "{near[0]}"?' if near else ""
    raise LGFAError(f'"{written[:40]}" is neither a number of frames, nor "hold 4", nor '
                    f'"strength 0.8", {NO_EASING}{meant}')


def _whole(text: str, what: str, least: int) -> int:
    match = _WHOLE.fullmatch(text)
    value = int(match[1]) if match else -1
    if not least <= value <= MAX_FRAMES:
        raise LGFAError(f'{what} must be a whole number from {least} to {MAX_FRAMES}, '
                        f'not "{text[:40]}"')
    return value


def _strength(text: str) -> float:
    value = float(text) if _NUMBER.fullmatch(text) else MOST_STRENGTH + 1
    if abs(value) > MOST_STRENGTH:
        raise LGFAError(f'strength must be a number from {-MOST_STRENGTH:g} to '
                        f'{MOST_STRENGTH:g}, not "{text[:40]}"')
    return value
