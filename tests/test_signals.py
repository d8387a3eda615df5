"""Ctrl-C, SIGTERM and SIGHUP at any moment of a command, as real signals to real processes."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
SMILE = "The person is smiling"

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are sent as on posix systems")


@pytest.fixture(scope="module")
def networks(tiny_files: dict[str, str]) -> list[str]:
    """Arguments that name a set of small networks."""
    return [part for kind in ("generator", "motion")
            for part in (f"--{kind}", tiny_files[kind])] + ["--device", "cpu"]


def start(module: str, *arguments: object, **options: object) -> subprocess.Popen:
    command = [sys.executable, *options.pop("python", ()), "-m", module, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True, **options)


def stop_while_importing(number: str, imports: int, module: str, *arguments: object) -> None:
    """Sends a signal after so many imports (counted from the one after the module that takes the
    signals over) and looks at the end."""
    with start(module, *arguments, python=("-X", "importtime")) as process:
        said, begun, sent = [], 0, False
        for line in process.stderr:
            begun += bool(begun) or "lgfa.signals" in line
            if begun > imports + 1 and not sent:
                process.send_signal(getattr(signal, number))
                sent = True
            if not line.startswith("import time:"):
                said.append(line)
    if sent or process.returncode == 130:           # else it was over before
        assert process.returncode == 130 and said[-1:] == ["stopped.\n"], (number, imports, said)
        assert len(said) == 1, said


def stop_while_writing(
    folder: Path, name: str, numbers: Sequence[str], networks: list[str], **options: object,
) -> subprocess.Popen:
    """Sends signals one by one while a clip is being written."""
    with start("lgfa", "animate", "--sample", 1, "--text", SMILE, "--frames", 30_000, "--chunk", 1,
               "--out", folder / name, "--quiet", *networks, **options) as process:
        until = time.monotonic() + 120
        while not any(_size(p) for p in folder.iterdir() if not p.name.endswith(".lock")):
            assert time.monotonic() < until and process.poll() is None
            time.sleep(0.02)
        for number in numbers:
            process.send_signal(getattr(signal, number))
            time.sleep(0.02)
        process.said = process.communicate(timeout=60)[1]
    return process


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@pytest.mark.parametrize(("number", "imports"), [
    ("SIGINT", 0), ("SIGINT", 5), ("SIGINT", 60), ("SIGTERM", 0), ("SIGHUP", 100),
    ("SIGINT", 600), ("SIGTERM", 900)])
def test_while_libraries_are_imported(number: str, imports: int, tmp_path: Path) -> None:
    stop_while_importing(number, imports, "lgfa", "demo", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("number", "imports"), [("SIGINT", 0), ("SIGTERM", 700)])
def test_the_toon_command_alike(number: str, imports: int, tmp_path: Path) -> None:
    stop_while_importing(number, imports, "lgfa.toon", "look", tmp_path / "a.png")


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("command", ["lgfa", "lgfa.toon"])
def test_twenty_moments_of_the_imports(number: str, command: str, tmp_path: Path) -> None:
    arguments = ["demo", "--out", tmp_path] if command == "lgfa" else ["look", tmp_path / "a.png"]
    for imports in range(0, 2400, 120):
        stop_while_importing(number, imports, command, *arguments)


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_twenty_moments_of_a_command(number: str, tmp_path: Path, networks: list[str]) -> None:
    for moment in range(20):
        out = tmp_path / f"{moment}"
        with start("lgfa", "animate", "--sample", 1, "--text", SMILE, "--frames", 20_000, "--out",
                   out / "a.webp", *networks) as process:
            time.sleep(0.3 + 0.3 * moment)
            process.send_signal(getattr(signal, number))
            said = process.communicate(timeout=60)[1]
        assert process.returncode == 130 and said.splitlines()[-1] == "stopped.", said
        assert "Traceback" not in said and not out.exists()


@pytest.mark.parametrize(("name", "numbers"), [
    ("a.webp", ["SIGTERM"]), ("a.mp4", ["SIGHUP"]), ("frames", ["SIGTERM", "SIGTERM"]),
    ("a.gif", ["SIGINT", "SIGTERM", "SIGHUP"])])
def test_while_a_clip_is_written(
    name: str, numbers: list[str], networks: list[str], tmp_path: Path,
) -> None:
    process = stop_while_writing(tmp_path, name, numbers, networks)
    assert process.returncode == 130 and process.said == "stopped.\n"
    assert not list(tmp_path.iterdir())


def test_a_killed_clips_leftovers_go_with_the_next_run(
    networks: list[str], tmp_path: Path,
) -> None:
    from lgfa.cli.entry import main

    for name in ("a.webp", "frames"):
        assert stop_while_writing(tmp_path, name, ["SIGKILL"], networks).returncode == -9
        assert len(list(tmp_path.iterdir())) == 2
        assert main(["animate", "--sample", "1", "--text", SMILE, "--frames", "2", "--quiet",
                     "--out", str(tmp_path / name), *networks]) == 0
        assert [p.name for p in tmp_path.iterdir()] == [name]
        target = tmp_path / name
        if target.is_dir():
            for frame in target.iterdir():
                frame.unlink()
            target.rmdir()
        else:
            target.unlink()


def test_nohup_stays_in_force(networks: list[str], tmp_path: Path) -> None:
    process = stop_while_writing(
        tmp_path, "a.webp", ["SIGHUP", "SIGHUP", "SIGINT"], networks,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    assert process.returncode == 130 and not list(tmp_path.iterdir())
    with start("lgfa", "--version", python=("-X", "importtime"), preexec_fn=lambda: signal.signal(
            signal.SIGHUP, signal.SIG_IGN)) as process:
        for line in process.stderr:
            if "lgfa" in line:
                process.send_signal(signal.SIGHUP)
    assert process.returncode == 0


HELD = """
import os, signal, sys, time
from lgfa import signals
done = []

class Swallows:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)

def held():
    try:
        with signals.held():
            for _ in range(3):
                os.kill(os.getpid(), signal.SIGTERM)
            done.append("whole")
        done.append("never")
    finally:
        print(*done, flush=True)

def lost():
    Swallows()
    time.sleep(5)

def twice():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    finally:
        os.kill(os.getpid(), signal.SIGINT)
        print("tidied", flush=True)

def asked():
    came = []
    try:
        with signals.asking(came) as stopping:
            before = stopping()
            os.kill(os.getpid(), signal.SIGTERM)
            print(before, stopping(), len(came), flush=True)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
    finally:
        print(signal.getsignal(signal.SIGTERM) is signals._stop, flush=True)

def ends():
    return 3

signals.run(globals()[sys.argv[1]])
"""


@pytest.mark.parametrize(("what", "code", "printed", "said"), [
    ("held", 130, "whole\n", "stopped.\n"), ("lost", 130, "", "stopped.\n"),
    ("twice", 130, "tidied\n", "stopped.\n"), ("ends", 3, "", ""),
    ("asked", 130, "False True 1\nTrue\n", "saving; once more to end at once\nstopped.\n")])
def test_what_a_signal_meets(what: str, code: int, printed: str, said: str) -> None:
    """A block that must not be interrupted, a destructor that swallows the interrupt, the second
    one while the first is obeyed, work that a first one asks to end, and none."""
    done = subprocess.run([sys.executable, "-c", HELD, what], cwd=ROOT, capture_output=True,
                          text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (code, printed, said)


def test_a_program_that_uses_the_library_keeps_its_signals() -> None:
    program = ("import signal; before = [signal.getsignal(n) for n in (2, 15)]; "
               "import lgfa.cli.entry; "
               "assert before == [signal.getsignal(n) for n in (2, 15)]")
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0
