"""Random sentences from a domain's words: true, in all forms, and repeatable."""
from __future__ import annotations

import torch
from dots import DOTS

from lgfa.drawn.captions import Captioner


def captioner(seed: int = 0) -> Captioner:
    return Captioner(DOTS.words, torch.Generator().manual_seed(seed))


def test_a_sentence_says_what_it_is_given_and_no_more() -> None:
    says = captioner()
    for _ in range(200):
        text = says.sentence({"ground": 0})
        assert "a black ground" in text and "gray" not in text and "fog" not in text
        assert not any(word in text.casefold() for word in ("round shape", "broad", "tall"))
        both = says.sentence({"expression": 1, "ground": 1}).casefold()
        assert ("broad" in both or "breadth" in both) and ("gray" in both or "fog" in both)


def test_every_word_comes_up() -> None:
    says = captioner()
    texts = [says.expression(2).casefold() for _ in range(300)]
    for word in ("tall", "high", "a long shape", "the dot", "a dot"):
        assert any(word in text for text in texts)
    assert {text[0].isupper() for text in (says.expression(0) for _ in range(50))} == {True, False}


def test_chance() -> None:
    says = captioner()
    assert not any(says.chance(0.0) for _ in range(50)) and all(says.chance(1.0) for _ in range(50))
    assert 60 < sum(says.chance(0.4) for _ in range(200)) < 100


def test_a_seed_says_all() -> None:
    one, two, other = (captioner(seed) for seed in (3, 3, 4))
    texts = [[says.sentence({"expression": i % 3, "ground": i % 2}) for i in range(20)]
             for says in (one, two, other)]
    assert texts[0] == texts[1] != texts[2]
