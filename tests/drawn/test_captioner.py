"""Random sentences from a domain's words: true, in all forms, and repeatable."""
from __future__ import annotations

import pytest
import torch
from dots import DOTS

from lgfa.drawn.captions import EVERY, Captioner, Phrases, kept, sentences, taught, third


def captioner(seed: int = 0, habits: float = 0.0) -> Captioner:
    return Captioner(DOTS.words, torch.Generator().manual_seed(seed), habits)


BROAD = ("broad", "stout", "fat", "thick", "breadth", "spread")
TALL = ("tall", "high", "long", "big", "lanky", "rise")


def test_a_sentence_says_what_it_is_given_and_no_more() -> None:
    says = captioner()
    for _ in range(200):
        text = says.sentence({"ground": 0})
        assert "a black ground" in text and "gray" not in text and "fog" not in text
        assert not any(word in text.casefold() for word in ("round shape", *BROAD, *TALL))
        both = says.sentence({"expression": 1, "ground": 1}).casefold()
        assert any(word in both for word in BROAD) and not any(word in both for word in TALL)
        assert "gray" in both or "fog" in both


def test_two_at_once_say_both() -> None:
    says = captioner()
    texts = [says.expression(3).casefold() for _ in range(200)]
    assert all(any(word in text for word in BROAD) for text in texts)
    assert all(any(word in text for word in TALL) for text in texts)
    assert {" and " in text for text in texts} == {True, False}


def test_every_word_comes_up_but_those_that_are_held_out() -> None:
    says = captioner()
    texts = [says.expression(2).casefold() for _ in range(400)]
    for word in (*TALL, "a long shape", "the dot", "a dot"):
        assert any(word in text for text in texts)
    assert not any("ball" in says.expression(0) for _ in range(200))
    assert {text[0].isupper() for text in (says.expression(0) for _ in range(50))} == {True, False}


def test_what_is_not_so_is_the_first_expression() -> None:
    says = captioner()
    texts = [says.expression(0).casefold() for _ in range(400)]
    denied = [text for text in texts if any(word in text for word in (*BROAD, *TALL))]
    assert 0.2 < len(denied) / len(texts) < 0.6
    assert all(any(word in text.replace("'", " ") for word in
                   ("not ", "no ", "never ", "n t ", "without ", "stop", "done ", "longer"))
               for text in denied)


def test_habits_dress_a_sentence_and_keep_what_it_says() -> None:
    says = captioner(habits=1.0)
    texts = [says.expression(1) for _ in range(300)]
    assert any(text.startswith("(") and ":1." in text for text in texts)
    assert any("masterpiece" in text.casefold() for text in texts)
    assert any("portrait of" in text.casefold() for text in texts)
    plain = [word for word in BROAD if len(word) < 5]       # too short to be misspelt
    assert any(word in text.casefold() for text in texts for word in plain)


def test_a_misspelling_is_one_slip_in_one_word() -> None:
    says = captioner()
    for _ in range(200):
        text = says.misspelt("she smiles broadly")
        words = list(zip(text.split(), "she smiles broadly".split(), strict=True))
        wrong = [(one, other) for one, other in words if one != other]
        assert len(wrong) <= 1                              # doubling "l" next to "l" shows nothing
        for one, other in wrong:
            assert abs(len(one) - len(other)) <= 1 and one[0] == other[0]
    assert says.misspelt("so sad") == "so sad"


def test_every_fifth_is_kept() -> None:
    phrases = [str(i) for i in range(11)]
    assert EVERY == 5 and kept(phrases) == ("4", "9")
    assert taught(phrases) == ("0", "1", "2", "3", "5", "6", "7", "8", "10")


@pytest.mark.parametrize(("verb", "said"), [
    ("cry", "cries"), ("burst into tears", "bursts into tears"), ("gnash", "gnashes"),
    ("play", "plays"), ("do not smile", "does not smile"), ("be afraid", "is afraid"),
    ("have a laugh", "has a laugh"), ("cannot stop", "cannot stop"), ("go red", "goes red")])
def test_the_third_person(verb: str, said: str) -> None:
    assert third(verb) == said


def test_a_phrase_becomes_a_sentence() -> None:
    found = sentences(Phrases(("sad",), ("a frown",), ("shut {own} eyes",)))
    assert len(found) == 3 and not any("{" in text for text in found)
    assert found[0].endswith(" sad") and found[1].endswith("a frown") and "eyes" in found[2]


def test_chance() -> None:
    says = captioner()
    assert not any(says.chance(0.0) for _ in range(50)) and all(says.chance(1.0) for _ in range(50))
    assert 60 < sum(says.chance(0.4) for _ in range(200)) < 100


def test_a_seed_says_all() -> None:
    one, two, other = (captioner(seed, 0.35) for seed in (3, 3, 4))
    texts = [[says.sentence({"expression": i % 4, "ground": i % 2}) for i in range(20)]
             for says in (one, two, other)]
    assert texts[0] == texts[1] != texts[2]
