"""Where checkpoints lie, which one is read, and the log; damage of all kinds: training_faults."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lgfa.errors import LGFAError
from lgfa.training import checkpoints


def state(step: int) -> dict[str, Any]:
    return {"step": step, "weights": torch.full((3,), float(step))}


def nothing(found: dict[str, Any]) -> None:
    """Everything is right."""


# ---- numbered files

def test_the_newest_stay(tmp_path):
    files = checkpoints.Numbered(tmp_path / "new", keep=2)
    assert files.latest(nothing) is None
    for step in (0, 5, 12, 100_000_000):
        path = files.write(state(step))
        assert path.name == f"step-{step:08d}.pt" and checkpoints.step_of(path) == step
    assert checkpoints.paths(files.folder) == [files.folder / "step-00000012.pt", path]
    found, read = files.latest(nothing)
    assert found == path and torch.equal(read["weights"], state(100_000_000)["weights"])


def test_the_one_before_a_wrong_one_is_taken(tmp_path):
    files, notes = checkpoints.Numbered(tmp_path), []
    files.write(state(1))
    files.write(state(2))

    def even(found: dict[str, Any]) -> None:
        if found["step"] % 2 == 0:
            raise LGFAError("its step is even.")

    path, read = files.latest(even, notes.append)
    assert path.name == "step-00000001.pt" and read["step"] == 1
    assert notes == ["the checkpoint step-00000002.pt is left out: its step is even."]
    path.unlink()
    with pytest.raises(LGFAError, match="none of the 1 checkpoints .*its step is even"):
        files.latest(even)


def test_another_trainings_whole_checkpoint_is_not_passed_over(tmp_path):
    files = checkpoints.Numbered(tmp_path)
    files.write(state(1))
    files.write(state(2))

    def unlike(found: dict[str, Any]) -> None:
        raise checkpoints.Unlike(f"step {found['step']}")

    with pytest.raises(checkpoints.Unlike, match="step 2"):
        files.latest(unlike)


def test_a_lost_folder_is_not_written_to(tmp_path):
    def lost() -> None:
        raise LGFAError("the folder is gone.")

    with pytest.raises(LGFAError, match="gone"):
        checkpoints.Numbered(tmp_path, guard=lost).write(state(1))
    assert not list(tmp_path.iterdir())


# ---- a single file

def test_a_single_file_is_replaced(tmp_path):
    file = checkpoints.Single(tmp_path / "one.ckpt")
    assert file.latest(nothing) is None
    file.write(state(3))
    file.write(state(4))
    path, read = file.latest(nothing)
    assert path == file.path and read["step"] == 4 and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [
    {}, [], {"step": -1}, {"step": True}, {"step": "2"}, {"step": torch.tensor(2)}, None])
def test_a_single_file_of_no_use_is_named(tmp_path, content):
    file = checkpoints.Single(tmp_path / "one.ckpt")
    torch.save(content, file.path)
    with pytest.raises(LGFAError, match="one.ckpt.* Remove it to begin this training again"):
        file.latest(nothing)


# ---- settings

def test_every_difference_is_named():
    then = {"train": {"rate": 0.1, "words": ["a", "b"], "save": 5}, "source": "toon"}
    checkpoints.compare(then, {**then, "later": 1})                 # not written down then
    now = {"train": {"rate": 0.2, "words": ("a", "b"), "save": 6}}
    with pytest.raises(checkpoints.Unlike) as error:
        checkpoints.compare(then, now, ("save",))
    assert "source (was toon, is not given), train.rate (was 0.1, is 0.2):" in str(error.value)
    assert "words" not in str(error.value) and "save" not in str(error.value)


# ---- the log

def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_log_goes_on_from_its_step(tmp_path):
    path = tmp_path / "log.jsonl"
    log = checkpoints.Log(path)
    for step in (1, 2, 3):
        log.add(step, {"total": step / 3})
    log.close()
    assert lines(path)[2] == {"step": 3, "total": 1.0} and lines(path)[0]["total"] == 0.333333
    log = checkpoints.Log(path, 1)
    log.add(2, {"total": 9.0})
    log.close()
    assert [line["total"] for line in lines(path)] == [0.333333, 9.0]
    assert checkpoints.read_log(path) == lines(path)
