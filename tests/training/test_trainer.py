"""The training loop on truly small networks: it learns, stops, is killed, and goes on."""
from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
import training_scenarios as scenarios
from PIL import Image
from safetensors.torch import load_file
from training_scenarios import WORDS, networks, trainer

from lgfa import formats
from lgfa.cli import train
from lgfa.errors import LGFAError
from lgfa.training import checkpoints, loop, setup
from lgfa.training.config import TrainConfig
from lgfa.training.data import Batch, LatentSource, SampleSource
from lgfa.training.prompts import Prompts

SCRIPT = Path(scenarios.__file__)


def run_script(repo: Path, *arguments: object, launcher: tuple[str, ...] = ()) -> str:
    """Standard output of the scenarios' script; the test fails when it does."""
    done = subprocess.run(
        [sys.executable, *launcher, str(SCRIPT), *map(str, arguments)], cwd=repo, timeout=300,
        capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(repo), "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def weights(trained: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in trained.state_dict().items()}


def equal(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def log_of(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# ---- learning

def test_the_loss_falls_and_everything_is_written(tmp_path):
    told = []
    one = trainer(tmp_path, iterations=40, sample_every=20, save_every=15, keep=2,
                  callbacks={"progress": told.append})
    before, frozen = weights(one.motion), weights(one.objective.generator)
    result = one.run()

    totals = [p.values["total"] for p in told]
    assert sum(totals[-8:]) < 0.92 * sum(totals[:8])
    assert list(told[0].values) == ["total", "w_reg", "path_reg", "cont", "lpips"]
    assert told[0].seconds_left > told[-1].seconds_left == 0 and told[19].sheet.is_file()
    assert [path.name for path in checkpoints.paths(tmp_path / "checkpoints")] == [
        "step-00000030.pt", "step-00000040.pt"]
    assert [line["step"] for line in log_of(tmp_path)] == list(range(1, 41))
    with Image.open(told[19].sheet) as sheet:
        assert sheet.width > 8 * 16 and sheet.height > 4 * 16

    # Every part learned, nothing frozen moved, and the file holds the model.
    moved = {name.split(".")[0] for name, value in one.motion.named_parameters()
             if not torch.equal(value, before[name])}
    assert moved == {"encoder", "rnn", "v_mapper", "t_mapper"}
    assert equal(frozen, weights(one.objective.generator))
    loaded = formats.load(result.network, "motion")
    assert equal(weights(loaded), weights(one.motion)) and result.step == 40
    state = torch.load(result.checkpoint, weights_only=True)
    assert not any("generator" in key or "perceptual" in key for key in state["motion"])


@pytest.mark.parametrize("settings, motion", [
    ({"augment": ("shift", "crop", "colour", "noise"), "augment_views": 2, "lpips_frames":
      ("first", "last", "random"), "grad_clip": 1.0}, {}),
    ({"cont_form": "pairwise", "path_order": 1, "lpips": 0}, {"visual": False,
                                                             "visual_mapper": False}),
    ({"cont": 0, "lpips": 0, "path_order": 0}, {"schedule": "authors", "code_norm": "pixel"}),
    ({"clip_rate": 0, "latent_units": "std", "ema_decay": 0.5}, {"shared_layers": True}),
    ({"precision": "bf16"}, {}),
    ({"precision": "fp16"}, {}),
])
def test_every_choice_runs(tmp_path, settings, motion):
    result = trainer(tmp_path, motion, iterations=2, save_every=0, sample_every=2, sample_frames=2,
                     **settings).run()
    assert result.step == 2 and result.network.is_file()


def test_chunks_give_the_same_gradients():
    grads = []
    for chunk in (0, 3):
        one = trainer(None, render_chunk=chunk)
        one._backward(one.objective(one.draw())["total"])
        grads.append([p.grad for p in one.parameters if p.grad is not None])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-3)


def test_a_lent_clip_is_neither_trained_nor_saved(tmp_path):
    parts = networks()
    parts["motion"].encoder = parts["motion"].clip_config = None
    before = weights(parts["clip"])
    one = scenarios.Trainer(TrainConfig(iterations=2, sample_every=2), parts["motion"],
                            parts["generator"], SampleSource(parts["generator"]), Prompts(WORDS),
                            parts["clip"], parts["perceptual"], out=tmp_path)
    result = one.run()
    assert equal(before, weights(parts["clip"]))
    assert not any(key.startswith("encoder") for key in load_file(result.network))


def test_inside_inference_mode(tmp_path):
    """ComfyUI runs nodes so; tensors made there can carry no gradient until they are copied."""
    with torch.inference_mode():
        result = trainer(tmp_path, iterations=2).run()
    assert result.step == 2


# ---- stopping and going on

def test_stop_saves_and_the_rest_follows(tmp_path):
    asked = iter([False, False, False, True])
    stopped = trainer(tmp_path, callbacks={"should_stop": lambda: next(asked)}).run()
    assert stopped.stopped and stopped.step == 3 and stopped.network.is_file()
    notes = []
    rest = trainer(tmp_path, callbacks={"note": notes.append})
    assert rest.run(resume=True).step == 6 and "step 3" in notes[0]
    whole = trainer(None)
    whole.run()
    assert equal(weights(rest.motion), weights(whole.motion))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory, repo) -> Path:
    """Folder of the trainings that ran in other processes: one start of the script for all."""
    if not hasattr(os, "fork"):
        pytest.skip("the trainings in other processes need os.fork")
    out = tmp_path_factory.mktemp("elsewhere")
    (out / "said.txt").write_text(run_script(repo, "all", out, free_port()))
    return out


def test_resume_in_a_new_process_is_bit_for_bit(elsewhere):
    compare_runs(elsewhere / "straight", elsewhere / "parts")


def test_kills_lose_nothing(elsewhere):
    assert int((elsewhere / "said.txt").read_text().split()[-1]) >= 3
    compare_runs(elsewhere / "straight", elsewhere / "killed")
    assert not list((elsewhere / "killed" / "checkpoints").glob(".*"))


def compare_runs(one: Path, two: Path, step: int = scenarios.STEPS) -> None:
    """Two trainings ended with the same bits: weights, averages, optimiser, random states, log."""
    name = f"checkpoints/step-{step:08d}.pt"
    a, b = (torch.load(out / name, weights_only=True) for out in (one, two))
    assert equal(a["motion"], b["motion"])
    assert all(map(torch.equal, a["average"], b["average"])) and len(a["average"]) > 10
    for key, state in a["optimizer"]["state"].items():
        assert equal(state, b["optimizer"]["state"][key])
    assert torch.equal(a["random"]["training"], b["random"]["training"])
    assert log_of(one) == log_of(two) and len(log_of(one)) == step
    assert equal(load_file(one / "motion.safetensors"), load_file(two / "motion.safetensors"))


def test_a_broken_checkpoint_is_passed_over(tmp_path):
    trainer(tmp_path, keep=2).run()
    newest = checkpoints.paths(tmp_path / "checkpoints")[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    files = checkpoints.Numbered(tmp_path / "checkpoints")
    assert loop.take_up(trainer(tmp_path), files)[0] == 4
    for path in checkpoints.paths(tmp_path / "checkpoints"):
        path.write_bytes(b"no checkpoint")
    with pytest.raises(LGFAError, match="can be read"):
        trainer(tmp_path).run(resume=True)


def test_another_training_is_not_written_over(tmp_path):
    trainer(tmp_path).run()
    with pytest.raises(LGFAError, match="--resume"):
        trainer(tmp_path).run()


def test_resume_with_other_settings_is_refused(tmp_path):
    trainer(tmp_path, iterations=2).run()
    parts = networks()
    with torch.no_grad():
        parts["generator"].synthesis.const.add_(1)
    cases = [
        (trainer(tmp_path, tau=0.1, batch=5), ("train.tau (was 0.07, is 0.1)", "train.batch")),
        (trainer(tmp_path, {"hidden": 8}), ("motion.hidden",)),
        (trainer(tmp_path, prompts=Prompts(PROMPTS)), ("prompts",)),
        (trainer(tmp_path, source=LatentSource(torch.zeros(3, 6, 16))), ("source",)),
        (scenarios.Trainer(TrainConfig(**{**scenarios.SHORT}), parts["motion"], parts["generator"],
                           SampleSource(parts["generator"], 0.8), Prompts(WORDS), parts["clip"],
                           parts["perceptual"], out=tmp_path), ("networks.generator",)),
    ]
    for one, names in cases:
        with pytest.raises(LGFAError) as error:
            one.run(resume=True)
        assert all(name in str(error.value) for name in names), str(error.value)
    assert trainer(tmp_path, iterations=4, save_every=1, keep=1).run(resume=True).step == 4


PROMPTS = ("one", "two", "three", "four", "five")


class Poisoned(SampleSource):
    """Gives NaN in its fourth batch."""

    drawn = 0

    def draw(self, count, generator, rows=slice(None)) -> Batch:
        self.drawn += 1
        w_inv, image = super().draw(count, generator, rows)
        return Batch(w_inv * (float("nan") if self.drawn == 4 else 1), image)


def test_nan_stops_with_a_sentence_and_keeps_the_checkpoint(tmp_path):
    one = trainer(tmp_path, source=Poisoned(networks()["generator"]))
    with pytest.raises(LGFAError, match="stops at step 4.*no finite number.*step-00000002.pt"):
        one.run()
    found = checkpoints.read_latest(tmp_path / "checkpoints")
    assert found and found[1]["step"] == 2 and len(log_of(tmp_path)) == 3
    assert all(torch.isfinite(value).all() for value in one.motion.state_dict().values())


@pytest.mark.parametrize("change, sentence", [
    ({"iterations": 0}, "iterations"), ({"tau": 0.0}, "tau"), ({"w_reg": float("nan")}, "w_reg"),
    ({"cont_form": "other"}, "cont_form"), ({"augment": ("blur",)}, "augment"),
    ({"batch": 1}, "batch"), ({"lpips_frames": ("middle",)}, "lpips_frames"),
    ({"cont": 0, "lpips": 0, "w_reg": 0, "path_reg": 0}, "nothing to learn"),
])
def test_settings_that_make_no_sense(change, sentence):
    with pytest.raises(LGFAError, match=sentence):
        TrainConfig(**change)


def test_parts_that_do_not_fit():
    with pytest.raises(LGFAError, match="frames"):
        trainer(None, frames=5)
    with pytest.raises(LGFAError, match="identity network"):
        trainer(None, identity=1.0)
    with pytest.raises(LGFAError, match="source of stills makes 8 layers of 16 numbers, but"):
        trainer(None, source=LatentSource(torch.zeros(3, 8, 16)))
    with pytest.raises(LGFAError, match="do not belong together"):
        trainer(None, {"num_layers": 8})
    with pytest.raises(LGFAError, match="different words"):
        trainer(None, batch=7)
    with pytest.raises(LGFAError, match="learning rates are 0"):
        trainer(None, clip_rate=0, motion_rate=0, mapper_rate=0)


# ---- several ranks

def test_two_ranks_train_as_one(elsewhere):
    one = torch.load(elsewhere / "size1" / "rank0of1.pt", weights_only=True)
    two = [torch.load(elsewhere / "size2" / f"rank{rank}of2.pt", weights_only=True)
           for rank in (0, 1)]
    assert two[0]["texts"] + two[1]["texts"] == one["texts"] and len(set(one["texts"])) == 4

    # The gradients, and so the losses of the steps that follow.
    assert equal(two[0]["grads"], two[1]["grads"])
    assert two[0]["grads"].keys() == one["grads"].keys()
    for name, grad in one["grads"].items():
        size = float(grad.abs().max())
        torch.testing.assert_close(two[0]["grads"][name], grad, atol=1e-4 * size, rtol=1e-3)
    for a, b in zip(log_of(elsewhere / "size1"), log_of(elsewhere / "size2"), strict=True):
        assert a == pytest.approx(b, rel=2e-2, abs=1e-4)


def test_all_ranks_end_when_the_first_cannot_begin(elsewhere):
    said = [(elsewhere / "held" / f"rank{rank}.txt").read_text() for rank in (0, 1)]
    assert "another training is at work in" in said[0] and "as the first rank says" in said[1]
    assert not (elsewhere / "held" / "checkpoints").exists()


@pytest.mark.slow
def test_torchrun(tmp_path, repo):
    run_script(repo, "torchrun", tmp_path, launcher=(
        "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(free_port())))
    assert checkpoints.read_latest(tmp_path / "checkpoints")[1]["step"] == 2
    assert (tmp_path / "motion.safetensors").is_file()


# ---- the command

@pytest.fixture
def command(tmp_path):
    """`train` as a function of its arguments, and files of the small networks to name."""
    parts, named = networks(), []
    for kind in ("generator", "clip", "perceptual"):
        formats.save(tmp_path / f"{kind}.safetensors", parts[kind])
        named += [f"--{kind}", str(tmp_path / f"{kind}.safetensors")]
    parser = argparse.ArgumentParser()
    train.add_train_parser(parser.add_subparsers())

    def run(*arguments: str) -> None:
        args = parser.parse_args(["train", *named, "--device", "cpu", "--out",
                                  str(tmp_path / "out"), *arguments])
        args.handler(args)
    return run


def test_command(command, tmp_path, capsys):
    words = tmp_path / "words.txt"
    words.write_text("template: The person is {}\n" + "\n".join(PROMPTS), encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        command("--iterations", "2", "--prompts", str(words), "--offsets", "w")
        command("--iterations", "3", "--prompts", str(words), "--offsets", "w", "--resume")
    said = capsys.readouterr().out
    assert "goes on from step 2" in said and "finished at step 3" in said and "s/step" in said
    motion = formats.load(tmp_path / "out" / "motion.safetensors", "motion")
    assert motion.config.resolution == 16 and motion.encoder is not None


@pytest.mark.parametrize("arguments, sentence", [
    (["--source", "pictures"], "source"), (["--identity", "1"], "identity"),
    (["--source", "folder:x"], "encoder"), (["--prompts", "missing.txt"], "prompt file"),
])
def test_command_refuses(command, arguments, sentence):
    with pytest.raises(LGFAError, match=sentence):
        command("--iterations", "1", *arguments)


def test_a_domain_brings_its_own_settings():
    own = setup.own_training("toon")
    special = setup.special_settings(own.settings())
    own.prompts().check_batch(TrainConfig(**special).batch)
    assert "iterations" not in special and setup.special_settings(None) == {}


def test_help_is_a_page(capsys):
    parser = argparse.ArgumentParser()
    train.add_train_parser(parser.add_subparsers())
    with pytest.raises(SystemExit):
        parser.parse_args(["train", "--help"])
    text = capsys.readouterr().out
    assert "--resume" in text and "torchrun" in text and "template: The person is {}" in text
