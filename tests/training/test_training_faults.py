"""Trainings that meet damaged checkpoints and logs, each other, full disks and signals."""
from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from training_scenarios import WORDS, networks, trainer

from lgfa.cli import train
from lgfa.errors import LGFAError
from lgfa.formats.unpickle import reader
from lgfa.training import checkpoints, claim, loop
from lgfa.training.config import TrainConfig
from lgfa.training.data import LatentSource, SampleSource
from lgfa.training.prompts import Prompts

NEWEST = "step-00000004.pt"
RUN = {"iterations": 6, "ema_decay": 0.9, "save_every": 2}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A training of 4 steps, with checkpoints of 2 and 4, and one of 6 steps."""
    folder = tmp_path_factory.mktemp("runs")
    trainer(folder / "part", **{**RUN, "iterations": 4}).run()
    trainer(folder / "whole", **RUN).run()
    return folder


@pytest.fixture
def part(runs, tmp_path) -> Path:
    """A copy of the training of 4 steps."""
    return Path(shutil.copytree(runs / "part", tmp_path / "part"))


def go_on(out: Path, runs: Path | None = None, **more: Any) -> list[str]:
    """What a training said that went on to the end; it ends as if nothing had happened."""
    notes: list[str] = []
    trainer(out, callbacks={"note": notes.append}, **{**RUN, **more}).run(resume=True)
    if runs is not None:
        one, two = (load_file(path / "motion.safetensors") for path in (out, runs / "whole"))
        assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
        assert (out / "log.jsonl").read_bytes() == (runs / "whole" / "log.jsonl").read_bytes()
    return notes


def taken_up(out: Path) -> tuple[int, list[str]]:
    """The step from which a training would go on, and what it says."""
    notes: list[str] = []
    one = trainer(out, **RUN)
    return loop.take_up(one, checkpoints.Numbered(out / "checkpoints"), notes.append)[0], notes


# ---- checkpoints

def test_our_reader_gives_what_torch_gives(runs):
    path = runs / "part" / "checkpoints" / NEWEST

    def compare(one: Any, two: Any) -> None:
        assert type(two) is (dict if isinstance(one, dict) else type(one))
        if isinstance(one, torch.Tensor):
            assert one.dtype == two.dtype and one.stride() == two.stride() and torch.equal(one, two)
        elif isinstance(one, dict):
            assert list(one) == list(two)
            for key, value in one.items():
                compare(value, two[key])
        elif isinstance(one, list | tuple):
            assert len(one) == len(two)
            for pair in zip(one, two, strict=True):
                compare(*pair)
        else:
            assert one == two

    compare(torch.load(path, weights_only=True), reader.read(path))


class Evil:
    """Runs a command where a pickle is believed."""

    def __reduce__(self):
        return os.mkdir, (os.environ["LGFA_TEST_MARK"],)


def test_damaged_files_are_left_out(part, runs, tmp_path, monkeypatch):
    newest, mark = part / "checkpoints" / NEWEST, tmp_path / "mark"
    monkeypatch.setenv("LGFA_TEST_MARK", str(mark))
    whole = newest.read_bytes()
    torch.save({"lgfa_training": 1, "step": 4, "motion": Evil()}, tmp_path / "evil.pt")
    for content in (whole[:-1], whole[:5000], b"", bytes(len(whole)), b"<html>", whole[5000:],
                    (tmp_path / "evil.pt").read_bytes()):
        newest.write_bytes(content)
        step, said = taken_up(part)
        assert f"the checkpoint {NEWEST} is left out: " in said[0] and "download it" not in said[0]
        assert step == 2 and len(said) == 1 and not mark.exists()
    go_on(part, runs)


def test_no_flipped_bit_goes_unnoticed(part):
    path, chance = part / "checkpoints" / NEWEST, random.Random(0)
    whole, tree = path.read_bytes(), checkpoints.read(path)
    noticed = 0
    for _ in range(40):
        data = bytearray(whole)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        try:
            found = checkpoints.read(path)
        except LGFAError:
            noticed += 1
        else:                               # it hit what nobody reads, such as padding
            assert all(torch.equal(value, found["motion"][name])
                       for name, value in tree["motion"].items())
    assert noticed > 30


def without(*names: str) -> Any:
    def change(state: dict) -> None:
        for name in names[:-1]:
            state = state[name]
        del state[names[-1]]
    return change


def put(value: Any, *names: Any) -> Any:
    """Puts a value, or a function of the old one, under the names."""
    def change(state: dict) -> None:
        for name in names[:-1]:
            state = state[name]
        state[names[-1]] = value(state[names[-1]]) if callable(value) else value
    return change


def first(change: Any, *names: str) -> Any:
    """Changes the first entry of a table."""
    def apply(state: dict) -> None:
        for name in names:
            state = state[name]
        key = next(iter(state))
        state[key] = change(state[key])
    return apply


def other_optimizer(state: dict) -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    other = torch.optim.SGD([weight], 0.1, momentum=0.9)
    weight.sum().backward()
    other.step()
    state["optimizer"] = other.state_dict()


def spoilt(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float().fill_(float("nan"))


WRONG = {
    **{f"no {name}": without(name) for name in ("step", "values", "settings", "motion", "optimizer",
                                                "average", "scaler", "random")},
    "version": put(2, "lgfa_training"), "settings no table": put(5, "settings"),
    "no settings": put({}, "settings"), "no seed": without("settings", "train", "seed"),
    "seed": put("7", "settings", "train", "seed"), "train": put([], "settings", "train"),
    "tensor in settings": put(torch.zeros(2), "settings", "source"),
    "another step": put(3, "step"), "step no number": put("4", "step"),
    "step true": put(True, "step"),
    "step a tensor": put(torch.tensor(4), "step"),
    "motion no table": put([], "motion"), "weight missing": without("motion", "latent_scale"),
    "shape": put(lambda x: x[:-1], "motion", "latent_scale"),
    "dtype": put(lambda x: x.double(), "motion", "latent_scale"),
    "NaN": put(spoilt, "motion", "latent_scale"), "no tensor": put(0.0, "motion", "latent_scale"),
    "weight too many": put(torch.zeros(2), "motion", "more"),
    "average short": put(lambda x: x[:-1], "average"), "average long": put(lambda x: [*x, x[0]],
                                                                           "average"),
    "average NaN": put(spoilt, "average", 0),
    "average a table": put({}, "average"),
    "other optimizer": other_optimizer, "optimizer a text": put("Adam", "optimizer"),
    "betas": put((0.9, 0.999), "optimizer", "param_groups", 0, "betas"),
    "one group": put(lambda x: x[:1], "optimizer", "param_groups"),
    "moments missing": first(lambda x: {"step": x["step"]}, "optimizer", "state"),
    "moments' shape": first(lambda x: {**x, "exp_avg": torch.zeros(3)}, "optimizer", "state"),
    "moments' dtype": first(lambda x: {**x, "exp_avg": x["exp_avg"].half()}, "optimizer", "state"),
    "moments NaN": first(lambda x: {**x, "exp_avg": spoilt(x["exp_avg"])}, "optimizer", "state"),
    "moments negative": first(lambda x: {**x, "exp_avg_sq": x["exp_avg_sq"] - 1}, "optimizer",
                              "state"),
    "moments' step": first(lambda x: {**x, "step": torch.tensor(5.0)}, "optimizer", "state"),
    "moments of others": put(lambda x: {key + 1000: value for key, value in x.items()},
                             "optimizer", "state"),
    "no moments": put({}, "optimizer", "state"),
    "scaler": put({"scale": 1.0}, "scaler"), "values": put({"total": "low"}, "values"),
    "random short": put(lambda x: x[:-1], "random", "training"),
    "random zero": put(torch.zeros_like, "random", "training"),
    "random a list": put([1, 2], "random", "torch"),
    "random float": put(lambda x: x.float(), "random", "torch"),
    "device": put("cuda", "random", "device"), "random missing": without("random", "torch"),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_readable_but_wrong_checkpoints_are_left_out(part, change):
    newest, before = (part / "checkpoints" / name for name in (NEWEST, "step-00000002.pt"))
    state = torch.load(newest, weights_only=True)
    change(state)
    torch.save(state, newest)
    one = trainer(part, **RUN)

    def weights() -> list[torch.Tensor]:
        return [*one.motion.state_dict().values(), *one.average.state_dict()]

    kept = [value.clone() for value in weights()]
    rng = torch.get_rng_state()
    aside = before.rename(before.with_suffix(".aside"))
    with pytest.raises(LGFAError, match="none of the 1 checkpoints .* remove them to begin again"):
        one.run(resume=True)
    assert all(map(torch.equal, kept, weights()))
    assert not one.optimizer.state and torch.equal(torch.get_rng_state(), rng)
    aside.rename(before)
    step, said = taken_up(part)
    assert step == 2 and f"the checkpoint {NEWEST} is left out: " in said[0]


ODD = (None, 5, -1, 2**70, float("nan"), float("inf"), "x", "", b"b", [], {}, (), [1], {"a": 1},
       {1: 2}, True, torch.zeros(()), torch.zeros(3), torch.zeros(2, 2, dtype=torch.uint8))


def places(tree: Any, path: tuple = ()) -> list[tuple]:
    """The way to every entry of a tree."""
    keys = tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    return [path] * bool(path) + [one for key in keys for one in places(tree[key], (*path, key))]


@pytest.mark.parametrize("seed", range(4))
def test_random_changes_never_surprise(part, seed):
    """Any entry may be anything: the checkpoint is refused, left out, or taken as a whole."""
    newest, chance = part / "checkpoints" / NEWEST, random.Random(seed)
    whole = torch.load(newest, weights_only=True)
    by_depth: dict[int, list[tuple]] = {}
    for path in places(whole):
        by_depth.setdefault(len(path), []).append(path)
    one = trainer(part, **RUN)
    for _ in range(15):
        state = torch.load(newest, weights_only=True)
        path = chance.choice(by_depth[chance.choice(list(by_depth))])
        put(chance.choice(ODD), *path)(state)
        torch.save(state, newest)
        with contextlib.suppress(checkpoints.Unlike):
            step, _ = loop.take_up(one, checkpoints.Numbered(part / "checkpoints"))
            assert step == 2 or path[0] in ("values", "settings", "optimizer", "random"), path
        torch.save(whole, newest)


def test_whole_checkpoints_of_odd_making_are_taken(part, runs):
    """Tensors that share memory; a release that did not write all of today's settings."""
    state = torch.load(part / "checkpoints" / NEWEST, weights_only=True)
    del state["settings"]["choices"]
    moments = next(iter(state["optimizer"]["state"].values()))
    both = torch.stack([moments["exp_avg"], moments["exp_avg_sq"]])
    moments["exp_avg"], moments["exp_avg_sq"] = both[0], both[1]
    torch.save(state, part / "checkpoints" / NEWEST)
    assert "goes on from step 4" in go_on(part, runs)[0]


def test_broken_newer_files_do_not_push_out_whole_ones(part):
    folder = part / "checkpoints"
    (folder / "step-00000099.pt").write_bytes(b"broken")
    (folder / "step-best.pt").write_bytes(b"a name of the user's")
    go_on(part, keep=1, save_every=1)
    assert sorted(path.name for path in folder.iterdir()) == [
        "step-00000006.pt", "step-00000099.pt", "step-best.pt"]
    assert "from step 6" in go_on(part, iterations=7)[1]


# ---- settings

def test_whatever_changes_what_is_learned_is_compared(tmp_path):
    def made(source=None, words=WORDS, **choices):
        parts = networks()
        return trainer_of(parts, tmp_path, source or SampleSource(parts["generator"], 0.8),
                          Prompts(words), choices)

    def trainer_of(parts, out, source, prompts, choices):
        from lgfa.training.trainer import Trainer
        return Trainer(TrainConfig(**{**RUN, "iterations": 2}), parts["motion"],
                       parts["generator"], source, prompts, parts["clip"], parts["perceptual"],
                       out=out, choices=choices)

    made(offsets="w", encoder_clip="1").run()
    regrouped = ("smiling", ("happy", "angry"), *WORDS[2:])
    for one, name in ((made(offsets="raw", encoder_clip="1"), r"choices.offsets \(was w, is raw\)"),
                      (made(offsets="w", encoder_clip="2"), "choices.encoder_clip"),
                      (made(), "choices.offsets .was w, is not given"),
                      (made(words=regrouped, offsets="w", encoder_clip="1"), "choices.words"),
                      (made(LatentSource(torch.zeros(3, 6, 16)), offsets="w"), "source")):
        with pytest.raises(LGFAError, match=name):
            one.run(resume=True)
    assert made(offsets="w", encoder_clip="1").run(resume=True).step == 2


def test_other_units_of_offsets_show_in_checkpoints_that_do_not_name_them(part):
    path = part / "checkpoints" / NEWEST
    state = torch.load(path, weights_only=True)
    del state["settings"]["choices"]
    torch.save(state, path)
    one = trainer(part, **RUN)
    one.motion.set_latent_scale(torch.randn(99, 16, generator=torch.Generator().manual_seed(0)))
    with pytest.raises(checkpoints.Unlike, match="offsets have other units"):
        one.run(resume=True)
    with torch.no_grad():
        one.motion.latent_scale.copy_(torch.eye(16) * 1.0001)       # another machine's rounding
    assert one.run(resume=True).step == 6


def test_every_option_is_compared_or_changes_nothing():
    """An option that is added has to be thought of here."""
    import argparse

    parser = argparse.ArgumentParser()
    train.add_train_parser(parser.add_subparsers())
    options = set(vars(parser.parse_args(["train", "--out", "x"]))) - set(
        TrainConfig.__dataclass_fields__)
    assert options == {
        "generator", "clip", "perceptual", "identity_network", "encoder_clip",  # by their hashes
        "encoder",                                          # choices.encoder
        "source", "truncation", "prompts", "offsets",       # source, prompts, choices
        "schedule", "no_visual", "shared_layers",           # motion
        "domain",                                           # all of these
        "out", "resume", "cache", "device", "handler"}      # nothing that is learned


# ---- the log

BAD_LINES = (
    b"\xff\xfe no text", b'{"step": 2, "total": 0\x00}', b'{"step": 2, "tot', b"[" * 60_000,
    b'{"step": ' + b"7" * 5000 + b"}", b'{"step": 2, "total": NaN}', b'{"step": 2, "total": 1e999}',
    b'{"step": 2, "total": ' + b"1" * 4000 + b"}", b'{"step": true, "total": 1}', b"null",
    b'{"step": 2, "total": "low"}', b'{"step": 2, "a\\nb": 1}', b"x" * 200_000, b"",
    b'{"step": -1}', b'{"step": 2.5}',
)


@pytest.mark.parametrize("bad", BAD_LINES, ids=range(len(BAD_LINES)))
def test_a_bad_line_of_the_log_loses_that_line(runs, tmp_path, bad):
    path = tmp_path / "log.jsonl"
    lines = (runs / "part" / "log.jsonl").read_bytes().splitlines()
    path.write_bytes(b"\n".join([lines[0], bad, *lines[2:]]) + b"\n")
    assert [entry["step"] for entry in checkpoints.read_log(path)] == [1, 3, 4]
    checkpoints.Log(path, 3).close()
    assert [json.loads(line)["step"] for line in path.read_bytes().splitlines()] == [1, 3]


def test_logs_that_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "missing", "."):
        assert checkpoints.read_log(tmp_path / name) == []


# ---- the folder

def test_one_training_at_a_time(part):
    newest = part / "checkpoints" / NEWEST
    with claim.alone(part):
        for again in (True, False):
            with pytest.raises(LGFAError, match="another training is at work in"):
                trainer(part, **RUN).run(resume=again)
        with pytest.raises(LGFAError, match="another training"):
            claim.check_free(part)
        assert newest.is_file()
    claim.check_free(part)
    assert "goes on" in go_on(part)[0]


@pytest.mark.parametrize("make, said", [
    (lambda path: path.write_text("x"), "is a file"), (os.mkfifo, "is a named pipe"),
    (lambda path: path.symlink_to("nowhere"), "a link that leads nowhere"),
    (lambda path: path.symlink_to(__file__), "a link to a file"),
    (lambda path: (path / "log.jsonl").mkdir(parents=True), "log.jsonl is a folder"),
    (lambda path: (path / "motion.safetensors").mkdir(parents=True), "safetensors is a folder"),
    (lambda path: (path.mkdir(), (path / "samples").touch()), "samples is a file"),
    (lambda path: (path.mkdir(), os.mkfifo(path / ".training.lock")), "a named pipe"),
    (lambda path: (path.mkdir(), (path / ".training.lock").mkdir()), "training.lock"),
])
def test_places_where_no_training_can_be(tmp_path, make, said):
    make(tmp_path / "out")
    with pytest.raises(LGFAError, match=said):
        trainer(tmp_path / "out").run()
    if "lock" not in said and said != "a named pipe":
        with pytest.raises(LGFAError, match=said):
            claim.check_place(tmp_path / "out")
    with pytest.raises(LGFAError):
        claim.check_free(tmp_path / "out")


def test_places_with_names_of_no_use(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    for name in ("", " ", "a\0b", str(tmp_path / "file" / "below" / "it")):
        with pytest.raises(LGFAError):
            claim.check_place(name)
    for name in ("link", "folder", "new", "folder/new/one"):
        claim.check_place(tmp_path / name)


@pytest.mark.parametrize("change", [
    {"seed": -1}, {"seed": 2**64}, {"tau": float("inf")}, {"grad_clip": float("nan")},
    {"mapper_rate": float("inf")}, {"rate_end": float("nan")}, {"ema_decay": float("nan")},
])
def test_numbers_that_are_none(change):
    with pytest.raises(LGFAError, match=next(iter(change))):
        TrainConfig(**change)


def test_the_largest_seed(tmp_path):
    assert trainer(tmp_path, seed=2**64 - 1, iterations=1, sample_every=1).run().step == 1


# ---- commands in processes of their own

@pytest.fixture(scope="module")
def commands(tmp_path_factory, repo) -> dict[str, tuple[int, str]]:
    """Name -> exit code and output of each command of training_commands.py."""
    if not sys.platform.startswith("linux"):
        pytest.skip("the commands need fork and prlimit of Linux")
    folder = tmp_path_factory.mktemp("commands")
    disk = tmp_path_factory.mktemp("disk")
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128m", "tmpfs", str(disk)],
        capture_output=True).returncode == 0
    try:
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("training_commands.py")), str(folder),
             *([str(disk)] if mounted else [])], cwd=repo, capture_output=True, text=True,
            timeout=580, env={**os.environ, "PYTHONPATH": str(repo), "OMP_NUM_THREADS": "1"})
    finally:
        if mounted:
            subprocess.run(["umount", str(disk)], check=True)
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads((folder / "results.json").read_text())
    assert not any("Traceback" in said for _, said in results.values())
    return {**results, "folder": (0, str(folder))}


def same(commands: dict, *names: str) -> bool:
    """Whether trainings ended as the one that nothing happened to."""
    folder = Path(commands["folder"][1])
    return all((folder / name / file).read_bytes() == (folder / "whole" / file).read_bytes()
               for name in names for file in ("motion.safetensors", "log.jsonl"))


def test_a_second_command_is_kept_out(commands):
    for name in ("second", "second resuming"):
        code, said = commands[name]
        assert code == 2 and said.count("\n") == 1 and "another training is at work in" in said
    assert sorted(commands[name][0] for name in ("one", "other")) == [0, 2]
    assert commands["first"][0] == -9 and commands["after a kill"][0] == 0
    assert same(commands, "together")


def test_files_that_may_not_grow(commands):
    code, said = commands["limited"]
    assert code == 2 and "cannot write" in said.splitlines()[-1]
    assert commands["unlimited"][0] == 0 and same(commands, "limited")


@pytest.mark.parametrize("where", ["end", "middle"])
def test_a_full_disk(commands, where):
    if f"full at the {where}" not in commands:
        pytest.skip("no disk can be mounted here")
    code, said = commands[f"full at the {where}"]
    assert code == 2 and "the disk is full" in said.splitlines()[-1]
    assert ("motion.safetensors" if where == "end" else "step-00000004.pt") in said
    assert commands[f"left at the {where}"] == [0, ""]
    assert commands[f"room at the {where}"][0] == 0 and same(commands, where)


def test_signals_ask_and_a_second_one_ends(commands):
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        code, said = commands[name]
        assert code == 0 and said.count("saving; once more") == 1 and "stopped at step" in said
    code, said = commands["twice"]
    assert code == 130 and said.splitlines()[-1] == "stopped."
    assert commands["left of it"] == [0, ""]


def test_a_folder_that_goes_away(commands):
    code, said = commands["moved"]
    assert code == 2 and "was moved or removed" in said.splitlines()[-1]
