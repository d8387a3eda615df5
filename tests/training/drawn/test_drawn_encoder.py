"""A drawn domain's encoder: both lessons, and that a seed says all."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lgfa.config import EncoderConfig, GeneratorConfig
from lgfa.frames.stylegan2 import Generator
from lgfa.nn.random import fresh_weights
from lgfa.toon.world import TOON
from lgfa.training.drawn import encoder as lessons
from lgfa.training.loop import Trained


class Person(nn.Module):
    """Stands for a frozen identity network: unit vectors of the mean colours."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.normalize(x.float().mean((2, 3)), dim=1)


@pytest.fixture(scope="module")
def generator() -> Generator:
    with fresh_weights(3):
        return Generator(GeneratorConfig(16, (16, 16, 8), mapping_layers=2, z_dim=512, w_dim=64))


def config(generator: Generator) -> EncoderConfig:
    return EncoderConfig(
        num_layers=generator.num_layers, w_dim=64, resolution=16, input_size=32,
        widths=(8, 8, 16, 16, 16), units=(1, 1, 1, 1), heads="linear", head_width=8, stem_stride=1)


def codes(params: Tensor) -> Tensor:
    """Codes that a network can read off a picture: the hair's and the backdrop's colour."""
    hair, sky = params[:, TOON.index["hair_color"]], params[:, TOON.index["backdrop"]]
    return torch.cat([hair[:, None].expand(-1, 32), sky[:, None].expand(-1, 32)], 1)


def train(folder: Path, generator: Generator, seed: int = 5, steps: tuple = (2, 2)) -> Trained:
    importance = torch.ones(1, 1, 16, 16)
    return lessons.train_encoder(TOON, config(generator), generator, Person(), codes, importance,
                                 folder, steps, seed, batch=(8, 4))


def test_a_seed_says_all(tmp_path: Path, generator: Generator) -> None:
    before = torch.get_rng_state()
    one, two, other = (train(tmp_path / name, generator, seed)
                       for name, seed in (("a", 5), ("b", 5), ("c", 6)))
    assert torch.equal(torch.get_rng_state(), before)
    states = [trained.network.state_dict() for trained in (one, two, other)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert any(not torch.equal(value, states[2][name]) for name, value in states[0].items())


def test_both_lessons_are_given(tmp_path: Path, generator: Generator, capsys) -> None:
    trained = train(tmp_path, generator)
    said = capsys.readouterr().out
    assert "encode_codes 2/2" in said and "encode_pictures 2/2" in said
    assert {path.name for path in tmp_path.iterdir()} == {"encode_codes.ckpt",
                                                         "encode_pictures.ckpt"}
    assert trained.minutes > 0 and not trained.network.training
    assert not any(p.requires_grad for p in generator.parameters())


def test_codes_are_learned(tmp_path: Path, generator: Generator) -> None:
    network = lessons.untrained(config(generator), generator, 5)
    params = TOON.faces(64, torch.Generator().manual_seed(99), named=0.75)
    picture, target = TOON.draw(params, 32), codes(params)[:, None]

    def error() -> float:
        with torch.no_grad():
            return float((network.eval()(picture) - target).square().mean())

    before = error()
    lessons.learn_codes(network, TOON, codes, 80, 16, 5e-3, tmp_path, 5)
    assert error() < 0.5 * before
