"""Training in the graph: seen, cancelled, resumed, used; and what workflow 6 promises."""
from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from client import Client
from comfy_server import Server
from graphs import Graph, node_of, one_node, only
from PIL import Image
from test_workflows import frames_node, pictures


def training(api: Callable, **settings: Any) -> Graph:
    """Workflow 6 with other settings of the training."""
    prompt = Graph(api("train"))
    only(prompt, "LGFA_TrainMotionModel").update(settings)
    return prompt


def test_interrupt_while_training(client: Client, api: Callable, server: Server) -> None:
    prompt = training(api, name="cancelled", iterations=5000, sample_every=2)
    trainer = node_of(prompt, "LGFA_TrainMotionModel")
    prompt_id = client.queue(prompt)
    client.wait_for(lambda m: m.kind == "progress" and m.data["node"] == trainer
                    and m.data["value"] >= 5, 120)
    client.wait_for(lambda m: m.kind == "preview")
    pressed = time.monotonic()
    client.interrupt()
    done = client.wait(prompt_id)
    assert done.status == "interrupted" and time.monotonic() - pressed < 8
    shown = [np.asarray(Image.open(io.BytesIO(m.image)).convert("L"))
             for m in client.heard if m.kind == "preview"]
    assert all(picture.std() > 10 for picture in shown)
    assert list((server.base / "output" / "lgfa_training" / "cancelled").rglob("*.*"))

    after = client.run(one_node(frames=2, seed=33))         # the next job runs
    assert len(after.files()) == 2

    # the same name goes on from the step at which it was cancelled
    steps = max(m.data["value"] for m in client.about(prompt_id, "progress")
                if m.data["node"] == trainer)
    heard = len(client.heard)
    again = training(api, name="cancelled", iterations=int(steps) + 2)
    client.run(again)
    values = [m.data["value"] for m in client.heard[heard:]
              if m.kind == "progress" and m.data["node"] == trainer]
    assert min(v for v in values if v) >= steps - 1, (steps, values)

    # and its result is in the dropdowns
    choices = client.json("/object_info/LGFA_LoadMotionModel")["LGFA_LoadMotionModel"]
    options = choices["input"]["required"]["model"][1]["options"]
    assert "cancelled.safetensors" in options and options[0] == "toon (bundled)"
    used = client.run(one_node("blue-haired", frames=3, motion_model="cancelled.safetensors"))
    assert len(used.files()) == 3


@pytest.mark.parametrize("settings, said", [
    ({"words": ""}, "word"),
    ({"name": "../outside"}, "name"),
    ({"iterations": 0}, "iterations"),
    ({"template": "no place"}, "{}"),
])
def test_training_is_refused(settings: dict, said: str, client: Client, api: Callable) -> None:
    from client import Refused

    with pytest.raises(Refused) as caught:
        client.queue(training(api, **{"name": "refused", **settings}))
    assert said in caught.value.sentences


@pytest.mark.slow
def test_new_words_are_learnt(client: Client, api: Callable) -> None:
    """Workflow 6 as shipped: the attribute network sees that somebody puts on glasses."""
    import torch

    from lgfa import formats
    from lgfa.toon import parameters

    prompt = api("train")
    done = client.run(prompt, 900)
    frames = pictures(client, done, frames_node(prompt))
    attributes = formats.load("toon", "attributes").eval()
    with torch.no_grad():
        _, seen = attributes(torch.from_numpy(frames).permute(0, 3, 1, 2) * 2 - 1)
    glasses = seen[:, parameters.INDEX["glasses"]]
    assert glasses[0] < 0.3 and glasses[-1] > 0.7, glasses
