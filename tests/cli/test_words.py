"""The command `words`, and `animate --strict`."""
from __future__ import annotations

from pathlib import Path

import pytest
from tiny import SENTENCES, taught, tiny_motion

from lgfa import formats
from lgfa.cli import entry

KNOWN, UNSURE, UNKNOWN = SENTENCES


@pytest.fixture
def motion(tmp_path: Path) -> Path:
    path = tmp_path / "motion.safetensors"
    formats.save(path, taught(tiny_motion()))
    return path


def animated(tiny_files: dict[str, str], motion: object, out: Path, *more: object) -> int:
    return entry.main([str(part) for part in (
        "animate", "--generator", tiny_files["generator"], "--motion", motion, "--sample", 7,
        "--frames", 2, "--device", "cpu", "--out", out, *more)])


# ---- words

def test_words_are_listed_one_a_line(motion: Path, capsys: pytest.CaptureFixture) -> None:
    assert entry.main(["words", "--motion", str(motion)]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [["smiling", "1", "phrasing"],
                                                ["crying", "1", "phrasing"]]
    words = formats.load(motion, "motion").words_config
    assert last == (f"2 words; a sentence is known from a similarity of {words.known_at:.3f} on, "
                    f"and unknown below {words.unsure_at:.3f}.")


def test_a_model_without_words_is_one_sentence(
    tiny_files: dict[str, str], capsys: pytest.CaptureFixture,
) -> None:
    assert entry.main(["words", "--motion", tiny_files["motion"]]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1 and said[0].endswith("it says of no sentence whether it is known.")


def test_words_of_what_is_no_motion_model(
    tiny_files: dict[str, str], capsys: pytest.CaptureFixture,
) -> None:
    assert entry.main(["words", "--motion", tiny_files["clip"]]) == 2
    assert "motion model is needed" in capsys.readouterr().err
    assert entry.main(["words", "--motion", "nowhere.safetensors"]) == 2


def test_the_bundled_words(capsys: pytest.CaptureFixture) -> None:
    assert entry.main(["words"]) == 0
    said = capsys.readouterr().out
    if not formats.load("toon", "motion").words:
        pytest.skip("the bundled motion model keeps no words yet")
    assert "smiling" in said and "a sentence is known from" in said


# ---- animate

def test_what_is_not_surely_known_is_a_line_on_stderr(
    tiny_files: dict[str, str], motion: Path, tmp_path: Path, capsys: pytest.CaptureFixture,
) -> None:
    out = tmp_path / "a.webp"
    assert animated(tiny_files, motion, out, "--text", KNOWN) == 0
    assert capsys.readouterr().err == ""
    assert animated(tiny_files, motion, out, "--text", UNSURE, "--text", UNKNOWN, "--frames",
                    5) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and all(line.startswith("warning: '") for line in lines)
    assert "is perhaps 'smiling'" in lines[0] and "none of the 2 words" in lines[1]


def test_strict_refuses_the_unknown_before_anything_is_written(
    tiny_files: dict[str, str], motion: Path, tmp_path: Path, capsys: pytest.CaptureFixture,
) -> None:
    out = tmp_path / "a.webp"
    assert animated(tiny_files, motion, out, "--strict", "--text", KNOWN, "--text", UNKNOWN,
                    "--frames", 5, "--save-latents", tmp_path / "a.safetensors") == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"error: '{UNKNOWN}' is like none of the 2 words")
    assert len(said.err.splitlines()) == 1 and not said.out
    assert not out.exists() and not (tmp_path / "a.safetensors").exists()


def test_strict_lets_the_known_and_the_unsure_pass(
    tiny_files: dict[str, str], motion: Path, tmp_path: Path, capsys: pytest.CaptureFixture,
) -> None:
    assert animated(tiny_files, motion, tmp_path / "a.webp", "--strict", "--text", KNOWN) == 0
    assert animated(tiny_files, motion, tmp_path / "b.webp", "--strict", "--text", UNSURE) == 0
    assert "is perhaps" in capsys.readouterr().err


def test_strict_says_nothing_of_models_without_words(
    tiny_files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture,
) -> None:
    assert animated(tiny_files, tiny_files["motion"], tmp_path / "a.webp", "--strict", "--text",
                    UNKNOWN) == 0
    assert capsys.readouterr().err == ""
