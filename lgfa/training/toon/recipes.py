"""The toon domain's networks in the order in which they can be trained, and how each is."""
from __future__ import annotations

from ..drawn.workshop import Recipe
from . import clip, encoder, generator, judges, motion

RECIPES: dict[str, Recipe] = {
    "attributes": judges.attributes,
    "identity": judges.identity,
    "judge": judges.judge,
    "perceptual": judges.perceptual,
    "generator": generator.train,
    "clip": clip.train,
    "encoder": encoder.train,
    "motion": motion.train,
}
