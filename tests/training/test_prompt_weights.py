"""Words that are drawn more often than others, and lists that are thinned."""
from __future__ import annotations

import pytest
import torch

from lgfa.errors import LGFAError
from lgfa.training.prompts import Prompts, evenly


def test_words_of_more_weight_are_drawn_more_often() -> None:
    prompts = Prompts(["a", "b", "c", "d"], ("{}",), weights=[8, 1, 1, 1])
    rng = torch.Generator().manual_seed(0)
    drawn = [prompts.draw(2, rng) for _ in range(200)]
    assert all(len(set(pair)) == 2 for pair in drawn)
    counts = {word: sum(word in pair for pair in drawn) for word in "abcd"}
    assert counts["a"] > 150 and 40 < counts["b"] < 110


@pytest.mark.parametrize("weights", [[1], [1, 0], [1, float("nan")]])
def test_weights_are_one_a_word_and_above_zero(weights: list[float]) -> None:
    with pytest.raises(LGFAError, match="weight above 0 for each of 2 words"):
        Prompts(["a", "b"], weights=weights)


def test_evenly() -> None:
    texts = [str(i) for i in range(10)]
    assert evenly(texts, 5) == ["0", "2", "4", "6", "8"]
    assert evenly(texts, 100) == texts and evenly([], 3) == []
