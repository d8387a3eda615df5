"""The workshop of a drawn domain: what a training's file says, and scaled steps."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from dots import DOTS

from lgfa.formats import safetensors_io
from lgfa.training.drawn.generator import Lesson
from lgfa.training.drawn.judges import train_attributes
from lgfa.training.drawn.workshop import Workshop
from lgfa.training.loop import Trained


def attributes(shop: Workshop) -> Trained:
    trained = train_attributes(DOTS, shop.folder, shop.steps(400), 1, batch=8, device=shop.device)
    return Trained(trained.network, 12.345, {"note": "of dots"})


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop("dots", {"attributes": attributes}, tmp_path / "out", tmp_path / "work",
                    scale=0.01)


def test_a_network_is_written_with_how_it_was_made(shop: Workshop, capsys) -> None:
    shop.out.mkdir()
    path = shop.train("attributes")
    assert path == shop.out / "attributes.safetensors"
    info = safetensors_io.own_header(safetensors_io.read_header(path), path)["info"]
    assert info == {"domain": "dots", "command": "python -m lgfa.dots attributes", "minutes": 12.3,
                    "device": "cpu", "threads": torch.get_num_threads(), "note": "of dots"}
    assert "12.3 minutes" in capsys.readouterr().out
    loaded = shop.load("attributes")
    assert loaded.config.expressions == DOTS.count and loaded.config.parameters == DOTS.columns


def test_steps_are_scaled_and_never_none(shop: Workshop) -> None:
    assert shop.steps(1000) == 10 and shop.steps(10) == 4
    lessons = shop.shortened((Lesson("a", 1000, 2, 1e-3, 7, stray=0.5), Lesson("b", 1, 2, 1e-3, 8)))
    assert lessons == (Lesson("a", 10, 2, 1e-3, 7, stray=0.5), Lesson("b", 4, 2, 1e-3, 8))
