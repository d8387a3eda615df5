"""What is asked of the bundled toon networks, and what their cards say of them."""
from __future__ import annotations

from ..registry import DOMAINS
from ..toon.world import TOON
from .bars import Report

BARS = {
    "attributes.expression": 0.97,
    "attributes.r2": 0.95,
    "identity.auc": 0.99,
    "judge.auc": 0.99,
    "clip.expression": 0.95,
    "clip.hair": 0.95,
    "clip.glasses": 0.98,
    "clip.backdrop": 0.90,
    "clip.expression, among held-out sentences": 0.85,
    "clip.expression, image to held-out sentence": 0.85,
    "generator.db": 28.0,
    "generator.halved": 30.0,
    "generator.dialled": 0.99,
    "encoder.db": 24.5,
    "encoder.expression": 0.90,
    "encoder.identity": 0.15,               # at most
    "motion.recognised": 0.75,
    "motion.watched": 0.75,
    "motion.right": 1.0,
    "motion.progress": 0.6,
    "motion.identity": 0.15,                # at most
    "motion.step": 2.5,                     # at most
    "motion.pixels": 2.5,                   # at most
    "motion.tint": 8.0,                     # at most
    "motion.tears": 0.05,                   # at most
    "motion.phrases": 0.95,
    "motion.asked": 0.95,
    "motion.unknown": 0.05,                 # at most
    "motion.foreign": 0.90,
}

#: network -> what it is, what it was trained from
CARDS = {
    "attributes": (
        "Names the expression of a toon face and estimates every drawing parameter. It measures "
        "and enters no loss.",
        "Drawn faces (three quarters with a named expression at strength 0.5 to 1), moved, "
        "blurred, tinted and noisy; cross entropy and regression. Seed 101.",
    ),
    "identity": (
        "A small IR-SE network: one person's pictures near, two people's far.",
        "Pairs of drawings of one person with another expression, backdrop and shirt; InfoNCE in "
        "both directions. Seed 202.",
    ),
    "judge": (
        "A second identity network that no training uses: it measures what others did with the "
        "first.",
        "As the identity network, with other seeds. Seed 212.",
    ),
    "perceptual": (
        "AlexNet's layers for the `lpips` package, in place of ImageNet's weights.",
        "The trunk learns to read every parameter and expression of drawn faces; its head is "
        "dropped. Seed 303.",
    ),
    "clip": (
        "An open_clip network (small vision transformer, small text transformer, the standard "
        "tokenizer) of toon faces and plain English about them.",
        "English first: 210,000 sentences around the 30,000 most frequent words, and captions, "
        "towards the codes of all-MiniLM-L6-v2, which is not part of it. Then drawn faces and "
        "sentences that are true of them, contrastive with several right answers and with "
        "sentences about other things as wrong ones, beside a fading lesson in parameters whose "
        "head is dropped. Then the generator's pictures, good ones to name and spoilt ones that no "
        "sentence fits. Seeds 403 to 405.",
    ),
    "generator": (
        "StyleGAN2 of the toon domain: z to w to a face of 256 px.",
        "Regression to the drawings: 64 px, then 128 px, then 256 px from known codes, then the "
        "mapping network from z to the codes. Seeds 21 to 27.",
    ),
    "encoder": (
        "An e4e-style encoder: a picture of a toon face to W+.",
        "The known codes of drawn faces first, then their pictures through the frozen generator "
        "with an identity term. Seeds 505 and 506.",
    ),
    "motion": (
        "The language-guided motion model: recurrent motion generator, motion mapper and trainable "
        "copies of the CLIP encoders.",
        "`lgfa.training.trainer` on sampled stills and sentences: no labels and no videos; "
        "afterwards the offsets are made 1.5 times larger, and h(1) varies by 0.2 instead of 0.01. "
        "The settings are in the file's header. Seed 606.",
    ),
}

# sky, hair, temples, ears, neck, shirt
UNTOUCHED = ((-0.93, -0.2), (0.93, -0.2), (0.0, -0.66), (-0.25, -0.62), (0.25, -0.62),
             (-0.535, -0.045), (0.535, -0.045), (-0.64, 0.10), (0.64, 0.10), (0.0, 0.76),
             (-0.6, 0.95), (0.6, 0.95))

REPORT = Report(
    world=TOON,
    bars=BARS,
    questions=("expression", "hair", "glasses", "backdrop", "age",
               "expression, among held-out sentences", "expression, image to held-out sentence"),
    read=("curve", "open", "lid_left", "lid_right", "brow_height", "brow_angle", "tears"),
    watched=("crying", "disgusted"),
    absent={"tears": ("angry", "sad", "surprised", "scared", "shouting")},
    untouched=UNTOUCHED,
    template=DOMAINS["toon"].template,
    cards=CARDS,
    limits="photographs: it knows drawn faces only",
)
