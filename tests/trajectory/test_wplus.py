"""Operations on trajectories against known answers: ends, counts, seams, loops, refusals."""
from __future__ import annotations

import math

import pytest
import torch

from lgfa.config import EASINGS
from lgfa.errors import LGFAError
from lgfa.trajectory import chain, wplus


@pytest.fixture
def path() -> torch.Tensor:
    """Eight frames that bend and change speed [8, 4, 6]."""
    torch.manual_seed(0)
    return torch.randn(8, 4, 6).cumsum(0)


@pytest.fixture
def line() -> torch.Tensor:
    """0, 1, 4, 9, 16: a straight line at growing speed [5, 1, 1]."""
    return (torch.arange(5.0) ** 2).reshape(5, 1, 1)


def numbers(path: torch.Tensor) -> list[float]:
    return [round(float(x), 5) for x in path.flatten()]


# ---- strength, blend, mix

def test_strength(path, line):
    assert torch.equal(wplus.strength(path, 0), path[:1].expand_as(path))
    assert torch.equal(wplus.strength(path, 1), path)
    assert numbers(wplus.strength(line + 1, 2)) == [1, 3, 9, 19, 33]
    assert numbers(wplus.strength(line + 1, -1)) == [1, 0, -3, -8, -15]
    batch = torch.stack([path, 2 * path])
    assert torch.equal(wplus.strength(batch, 0.5)[1], wplus.strength(2 * path, 0.5))


def test_blend(path):
    other = path.flip(1)
    assert torch.equal(wplus.blend(path, other, 0), path)
    assert torch.equal(wplus.blend(path, other, 1.0), other)
    torch.testing.assert_close(wplus.blend(path, other, 0.25), 0.75 * path + 0.25 * other)
    fade = wplus.blend(path, other, torch.linspace(0, 1, 8))
    assert torch.equal(fade[0], path[0]) and torch.equal(fade[-1], other[-1])
    assert wplus.blend(path, other[:5], 0.5).shape == path.shape
    assert wplus.blend(torch.stack([path] * 2), torch.stack([other] * 2), 0.5).shape[0] == 2


def test_mix(line):
    mixed = wplus.mix([line + 3, 2 * line + 7], [1, 0.5])
    assert numbers(mixed) == [3 + 2 * x for x in numbers(line)]
    assert numbers(wplus.mix([line + 3], [0])) == [3.0] * 5


# ---- timing

@pytest.mark.parametrize("frames", [1, 2, 3, 8, 17, 10_000])
def test_resample(path, frames):
    out = wplus.resample(path, frames)
    assert out.shape == (frames, 4, 6)
    assert torch.equal(out[0], path[0])
    assert frames == 1 or torch.equal(out[-1], path[-1])


def test_resample_values(line):
    assert numbers(wplus.resample(line, 9)) == [0, 0.5, 1, 2.5, 4, 6.5, 9, 12.5, 16]
    assert numbers(wplus.resample(line[:1], 3)) == [0, 0, 0]


def test_resampling_back_is_exact(path):
    assert torch.equal(wplus.resample(wplus.resample(path, 15), 8), path)


@pytest.mark.parametrize("name", EASINGS)
@pytest.mark.parametrize("frames", [1, 2, 7, 8, 33])
def test_easings_keep_the_ends(path, name, frames):
    for given in (path, torch.stack([path, path.flip(2) * 3])):
        out = wplus.ease(given, name, frames)
        assert out.shape[-3] == frames and bool(out.isfinite().all())
        assert torch.equal(out[..., 0, :, :], given[..., 0, :, :])
        assert frames == 1 or torch.equal(out[..., -1, :, :], given[..., -1, :, :])


def test_easing_goes_by_arc(line):
    assert numbers(wplus.ease(line, "linear")) == [0, 4, 8, 12, 16]
    assert numbers(wplus.ease(line, "ease-in")) == [0, 1, 4, 9, 16]
    assert numbers(wplus.ease(line, "ease-out")) == [0, 7, 12, 15, 16]
    assert numbers(wplus.ease(line, "ease-in-out")) == [0, 2.5, 8, 13.5, 16]
    assert torch.equal(wplus.ease(line, "none"), line)
    beyond = wplus.ease(line, "overshoot", 101).flatten()
    assert 17.5 < beyond.max() < 17.7 and beyond.min() == 0         # a tenth beyond, then back
    before = wplus.ease(line, "anticipate", 101).flatten()
    torch.testing.assert_close(before, 16 - beyond.flip(0))


def test_linear_easing_has_even_steps(path):
    steps = wplus.arc_lengths(wplus.ease(path, "linear", 200)).diff()
    assert steps.max() / steps.mean() < 1.01        # corners are cut, no more


def test_easing_of_a_path_that_stands_still():
    still = torch.ones(5, 2, 3)
    assert torch.equal(wplus.ease(still, "overshoot", 9), torch.ones(9, 2, 3))
    pause = torch.tensor([0.0, 1, 1, 1, 2]).reshape(5, 1, 1)        # stops half-way
    assert numbers(wplus.ease(pause, "linear")) == [0, 0.5, 1, 1.5, 2]


def test_sample_per_clip(line):
    batch = torch.stack([line, -line])
    out = wplus.sample(batch, torch.tensor([[0.0, 0.5], [3.0, 4.0]]))
    assert numbers(out) == [0, 0.5, -9, -16]


# ---- order

def test_hold_and_reverse(line):
    assert numbers(wplus.hold(line, 1, 2)) == [0, 0, 1, 4, 9, 16, 16, 16]
    assert torch.equal(wplus.hold(line), line)
    assert numbers(wplus.reverse(line)) == [16, 9, 4, 1, 0]


def test_ping_pong(line):
    assert numbers(wplus.ping_pong(line)) == [0, 1, 4, 9, 16, 9, 4, 1]
    assert numbers(wplus.ping_pong(line[:2])) == [0, 1]
    assert numbers(wplus.ping_pong(line[:1])) == [0]


@pytest.mark.parametrize("frames", [1, 2, 3, 24, 25, None])
def test_loop_closes(path, frames):
    out = wplus.loop(path, frames)
    count = 14 if frames is None else frames
    assert len(out) == count and torch.equal(out[0], path[0])
    if count % 2 == 0:
        torch.testing.assert_close(out[count // 2], path[-1])       # the expression, half-way
    if count > 3:
        # The step over the seam is the first step backwards: no jump when it repeats.
        torch.testing.assert_close(out[-1], out[1])
        steps = torch.cat([out, out[:1]]).diff(dim=0).flatten(1).norm(dim=1)
        assert steps[-1] < 0.5 * steps.mean()


def test_loop_of_one_frame():
    assert wplus.loop(torch.ones(1, 2, 3), 5).shape == (5, 2, 3)


def test_concatenate_drops_the_doubled_seam(line):
    other = line[-1:] + line
    assert numbers(wplus.concatenate(line, other)) == [0, 1, 4, 9, 16, 17, 20, 25, 32]
    assert len(wplus.concatenate(line, line)) == 10                 # a jump: nothing is doubled
    assert len(wplus.concatenate(line, line[-1:])) == 5
    assert torch.equal(wplus.concatenate(line), line)
    batch = torch.stack([line, line])
    assert wplus.concatenate(batch, batch[:, -1:]).shape == batch.shape


# ---- chain

@pytest.mark.parametrize("frames, parts", [(32, 2), (33, 2), (16, 3), (7, 6), (100, 7), (2, 1)])
def test_chain_counts(frames, parts):
    counts = chain.chain_frames(frames, parts)
    assert len(counts) == parts and min(counts) >= 2
    assert sum(counts) - (parts - 1) == frames
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 32, 33, 1000])
@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_chain(frames, parts):
    starts = []

    def step(start, part, count):
        starts.append(start)
        return start + (part + 1) * torch.linspace(0, 1, count).reshape(-1, 1, 1)

    still = torch.zeros(2, 3)
    out = chain.chain(step, still, parts, frames)
    total = parts * (parts + 1) / 2
    assert len(out) == frames and torch.equal(out[0], still)
    if frames > 1:
        torch.testing.assert_close(out[-1], torch.full((2, 3), total))
    for part, start in enumerate(starts):           # each begins where the one before ended
        torch.testing.assert_close(start, torch.full((2, 3), part * (part + 1) / 2))
    if frames > 3 * parts:                          # no frame stands still at a seam
        assert (out.diff(dim=0) > 1e-4).all()


def test_chain_of_batches():
    out = chain.chain(lambda w, k, n: w[:, None] + torch.linspace(0, 1, n).reshape(1, n, 1, 1),
                      torch.zeros(2, 4, 6), 2, 9)
    assert out.shape == (2, 9, 4, 6)
    with pytest.raises(LGFAError, match="part 1 .* has 3 frames where 5"):
        chain.chain(lambda w, k, n: w[None].expand(3, -1, -1), torch.zeros(4, 6), 2, 9)
    with pytest.raises(LGFAError, match="at least one sentence"):
        chain.chain(lambda w, k, n: w[None], torch.zeros(4, 6), 0, 9)


# ---- dtypes, gradients, refusals

@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtypes(path, dtype):
    path = path.to(dtype)
    for out in (wplus.strength(path, 0.3), wplus.ease(path, "overshoot", 20),
                wplus.loop(path, 9), wplus.blend(path, path, 0.5), wplus.resample(path, 3)):
        assert out.dtype == dtype and bool(out.isfinite().all())


def test_gradients_pass():
    path = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True)
    for change in (lambda p: wplus.strength(p, 0.7), lambda p: wplus.resample(p, 7),
                   wplus.ping_pong, lambda p: wplus.blend(p, p.flip(0), 0.3)):
        assert torch.autograd.gradcheck(change, (path,))


@pytest.mark.parametrize("call, words", [
    (lambda p: wplus.strength(p, math.nan), "strength must be a finite number"),
    (lambda p: wplus.strength(p, math.inf), "strength must be a finite number"),
    (lambda p: wplus.resample(p, 0), "at least 1 frame"),
    (lambda p: wplus.resample(p, -3), "at least 1 frame"),
    (lambda p: wplus.resample(p, 2.5), "whole number"),
    (lambda p: wplus.ease(p, "bouncy"), "no easing 'bouncy': use one of none, linear"),
    (lambda p: wplus.hold(p, -1), "frames to hold"),
    (lambda p: wplus.blend(p, p, math.nan), "blend amount must be a finite"),
    (lambda p: wplus.blend(p, p, torch.zeros(3)), "one amount or 8"),
    (lambda p: wplus.blend(p, p[:, :2], 0.5), "different generators"),
    (lambda p: wplus.concatenate(p, p[..., :2]), "different generators"),
    (lambda p: wplus.mix([p], [1, 2]), "as many weights"),
    (lambda p: wplus.concatenate(), "no trajectory"),
    (lambda p: wplus.strength(p[0], 1), "a trajectory is a tensor"),
    (lambda p: wplus.reverse(p[:0]), "empty"),
])
def test_refusals(path, call, words):
    with pytest.raises(LGFAError, match=words):
        call(path)


def test_let_go_fades_what_came_before_by_arc_length():
    still = torch.zeros(1, 2)
    path = torch.tensor([[[1.0, 0.0]], [[1.0, 1.0]], [[1.0, 4.0]]])     # goes up from (1, 0)
    gone = wplus.let_go(path, still)
    torch.testing.assert_close(gone, torch.tensor([[[1.0, 0.0]], [[0.75, 1.0]], [[0.0, 4.0]]]))
    resting = wplus.let_go(path[:1].expand(3, -1, -1), still)           # without arc: by time
    torch.testing.assert_close(resting[:, 0, 0], torch.tensor([1.0, 0.5, 0.0]))
    assert torch.equal(wplus.let_go(path[:1], still), path[:1])
