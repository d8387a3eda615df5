"""The words that a trained motion model keeps, and the thresholds of its verdicts on sentences.

See motion/understanding.py for what is made of them.
"""
from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from ..embed.clip import CLIP
from ..motion.foreign import CALIBRATING
from ..motion.model import MotionModel
from ..motion.understanding import MOST_WORDS, Vocabulary, calibrate, similarities
from .prompts import Prompts, evenly

AT_ONCE = 256               # sentences that are read at a time

# A word with a single phrase has no other that could stand for it: the same is said otherwise.
OTHERWISE = ("{}", "The person is {}", "she is {}", "a {} face", "{}, portrait")


@torch.no_grad()
def remember(
    model: MotionModel,                     # trained; gets its words
    prompts: Prompts,                       # what it was taught
    clip: CLIP | None = None,               # encoders to borrow when the model has none
) -> None:
    """Gives a model the words of its training: their codes and the thresholds of its verdicts.

    The thresholds are calibrated on the prompts' held-out sentences, or, where there are none, on
    each taught phrase against the others of its word; and on sentences about other things. More
    words than a file keeps are not kept at all.
    """
    model.words = None
    if len(prompts.words) > MOST_WORDS:
        return
    training = model.training
    model.eval()
    try:
        lists = [_thinned(prompts, word) for word in prompts.words]
        codes = [_codes(model, [sentence for _, sentence in one], clip) for one in lists]
        every, kept = torch.cat(codes), [len(one) for one in codes]

        def nearest(sentences: Sequence[str]) -> Tensor:
            return similarities(_codes(model, sentences, clip), every, kept).amax(dim=1)

        true = nearest(prompts.held_out) if prompts.held_out else torch.cat(
            [_left_out(model, prompts, *one, clip)
             for one in zip(prompts.names, lists, codes, strict=True)])
        thresholds = calibrate(true, nearest(_foreign(prompts)))
    finally:
        model.train(training)
    taught = [len(word) * len(prompts.templates) for word in prompts.words]
    model.words = Vocabulary.of(prompts.names, taught, codes, thresholds)


def _thinned(prompts: Prompts, word: Sequence[str]) -> list[tuple[int, str]]:
    """A word's sentences, evenly chosen where a file has no room for all, each with the number of
    its phrase."""
    most = max(1, MOST_WORDS // len(prompts.words))
    said = [(number, sentence) for number, phrase in enumerate(word)
            for sentence in prompts.say(phrase)]
    return evenly(said, most)


def _codes(model: MotionModel, sentences: Sequence[str], clip: CLIP | None) -> Tensor:
    """z_t [N, d] of sentences."""
    parts = [list(sentences[i:i + AT_ONCE]) for i in range(0, len(sentences), AT_ONCE)]
    return torch.cat([model.encode_text(part, clip, quiet=True).float() for part in parts])


def _left_out(
    model: MotionModel,
    prompts: Prompts,
    name: str,                              # of a word
    said: Sequence[tuple[int, str]],        # its sentences, with the numbers of their phrases
    codes: Tensor,                          # of these [N, d]
    clip: CLIP | None,
) -> Tensor:
    """How much each sentence of a word is like those of its other phrases [N]; with one phrase,
    how much the same, said otherwise, is like it [n]."""
    number = torch.tensor([number for number, _ in said], device=codes.device)
    if len(number.unique()) == 1:
        same = {sentence.casefold() for _, sentence in said}
        others = [text for text in (way.replace("{}", name) for way in OTHERWISE)
                  if text.casefold() not in same]
        return similarities(_codes(model, others, clip), codes, [len(codes)])[:, 0]
    cosines = codes @ codes.T
    return cosines.masked_fill(number[:, None] == number[None], -1).amax(dim=1)


def _foreign(prompts: Prompts) -> list[str]:
    """Sentences about other things than these prompts."""
    phrases = [*prompts.names, *(phrase for word in prompts.words for phrase in word)]
    said = re.compile("|".join(rf"(?<!\w){re.escape(phrase)}(?!\w)" for phrase in phrases),
                      re.IGNORECASE)
    return [text for text in CALIBRATING if not said.search(text)] or list(CALIBRATING)
