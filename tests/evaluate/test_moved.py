"""Clips of a drawn domain's faces as independent networks see them, and figures with their bars."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from dots import DOTS, REPORT_OF_DOTS
from torch import Tensor, nn

from lgfa.evaluate import bundled
from lgfa.evaluate.bundled import Line
from lgfa.evaluate.moved import judge, untouched

PATCHES = ((-0.9, -0.9), (0.9, 0.9))


class Reading(nn.Module):
    """Reads a dot's table off a picture into whose corner it was written."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        params = x[:, 1, -1, :5]
        change = (params[:, None, 2:] - DOTS.expressions[None, :, 2:]).square().sum(2)
        return -change, params


class Shade(nn.Module):
    """Stands for an identity network: the shade as a direction."""

    def forward(self, x: Tensor) -> Tensor:
        angle = x[:, 1, -1, 0]
        return torch.stack([angle.cos(), angle.sin()], 1)


def written(params: Tensor, resolution: int = 16) -> Tensor:
    """Pictures with their table in the last row of the green channel."""
    picture = DOTS.draw(params, resolution)
    picture[:, 1, -1, :5] = params
    return picture


def clips(share: float, shade: float = 0.0) -> tuple[Tensor, Tensor]:
    """Path [2, 5, 1, 3] and frames [2, 5, 3, 16, 16] that go a share of the way to "broad"."""
    people = DOTS.people(2, torch.Generator().manual_seed(0))
    people[:, 0], people[:, 1] = torch.tensor([0.2, 0.3]), 0.0
    frames = []
    for i in range(5):
        params = DOTS.with_expression(people, torch.tensor([1, 1]), share * i / 4)
        params[:, 0] += shade * i / 4
        frames.append(written(params))
    path = torch.arange(5.0).view(1, 5, 1, 1).expand(2, -1, 1, 3)
    return path, torch.stack(frames, 1)


def judged(share: float, shade: float = 0.0):
    path, frames = clips(share, shade)
    return judge(DOTS, frames[:, 0], path, frames, torch.tensor([1, 1]), Reading(), Shade(), 0.5,
                 PATCHES)


def test_a_clip_that_does_what_was_asked() -> None:
    seen = judged(1.0)
    assert seen.recognised.tolist() == [1, 1]
    assert torch.allclose(seen.progress, torch.ones(2), atol=1e-5)
    assert torch.allclose(seen.cosine, torch.ones(2), atol=1e-5) and (seen.key > 0).all()
    assert torch.allclose(seen.identity, torch.zeros(2), atol=1e-5)
    assert torch.allclose(seen.step, torch.ones(2)) and (seen.step_pixels >= 1).all()


def test_a_clip_that_goes_the_other_way() -> None:
    seen = judged(-0.5)
    assert seen.recognised.tolist() == [0, 0] and (seen.key < 0).all()
    assert torch.allclose(seen.progress, torch.full((2,), -0.5), atol=1e-5)
    assert torch.allclose(seen.cosine, -torch.ones(2), atol=1e-5)


def test_another_person_is_seen_in_units_of_strangers() -> None:
    away = (1 - torch.tensor(0.4).cos()) / 0.5
    assert torch.allclose(judged(1.0, shade=0.4).identity, away.expand(2), atol=1e-5)


def test_tints_are_those_of_the_worst_patch() -> None:
    first = torch.zeros(1, 3, 40, 40)
    last = first.clone()
    last[..., :10, :10] = 0.1
    assert untouched(first, last, PATCHES) == pytest.approx(12.75, rel=1e-4)
    assert untouched(first, last, PATCHES[1:]) == 0


def test_bars() -> None:
    report = REPORT_OF_DOTS
    line = report.line("attributes", "expression", "by name", torch.tensor(0.4))
    assert line.bar == 0.5 and not line.met and str(line).endswith(">= 0.5   MISSED")
    assert report.line("attributes", "other", "x", 0.1).bar is None
    assert Line("a", "b", 0.1, 0.2, at_most=True).met
    assert not Line("a", "b", 0.3, 0.2, at_most=True).met
    assert str(Line("a", "b", 0.1, 0.2, True)).endswith("<= 0.2   met")
    assert Line("a", "b", 9.0, None).met and str(Line("a", "b", 9.0, None)).endswith("9.000")


def test_another_domains_networks_are_measured() -> None:
    report = replace(REPORT_OF_DOTS, world=replace(DOTS, draw=written))
    lines = bundled.attribute_lines(report, Reading(), 90)
    assert [line.what for line in lines] == ["expression, 90 renders", "R2 of width"]
    assert lines[0].value > 0.9 and lines[0].met and lines[1].value == pytest.approx(1)
    auc, near, far = bundled.identity_lines(report, Shade(), 40)
    assert auc.value > 0.99 and near.value < 1e-5 < far.value
