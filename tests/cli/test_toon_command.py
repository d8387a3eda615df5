"""`python -m lgfa.toon`: what it refuses, in one sentence and before any work."""
from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from lgfa import domains
from lgfa.cli.toon import main


def refused(capsys: pytest.CaptureFixture, *arguments: object) -> str:
    """The one sentence that a command says before it ends with 2."""
    capsys.readouterr()
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as end:               # argparse's way
        code = end.code
    said = capsys.readouterr().err
    assert code == 2 and said.count("\n") == 1, said
    return said


@pytest.mark.parametrize(("arguments", "words"), [
    ((), "COMMAND"), (("look", "a.png", "--seed", -1), "--seed"),
    (("look", "a.png", "--people", 0), "--people"), (("look", "a.tga"), "suffix"),
    (("look", "a.png", "--resolution", 0), "--resolution"), (("look", "/dev/null"), "suffix"),
    (("gallery", "a.webp", "--rows", 0), "--rows"), (("gallery", "a.webp", "--seed", -1), "--seed"),
    (("gallery", "/dev/null"), "/dev/null"), (("motion", "--threads", -1), "--threads"),
    (("motion", "--scale", "nan"), "--scale"), (("motion", "--scale", 0), "--scale"),
    (("motion", "--device", "quantum"), "device"), (("report", "--json", "/dev/null"), "device"),
    (("report", "--models", "nowhere"), "nowhere"),
])
def test_a_mistake_is_one_sentence(
    arguments: tuple, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert words in refused(capsys, *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", [
    "", "{", "5", "{}", "[5]", "[[]]", '[{"network": "motion"}]', "[" * 100_000, "\ufeff\x00",
    "NaN", '[{"network": 1, "what": "x", "value": 1.0, "at_most": true, "met": true}]'])
def test_figures_that_are_none_change_no_card(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture,
) -> None:
    models, figures = tmp_path / "models", tmp_path / "figures.json"
    models.mkdir()
    shutil.copy(domains.MODELS / "toon" / "judge.safetensors", models)
    figures.write_text(text, encoding="utf-8")
    assert str(figures) in refused(capsys, "cards", "--models", models, "--figures", figures)
    assert [p.name for p in models.iterdir()] == ["judge.safetensors"]


def test_cards_of_figures(tmp_path: Path) -> None:
    shutil.copy(domains.MODELS / "toon" / "judge.safetensors", tmp_path)
    line = {"network": "judge", "what": "told apart", "value": 1, "bar": 0.9, "at_most": False,
            "met": True}
    (tmp_path / "f.json").write_text(json.dumps([line]))
    assert main(["cards", "--models", str(tmp_path), "--figures", str(tmp_path / "f.json")]) == 0
    assert "told apart | 1.000 | at least 0.9" in (tmp_path / "judge.md").read_text()


def test_a_sheet_is_drawn(tmp_path: Path) -> None:
    out = tmp_path / "a.png"
    assert main(["look", str(out), "--people", "1", "--resolution", "16", "--seed", "3"]) == 0
    assert Image.open(out).width > 14 * 16
