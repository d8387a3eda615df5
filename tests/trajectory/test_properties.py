"""What holds for every trajectory, of numbers up to 1e30 too, tried by hypothesis."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lgfa.config import EASINGS
from lgfa.errors import LGFAError
from lgfa.formats.latents import load_latents, save_latents
from lgfa.trajectory import wplus
from lgfa.trajectory.timeline import parse, total_frames
from lgfa.trajectory.timing import retime

SIZES = [1.0, float(2**50), float(np.float32(1e30))]     # the last one's square is no float32
EASING = st.sampled_from(EASINGS)
FRAMES = st.integers(1, 40)
properties = settings(derandomize=True, deadline=None, max_examples=60)


@st.composite
def paths(draw, least: int = 1, batch: bool = False):
    """[T, 2, 3], or [2, T, 2, 3]; usual numbers, absurd ones, tiny ones, and frames that rest."""
    frames = draw(st.integers(least, 9))
    size = draw(st.sampled_from(SIZES))
    numbers = st.floats(-size, size, width=32, allow_subnormal=False)
    shape = (2, frames, 2, 3) if batch else (frames, 2, 3)
    path = torch.from_numpy(draw(arrays(np.float32, shape, elements=numbers)))
    if frames > 2 and draw(st.booleans()):
        path[..., 1, :, :] = path[..., 0, :, :]
    return path


def finite(path: torch.Tensor) -> bool:
    return bool(torch.isfinite(path).all())


@properties
@given(paths(), EASING, FRAMES)
def test_timing_keeps_ends_and_length(path, easing, frames):
    out = wplus.ease(path, easing, frames)
    assert len(out) == frames and torch.equal(out[0], path[0])
    if frames > 1:
        assert torch.equal(out[-1], path[-1])
    if easing not in ("overshoot", "anticipate"):       # which leave the path on purpose
        assert finite(out)
        assert bool((out >= path.amin(0)).all()) and bool((out <= path.amax(0)).all())


@properties
@given(paths())
def test_arc_length_never_falls(path):
    arc = wplus.arc_lengths(path)
    assert finite(arc) and arc[0] == 0 and bool((arc.diff() >= 0).all())


@properties
@given(paths(batch=True), EASING, FRAMES)
def test_a_batch_is_its_rows(path, easing, frames):
    together = wplus.ease(path, easing, frames)
    for row, one in zip(together, path, strict=True):
        alone = wplus.ease(one, easing, frames)
        assert torch.equal(row, alone)


@properties
@given(paths(least=2), st.integers(1, 50))
def test_loops_start_at_the_still_and_stay_on_the_path(path, frames):
    out = wplus.loop(path, frames)
    assert len(out) == frames and torch.equal(out[0], path[0]) and finite(out)
    if frames % 2 == 0:
        assert torch.equal(out[frames // 2], path[-1])


@properties
@given(paths())
def test_there_and_back(path):
    assert torch.equal(wplus.reverse(wplus.reverse(path)), path)
    out = wplus.ping_pong(path)
    assert len(out) == max(2 * len(path) - 2, 1)
    assert torch.equal(out[1:], out[1:].flip(0))


@properties
@given(paths(), FRAMES, EASING, st.integers(0, 5), st.sampled_from(["", "loop", "ping_pong"]),
       st.sampled_from([0.0, 0.5, 1.0]))
def test_retime_has_exactly_the_frames_asked(path, frames, easing, hold, back, amount):
    ways = {back: True} if back else {}
    try:
        out = retime(path, frames, amount, easing, hold, **ways)
    except LGFAError:                                   # too few frames, or a loop that rests
        return
    assert len(out) == frames and torch.equal(out[0], path[0])
    if amount == 0:
        assert torch.equal(out, path[:1].expand_as(out))


@properties
@given(paths(), paths(), st.integers(0, 9))
def test_joins_keep_both_ends(a, b, overlap):
    try:
        out = wplus.join(a, b, overlap)
    except LGFAError:
        assert overlap > min(len(a), len(b))
        return
    assert overlap == 0 or len(out) == len(a) + len(b) - overlap
    if overlap == 0:
        assert len(out) in (len(a) + len(b), len(a) + len(b) - 1)
        assert torch.equal(out[0], a[0])


@properties
@given(paths(least=2))
def test_what_came_before_is_gone_at_the_end(path):
    out = wplus.let_go(path, torch.zeros(2, 3))
    assert torch.equal(out[0], path[0]) and finite(out[0])
    scale = max(1.0, float(path.abs().max()))
    assert torch.allclose(out[-1] / scale, (path[-1] - path[0]) / scale, atol=1e-5)


@settings(properties, max_examples=25)
@given(paths())
def test_files_give_back_what_was_stored(tmp_path_factory, path):
    file = tmp_path_factory.mktemp("latents") / "x.safetensors"
    save_latents(file, path, fps=12.5, texts=["a"], seed=2**64 - 1)
    found, info = load_latents(file)
    assert torch.equal(found, path) and info == {"fps": 12.5, "texts": ["a"], "seed": 2**64 - 1}


@properties
@given(st.lists(st.tuples(
    st.text("abc \u00e4\u4e2d", min_size=1, max_size=9).filter(lambda text: text.strip()),
    st.integers(2, 50), EASING, st.integers(-40, 40)), min_size=1, max_size=5))
def test_timelines_say_what_was_written(rows):
    text = "\n".join(f"{words} | {frames} | {easing} | strength {amount / 10}"
                     for words, frames, easing, amount in rows)
    cues = parse(text)
    assert total_frames(cues) == sum(frames for _, frames, _, _ in rows)
    assert [(cue.frames, cue.easing, cue.strength) for cue in cues] == \
        [(frames, easing, amount / 10) for _, frames, easing, amount in rows]


@properties
@given(st.text(max_size=200))
def test_any_text_is_a_timeline_or_one_sentence(text):
    try:
        assert total_frames(parse(text)) >= 1
    except LGFAError as error:
        assert str(error).isprintable() and str(error).endswith(".")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, "1", None])
def test_amounts_that_are_no_numbers(value):
    with pytest.raises(LGFAError, match="finite number"):
        wplus.strength(torch.zeros(2, 2, 3), value)
