"""Which clips an evaluation makes: the same people and sentences for every method.

A suite is a list of jobs, one clip each; a job says everything that its clip depends on but the
method. People and motion seeds begin where no training's do.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import LGFAError
from ..toon import captions
from ..toon.parameters import BACKDROP, EXPRESSION_NAMES, HAIR

FIRST_PERSON = 78_000                       # trainings and settings were chosen on smaller seeds
EXPRESSIONS = tuple(name for name in EXPRESSION_NAMES if name != "neutral")
TEMPLATE = "The person is {}"


@dataclass(frozen=True)
class Job:
    """One clip."""

    index: int                              # number in its suite
    person: int                             # seed of the still
    texts: tuple[str, ...]                  # sentences that follow each other
    targets: tuple[int | None, ...]         # index of each one's expression; None = no expression
    seed: int                               # of the motion
    wanted: tuple[str, int] | None = None   # beyond expression: attribute and its class
    drawn: bool = False                     # the still is a drawing, inverted by the encoder


Maker = Callable[[int, int], list[Job]]     # (clips, seed) -> jobs


def _jobs(
    clips: int,
    seed: int,                              # of the whole evaluation
    cases: Sequence[tuple[tuple[str, ...], tuple[int | None, ...]]],    # (texts, targets) in turn
    drawn: bool = False,
) -> list[Job]:
    """Case after case for one person, then for the next, until there are enough clips; a person
    gets no more than each expression once."""
    base, each = FIRST_PERSON + 10_000 * seed, min(len(cases), len(EXPRESSIONS))
    return [Job(i, base + i // each, *cases[i % len(cases)], seed=base + i, drawn=drawn)
            for i in range(clips)]


def _target(name: str) -> int:
    return EXPRESSION_NAMES.index(name)


def word(name: str) -> str:
    """The word that stands for an expression: the first of its trained ones."""
    return captions.PHRASES[name].plain.being[0]


def main(clips: int, seed: int) -> list[Job]:
    """Thirteen expressions in words of the training, people in turn."""
    return _jobs(clips, seed, [((TEMPLATE.format(word(name)),), (_target(name),))
                               for name in EXPRESSIONS])


def paraphrase(clips: int, seed: int) -> list[Job]:
    """Plain English that neither CLIP nor the motion model ever saw: every person each expression,
    in another of the phrases that are held out, chosen evenly among them."""
    held, rounds = captions.WORDS.held_out(), -(-clips // len(EXPRESSIONS))
    return _jobs(clips, seed, [((held[name][k * len(held[name]) // rounds],), (_target(name),))
                               for k in range(rounds) for name in EXPRESSIONS])


def bare(clips: int, seed: int) -> list[Job]:
    """Words without a sentence around them."""
    return _jobs(clips, seed, [((word(name),), (_target(name),)) for name in EXPRESSIONS])


def drawn(clips: int, seed: int) -> list[Job]:
    """As `main`, but stills are drawings of the renderer, inverted by the encoder."""
    return _jobs(clips, seed, [((TEMPLATE.format(word(name)),), (_target(name),))
                               for name in EXPRESSIONS], drawn=True)


#: the paper's pairs (figure 7) first
CHAINS = (("crying", "pouting"), ("smiling", "surprised"), ("angry", "laughing"),
          ("sleepy", "scared"), ("winking", "disgusted"), ("sad", "smiling"),
          ("shouting", "closing eyes"), ("surprised", "angry"))


def chain(clips: int, seed: int) -> list[Job]:
    """One expression after another: the second begins where the first ended, which fades
    (suite chain) or stays (suite added)."""
    return _jobs(clips, seed, [(tuple(TEMPLATE.format(word(n)) for n in pair),
                                tuple(_target(n) for n in pair)) for pair in CHAINS])


def beyond(clips: int, seed: int) -> list[Job]:
    """Hair colours, ages and backdrops."""
    cases = [("hair", i, f"The person has {name} hair") for i, (name, _) in enumerate(HAIR)]
    cases += [("age", 0, "The person is young"), ("age", 2, "The person is old")]
    cases += [("backdrop", i, f"a person, {captions.BACKDROP[name][0]}")
              for i, (name, _, _) in enumerate(BACKDROP)]
    base = FIRST_PERSON + 10_000 * seed
    return [Job(i, base + i // len(cases), (text,), (None,), base + i, (attribute, value))
            for i, (attribute, value, text) in
            ((i, cases[i % len(cases)]) for i in range(clips))]


SUITES: dict[str, Maker] = {
    "main": main, "paraphrase": paraphrase, "bare": bare, "drawn": drawn, "chain": chain,
    "added": chain,
    "beyond": beyond,
}


def jobs(suite: str, clips: int, seed: int = 0) -> list[Job]:
    """A suite's jobs; LGFAError for numbers that make none."""
    if isinstance(clips, bool) or not isinstance(clips, int) or not 1 <= clips <= 100_000:
        raise LGFAError(f"the number of clips must be a whole number from 1 to 100000, not "
                        f"{clips!r}.")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= 10_000:
        raise LGFAError(f"the evaluation's seed must be a whole number from 0 to 10000, not "
                        f"{seed!r}.")
    return SUITES[suite](clips, seed)
