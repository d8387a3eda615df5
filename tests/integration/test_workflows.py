"""Every shipped workflow: its API twin is up to date, it runs, its frames show what they say."""
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from client import Client, Done, frames_of
from comfy_server import ROOT
from graphs import Graph, node_of, only
from test_server import node_ids

from tools.workflow_files import to_api
from tools.workflows import SHEETS, TOON, build

FOLDER = ROOT / "workflows"
# name -> what the attribute network should see in a frame: at its end, or somewhere
LAST = {"animate": "smiling", "invert": "winking", "chain": "laughing"}
SOMEWHERE = {"chain": ("surprised", "laughing"), "timeline": ("surprised", "smiling", "angry")}


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def pictures(client: Client, done: Done, node: str) -> np.ndarray:
    """The PNG previews of a node: [T, H, W, 3]."""
    return np.concatenate([frames_of(client.fetch(file), file["filename"])
                           for file in done.outputs[node]["images"]])


def frames_node(prompt: dict[str, Any]) -> str:
    """The preview of all frames."""
    return next(i for i, node in prompt.items() if node["_meta"]["title"] == "All frames")


@pytest.mark.parametrize("name", list(SHEETS))
def test_files_are_those_of_the_builder(name: str, object_info: dict[str, Any]) -> None:
    """After a change: python tools/workflows.py http://127.0.0.1:8188"""
    workflow, prompt = build(name, object_info)
    stem = SHEETS[name][0]
    assert load(FOLDER / f"{stem}.json") == json.loads(json.dumps(workflow))
    assert load(FOLDER / "api" / f"{name}.json") == json.loads(json.dumps(prompt))
    assert prompt == to_api(workflow, object_info)


def test_no_file_is_left_over() -> None:
    assert {p.stem for p in FOLDER.glob("*.json")} == {stem for stem, _ in SHEETS.values()}
    assert {p.stem for p in (FOLDER / "api").glob("*.json")} == set(SHEETS)


def test_every_node_is_in_a_workflow() -> None:
    used = {node["class_type"] for path in (FOLDER / "api").glob("*.json")
            for node in load(path).values()}
    assert node_ids() <= used


@pytest.mark.parametrize("name", list(SHEETS))
def test_workflow_runs(name: str, client: Client, seen: Callable, api: Callable,
                       object_info: dict[str, Any]) -> None:
    prompt = api(name)
    if name == "train":         # a few steps here; as shipped in test_training.py
        only(prompt, "LGFA_TrainMotionModel").update(iterations=4, name="short")
    done = client.run(prompt, 300)
    outputs = {i for i, node in prompt.items() if object_info[node["class_type"]]["output_node"]}
    # what nodes say stands in the history, too, without pictures
    assert outputs <= set(done.outputs)
    assert all(set(done.outputs[i]) <= {"understood", "notices"}
               for i in set(done.outputs) - outputs)
    frames = pictures(client, done, frames_node(prompt))
    assert len(frames) >= 16 and frames.mean() > 0.1 and frames.std((1, 2, 3)).min() > 0.05
    assert name == "train" or np.abs(frames[-1] - frames[0]).max() > 0.02, "nothing moves"

    saved = [f for f in done.files() if f["filename"].endswith((".mp4", ".webm"))]
    assert saved and all(f["type"] == "output" for f in saved)
    video = frames_of(client.fetch(saved[0]), saved[0]["filename"])
    assert len(video) == len(frames) and np.abs(video - frames).mean() < 0.05

    if name in LAST or name in SOMEWHERE:
        shown = seen(frames)
        assert shown[-1] == LAST.get(name, shown[-1]), shown
        assert set(SOMEWHERE.get(name, ())) <= set(shown), shown


def test_first_frame_is_the_still(client: Client, api: Callable) -> None:
    """Of a made-up face what Sample Face draws, of a picture what Invert Face reconstructs."""
    graph = Graph()
    generator = graph.add("LGFA_LoadGenerator", model=TOON)
    face = graph.add("LGFA_SampleFace", generator=generator[0], truncation=0.7, batch_size=1,
                     seed=7)
    shown = graph.add("PreviewImage", images=face[1])
    still = pictures(client, client.run(graph), shown)
    prompt = api("animate")
    frames = pictures(client, client.run(prompt), frames_node(prompt))
    assert np.abs(frames[0] - still[0]).max() < 2 / 255

    prompt = api("invert")
    done = client.run(prompt)
    kept = pictures(client, done, next(
        i for i, node in prompt.items() if node["_meta"]["title"] == "What will be kept"))
    frames = pictures(client, done, frames_node(prompt))
    assert np.abs(frames[0] - kept[0]).max() < 2 / 255


def test_loop_ends_where_it_began(client: Client, api: Callable) -> None:
    prompt = api("timeline")
    frames = pictures(client, client.run(prompt), frames_node(prompt))
    assert len(frames) == 74
    step = np.abs(frames[1:] - frames[:-1]).mean((1, 2, 3))
    assert np.abs(frames[-1] - frames[0]).mean() <= step.max() * 1.5    # the seam is a step


def test_rest_of_the_photo_stays(client: Client, api: Callable, seen: Callable) -> None:
    """Workflow 5: outside the mask not a pixel changes; inside, the girl on the left laughs."""
    prompt = api("photo")
    aligned = node_of(prompt, "LGFA_AlignFace")
    back = node_of(prompt, "LGFA_PasteFaceBack")
    graph = Graph(prompt)
    photo = graph.add("PreviewImage", images=prompt[aligned]["inputs"]["image"])
    again = graph.add("LGFA_AlignFace", image=[back, 0], **{
        k: v for k, v in prompt[aligned]["inputs"].items() if k != "image"})
    faces = graph.add("PreviewImage", images=again[0])
    done = client.run(graph)
    frames = pictures(client, done, frames_node(prompt))
    before = pictures(client, done, photo)[0]
    mask = pictures(client, done, node_of(prompt, "MaskPreview"))[0].mean(-1) > 0
    assert frames.shape[1:3] == before.shape[:2] and 0.02 < mask.mean() < 0.5
    assert np.abs(frames - before)[:, ~mask].max() < 2 / 255
    assert seen(pictures(client, done, faces))[-1] == "laughing"
