"""What a user meets while jobs run: progress, cancel, errors, the cache, seeds, many jobs."""
from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from client import Client, Done, Refused, frames_of
from comfy_server import Server
from graphs import Graph, node_of, one_node, only
from PIL import Image

LANGUAGE, ENCODER = {"LGFA_EncodeText", "LGFA_EncodeImage"}, {"LGFA_InvertFace"}


def pictures(client: Client, done: Done) -> np.ndarray:
    files = [f for f in done.files() if f["filename"].endswith(".png")]
    return np.concatenate([frames_of(client.fetch(f), f["filename"]) for f in files])


# ------------------------------------------------------------------ progress


def test_progress_and_previews(client: Client, api: Callable) -> None:
    prompt = api("chain")
    only(prompt, "LGFA_ChainExpressions")["seed"] = 4711
    render = node_of(prompt, "LGFA_RenderAnimation")
    prompt_id = client.queue(prompt)
    client.wait(prompt_id)
    client.wait_for(lambda m: m.kind == "execution_success"
                    and m.data["prompt_id"] == prompt_id)
    steps = [m.data for m in client.about(prompt_id, "progress") if m.data["node"] == render]
    assert len(steps) >= 4 and all(s["max"] == 32 for s in steps)
    assert [s["value"] for s in steps] == sorted(s["value"] for s in steps)
    assert steps[-1]["value"] == 32
    shown = [Image.open(io.BytesIO(m.image)) for m in client.heard if m.kind == "preview"]
    assert len(shown) >= 4
    assert all(np.asarray(image.convert("L")).std() > 10 for image in shown)


# ------------------------------------------------------------------ cancel


def test_interrupt_while_rendering(client: Client) -> None:
    prompt_id = client.queue(one_node(frames=3000, seed=1))
    client.wait_for(lambda m: m.kind == "preview")
    pressed = time.monotonic()
    client.interrupt()
    done = client.wait(prompt_id)
    assert done.status == "interrupted" and time.monotonic() - pressed < 5
    after = client.run(one_node(frames=2, seed=2))
    assert pictures(client, after).mean() > 0.1


# ------------------------------------------------------------------ errors


def refused(client: Client, prompt: dict[str, Any]) -> str:
    """What node_errors say, before anything runs."""
    with pytest.raises(Refused) as caught:
        client.queue(prompt)
    return caught.value.sentences


def failed(client: Client, prompt: dict[str, Any]) -> str:
    """What execution_error says."""
    done = client.wait(client.queue(prompt))
    assert done.status == "error"
    return done.error


def test_stale_choice(client: Client) -> None:
    said = refused(client, one_node(motion_model="gone.safetensors"))
    assert "there is no motion model 'gone.safetensors' in" in said
    graph = Graph()
    domain = graph.add("LGFA_LoadDomain", domain="faces of 2031 (bundled)")
    face = graph.add("LGFA_SampleFace", generator=domain[0], truncation=0.7, batch_size=1, seed=0)
    graph.add("PreviewImage", images=face[1])
    assert "no bundled domain 'faces of 2031 (bundled)'" in refused(client, graph)


def test_file_that_is_no_model(client: Client, server: Server) -> None:
    folder = server.base / "models" / "lgfa"
    folder.mkdir(exist_ok=True)
    (folder / "broken.safetensors").write_bytes(b"not at all")
    try:
        said = failed(client, one_node(motion_model="broken.safetensors"))
    finally:
        (folder / "broken.safetensors").unlink()
    assert "broken.safetensors" in said and "\n" not in said.strip()


def test_wrong_kind_of_model(client: Client) -> None:
    """A CLIP that the motion model does not understand is named, and what to do."""
    graph = Graph()
    domain = graph.add("LGFA_LoadDomain", domain="toon (bundled)")
    other = graph.add("LGFA_LoadCLIP", model="toon (bundled)")
    face = graph.add("LGFA_SampleFace", generator=domain[0], truncation=0.7, batch_size=1, seed=0)
    text = graph.add("LGFA_EncodeText", clip=other[0], text="smiling", template="The person is {}")
    path = graph.chain(domain, text, face)
    graph.add("PreviewImage", images=graph.render(domain, path)[0])
    assert "connect the CLIP" in failed(client, graph)


@pytest.mark.parametrize("text", ["", "  \n \n"])
def test_empty_text(text: str, client: Client) -> None:
    said = refused(client, one_node(text=text))
    assert "text" in said and "empty" in said


def test_timeline_says_the_line(client: Client, api: Callable) -> None:
    prompt = api("timeline")
    only(prompt, "LGFA_Timeline")["timeline"] = "smiling | 8\nangry | eight | hold -1"
    said = refused(client, prompt)
    assert "line 2" in said and "line 1" not in said


@pytest.mark.parametrize("frames", [0, 10**9, "many"])
def test_absurd_number_of_frames(frames: Any, client: Client) -> None:
    assert "frames" in refused(client, one_node(frames=frames))


def test_more_than_fits_into_memory(client: Client) -> None:
    graph = Graph()
    domain = graph.add("LGFA_LoadDomain", domain="toon (bundled)")
    faces = graph.add("LGFA_SampleFace", generator=domain[0], truncation=0.7, batch_size=64,
                      seed=0)
    text = graph.add("LGFA_EncodeText", clip=domain[2], text="smiling",
                     template="The person is {}")
    path = graph.chain(domain, text, faces, frames=100_000)
    graph.add("PreviewImage", images=graph.render(domain, path)[0])
    began = time.monotonic()
    said = failed(client, graph)
    assert "of memory" in said and "fewer" in said and time.monotonic() - began < 20


# ------------------------------------------------------------------ cache and seeds


def types_of(prompt: dict[str, Any], ids: list[str]) -> set[str]:
    return {prompt[i]["class_type"] for i in ids if i in prompt}


def test_strength_needs_neither_clip_nor_encoder(client: Client, api: Callable) -> None:
    """Workflow 2: of the second run only what follows the strength is executed."""
    prompt = api("invert")
    only(prompt, "LGFA_RecurrentMotion")["seed"] = 11
    client.run(prompt)
    only(prompt, "LGFA_ShapeTrajectory")["strength"] = 0.5
    prompt_id = client.queue(prompt)
    done = client.wait(prompt_id)
    client.wait_for(lambda m: m.kind == "execution_success"
                    and m.data["prompt_id"] == prompt_id)
    ran = types_of(prompt, client.executed(prompt_id))
    assert ran == {"LGFA_ShapeTrajectory", "LGFA_RenderAnimation", "PreviewImage", "SaveVideo"}
    kept = types_of(prompt, list(done.cached))
    assert LANGUAGE | ENCODER | {"LGFA_LoadMotionModel", "LGFA_MotionMapper"} <= kept


def test_strength_inside_the_one_node(client: Client, base: Any) -> None:
    """Animate Face with a picture: the stages that it consists of are cached as well.

    Their ids are of the form parent.position.name; a run of 8 stages shrinks to 2.
    """
    def run(strength: float) -> list[str]:
        graph = Graph()
        picture = graph.add("LGFA_LoadExample", picture="lgfa_toon_face")
        clip = graph.add("LGFA_AnimateFace", image=picture[0], text="angry", frames=4,
                         strength=strength, fps=10.0, truncation=0.7, face_seed=0, seed=5,
                         easing="none", motion_model="toon (bundled)")
        graph.add("PreviewImage", images=clip[0])
        prompt_id = client.queue(graph)
        assert client.wait(prompt_id).status == "success"
        client.wait_for(lambda m: m.kind == "execution_success"
                        and m.data["prompt_id"] == prompt_id)
        return [i for i in client.executed(prompt_id) if i.startswith("2.")]

    client.post("/free", {"unload_models": True, "free_memory": True})
    # The server may free only after the job that follows: so that one is another.
    graph = Graph()
    graph.add("PreviewImage", images=graph.add("EmptyImage", width=16, height=16, batch_size=1,
                                               color=0)[0])
    assert client.wait(client.queue(graph)).status == "success"
    first, second = run(1.0), run(0.6)
    assert len(first) == 8 and len(second) == 2, (first, second)


def test_same_seed_same_frames(client: Client) -> None:
    """Also when everything was forgotten in between."""
    def frames(**inputs: Any) -> np.ndarray:
        client.post("/free", {"unload_models": True, "free_memory": True})
        return pictures(client, client.run(one_node(frames=4, **inputs)))

    one, again = frames(seed=3), frames(seed=3)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, frames(seed=4))
    assert not np.array_equal(one[0], frames(seed=3, face_seed=8)[0])


# ------------------------------------------------------------------ many jobs


def test_two_hundred_jobs(client: Client) -> None:
    """All are answered, those with something wrong too."""
    texts = ("smiling", "angry", "crying")
    queued = [client.queue(one_node(texts[k % 3], frames=2, seed=k // 3)) for k in range(200)]
    done = [client.wait(one, 240) for one in queued]
    assert len({one.prompt_id for one in done}) == 200
    assert all(one.status == "success" and len(one.files()) == 2 for one in done)
