"""A training's folder is held, watched and tidied; places of no use: test_training_faults."""
from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lgfa.errors import LGFAError
from lgfa.training import claim


def test_a_held_folder_is_made_and_given_back(tmp_path):
    folder = tmp_path / "new" / "one"
    claim.check_free(folder)
    assert not folder.exists()                  # looking makes nothing
    with claim.alone(folder) as mine:
        mine.check()
        with pytest.raises(LGFAError, match="another training is at work"):
            claim.check_free(folder)
    claim.check_free(folder)
    assert [path.name for path in folder.iterdir()] == [claim.LOCK]


def test_an_error_gives_it_back(tmp_path):
    with pytest.raises(RuntimeError), claim.alone(tmp_path):
        raise RuntimeError
    claim.check_free(tmp_path)


@pytest.mark.parametrize("lose", [
    lambda folder: folder.rename(folder.with_name("elsewhere")),
    shutil.rmtree,
    lambda folder: (folder / claim.LOCK).unlink(),
    lambda folder: (folder.rename(folder.with_name("elsewhere")), shutil.copytree(
        folder.with_name("elsewhere"), folder)),        # the same names, another lock
])
def test_a_folder_that_is_lost_is_noticed(tmp_path, lose):
    folder = tmp_path / "one"
    with claim.alone(folder) as mine:
        mine.check()
        lose(folder)
        with pytest.raises(LGFAError, match="was moved or removed"):
            mine.check()


def test_what_a_kill_left_half_written_goes(tmp_path):
    """By the names that files.py gives to attempts, each beside its file."""
    whole = ("checkpoints/step-00000002.pt", "log.jsonl", "samples/mine.png", "notes.txt",
             "samples/.mine.0123abcd.tmp.png")              # nothing of a training's
    half = ("checkpoints/.step-00000002.0123abcd.tmp.pt", ".log.0123abcd.tmp.jsonl",
            "samples/.step-00000001.0123abcd.tmp.png", ".motion.0123abcd.tmp.safetensors")
    for name in whole + half:
        path: Path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    with claim.alone(tmp_path):
        claim.clean(tmp_path)
    assert all((tmp_path / name).is_file() for name in whole)
    assert not any((tmp_path / name).exists() for name in half)
