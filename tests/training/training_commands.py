"""A script: `train` commands on truly small networks that meet each other, full disks and signals.

It imports everything once and forks each command from there; what they said and how they ended
goes into RESULTS of its folder, on which test_training_faults.py looks.
"""
from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from training_scenarios import networks, wait

from lgfa import formats
from lgfa.cli import entry

RESULTS = "results.json"
STEPS = 6
PATIENCE = 120                              # seconds until a scenario counts as failed


class Commands:
    """Starts `train` with the small networks, and remembers what came of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results: dict[str, list] = {}
        self.files: list[str] = []
        for kind in ("generator", "clip"):
            formats.save(folder / f"{kind}.safetensors", networks()[kind])
            self.files += [f"--{kind}", str(folder / f"{kind}.safetensors")]

    def start(self, name: str, out: Path, *arguments: object, steps: int = STEPS) -> int:
        """A process that trains; gives its id."""
        words = ["train", *self.files, "--device", "cpu", "--lpips", "0", "--sample-every", "0",
                 "--save-every", "2", "--ema-decay", "0.9", "--clip-rate", "0", "--no-visual",
                 "--iterations", str(steps), "--out", str(out), *map(str, arguments)]
        child = os.fork()
        if child:
            return child
        code = 1
        try:
            said = os.open(self.folder / f"{name}.txt", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
            os.dup2(said, 1)
            os.dup2(said, 2)
            torch.set_num_threads(1)
            code = entry.main(words)
        finally:
            os._exit(code)

    def end(self, name: str, child: int) -> int:
        """Waits for a process; its exit code, which goes into the results."""
        code = wait(child)
        self.results[name] = [code, (self.folder / f"{name}.txt").read_text()]
        return code

    def run(self, name: str, out: Path, *arguments: object, steps: int = STEPS) -> int:
        return self.end(name, self.start(name, out, *arguments, steps=steps))


def until(happened: Callable[[], object], child: int = 0) -> None:
    """Waits for it; raises TimeoutError, and ends the child, when it never comes."""
    begun = time.monotonic()
    while not happened():
        if time.monotonic() - begun > PATIENCE:
            if child:
                os.kill(child, signal.SIGKILL)
            raise TimeoutError("nothing happened")
        time.sleep(0.002)


def saved(out: Path, count: int = 1) -> Callable[[], bool]:
    """Whether there have been so many checkpoints."""
    return lambda: (out / "checkpoints").is_dir() and reached(out) >= 2 * count


def writing(out: Path) -> Callable[[], bool]:
    """Whether a checkpoint is being written."""
    return lambda: any((out / "checkpoints").glob(".step-*.tmp.pt"))


def locks(run: Commands, out: Path) -> None:
    """One trains; others come, with and without --resume; it is killed; another goes on."""
    first = run.start("first", out, steps=100_000)
    until(saved(out), first)
    run.run("second", out)
    run.run("second resuming", out, "--resume")
    until(saved(out, 2), first)             # it goes on
    os.kill(first, signal.SIGKILL)
    run.end("first", first)
    run.run("after a kill", out, "--resume", steps=max(reached(out) + 1, STEPS))
    together = [run.start(name, out.with_name("together")) for name in ("one", "other")]
    for name, child in zip(("one", "other"), together, strict=True):
        run.end(name, child)


def reached(out: Path) -> int:
    """The newest checkpoint's step."""
    return max((int(path.stem[5:]) for path in (out / "checkpoints").glob("step-*.pt")), default=0)


def limits(run: Commands, out: Path) -> None:
    """Files may suddenly be no larger than a few bytes, which is how a full disk looks too."""
    child = run.start("limited", out)
    until(saved(out), child)
    resource.prlimit(child, resource.RLIMIT_FSIZE, (100_000, 100_000))
    run.end("limited", child)
    run.run("unlimited", out, "--resume")


def full(run: Commands, disk: Path, whole: Path) -> None:
    """A disk that holds a checkpoint but not the network too, then one that is full earlier."""
    checkpoint = (whole / "checkpoints" / f"step-{STEPS:08d}.pt").stat().st_size
    network = (whole / "motion.safetensors").stat().st_size
    for name, room in (("end", checkpoint + network // 2), ("middle", checkpoint * 3 // 2)):
        out, filler = disk / name, disk / "filler"
        free = shutil.disk_usage(disk).free
        with open(filler, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, free - room)
        run.run(f"full at the {name}", out, *(("--save-every", 0) if name == "end" else ()))
        left = [path.name for path in out.rglob("*") if ".tmp" in path.name]
        run.results[f"left at the {name}"] = [len(left), " ".join(left)]
        filler.unlink()
        run.run(f"room at the {name}", out, "--resume")
        shutil.copytree(out, whole.with_name(name))
        shutil.rmtree(out)


def signals(run: Commands, out: Path) -> None:
    """Each of the three asks for an end; two of them while a checkpoint is written end at once."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        place = out.with_name(name)
        child = run.start(name, place, steps=100_000)
        until(saved(place), child)
        os.kill(child, getattr(signal, name))
        run.end(name, child)
    child = run.start("twice", out, steps=100_000)
    until(saved(out), child)
    until(writing(out), child)
    os.kill(child, signal.SIGINT)
    os.kill(child, signal.SIGTERM)
    run.end("twice", child)
    left = [path.name for path in out.rglob("*") if ".tmp" in path.name]
    run.results["left of it"] = [len(left), " ".join(left)]


def removed(run: Commands, out: Path) -> None:
    """Somebody renames the folder of a training that runs."""
    child = run.start("moved", out, steps=100_000)
    until(saved(out), child)
    out.rename(out.with_name("elsewhere"))
    run.end("moved", child)


def main(folder: Path, disk: str = "") -> None:
    torch.set_num_threads(1)                # no threads, so that a fork is whole
    run = Commands(folder)
    run.run("whole", folder / "whole")
    locks(run, folder / "locked")
    limits(run, folder / "limited")
    signals(run, folder / "twice")
    removed(run, folder / "moved")
    if disk:
        full(run, Path(disk), folder / "whole")
    (folder / RESULTS).write_text(json.dumps(run.results))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
