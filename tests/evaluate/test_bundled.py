"""The bundled weights: their size, that they rebuild, and that they do what they are for.

The full figures come from `python -m lgfa.toon report`; here are quick readings of the same
functions on few faces, with room for chance.
"""
from __future__ import annotations

import pytest
import torch

from lgfa import domains, formats
from lgfa.cli.toon import ORDER
from lgfa.evaluate import bundled
from lgfa.evaluate.toon import REPORT

FOLDER = domains.MODELS / "toon"


@pytest.fixture(scope="module")
def load():
    found = {}

    def get(kind):
        if kind not in found:
            found[kind] = formats.load("toon", kind)
        return found[kind]

    return get


def figures(lines) -> dict[str, float]:
    return {line.what.strip().split(",")[0]: line.value for line in lines}


def test_all_networks_are_there_with_cards_and_small():
    sizes = [(FOLDER / f"{kind}.safetensors").stat().st_size for kind in ORDER]
    assert sum(sizes) <= 48e6
    for kind in ORDER:
        card = (FOLDER / f"{kind}.md").read_text(encoding="utf-8")
        assert "minutes" in card and "eed" in card


def test_attributes_name_expressions(load):
    lines = bundled.attribute_lines(REPORT, load("attributes"), 280)
    assert lines[0].value > 0.95


def test_identity_tells_people_apart(load):
    assert bundled.identity_lines(REPORT, load("identity"), 60)[0].value > 0.98


def test_clip_reads_faces(load):
    found = figures(bundled.clip_lines(REPORT, load("clip"), 280))
    assert found["zero-shot expression"] > 0.9


def test_generator_draws(load):
    found = figures(bundled.generator_lines(REPORT, load("generator"), load("attributes"), 28))
    assert found["dB against the renderer"] > 27
    assert found["both reduced to 128 px by averages"] > 29
    assert found["expression dialled in z is recognised"] > 0.95


def test_encoder_keeps_the_face(load):
    networks = [load(k) for k in ("encoder", "generator", "identity", "attributes")]
    lines = bundled.encoder_lines(REPORT, *networks, n=28)
    assert lines[0].value > 23.5 and lines[1].value > 0.85


def test_sentences_move_the_face(load):
    networks = [load(k) for k in ("motion", "generator", "clip", "attributes", "identity")]
    lines = bundled.motion_lines(REPORT, *networks, people=3, frames=4, details=False)
    found = figures(lines)
    assert found["recognised"] > 0.6
    assert found["identity distance of the last frame / that of two people"] < 0.2


def test_last_frame_shows_what_was_asked_and_the_first_is_the_still():
    import lgfa

    animator = lgfa.Animator.from_pretrained("toon", device="cpu")
    still = animator.sample(11)
    clip = animator.animate(still, "The person is crying", frames=8)
    assert torch.equal(clip.latents[0], still.reshape(clip.latents[0].shape))
    attributes = formats.load("toon", "attributes")
    first, last = (2 * clip.frames[[0, -1]] - 1).permute(0, 3, 1, 2).split(1)
    names = REPORT.world.names
    assert names[int(attributes(first)[0].argmax())] == "neutral"
    assert names[int(attributes(last)[0].argmax())] == "crying"


def test_lengths_end_alike():
    """The default schedule ends a clip of any length where a training clip ends."""
    import lgfa

    animator = lgfa.Animator.from_pretrained("toon", device="cpu")
    still = animator.sample(4)
    short = animator.trajectory(still, "The person is angry", frames=4)
    long = animator.trajectory(still, "The person is angry", frames=40)
    way = (short[-1] - short[0]).norm()
    assert (short[-1] - long[-1]).norm() < 0.25 * way       # three steps against 39
