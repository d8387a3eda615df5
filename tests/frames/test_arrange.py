"""Several clips in one block of pictures. Through the node: tests/nodes/test_render_nodes.py."""
from __future__ import annotations

import pytest
import torch
from tiny import LAYERS, RESOLUTION, W_DIM, tiny_generator

from lgfa.config import LAYOUTS
from lgfa.errors import LGFAError
from lgfa.frames import arrange
from lgfa.frames.render import render

AFTER, BESIDE = LAYOUTS


@pytest.fixture(scope="module")
def paths() -> torch.Tensor:
    """Two clips of three frames."""
    return torch.randn(2, 3, LAYERS, W_DIM, generator=torch.Generator().manual_seed(0))


def test_shapes() -> None:
    assert arrange.film_shape(2, 3, 16, AFTER) == (6, 16, 16, 3)
    assert arrange.film_shape(2, 3, 16, BESIDE) == (3, 16, 32, 3)
    with pytest.raises(LGFAError, match="no layout 'above': use one after another or side by side"):
        arrange.film_shape(2, 3, 16, "above")


@pytest.mark.parametrize("chunk", [1, 2, 4, 9])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_frame_is_in_its_place(paths, layout: str, chunk: int) -> None:
    generator = tiny_generator()
    wanted = [torch.cat(list(render(generator, one))) for one in paths]
    out = arrange.blank(arrange.film_shape(2, 3, RESOLUTION, layout), 10**9)
    steps = list(arrange.film(generator, paths, out, layout, chunk))
    whole = torch.cat(wanted) if layout == AFTER else torch.cat(wanted, dim=2)
    assert (out - whole).abs().max() < 1e-5
    assert [done for done, _ in steps] == [min(k, 6) for k in range(chunk, 6 + chunk, chunk)]
    assert all(picture.shape[0] == RESOLUTION for _, picture in steps)
    assert torch.equal(steps[-1][1], out[-1])


def test_pictures_that_do_not_fit_are_refused_before_they_are_made() -> None:
    with pytest.raises(LGFAError, match="6 frames of 16 x 16 px need .* render fewer frames"):
        arrange.blank((6, 16, 16, 3), 100)
    with pytest.raises(LGFAError, match="frames of 2 clips do not fit into"):
        next(arrange.film(tiny_generator(), torch.zeros(2, 3, LAYERS, W_DIM),
                          torch.zeros(5, 16, 16, 3)))


def test_working_memory_grows_with_the_chunk() -> None:
    config = tiny_generator().config
    assert arrange.working_bytes(config, 8) == 8 * arrange.working_bytes(config, 1) > 0
