"""Truly small networks for the training's tests, and, as a script, trainings in other processes.

The script imports everything once and forks its trainings from there: what a test needs is a new
process, not another ten seconds of imports.
"""
from __future__ import annotations

import copy
import functools
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch

from lgfa.config import ClipConfig, GeneratorConfig, MotionConfig, PerceptualConfig
from lgfa.embed.clip import CLIP
from lgfa.embed.perceptual import Perceptual
from lgfa.errors import LGFAError
from lgfa.frames.stylegan2 import Generator
from lgfa.motion.model import MotionModel
from lgfa.training import claim
from lgfa.training.config import TrainConfig
from lgfa.training.data import SampleSource
from lgfa.training.distributed import Ranks, start, stop
from lgfa.training.prompts import Prompts
from lgfa.training.trainer import Trainer

WORDS = (("smiling", "happy"), "angry", "crying", ("winking", "one eye closed"), "sleepy", "sad")
CLIP_CONFIG = ClipConfig(
    embed_dim=16,
    vision_cfg={"layers": 1, "width": 16, "head_width": 8, "patch_size": 8, "image_size": 16},
    text_cfg={"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1})
STEPS = 9                                   # of the trainings in other processes
SHORT = {"save_every": 2, "sample_every": 0, "iterations": 6}


def networks(**motion: Any) -> dict[str, torch.nn.Module]:
    """motion, generator, clip, perceptual: copies with the same weights at every call."""
    return copy.deepcopy(_built(tuple(motion.items())))


@functools.cache
def _built(motion: tuple[tuple[str, Any], ...]) -> dict[str, torch.nn.Module]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = Generator(GeneratorConfig(16, (8, 8, 8), z_dim=16, w_dim=16, mapping_layers=2))
        clip = CLIP(CLIP_CONFIG)
        settings = {"embed_dim": 16, "num_layers": 6, "w_dim": 16, "hidden": 16,
                    "mapper_hidden": 16, **dict(motion)}
        model = MotionModel(MotionConfig(**settings))
    model.adopt(clip)
    return {"motion": model, "generator": generator, "clip": clip,
            "perceptual": Perceptual(PerceptualConfig(input_size=32))}


def trainer(out: Path | None, motion: dict[str, Any] | None = None, source: Any = None,
            ranks: Ranks | None = None, callbacks: dict[str, Any] | None = None,
            prompts: Prompts | None = None, **settings: Any) -> Trainer:
    """A trainer of the small networks."""
    parts = networks(**(motion or {}))
    return Trainer(TrainConfig(**{**SHORT, **settings}), parts["motion"], parts["generator"],
                   source or SampleSource(parts["generator"], 0.8), prompts or Prompts(WORDS),
                   parts["clip"], parts["perceptual"], out=out, ranks=ranks, **(callbacks or {}))


def forked(job: Any, *args: Any) -> int:
    """Runs job(*args) in a forked process and returns its id at once."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        torch.set_num_threads(1)
        job(*args)
        code = 0
    except BaseException as error:          # a fork must never return into the caller
        print(f"{job.__name__}: {error!r}", file=sys.stderr, flush=True)
    os._exit(code)


def wait(child: int) -> int:
    """The exit status of a fork, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def straight(out: Path, steps: int) -> None:
    trainer(out, iterations=steps, ema_decay=0.9).run()


def go_on(out: Path, steps: int) -> None:
    trainer(out, iterations=steps, ema_decay=0.9).run(resume=True)


def slow(out: Path, steps: int) -> None:
    """Leaves a kill time to hit any part of a step."""
    trainer(out, iterations=steps, ema_decay=0.9, save_every=1, keep=3).run(resume=True)


def shared(out: Path, rank: int, size: int, port: int) -> None:
    """One rank of a training, as torchrun starts it; keeps the first step's gradients."""
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(size), LOCAL_RANK=str(rank),
                      MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    rank_out = out if rank == 0 else None
    here = start("cpu")
    one = trainer(None, ranks=here, batch=4, iterations=1)
    clips = one.draw()
    one._backward(one.objective(clips)["total"])
    grads = {name: p.grad for name, p in one.motion.named_parameters() if p.grad is not None}
    torch.save({"grads": grads, "texts": clips.texts}, out / f"rank{rank}of{size}.pt")
    trainer(rank_out or out, ranks=here, batch=4, iterations=3).run()
    stop()


def kept_out(out: Path, rank: int, size: int, port: int) -> None:
    """One rank of a training whose folder another one holds: all of them end, and say why."""
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(size), LOCAL_RANK=str(rank),
                      MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    try:
        trainer(out, ranks=start("cpu"), batch=4).run()
    except LGFAError as error:
        (out / f"rank{rank}.txt").write_text(str(error))
    stop()


def resume_scenario(out: Path) -> None:
    """All steps at once; some and, in a new process, the rest."""
    codes = [wait(forked(straight, out / "straight", STEPS)),
             wait(forked(straight, out / "parts", 3)),
             wait(forked(go_on, out / "parts", STEPS))]
    assert codes == [0, 0, 0], codes


def kill_scenario(out: Path) -> None:
    """Kills at random moments until all steps are done; every stop leaves readable files."""
    begun = time.monotonic()
    assert wait(forked(slow, out / "timed", STEPS)) == 0
    whole = time.monotonic() - begun            # kills come within a quarter of a whole training
    chance, kills = random.Random(0), 0
    for _ in range(30):
        child = forked(slow, out / "killed", STEPS)
        time.sleep(chance.uniform(0.02, 0.25) * whole)
        os.kill(child, signal.SIGKILL)
        if wait(child) == 0:
            break
        kills += 1
        for path in (out / "killed" / "checkpoints").glob("step-*.pt"):
            torch.load(path, weights_only=True)
    assert wait(forked(slow, out / "killed", STEPS)) == 0
    print(f"kills {kills}")


def ranks_scenario(out: Path, port: int) -> None:
    """One rank and two."""
    for size in (1, 2):
        folder = out / f"size{size}"
        folder.mkdir()
        children = [forked(shared, folder, rank, size, port + size) for rank in range(size)]
        codes = [wait(child) for child in children]
        assert codes == [0] * size, codes
    with claim.alone(out / "held"):
        children = [forked(kept_out, out / "held", rank, 2, port + 3) for rank in range(2)]
        codes = [wait(child) for child in children]
        assert codes == [0, 0], codes


def torchrun_scenario(out: Path) -> None:
    """What each process of a real torchrun runs."""
    try:
        trainer(out, ranks=start("cpu"), batch=4, iterations=2).run()
    finally:
        stop()


if __name__ == "__main__":
    torch.set_num_threads(1)                # no threads, so that a fork is whole
    name, *rest = sys.argv[1:]
    networks()
    folder = Path(rest[0])
    if name == "torchrun":
        torchrun_scenario(folder)
    else:
        resume_scenario(folder)
        kill_scenario(folder)
        ranks_scenario(folder, int(rest[1]))
