"""The toon motion model with two words of its own, whatever words and CLIP the bundled one has."""
from __future__ import annotations

from tiny import teach

from lgfa import formats
from lgfa.motion.model import MotionModel

# What it takes "The person is .." for, and of two words it knows the first best.
KNOWN, UNSURE, UNKNOWN = "smiling", "almost smiling", "tango"
WORDS = {"smiling": "The person is smiling", "crying": "The person is crying"}
UNKNOWN_SAID = "'The person is tango' is like none of the 2 words that this model knows; nearest: "


def worded_toon() -> MotionModel:
    """The model; its thresholds lie between KNOWN, UNSURE and UNKNOWN."""
    model = teach(formats.load("toon", "motion"), WORDS, 2, -2)
    z = model.encode_text([f"The person is {text}" for text in (KNOWN, UNSURE, UNKNOWN)]).detach()
    known, unsure, unknown = model.words.similarities(z).amax(dim=1).tolist()
    assert known > unsure > unknown, (known, unsure, unknown)
    return teach(model, WORDS, (known + unsure) / 2, (unsure + unknown) / 2)
