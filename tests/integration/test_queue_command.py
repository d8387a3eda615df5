"""`python -m lgfa queue` against the real server: results, failing rows, killed and resumed."""
from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from client import Client, frames_of
from comfy_server import ROOT, Server
from graphs import Graph

EXAMPLE = ROOT / "workflows" / "examples" / "lgfa_toon_face.png"


def write_table(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def command(server: Server, workflow: Path, jobs: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "lgfa", "queue", "--server", server.url, "--workflow",
            str(workflow), "--jobs", str(jobs), "--out", str(out), "--poll", "0.2", *more]


def run(*arguments: Any) -> subprocess.CompletedProcess:
    return subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True,
                          timeout=240)


def prompts(client: Client) -> dict[str, Any]:
    return client.json("/history")


def test_killed_half_way_and_resumed(server: Server, client: Client, tmp_path: Path) -> None:
    rows = [{"name": f"row{k:02}", "text": "smiling", "frames": 40, "seed": 900 + k}
            for k in range(16)]
    jobs = write_table(tmp_path / "jobs.csv", rows)
    arguments = (server, ROOT / "workflows" / "api" / "animate.json", jobs, tmp_path / "out")
    before = set(prompts(client))
    first = subprocess.Popen(command(*arguments), cwd=ROOT, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True)
    try:
        deadline = time.monotonic() + 120
        while len(list((tmp_path / "out").glob("row*.mp4"))) < 4 and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        first.kill()
        first.wait()
    finished = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("row*.mp4")}
    assert 4 <= len(finished) < 16, first.stdout.read()

    second = run(*arguments)
    assert second.returncode == 0, second.stdout + second.stderr
    files = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("row*.mp4")}
    assert sorted(files) == [f"row{k:02}.mp4" for k in range(16)]
    kept = [name for name, at in finished.items() if files[name] == at]
    assert len(kept) >= len(finished) - 1       # one may have been written when the kill came
    assert len(set(prompts(client)) - before) == 16, "a row ran twice"
    for name in ("row00.mp4", "row15.mp4"):
        video = frames_of((tmp_path / "out" / name).read_bytes(), name)
        assert video.shape[0] == 40 and video.mean() > 0.1

    third = run(*arguments)
    assert third.returncode == 0 and len(set(prompts(client)) - before) == 16


def test_failed_rows_are_reported(server: Server, tmp_path: Path, client: Client) -> None:
    """A file that is a network of another kind fails while it runs; the other rows go on."""
    folder = server.base / "models" / "lgfa"
    folder.mkdir(exist_ok=True)
    shutil.copy(ROOT / "models" / "toon" / "encoder.safetensors", folder / "other.safetensors")
    rows = [{"name": name, "text": "angry", "frames": 2, "motion_model": model}
            for name, model in (("one", ""), ("two", "other.safetensors"), ("three", ""))]
    jobs = write_table(tmp_path / "jobs.csv", rows)
    try:
        done = run(server, ROOT / "workflows" / "api" / "animate.json", jobs, tmp_path / "out")
    finally:
        (folder / "other.safetensors").unlink()
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "two: FAILED" in said and "other.safetensors" in said
    assert {p.name for p in (tmp_path / "out").glob("*.mp4")} == {"one.mp4", "three.mp4"}


def test_a_row_that_takes_too_long_is_interrupted(server: Server, client: Client,
                                                  tmp_path: Path) -> None:
    """The server stops at it at once, and the rows behind it run."""
    rows = [{"name": name, "text": "angry", "frames": frames, "seed": 77}
            for name, frames in (("one", 2), ("endless", 2_500), ("three", 2))]
    jobs = write_table(tmp_path / "jobs.csv", rows)
    before = set(prompts(client))
    done = run(server, ROOT / "workflows" / "api" / "animate.json", jobs, tmp_path / "out",
               "--row-timeout", "5")
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "endless: FAILED: it ran for more than 5 s (--row-timeout).\n" in said
    assert {p.name for p in (tmp_path / "out").glob("*.mp4")} == {"one.mp4", "three.mp4"}
    ends = [entry["status"]["messages"][-1][0] for key, entry in prompts(client).items()
            if key not in before]
    assert sorted(ends) == ["execution_interrupted", "execution_success", "execution_success"]


def test_pictures_of_ones_own(server: Server, tmp_path: Path, seen: Callable) -> None:
    """A column of images: each is uploaded, animated, and fetched under its row's name."""
    graph = Graph()
    picture = graph.add("LoadImage", image="example.png")
    clip = graph.add("LGFA_AnimateFace", image=picture[0], text="smiling", frames=6, strength=1.0,
                     fps=10.0, truncation=0.7, face_seed=0, seed=0, easing="none",
                     motion_model="toon (bundled)")
    graph.add("SaveImage", images=clip[0], filename_prefix="queue")
    workflow = tmp_path / "mine.json"
    workflow.write_text(json.dumps(graph), encoding="utf-8")
    shutil.copy(EXAMPLE, tmp_path / "anna.png")
    rows = [{"name": "glad", "image": "anna.png", "text": "smiling"},
            {"name": "cross", "image": "anna.png", "text": "angry"}]
    done = run(server, workflow, write_table(tmp_path / "jobs.csv", rows), tmp_path / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    for name, expected in (("glad", "smiling"), ("cross", "angry")):
        files = sorted((tmp_path / "out").glob(f"{name}*.png"))
        assert len(files) == 6
        frames = np.concatenate([frames_of(f.read_bytes(), f.name) for f in files])
        last = seen(frames)
        assert expected in last and last.count(expected) >= 2, last
