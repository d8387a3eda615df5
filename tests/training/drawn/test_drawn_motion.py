"""What a drawn domain's motion model learns from; its training: tests/training/toon."""
from __future__ import annotations

import torch
from dots import DOTS

from lgfa import formats
from lgfa.toon.world import TOON
from lgfa.training.drawn import motion


def test_prompts_are_groups_of_sentences_without_doubles() -> None:
    prompts = motion.prompts(DOTS.words, 1)
    assert prompts.templates == ("{}",) and len(prompts.words) == DOTS.looks
    assert prompts.names == [*DOTS.names, "broad and tall"]
    assert prompts.held_out == ("she is a ball", "she is a wide one", "she is a tower")
    for ways, group in zip(DOTS.words.expressions.values(), prompts.words, strict=False):
        assert group[0] == f"The person is {ways.plain.being[0]}"
        assert any(ways.plain.having[0] in text for text in group)
    every = [text.casefold() for group in prompts.words for text in group]
    assert len(set(every)) == len(every) and not set(every) & set(prompts.held_out)
    assert motion.prompts(DOTS.words, 1).words != motion.prompts(DOTS.words, 2).words


def test_stills_are_mostly_neutral_and_spread_within_a_person() -> None:
    generator = formats.load("toon", "generator")
    source = motion.source(TOON, generator, 606)
    assert source.describe() == "samples of Stills, truncation 1"
    stills = source.sample_still
    w = stills(40, torch.Generator().manual_seed(1))
    assert w.shape == (40, generator.num_layers, generator.config.w_dim)
    shown = formats.load("toon", "attributes")(generator.synthesis(w))[0].argmax(1)
    assert 0.6 < float((shown == 0).float().mean()) < 0.95
    # two faces of one person differ in few directions: those of what the face does
    spread = stills.spread(600)
    values = torch.linalg.eigvalsh(torch.cov(spread.double().T))
    everybody = torch.linalg.eigvalsh(torch.cov(stills(600, torch.Generator())[:, 0].double().T))
    assert int((values > 1e-3 * values.max()).sum()) < int(
        (everybody > 1e-3 * everybody.max()).sum())
