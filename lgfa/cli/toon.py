"""`python -m lgfa.toon`: train the toon domain's networks, measure them, look at them."""
from __future__ import annotations

from .. import signals
from . import drawn

ORDER = ("attributes", "identity", "judge", "perceptual", "generator", "clip", "encoder", "motion")

TOON = drawn.Command(
    domain="toon",
    what=__doc__,
    order=ORDER,
    names={"judge": "second identity network, which measures"},
    world="toon.world:TOON",
    recipes="training.toon.recipes:RECIPES",
    report="evaluate.toon:REPORT",
)


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    return drawn.main(TOON, arguments)


if __name__ == "__main__":
    signals.run(main)
