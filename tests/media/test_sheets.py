"""Contact sheets and thumbnails."""
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from lgfa.errors import LGFAError
from lgfa.media.sheets import check_picture, contact_sheet, save_picture, thumbnails


def clip(frames: int, side: int = 20) -> torch.Tensor:
    """[T,H,W,3]: each frame of one grey, from black to white."""
    return torch.linspace(0, 1, frames).view(-1, 1, 1, 1).expand(-1, side, side, 3)


def test_a_sheet_shows_first_and_last_frame_of_every_clip() -> None:
    sheet = np.asarray(contact_sheet([clip(9), clip(2), SimpleNamespace(frames=clip(5))],
                                     columns=3, gap=4))
    assert sheet.shape == (3 * 24 + 4, 3 * 24 + 4, 3)
    middles = [[int(sheet[14 + 24 * row, 14 + 24 * column, 0]) for column in range(3)]
               for row in range(3)]
    assert middles == [[0, 128, 255], [0, 255, 255], [0, 128, 255]]     # paper is white
    assert (sheet[:4] == 255).all() and (sheet[4:24, 24:28] == 255).all()


def test_labels_and_title_take_lines_of_their_own() -> None:
    bare = contact_sheet([clip(3)])
    labelled = contact_sheet([clip(3)], ["one"])
    titled = contact_sheet([clip(3)], ["one"], title="above")
    assert bare.height < labelled.height < titled.height
    assert np.asarray(labelled)[:20].min() < 128           # ink
    with pytest.raises(LGFAError, match="one label for each clip, not 2 for 1"):
        contact_sheet([clip(3)], ["one", "two"])
    with pytest.raises(LGFAError):
        contact_sheet([])


@pytest.mark.parametrize("frames", (torch.zeros(0, 4, 4, 3), torch.zeros(4, 4, 3),
                                    torch.zeros(2, 4, 4, 1)))
def test_what_is_no_clip_is_refused(frames: torch.Tensor) -> None:
    with pytest.raises(LGFAError, match=r"a clip must be \[T,H,W,3\]"):
        contact_sheet([frames])


@pytest.mark.parametrize("suffix", (".png", ".webp", ".jpg", ".JPEG"))
def test_a_picture_is_written_by_its_suffix(tmp_path, suffix: str) -> None:
    written = save_picture(tmp_path / f"a{suffix}", contact_sheet([clip(3)]))
    with Image.open(written) as picture:
        assert picture.format == {".png": "PNG", ".webp": "WEBP"}.get(suffix, "JPEG")
    assert [one.name for one in tmp_path.iterdir()] == [f"a{suffix}"]


def test_an_unknown_suffix_is_refused_before_anything_is_drawn(tmp_path) -> None:
    with pytest.raises(LGFAError, match="suffix .bmp of .* is unknown"):
        check_picture(tmp_path / "a.bmp")


@pytest.mark.parametrize(("shape", "small"), (((40, 20), (16, 8)), ((20, 40), (8, 16)),
                                              ((400, 1), (16, 1)), ((32, 32), (16, 16))))
def test_thumbnails_keep_the_shape_of_pictures(shape, small) -> None:
    made = thumbnails(torch.full((2, 3, *shape), -0.75).half(), side=16)
    assert made.shape == (2, 3, *small) and made.dtype == torch.float32
    assert (made + 0.75).abs().max() < 1e-6


def test_small_pictures_are_left_as_they_are() -> None:
    x = torch.randn(2, 3, 16, 9)
    assert thumbnails(x, side=16) is x


def test_fine_stripes_do_not_alias() -> None:
    stripes = torch.tensor([-1.0, 1.0]).repeat(64).expand(1, 3, 128, 128)
    assert thumbnails(stripes, side=16)[..., 2:-2].abs().max() < 0.05
