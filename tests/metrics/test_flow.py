"""Warping along a known flow, and OpenCV's flow where it is installed."""
from __future__ import annotations

import pytest
import torch

from lgfa.errors import LGFAError
from lgfa.metrics import flow


def shifted(frames: int = 3, step: int = 2, size: int = 48) -> torch.Tensor:
    """A smooth random picture that moves to the right by `step` pixels a frame."""
    rng = torch.Generator().manual_seed(0)
    wide = torch.rand(1, 3, 12, 24, generator=rng) * 2 - 1
    wide = torch.nn.functional.interpolate(wide, (size, 2 * size), mode="bicubic").clamp(-1, 1)
    return torch.cat([wide[..., 20 - i * step: 20 - i * step + size] for i in range(frames)])


def test_warping_a_shifted_picture_back():
    frames = shifted()
    motion = torch.zeros(2, 2, 48, 48)
    motion[:, 0] = 2                                            # to the right
    back = flow.warp(frames[1:], motion)
    torch.testing.assert_close(back[..., :-2], frames[:-1, ..., :-2], atol=1e-5, rtol=0)
    still, along = (flow.warping_error(frames, m) for m in (0 * motion, motion))
    assert along < 0.1 * still
    motion[:, 0] = -2                                           # the wrong way
    assert flow.warping_error(frames, motion) > still


def test_fractions_of_a_pixel_and_rows():
    ramp = torch.arange(8.0).view(1, 1, 8, 1).expand(1, 3, 8, 5) / 10
    motion = torch.zeros(1, 2, 8, 5)
    motion[:, 1] = 0.5                                          # down
    assert flow.warp(ramp, motion)[0, 0, :7, 0].tolist() == pytest.approx(
        [(i + 0.5) / 10 for i in range(7)])


def test_a_flow_of_another_size_is_refused():
    with pytest.raises(LGFAError, match="flow of pictures"):
        flow.warp(torch.zeros(2, 3, 8, 8), torch.zeros(1, 2, 8, 8))


def test_flow_by_opencv():
    pytest.importorskip("cv2")
    frames = shifted(size=96)
    found = flow.dis_flow(frames)
    assert found.shape == (2, 2, 96, 96)
    middle = found[..., 24:72, 24:72]
    assert middle[:, 0].median() == pytest.approx(2, abs=0.3)
    assert middle[:, 1].median() == pytest.approx(0, abs=0.3)
    assert flow.warping_error(frames) < 0.3 * flow.warping_error(frames, 0 * found)


def test_without_opencv_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(LGFAError, match="opencv-python-headless"):
        flow.dis_flow(shifted())
