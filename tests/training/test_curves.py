"""The picture of a training's losses."""
from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from lgfa.training.curves import COLORS, draw_losses, with_strips


def _log(steps, **terms):
    return [{"step": step, **{name: value(step) for name, value in terms.items()}}
            for step in range(1, steps + 1)]


def _columns(picture, color):
    """Columns in which a colour appears, and the mean row of each."""
    rows, columns = np.nonzero((np.asarray(picture) == color).all(axis=2))
    return {x: rows[columns == x].mean() for x in np.unique(columns)}


def test_lines_fall_with_the_losses_and_end_where_the_training_is():
    log = _log(50, total=lambda s: 10 / s, cont=lambda s: 1.0)
    half = draw_losses(log, 100)
    whole = draw_losses(log, 50)
    assert half.size == (512, 288) and half.mode == "RGB"
    line = {x: y for x, y in _columns(half, COLORS["total"]).items() if x > 70}
    reached = [max(x for x in _columns(p, COLORS["cont"]) if x < 380) for p in (half, whole)]
    assert 1.6 < (reached[1] - 40) / (reached[0] - 40) < 2.4
    steep = [line[x] for x in sorted(line) if x < reached[0] - 4]
    assert steep[-1] > steep[0] + 20        # rows count from above


def test_flat_loss_is_a_flat_line():
    rows = _columns(draw_losses(_log(30, cont=lambda s: 0.5)), COLORS["cont"])
    inside = [y for x, y in rows.items() if 80 < x < 380]
    assert max(inside) - min(inside) <= 1


@pytest.mark.parametrize("log", [
    [], _log(1, total=lambda s: 1.0), _log(3, total=lambda s: 0.0),
    _log(4, total=lambda s: math.nan if s == 2 else 1e9, other=lambda s: 1e-12),
    _log(5000, total=lambda s: float(s)), _log(3, total=lambda s: -1.0),
    [{"step": 1}, {"step": 2, "total": 1.0}], [{"step": 2**52, "total": 1e300, "cont": 5}],
    [{"step": 5, "total": "high"}, {"step": 2, "total": 10**300, "cont": None}],
])
def test_any_log_is_drawn(log):
    picture = draw_losses(log, title="x")
    assert picture.size == (512, 288)


def test_strips_lie_below_as_wide_as_the_curves():
    curves = draw_losses(_log(3, total=float))
    picture = with_strips(curves, Image.new("RGB", (1024, 400), (9, 8, 7)))
    assert picture.size == (512, 288 + 200) and picture.getpixel((100, 400)) == (9, 8, 7)
    assert with_strips(curves, None) is curves
