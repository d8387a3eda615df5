"""Words about toon faces, what of them is held out, and what they are true of."""
from __future__ import annotations

import torch

from lgfa.drawn.captions import Captioner
from lgfa.toon import captions, parameters, sampling
from lgfa.training.toon.motion import prompts


def test_every_expression_has_words_and_held_out_sentences() -> None:
    assert set(captions.PHRASES) == set(captions.HELD_OUT) == set(parameters.EXPRESSION_NAMES)
    assert len(parameters.EXPRESSION_NAMES) >= 14
    for name in parameters.EXPRESSION_NAMES:
        verbs, nouns = captions.PHRASES[name]
        assert len(verbs) + len(nouns) >= 6 and len(captions.HELD_OUT[name]) >= 2


def test_held_out_sentences_are_never_drawn() -> None:
    captioner = Captioner(captions.WORDS, torch.Generator().manual_seed(0))
    drawn = {captioner.expression(i).casefold() for i in range(14) for _ in range(400)}
    held = {s.casefold() for group in captions.HELD_OUT.values() for s in group}
    assert not drawn & held
    assert not {s.casefold() for s in prompts().sentences()} & held


def test_sentences_are_true() -> None:
    captioner = Captioner(captions.WORDS, torch.Generator().manual_seed(0))
    text = captioner.sentence({"expression": 1, "hair": 5, "backdrop": 3})
    assert "blue" in text
    assert any(word in text for word in ("night", "stars"))


def test_labels() -> None:
    params = sampling.identities(1, torch.Generator().manual_seed(0))
    for name, value in {"glasses": 1.0, "age": 0.9, "hair_color": 3 / 7, "backdrop": 0.6}.items():
        params[:, parameters.INDEX[name]] = value
    found = {k: int(v) for k, v in captions.labels(params).items()}
    assert found == {"hair": 3, "glasses": 1, "age": 2, "backdrop": 3}
