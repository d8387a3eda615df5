"""Cards: those that are shipped are written anew to the letter, and of any domain there may be one.

What is no file of figures: tests/cli/test_toon_command.py.
"""
from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from dots import DOTS, REPORT_OF_DOTS
from safetensors.torch import save_file

from lgfa import domains, formats
from lgfa.drawn.attributes import Attributes, AttributesConfig
from lgfa.errors import LGFAError
from lgfa.evaluate import cards
from lgfa.evaluate.toon import REPORT

SHIPPED = domains.MODELS / "toon"


@pytest.mark.parametrize("kind", sorted(REPORT.cards))
def test_shipped_cards_are_written_anew_to_the_letter(kind: str, tmp_path: Path) -> None:
    """All but their figures, whose file is not kept: those are read off the card itself."""
    shutil.copy(SHIPPED / f"{kind}.safetensors", tmp_path)
    card = (SHIPPED / f"{kind}.md").read_text(encoding="utf-8")
    assert cards.write(REPORT, tmp_path, None) == [tmp_path / f"{kind}.md"]
    head, _, table = card.partition("| figure")
    assert (tmp_path / f"{kind}.md").read_text(encoding="utf-8") == head
    assert bool(table) == (kind != "perceptual")


def test_every_network_has_a_card_and_every_bar_a_figure() -> None:
    assert {path.stem for path in SHIPPED.glob("*.safetensors")} == set(REPORT.cards)
    assert {key.partition(".")[0] for key in REPORT.bars} == set(REPORT.cards) - {"perceptual"}


def test_another_domains_card(tmp_path: Path) -> None:
    network = Attributes(AttributesConfig(expressions=DOTS.count, parameters=DOTS.columns))
    formats.save(tmp_path / "attributes.safetensors", network,
                 {"command": "python -m lgfa.dots attributes", "minutes": 2.5, "threads": 1,
                  "device": "cpu", "note": "half as long as it should be"})
    figures = [
        {"network": "attributes", "what": "  width", "value": 0.5, "bar": 0.75, "at_most": False,
         "met": False},
        {"network": "attributes", "what": "drift", "value": 0.1, "bar": 0.2, "at_most": True,
         "met": True},
        {"network": "clip", "what": "of another", "value": 1, "bar": None, "at_most": False,
         "met": True}]
    (tmp_path / "figures.json").write_text(json.dumps(figures))
    path, = cards.write(REPORT_OF_DOTS, tmp_path, tmp_path / "figures.json")
    text = path.read_text()
    assert text.startswith("# dots/attributes\n\nReads dots.\n\n- **Trained** by `python -m lgfa.")
    assert "in 2.5 minutes on 1 thread(s) of a cpu.\n- **From** drawn dots. Seed 1.\n" in text
    assert "- **Note** half as long as it should be.\n" in text
    assert "- **Not for** squares.\n" in text and "of another" not in text
    assert text.endswith("| figure (`python -m lgfa.dots report`) | value | bar |\n|---|---|---|\n"
                         "| width | 0.500 | at least 0.75, missed |\n"
                         "| drift | 0.100 | at most 0.2 |\n")


def test_a_file_that_does_not_say_how_it_was_made(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(1)}, tmp_path / "attributes.safetensors")
    with pytest.raises(LGFAError, match="train it by `lgfa.dots attributes`"):
        cards.write(REPORT_OF_DOTS, tmp_path, None)
    assert not list(tmp_path.glob("*.md"))
