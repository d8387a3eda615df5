"""The command line: what it writes, and what it says when it cannot (lgfa/cli*.py)."""
from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from lgfa.cli import entry
from lgfa.formats.latents import load_latents
from lgfa.formats.safetensors_io import write_tensors

SMILE = "The person is smiling"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def networks(tiny_files: dict[str, str]) -> list[str]:
    """Arguments that name a set of small networks."""
    return [part for kind in ("generator", "encoder", "motion")
            for part in (f"--{kind}", tiny_files[kind])] + ["--device", "cpu"]


@pytest.fixture
def face(tmp_path: Path) -> str:
    y, x = np.mgrid[0:40, 0:48]
    picture = np.stack([x * 5, y * 6, x + y], 2).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "face.png")
    return str(tmp_path / "face.png")


def run(*arguments: object) -> int:
    """Exit code of `python -m lgfa ARGUMENTS`, in this process."""
    try:
        return entry.main([str(argument) for argument in arguments])
    except SystemExit as end:               # argparse's way
        return int(end.code or 0)


def refused(capsys: pytest.CaptureFixture, *arguments: object) -> str:
    """The one sentence that a command says before it ends with 2."""
    capsys.readouterr()
    assert run(*arguments) == 2
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == 1 and "Traceback" not in said.err and not said.out, said
    return lines[0]


def test_image_to_every_format(networks: list[str], face: str, tmp_path: Path) -> None:
    for suffix in (".webp", ".gif", ".png", ".mp4", ".webm", ""):
        out = tmp_path / f"out/clip{suffix}"
        assert run("animate", "--image", face, "--text", SMILE, "--frames", 3, "--out", out,
                   *networks) == 0
        assert out.exists()
    assert len(list((tmp_path / "out/clip").iterdir())) == 3
    assert Image.open(tmp_path / "out/clip.png").size == (3 * 16, 16)
    assert len(list(ImageSequence.Iterator(Image.open(tmp_path / "out/clip.webp")))) == 3
    assert len(list((tmp_path / "out").iterdir())) == 6


def test_sample_chain_and_stored_latents(
    networks: list[str], tmp_path: Path, capsys: pytest.CaptureFixture,
) -> None:
    stored, again = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    assert run("animate", "--sample", 7, "--text", SMILE, "--text", "crying", "--frames", 9,
               "--fps", 12, "--out", tmp_path / "a.webp", "--save-latents", stored,
               *networks) == 0
    said = capsys.readouterr().out
    assert "9 frames of 16 px" in said and "a.webp" in said and "a.safetensors" in said
    latents, info = load_latents(stored)
    assert latents.shape == (9, 6, 24) and info["texts"] == [SMILE, "crying"]

    # rendered again, nothing but a generator is needed, and the pictures are the same
    generator = networks[:2]
    assert run("animate", "--latents", stored, "--out", tmp_path / "b.webp", *generator,
               "--quiet") == 0
    assert (tmp_path / "b.webp").read_bytes() == (tmp_path / "a.webp").read_bytes()
    assert run("animate", "--latents", stored, "--frames", 20, "--ping-pong", "--hold", 2,
               "--strength", 0.5, "--out", tmp_path / "c", *generator) == 0
    assert len(list((tmp_path / "c").iterdir())) == 20

    # going on from the last frame
    assert run("animate", "--latents", stored, "--text", "angry", "--frames", 4, "--out",
               tmp_path / "d.gif", "--save-latents", again, *networks) == 0
    more, info = load_latents(again)
    assert torch.equal(more[0], latents[-1]) and info["texts"] == [SMILE, "crying", "angry"]


@pytest.mark.parametrize("frames", [1, 2])
def test_few_frames(networks: list[str], tmp_path: Path, frames: int) -> None:
    out = tmp_path / "clip"
    assert run("animate", "--sample", 1, "--text", SMILE, "--frames", frames, "--out", out,
               *networks) == 0
    assert len(list(out.iterdir())) == frames


def test_quiet_says_nothing(
    networks: list[str], tmp_path: Path, capsys: pytest.CaptureFixture,
) -> None:
    assert run("animate", "--sample", 1, "--text", SMILE, "--frames", 1, "--out",
               tmp_path / "a.png", "--quiet", *networks) == 0
    assert capsys.readouterr() == ("", "")


def test_bad_requests_are_one_sentence(
    networks: list[str], face: str, tmp_path: Path, capsys: pytest.CaptureFixture,
) -> None:
    out = tmp_path / "new" / "clip.webp"

    def say(*arguments: object, still: tuple = ("--sample", 1), text: tuple = ("--text", SMILE),
            out: Path = out) -> str:
        return refused(capsys, "animate", *still, *text, "--out", out, *networks, *arguments)

    for frames in (0, -1, "many", 10**9):
        assert "frame" in say("--frames", frames)
    assert "strength" in say("--strength", "nan") and "strength" in say("--strength", "inf")
    assert "frames a second" in say("--fps", 0) and "frames a second" in say("--fps", "nan")
    assert "chunk" in say("--chunk", 0)
    assert "easing" in say("--easing", "bouncy")
    assert "at least" in say("--hold", 30)
    assert "--ping-pong" in say("--loop", "--ping-pong")
    assert "text is empty" in say(text=("--text", " "))
    assert "--text" in say(text=())
    assert "--image" in say(still=())
    assert "--sample" in say(still=("--sample", 1, "--image", face))
    assert "device" in say("--device", "quantum")
    assert ".avi" in say(out=tmp_path / "new" / "clip.avi")
    assert "not a folder" in say(out=Path(face) / "clip.webp")
    assert "safetensors" in say("--save-latents", tmp_path / "new" / "latents.npz")
    assert "strip" in say("--frames", 5000, out=tmp_path / "new" / "clip.png")

    for seed in (-1, 2**64, "1.5", "9" * 5000):
        assert "from 0 to 2^64 - 1" in say("--seed", seed)
        assert "from 0 to 2^64 - 1" in say(still=("--sample", seed))
        assert "from 0 to 2^64 - 1" in refused(capsys, "demo", "--seed", seed, "--out", out)
    for text in ("\u200b", "\ufe0f\u0301", "\u2800\u3164", "\ufeff \u2060", "\x01"):
        assert "text is empty" in say(text=("--text", text))
    assert "UTF-8" in say(text=("--text", "smil\udcff"))
    assert "truncation" in say("--truncation", "nan") and "strength" in say("--strength", "1e400")
    assert "hold" in say("--hold", 10**30) and "frames" in say("--frames", 10**12)
    assert len(say("--frames", "9" * 5000)) < 600

    (tmp_path / "text.png").write_text("this is a text, renamed")
    (tmp_path / "empty.png").write_bytes(b"")
    for name in ("text.png", "empty.png", "missing.png", ""):
        assert str(tmp_path / name) in say(still=("--image", tmp_path / name))
    assert not (tmp_path / "new").exists()


def test_bad_networks_are_one_sentence(
    networks: list[str], tiny_files: dict[str, str], face: str, tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    (tmp_path / "text.pt").write_text("this is a text, renamed")
    whole = Path(tiny_files["motion"]).read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:len(whole) // 2])
    out = tmp_path / "new" / "clip.webp"

    def say(kind: str, file: object) -> str:
        return refused(capsys, "animate", "--image", face, "--text", SMILE, "--out", out,
                       *networks, f"--{kind}", file)

    for kind in ("generator", "encoder", "motion"):
        for file in ("text.pt", "cut.safetensors", "missing.pt", "."):
            assert say(kind, tmp_path / file).startswith("error: ")
        other = "generator" if kind == "motion" else "motion"
        assert tiny_files[other] in say(kind, tiny_files[other])
    said = refused(capsys, "animate", "--image", face, "--text", SMILE, "--out", out,
                   "--generator", tiny_files["generator"])
    assert "--encoder" in said and "--motion" in said
    assert "puppets" in refused(capsys, "animate", "--sample", 1, "--text", SMILE, "--out", out,
                                "--domain", "puppets")
    assert not out.parent.exists()


@pytest.mark.parametrize("text", [
    "la personne sourit", "\u5979\u5728\u5fae\u7b11", "\U0001f600", "a {} \\ % \" ' text"])
def test_any_script_is_read(networks: list[str], tmp_path: Path, text: str) -> None:
    assert run("animate", "--sample", 1, "--text", text, "--frames", 2, "--out",
               tmp_path / "a.webp", *networks) == 0


def test_a_long_text_says_where_it_is_cut(
    networks: list[str], tmp_path: Path, capsys: pytest.CaptureFixture,
) -> None:
    assert run("animate", "--sample", 1, "--text", "The person is very " + "very " * 90 + "sad",
               "--frames", 2, "--out", tmp_path / "a.webp", *networks) == 0
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("warning: ") and "cut" in said


def test_commands_have_pages_and_versions(capsys: pytest.CaptureFixture) -> None:
    assert run("--version") == 0 and "0.1.0" in capsys.readouterr().out
    for command in ("animate", "demo", "train", "inspect", "convert", "models"):
        assert run(command, "--help") == 0
        page = capsys.readouterr().out
        assert command in page and len(page) > 200
    assert "COMMAND" in refused(capsys)
    assert "dance" in refused(capsys, "dance")


def test_unexpected_system_errors_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture,
) -> None:
    for error, words in (
        (PermissionError(13, "Permission denied", "/srv/x"), "/srv/x: Permission denied"),
        (OSError(28, "No space left on device"), "No space left"),
        (MemoryError(), "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "not enough memory"),
    ):
        def fail(_: object, error: BaseException = error) -> None:
            raise error

        monkeypatch.setattr("lgfa.cli.animate.demo", fail)
        assert words in refused(capsys, "demo", "--out", tmp_path / "demo")
    monkeypatch.setattr("lgfa.cli.animate.demo", lambda _: (_ for _ in ()).throw(TypeError("bug")))
    with pytest.raises(TypeError):                              # a bug keeps its traceback
        run("demo", "--out", tmp_path / "demo")


@pytest.mark.parametrize("fps", ["9" * 400, "NaN", "-5", "0", '"12"', "[1]", "true", "1e999", "{}"])
def test_a_strange_rate_beside_latents_is_as_good_as_none(
    networks: list[str], tmp_path: Path, fps: str, capsys: pytest.CaptureFixture,
) -> None:
    stored = tmp_path / "a.safetensors"
    write_tensors(stored, {"latents": torch.zeros(3, 6, 24)},
                  {"lgfa_clip": '{"texts": [7], "fps": ' + fps + "}"})
    assert run("animate", "--latents", stored, "--out", tmp_path / "a.webp", *networks[:2]) == 0
    assert "0.3 s" in capsys.readouterr().out               # 10 frames a second


@pytest.mark.parametrize("motion", [
    ("--easing", "linear"), ("--loop",), ("--ping-pong", "--hold", 1, "--frames", 9),
    ("--strength", 1e9), ("--easing", "overshoot")])
@pytest.mark.parametrize("size", [1e30, 3e38])
def test_absurd_latents_are_drawn_or_refused(
    networks: list[str], tmp_path: Path, size: float, motion: tuple,
    capsys: pytest.CaptureFixture,
) -> None:
    stored, out = tmp_path / "a.safetensors", tmp_path / "a.webp"
    numbers = torch.rand(4, 6, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1
    write_tensors(stored, {"latents": numbers * size}, {})
    code = run("animate", "--latents", stored, *motion, "--out", out, *networks[:2])
    said = capsys.readouterr()
    assert code == (0 if out.exists() else 2)
    assert code == 0 or said.err.count("\n") == 1 and "NaN" in said.err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs the device that is always full")
def test_output_that_cannot_be_written_is_one_sentence() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "lgfa", "models"], cwd=ROOT, text=True,
                              stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2 and done.stderr == "error: No space left on device.\n"


def _size(path: Path) -> int:
    """0 for a file that is gone by now: a probe of the folder's rights is short-lived."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def test_interrupt_ends_with_130_and_leaves_nothing(
    networks: list[str], tmp_path: Path,
) -> None:
    if os.name != "posix":
        pytest.skip("signals are sent as on posix systems")
    out = tmp_path / "new" / "clip.webp"
    command = [sys.executable, "-m", "lgfa", "animate", "--sample", "1", "--text", SMILE,
               "--frames", "30000", "--chunk", "1", "--out", str(out), *networks]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 120
        while not (out.parent.exists() and any(_size(p) for p in out.parent.iterdir())):
            assert time.monotonic() < until and process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert said.strip().splitlines()[-1] == "stopped."
    assert not out.parent.exists() or not list(out.parent.iterdir())


def test_import_is_cheap() -> None:
    """`import lgfa` loads no heavy library; its time is printed, not judged: machines differ."""
    program = """
import sys, time
import torch
start = time.perf_counter()
import lgfa
print(time.perf_counter() - start)
print(*[name for name in ("open_clip", "lpips", "PIL", "av", "torchvision", "timm", "comfy")
        if name in sys.modules])
lgfa.Animator
print(*[name for name in ("open_clip", "lpips", "av", "torchvision") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    seconds, heavy, later = done.stdout.splitlines()
    print(f"import lgfa: {float(seconds):.3f} s beyond torch")
    assert heavy == "" and later == "", done
    assert float(seconds) < 2


def test_import_does_not_even_need_torch() -> None:
    program = "import sys, lgfa.cli.entry as c; c.build_parser(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done


def test_the_readme_names_what_exists() -> None:
    """Names and options that the README uses are there."""
    import importlib.util

    import lgfa

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in set(re.findall(r"\blgfa\.([A-Za-z_]+)", text)) - {"toon"}:
        assert hasattr(lgfa, name) or importlib.util.find_spec(f"lgfa.{name}"), name
    parser = entry.build_parser()
    commands = next(a.choices for a in parser._actions if a.dest == "command")
    lines = text.replace("\\\n", " ").splitlines()
    used = [line.split("#")[0] for line in lines if re.match(r"\s*python -m lgfa \w", line)]
    assert len(used) >= 5
    for line in used:
        command, *rest = line.split("python -m lgfa", 1)[1].split()
        known = commands[command]._option_string_actions
        for option in (word for word in rest if word.startswith("--")):
            assert option in known, (command, option)


def test_sources_can_be_encoded_anywhere() -> None:
    """ComfyUI's test suite reads every file as cp1252."""
    for path in [*ROOT.glob("lgfa/**/*.py"), *ROOT.glob("tests/**/*.py"), ROOT / "README.md"]:
        path.read_text(encoding="utf-8").encode("cp1252")
