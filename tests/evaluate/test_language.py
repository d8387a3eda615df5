"""Which sentences reach what they mean, and what a model says of those that it does not know."""
from __future__ import annotations

import pytest
import torch

from lgfa import formats
from lgfa.evaluate import language
from lgfa.evaluate.bundled import people_stills
from lgfa.evaluate.toon import REPORT
from lgfa.toon.world import TOON


@pytest.fixture(scope="module")
def networks() -> list[torch.nn.Module]:
    return [formats.load("toon", kind) for kind in ("motion", "generator", "clip", "attributes")]


def test_a_sentence_reaches_its_own_expression_alone(networks: list[torch.nn.Module]) -> None:
    smiling, crying = (TOON.names.index(name) for name in ("smiling", "crying"))
    w = people_stills(REPORT, networks[1], 3)
    texts = ["The person is smiling", "The person is crying"]
    found = language.reached({smiling: texts, crying: texts}, w, *networks)
    assert found[smiling].tolist() == [True, False] and found[crying].tolist() == [False, True]


def test_two_at_once_go_most_of_the_way(networks: list[torch.nn.Module]) -> None:
    pairs = (("smiling", "closing eyes"), ("crying", "angry"))
    numbers = [TOON.count + TOON.words.pairs.index(pair) for pair in pairs]
    w = people_stills(REPORT, networks[1], 3)
    progress, cosine = language.both(TOON, w, *networks, numbers=numbers)
    assert 0.4 < progress < 1.3 and cosine > 0.7


def test_verdicts(networks: list[torch.nn.Module]) -> None:
    motion, _, clip, _ = networks
    true = ["The person is smiling", "a person with tears"]
    found = language.verdicts(motion, clip, true, ["a red sports car", "asdf qwerty"])
    assert found == (0, 1, 1)
    assert language.verdicts(motion, clip, ["asdf qwerty"], true) == (1, 0, 0)
