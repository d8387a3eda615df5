"""A drawn domain's CLIP: sentences that are true, its loss, strayed pictures, zero-shot figures."""
from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from dots import DOTS

from lgfa.config import ClipConfig
from lgfa.drawn.captions import Captioner
from lgfa.drawn.world import World
from lgfa.embed.clip import CLIP
from lgfa.nn.random import fresh_weights
from lgfa.toon.world import TOON
from lgfa.training.drawn import clip, faces
from lgfa.training.drawn.strays import Pictures

TINY = ClipConfig(
    embed_dim=16,
    vision_cfg={"image_size": 64, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    text_cfg={"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1},
    mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@pytest.mark.parametrize("world", [TOON, DOTS], ids=lambda world: world.name)
def test_sentences_are_true_of_their_pictures(world: World) -> None:
    rng = torch.Generator().manual_seed(0)
    seen = faces.faces(world, 24, 32, rng, both=0.4)
    assert bool((seen.look >= world.count).any()) and bool(
        (seen.expression[seen.look >= world.count] == -1).all())
    texts, true_of = clip.says(world, seen, Captioner(world.words, rng))
    assert len(texts) == 24 and true_of.shape == (24, 24) and bool(true_of.diagonal().all())
    assert not bool(true_of.all())
    # a picture with the same classes is as right as the one that the sentence was made for
    labels = {"expression": seen.look, **world.words.labels(seen.params)}
    alike = torch.stack([c[:, None] == c[None] for c in labels.values()]).all(0)
    assert true_of[alike].all()
    more, true_of = clip.says(world, seen, Captioner(world.words, rng), each=3)
    assert len(more) == 72 and true_of.shape == (72, 24) and len(set(more)) > 40
    assert bool(true_of.view(3, 24, 24).diagonal(dim1=1, dim2=2).all())


def test_several_answers_may_be_right() -> None:
    image, scale = torch.eye(4), torch.tensor(20.0)
    aligned = clip.agreement(image, image, torch.eye(4).bool(), scale)
    crossed = clip.agreement(image, image.roll(1, 0), torch.eye(4).bool(), scale)
    assert aligned < 0.01 < crossed
    # two pictures of one sentence share what is right about it
    twice = torch.eye(4)[[0, 0, 2, 3]]
    true_of = torch.eye(4).bool() | (torch.arange(4)[:, None] < 2) & (torch.arange(4) < 2)
    found = float(clip.agreement(twice, twice, true_of, scale))
    assert found == pytest.approx(math.log(2) / 2, abs=0.01)


def test_pictures_of_no_sentence_are_wrong_answers_only() -> None:
    image, scale = torch.eye(4), torch.tensor(20.0)
    none = torch.eye(4).bool()[:3]              # nothing is true of the fourth
    assert clip.agreement(image, image[:3], none, scale) < 0.01
    near = image.clone()
    near[3] = image[0]                          # now it looks like the first
    assert clip.agreement(near, image[:3], none, scale) > 0.1


def test_foreign_sentences_are_wrong_answers_only() -> None:
    text, scale = torch.eye(4), torch.tensor(20.0)
    none = torch.eye(4).bool()[:, :3]           # the fourth sentence is true of nothing
    assert clip.agreement(text[:3], text, none, scale) < 0.01
    near = text.clone()
    near[3] = text[0]                           # now it says what the first does
    assert clip.agreement(text[:3], near, none, scale) > 0.1


def test_strayed_codes_lie_off_the_cloud() -> None:
    from lgfa import formats

    generator = formats.load("toon", "generator")
    with torch.no_grad():
        pictures = Pictures(TOON, generator, torch.Generator().manual_seed(0))
        good = pictures.codes(TOON.faces(200, pictures.rng))
        bad = pictures.bad(200)
    assert bad.shape == good.shape == (200, generator.config.w_dim)
    spread = pictures.axes.square().sum()
    away = [(w - good.mean(0)).square().sum(1).mean() / spread for w in (good, bad)]
    assert away[0] == pytest.approx(1, abs=0.2) and away[1] > 1.1 * away[0]


def test_a_seed_says_all_of_the_first_lesson(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    def fresh() -> CLIP:
        with fresh_weights(7):
            return CLIP(TINY)

    one, two = (clip.train_clip(DOTS, fresh(), tmp_path / name, 2, 7, batch=6) for name in "ab")
    assert torch.equal(torch.get_rng_state(), before)
    other = two.network.state_dict()
    assert all(torch.equal(value, other[name]) for name, value in one.network.state_dict().items())
    assert isinstance(one.network, CLIP) and one.minutes > 0


def test_figures_of_a_clip_that_knows_nothing() -> None:
    with fresh_weights(0):
        network = CLIP(TINY)
    found = clip.zero_shot(DOTS, network.eval(), n=60)
    assert set(found) == {"expression", "ground", "expression, among held-out sentences",
                          "expression, image to held-out sentence"}
    assert all(0 <= value <= 1 for value in found.values()) and found["expression"] < 0.8


class Knowing:
    """Names of the dots' expressions as one-hot vectors, held-out sentences too."""

    WORDS = (("round", "ball", "circle", "balanced", "plain"),
             ("broad", "wide", "stout", "fat", "thick", "breadth", "spread"),
             ("tall", "tower", "high", "long", "big", "lanky", "rise"))

    def encode_text(self, texts: list[str]) -> torch.Tensor:
        return torch.tensor([[float(any(word in text for word in group)) for group in self.WORDS]
                             for text in texts])


def test_figures_of_a_clip_that_knows_all() -> None:
    pictures, shown = torch.eye(3).repeat(4, 1), torch.arange(3).repeat(4)
    found = clip._held_out(DOTS, Knowing(), pictures, shown)
    assert set(found.values()) == {1.0}
    wrong = clip._held_out(DOTS, Knowing(), pictures.roll(1, 0), shown)
    assert set(wrong.values()) == {0.0}
