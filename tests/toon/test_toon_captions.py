"""Words about toon faces, what of them is held out, and what they are true of."""
from __future__ import annotations

import torch

from lgfa import registry
from lgfa.drawn.captions import Captioner
from lgfa.toon import captions, parameters, sampling
from lgfa.training.toon.motion import prompts


def test_every_expression_has_many_phrasings_and_each_fifth_is_held_out() -> None:
    assert tuple(captions.PHRASES) == parameters.EXPRESSION_NAMES
    assert len(parameters.EXPRESSION_NAMES) >= 14
    for ways in captions.PHRASES.values():
        assert ways.plain.count >= 80 and all(len(phrases) >= 20 for phrases in ways.plain)
        taught, kept = ways.taught(), ways.kept()
        assert taught.count + kept.count == ways.plain.count + ways.wider.count
        assert kept.count >= 12 and kept.count == sum(len(one) // 5 for one in ways.plain)
        assert ways.plain.being[4] == kept.being[0] and ways.plain.being[9] == kept.being[1]
        assert not {phrase for one in taught for phrase in one} & {
            phrase for one in kept for phrase in one}


def test_every_class_of_an_attribute_has_many_phrasings() -> None:
    for groups in captions.WORDS.attributes.values():
        assert all(len(set(group)) == len(group) >= 15 for group in groups)


def test_a_phrase_means_one_expression() -> None:
    owner: dict[str, str] = {}
    for name, ways in captions.PHRASES.items():
        for phrase in {phrase for lists in (ways.plain, ways.wider) for one in lists
                       for phrase in one}:
            assert owner.setdefault(phrase, name) == name, phrase
            assert phrase == phrase.strip() and "  " not in phrase and phrase[-1] not in ".,"


def test_sentences_by_another_hand_ask_for_every_expression() -> None:
    asked = captions.WORDS.asked
    assert tuple(asked) == parameters.EXPRESSION_NAMES
    every = [text.casefold() for texts in asked.values() for text in texts]
    assert len(set(every)) == len(every) > 400 and min(map(len, asked.values())) > 24


def test_held_out_sentences_are_never_drawn() -> None:
    captioner = Captioner(captions.WORDS, torch.Generator().manual_seed(0))
    drawn = {captioner.expression(i).casefold() for i in range(66) for _ in range(100)}
    held = {s.casefold() for group in captions.WORDS.held_out().values() for s in group}
    assert len(held) > 250
    assert not drawn & held
    assert not {s.casefold() for s in prompts().sentences()} & held


def test_the_demo_shows_what_nothing_was_trained_on() -> None:
    held = {text for texts in captions.WORDS.held_out().values() for text in texts}
    assert registry.DOMAINS["toon"].unheard and set(registry.DOMAINS["toon"].unheard) <= held


def test_pairs_show_both() -> None:
    rows, singles = parameters.pair_table(), parameters.expression_table()
    assert len(rows) == len(parameters.PAIRS) == len(set(parameters.PAIRS)) > 40
    for pair, row in zip(parameters.PAIRS, rows, strict=True):
        one, other = (singles[parameters.EXPRESSION_NAMES.index(name)] for name in pair)
        # of both faces there is something that the other does not have
        assert bool(((row == one) & (row != other)).any()), pair
        assert bool(((row == other) & (row != one)).any()), pair


def test_sentences_are_true() -> None:
    captioner = Captioner(captions.WORDS, torch.Generator().manual_seed(0))
    text = captioner.sentence({"expression": 1, "hair": 0, "backdrop": 3}).casefold()
    night = captions.WORDS.attributes["backdrop"][3]
    hair = captions.WORDS.attributes["hair"][0]
    assert any(phrase.casefold() in text for phrase in night)
    assert any(phrase.casefold() in text for phrase in hair)


def test_labels() -> None:
    params = sampling.identities(1, torch.Generator().manual_seed(0))
    for name, value in {"glasses": 1.0, "age": 0.9, "hair_color": 3 / 7, "backdrop": 0.6}.items():
        params[:, parameters.INDEX[name]] = value
    found = {k: int(v) for k, v in captions.labels(params).items()}
    assert found == {"hair": 3, "glasses": 1, "age": 2, "backdrop": 3}
