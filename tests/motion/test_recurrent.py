"""Schedules against their sums, the recurrence against a step by hand, seeds, edge counts."""
from __future__ import annotations

import pytest
import torch

from lgfa.config import MotionConfig
from lgfa.errors import LGFAError
from lgfa.motion.recurrent import SCHEDULES, RecurrentMotion, draw_hidden


def tiny(**others) -> MotionConfig:
    return MotionConfig(**{"embed_dim": 6, "num_layers": 4, "w_dim": 8, "hidden": 5,
                           "mapper_hidden": 7, **others})


@pytest.mark.parametrize("name, training, frames, total", [
    ("paper", True, 4, 0.6), ("paper", True, 16, 3.0),
    ("paper", False, 4, 0.3), ("paper", False, 16, 1.5),
    ("authors", True, 4, 0.6), ("authors", True, 16, 0.75),
    ("authors", False, 4, 0.3), ("authors", False, 16, 0.375),
    ("even", True, 4, 0.6), ("even", False, 4, 0.6), ("even", False, 16, 0.6),
    ("even", False, 10_000, 0.6), ("authors", False, 10_000, 0.39996),
])
def test_total_path(name, training, frames, total):
    rates = SCHEDULES[name](frames, training, 0.6)
    assert len(rates) == frames - 1
    assert rates.sum().item() == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("training", [False, True])
def test_schedules_of_one_and_two_frames(name, training):
    assert len(SCHEDULES[name](1, training, 0.6)) == 0
    assert len(SCHEDULES[name](2, training, 0.6)) == 1


def test_inference_rates_fall_linearly():
    paper, authors = SCHEDULES["paper"](4, False, 0.6), SCHEDULES["authors"](4, False, 0.6)
    torch.testing.assert_close(paper, torch.tensor([0.15, 0.1, 0.05]).double())
    torch.testing.assert_close(authors, torch.tensor([0.15, 0.1, 0.05]).double())
    assert SCHEDULES["paper"](8, False, 0.6)[0] == 0.2 * 7 / 8      # T + 1 - 2 over T


def test_one_step_by_hand():
    """W1 = 1, W2 = [1 0], W3 = [0 1] at width 1: every number can be followed on paper."""
    model = RecurrentMotion(tiny(embed_dim=1, hidden=1, schedule="even", path_length=1.0,
                                 leaky_slope=0.1, bias=True))
    with torch.no_grad():
        model.context.weight.fill_(1.0)
        model.code_step.weight.copy_(torch.tensor([[-1.0, 0.0]]))
        model.hidden_step.weight.copy_(torch.tensor([[0.0, 1.0]]))
        model.code_step.bias.fill_(0.5)
    codes = model(torch.tensor([[2.0]]), 3, h1=torch.tensor([[4.0]]))

    # r = 1/2; c = (2, 4): s(-2 + .5) = -.15, z = 1.925, h = 6; c = (1.925, 6): s(-1.425) = -.1425.
    torch.testing.assert_close(codes.flatten(), torch.tensor([0.0, -0.075, -0.14625]))


def test_relative_is_absolute_minus_first():
    torch.manual_seed(0)
    relative, absolute = RecurrentMotion(tiny()), RecurrentMotion(tiny(relative=False))
    absolute.load_state_dict(relative.state_dict())
    z1 = torch.randn(3, 6)
    a, r = absolute(z1, 5, seed=1), relative(z1, 5, seed=1)
    assert torch.equal(a[:, 0], z1)
    assert not r[:, 0].any()
    torch.testing.assert_close(a - z1[:, None], r)


def test_even_clips_of_any_length_end_alike():
    torch.manual_seed(0)
    model, z1 = RecurrentMotion(tiny(embed_dim=64, hidden=32)).eval(), torch.randn(2, 64) / 8
    ends = [model(z1, frames, seed=0)[:, -1] for frames in (4, 16, 64, 256)]
    gaps = [(end - ends[-1]).norm() / ends[-1].norm() for end in ends[:3]]
    assert gaps[0] < 0.25 and gaps[1] < 0.06 and gaps[2] < 0.02


def test_mode_chooses_the_rates():
    torch.manual_seed(0)
    model, z1 = RecurrentMotion(tiny(schedule="authors")), torch.randn(1, 6)
    assert torch.equal(model.train()(z1, 4, seed=0), model.eval()(z1, 4, seed=0, training=True))
    assert not torch.equal(model(z1, 4, seed=0, training=True), model(z1, 4, seed=0))


def test_hidden_state_is_seeded_clip_by_clip():
    one, three = draw_hidden(1, 384, 0.1, seed=5), draw_hidden(3, 384, 0.1, seed=5)
    assert torch.equal(one[0], three[0]) and not torch.equal(three[0], three[1])
    assert not torch.equal(one, draw_hidden(1, 384, 0.1, seed=6))
    assert not torch.equal(one, draw_hidden(1, 384, 0.1, seed=2**64 - 1))
    many = draw_hidden(100, 384, 0.1, seed=0)                   # variance 0.01, paper III-C
    assert many.var().item() == pytest.approx(0.01, rel=0.03) and abs(many.mean()) < 2e-3

    torch.manual_seed(3)                                        # no seed: the global stream
    a = draw_hidden(2, 8, 1.0)
    torch.manual_seed(3)
    assert torch.equal(a, draw_hidden(2, 8, 1.0))
    assert torch.equal(draw_hidden(2, 8, 1.0, generator=torch.Generator().manual_seed(9)),
                       draw_hidden(2, 8, 1.0, seed=9))


@pytest.mark.parametrize("seed", [1.5, "0", True, -1, 2**64])
def test_seed_that_is_none(seed):
    with pytest.raises(LGFAError, match="seed must be a whole number"):
        draw_hidden(1, 4, 0.1, seed=seed)


@pytest.mark.parametrize("frames", [1, 2, 10_000])
def test_frame_counts(frames):
    codes = RecurrentMotion(tiny()).eval()(torch.ones(1, 6), frames, seed=0)
    assert codes.shape == (1, frames, 6) and bool(codes.isfinite().all())


def test_refusals():
    model = RecurrentMotion(tiny())
    with pytest.raises(LGFAError, match="at least 1 frame"):
        model(torch.ones(1, 6), 0)
    with pytest.raises(LGFAError, match=r"\[B, 6\]"):
        model(torch.ones(1, 7), 4)


def test_half_precision_input_follows_the_weights():
    model = RecurrentMotion(tiny())
    assert model(torch.ones(1, 6, dtype=torch.bfloat16), 3, seed=0).dtype == torch.bfloat16
    assert model.double()(torch.ones(1, 6), 3, seed=0).dtype == torch.float32
