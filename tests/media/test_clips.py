"""Frames to files of every kind, and what happens when that is not possible (media/clips.py)."""
from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from lgfa.errors import LGFAError
from lgfa.media import clips
from lgfa.media.clips import check_target, write

SUFFIXES = (".webp", ".gif", ".png", ".mp4", ".webm", "")


def movie(count: int = 6, height: int = 32, width: int = 48) -> torch.Tensor:
    """[T,H,W,3], 0..1: a soft spot that walks over a coloured ground."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    frames = []
    for i in range(count):
        spot = torch.exp(-((x - 8 - 4 * i) ** 2 + (y - height / 2) ** 2) / 40)
        frames.append(torch.stack([0.2 + 0.8 * spot, 0.6 - 0.3 * spot, x / width], -1))
    return torch.stack(frames).clamp(0, 1)


def read_back(path: Path) -> np.ndarray:
    """[T,H,W,3], 0..1, of any written file."""
    if path.is_dir():
        files = sorted(path.iterdir())
        return np.stack([np.asarray(Image.open(file)) for file in files]) / 255
    if path.suffix in (".mp4", ".webm"):
        with av.open(str(path)) as container:
            return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)]) / 255
    frames = ImageSequence.Iterator(Image.open(path))
    return np.stack([np.asarray(frame.convert("RGB")) for frame in frames]) / 255


def left_over(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("given, suffix", [
    *(("tensor", suffix) for suffix in SUFFIXES), ("chunks", ".webp"), ("frames", ".webp"),
    ("bytes", ".webp"), ("chunks", ".mp4")])
def test_round_trip(tmp_path: Path, suffix: str, given: str) -> None:
    frames = movie()
    ways = {"tensor": frames, "chunks": iter(frames.split(4)), "frames": iter(frames.numpy()),
            "bytes": (frames * 255).round().to(torch.uint8)}
    path = write(tmp_path / f"new/clip{suffix}", ways[given], fps=10)
    back = read_back(path)
    if suffix == ".png":
        back = np.stack(np.split(back[0], 6, axis=1))
    assert back.shape == (6, 32, 48, 3)
    error = np.abs(back - frames.numpy())
    limit = {".webp": .003, ".png": .003, "": .003, ".gif": .03}.get(suffix, .03)
    assert error.mean() < limit, error.mean()
    assert left_over(tmp_path / "new") == [f"clip{suffix}"]


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_video_has_no_tint_and_takes_odd_sizes(tmp_path: Path, suffix: str) -> None:
    frames = torch.tensor([0.8, 0.3, 0.1]).expand(3, 33, 47, 3)
    back = read_back(write(tmp_path / f"odd{suffix}", frames))
    assert back.shape == (3, 34, 48, 3)
    assert np.abs(back - [0.8, 0.3, 0.1]).max() < 0.02
    with av.open(str(tmp_path / f"odd{suffix}")) as container:
        context = container.streams.video[0].codec_context
        assert context.pix_fmt == "yuv420p" and context.colorspace == 1


@pytest.mark.parametrize("suffix", [".webp", ".gif", ".mp4", ".webm"])
@pytest.mark.parametrize("fps", [10, 29.97])
def test_time_is_kept(tmp_path: Path, suffix: str, fps: float) -> None:
    path = write(tmp_path / f"clip{suffix}", movie(30, 16, 16), fps=fps)
    if suffix in (".mp4", ".webm"):
        with av.open(str(path)) as container:
            assert abs(float(container.streams.video[0].average_rate) - fps) < 0.1
        return
    picture = Image.open(path)
    shown = []
    for frame in ImageSequence.Iterator(picture):
        frame.load()                                              # WebP tells it only then
        shown.append(frame.info["duration"])
    assert len(shown) == 30 and abs(sum(shown) - 30000 / fps) <= 10
    assert picture.info["loop"] == 0                              # for ever


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_frame(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"still{suffix}", movie(1)[0])
    assert read_back(path).shape == (1, 32, 48, 3)


def test_large_webp_frames_are_lossy_and_right(tmp_path: Path) -> None:
    frames = movie(2, 300, 400)
    assert np.abs(read_back(write(tmp_path / "a.webp", frames)) - frames.numpy()).mean() < 0.02


@pytest.mark.parametrize("suffix", [".webp", ".gif", ""])
def test_memory_does_not_grow_with_the_number_of_frames(tmp_path: Path, suffix: str) -> None:
    def many(count: int) -> Iterator[torch.Tensor]:
        for i in range(count):
            yield torch.full((64, 64, 3), i / count)

    peaks = []
    for count in (20, 400):
        tracemalloc.start()
        write(tmp_path / f"c{count}{suffix}", many(count), count=count)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 300_000, peaks                   # 380 frames are 4.7 MB


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".webp", ".gif", ".mp4", ".webm", ""])
def test_ten_thousand_frames(tmp_path: Path, suffix: str) -> None:
    frames = (torch.full((16, 16, 3), i / 1e4) for i in range(10_000))
    path = write(tmp_path / f"long{suffix}", frames, count=10_000)
    assert len(read_back(path)) == 10_000


def test_folder_is_replaced_only_if_it_holds_frames(tmp_path: Path) -> None:
    path = tmp_path / "frames"
    write(path, movie(5))
    write(path, movie(3))
    assert left_over(path) == [f"frame_{i:05d}.png" for i in (1, 2, 3)]
    (path / "thesis.txt").write_text("three years of work")
    with pytest.raises(LGFAError, match="thesis.txt"):
        write(path, movie(2))
    assert len(left_over(path)) == 4 and left_over(tmp_path) == ["frames"]
    (tmp_path / "odd.name").mkdir()
    write(tmp_path / "odd.name", movie(2))                        # it is a folder, so frames
    write(f"{tmp_path}/other.name/", movie(2))                    # it shall be one
    assert len(left_over(tmp_path / "other.name")) == 2


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failure_leaves_the_old_and_nothing_new(tmp_path: Path, suffix: str) -> None:
    def breaks() -> Iterator[torch.Tensor]:
        yield movie(1)[0]
        raise RuntimeError("rendering failed")

    path = write(tmp_path / f"clip{suffix}", movie(4))
    before = read_back(path)
    with pytest.raises(RuntimeError, match="rendering failed"):
        write(path, breaks())
    with pytest.raises(KeyboardInterrupt):
        write(path, iter(_interrupted()))
    assert np.array_equal(read_back(path), before) and left_over(tmp_path) == [path.name]


def _interrupted() -> Iterator[torch.Tensor]:
    yield movie(1)[0]
    raise KeyboardInterrupt


def test_a_disk_that_fills_up(tmp_path: Path) -> None:
    """A real limit of the system on the size of files stands for the full disk."""
    pytest.importorskip("resource")
    program = f"""
import resource, torch
from lgfa.media.clips import write
from lgfa.errors import LGFAError
frames = torch.rand(8, 64, 64, 3)
resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
for suffix in {SUFFIXES!r}:
    try:
        write({str(tmp_path)!r} + "/clip" + suffix, frames)
    except LGFAError as error:
        print("said:", error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    said = done.stdout.splitlines()
    assert len(said) == len(SUFFIXES) and done.stdout.count("said: ") == len(SUFFIXES), done
    assert all("clip" + suffix in line for suffix, line in zip(SUFFIXES, said, strict=True))
    assert not left_over(tmp_path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_room_said_by_the_system(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(clips._WRITERS, suffix, full)
    with pytest.raises(LGFAError) as caught:
        write(tmp_path / f"clip{suffix}", movie(2))
    assert "full" in str(caught.value) and not left_over(tmp_path)


@pytest.mark.parametrize("suffix", [".webm", ".mp4"])
@pytest.mark.parametrize("room", [0, 1, 300, 1500])
def test_video_on_a_full_disk_is_one_sentence(tmp_path: Path, suffix: str, room: int) -> None:
    """PyAV prints what a file raises, so nothing may be raised there."""
    pytest.importorskip("resource")
    program = f"""
import resource, torch
from lgfa.media.clips import write
from lgfa.errors import LGFAError
resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))
try:
    write({str(tmp_path)!r} + "/clip{suffix}", torch.rand(20, 64, 64, 3))
except LGFAError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.startswith("cannot write ") and done.stdout.count("\n") == 1, done
    assert not done.stderr and not left_over(tmp_path)


def sentence(*args: object, **options: object) -> str:
    with pytest.raises(LGFAError) as caught:
        write(*args, **options)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".") and len(text) < 400
    return text


def test_bad_targets_are_one_sentence(tmp_path: Path) -> None:
    frames = movie(2)
    assert ".webp" in sentence(tmp_path / "clip.avi", frames)
    (tmp_path / "file").write_text("not a folder")
    assert "not a folder" in sentence(tmp_path / "file/clip.webp", frames)
    said = sentence(tmp_path / "file", frames)                    # a file where frames shall go
    assert "is a file" in said and ".webp" in said
    assert sentence("/proc/none/clip.webp", frames) if os.path.isdir("/proc") else True
    (tmp_path / "taken.webp").mkdir()
    (tmp_path / "taken.webp/x").write_text("")
    assert "taken.webp" in sentence(tmp_path / "taken.webp", frames)
    assert sentence(tmp_path / ("n" * 300 + ".gif"), frames)
    assert (tmp_path / "file").read_text() == "not a folder"
    assert left_over(tmp_path) == ["file", "taken.webp"]


def test_what_is_in_the_way_is_told_before_a_frame_is_drawn(tmp_path: Path) -> None:
    def never() -> Iterator[torch.Tensor]:
        raise AssertionError("a frame was drawn")
        yield

    (tmp_path / "file").write_text("x")
    (tmp_path / "to_file").symlink_to(tmp_path / "file")
    (tmp_path / "nowhere").symlink_to(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe.webp")
    (tmp_path / "pipe.mp4").symlink_to(tmp_path / "pipe.webp")
    (tmp_path / "loop.gif").symlink_to(tmp_path / "loop.gif")
    before = left_over(tmp_path)
    for name in (*before, "/dev/null", "/dev/stdout"):
        assert sentence(tmp_path / name, never())
    assert left_over(tmp_path) == before and (tmp_path / "file").read_text() == "x"


def test_links_stay_and_what_they_mean_is_replaced(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "a.webp").symlink_to(real / "b.webp")
    (real / "f").mkdir()
    (tmp_path / "frames").symlink_to(real / "f")
    for name in ("a.webp", "frames"):
        write(tmp_path / name, movie(2))
        write(tmp_path / name, movie(3))
        assert (tmp_path / name).is_symlink() and len(read_back(tmp_path / name)) == 3
    assert left_over(real) == ["b.webp", "f"]
    assert left_over(tmp_path) == ["a.webp", "frames", "real"]


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), 1e6, "ten", 10**400, True, None,
                                 pytest.param(10**5000, id="many digits")])
def test_bad_rates_are_refused(tmp_path: Path, fps: object) -> None:
    assert "frames a second" in sentence(tmp_path / "a.webp", movie(2), fps=fps)


def test_other_limits(tmp_path: Path) -> None:
    assert "GIF" in sentence(tmp_path / "a.gif", movie(2), fps=60)
    assert "strip" in sentence(tmp_path / "a.png", (movie(1)[0] for _ in range(10)), count=10_000)
    assert "no frame" in sentence(tmp_path / "a.webp", [])
    assert "no frame" in sentence(tmp_path / "a.webp", movie(2)[:0])
    assert "one size" in sentence(tmp_path / "a.webp", [movie(1)[0], movie(1, 16)[0]])
    assert "must be" in sentence(tmp_path / "a.webp", torch.zeros(2, 3, 8, 8))
    assert "NaN" in sentence(tmp_path / "a.webp", torch.full((1, 16, 16, 3), float("nan")))
    assert sentence(tmp_path / "new/deep/a.webp", [])
    assert not left_over(tmp_path)                                # no empty folder either
    with pytest.raises(LGFAError, match="file name"):
        check_target("")
