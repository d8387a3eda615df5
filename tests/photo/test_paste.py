"""Putting faces back: the photograph stays itself outside of the mask and where nothing moved."""
from __future__ import annotations

import pytest
import torch

from lgfa.errors import LGFAError
from lgfa.media import examples
from lgfa.photo import align, paste
from lgfa.toon import scene


@pytest.fixture(scope="module")
def cut():
    photo = examples.load("lgfa_two_toons")[0]
    crop, where = align.align(photo, scene.scene_points()[0], 256, "toon")
    return photo, crop, where


def film(*arguments) -> torch.Tensor:
    return torch.cat(list(paste.paste(*arguments)))


def animated(crop: torch.Tensor) -> torch.Tensor:
    """Three frames: the still, and two with a mouth that opens."""
    frames = crop.repeat(3, 1, 1, 1)
    frames[1, 176:186, 100:156] = torch.tensor([0.4, 0.05, 0.1])
    frames[2, 170:196, 100:156] = torch.tensor([0.4, 0.05, 0.1])
    return frames


@pytest.mark.parametrize("region", paste.REGIONS)
def test_unchanged_frames_give_the_photo(cut, region):
    photo, crop, where = cut
    style = paste.Style(region=region, colour=0.0)
    out = film(photo, crop, where, style)
    outside = paste.mask(where, 0, style) == 0
    assert out.shape == photo.shape
    assert torch.equal(out[0][outside], photo[0][outside])
    assert (out - photo).abs().max() < 0.25 and (out - photo).abs().mean() < 0.003


def test_with_the_reconstruction_it_is_the_photo_exactly(cut):
    photo, crop, where = cut
    poor = (crop * 0.8 + 0.1).roll(2, 2)                    # an inversion that is far from perfect
    out = film(photo, poor.repeat(2, 1, 1, 1), where, paste.Style(), poor)
    assert torch.equal(out, photo.expand(2, -1, -1, -1))


def test_only_what_moved_is_taken_from_the_frames(cut):
    photo, crop, where = cut
    out = film(photo, animated(crop * 0.8 + 0.1), where, paste.Style(), crop * 0.8 + 0.1)
    assert torch.equal(out[0], photo[0])
    last, still = align.cut(out[2:], where)[0], align.cut(photo, where)[0]
    assert (last[176:190, 110:146, 0] < 0.6).all()          # the mouth is open
    assert (last - still)[110:150, 60:200].abs().max() < 1e-3       # the eyes are the photo's


def test_without_detail_the_frames_show_everywhere(cut):
    photo, crop, where = cut
    flat = torch.full_like(crop, 0.5)
    out = film(photo, flat, where, paste.Style(colour=0.0, detail=0.0), flat)
    eye = tuple(scene.scene_points()[0][0].round().astype(int))
    assert torch.allclose(out[0, eye[1], eye[0]], torch.tensor(0.5), atol=1e-4)


def test_colours_are_matched_to_the_photo(cut):
    photo, crop, where = cut
    pale = crop * 0.7 + 0.2
    gain, offset = paste.match_colours(pale, crop, "toon")
    assert torch.allclose(pale * gain + offset, crop, atol=1e-4)
    matched = film(photo, pale, where, paste.Style(colour=1.0))
    plain = film(photo, pale, where, paste.Style(colour=0.0))
    assert (matched - photo).abs().mean() < 0.25 * (plain - photo).abs().mean()


@pytest.mark.parametrize("feather", [0.0, 0.05, 0.5])
@pytest.mark.parametrize("region", paste.REGIONS)
def test_mask_is_whole_at_the_nose_and_nothing_outside(cut, feather, region):
    _, _, where = cut
    mask = paste.mask(where, 0, paste.Style(feather, region))
    x, y = scene.scene_points()[0][2].round().astype(int)
    assert mask[y, x] > 0.8 and 0 <= mask.min() and mask.max() <= 1
    assert mask[:100].sum() == 0 and mask[:, 400:].sum() == 0
    if feather:                                             # no hard edge anywhere
        assert max(mask.diff(dim=0).abs().max(), mask.diff(dim=1).abs().max()) < 0.6


def test_faces_one_after_the_other_and_films(cut):
    photo, crop, where = cut
    second, there = align.align(photo, scene.scene_points()[1], 128, "toon")
    both = film(photo, animated(crop), where, paste.Style(), crop)
    both = film(both, second.repeat(3, 1, 1, 1), there, paste.Style(), second)
    alone = film(photo, animated(crop), where, paste.Style(), crop)
    assert torch.allclose(both, alone, atol=1e-6)


def test_clips_of_several_photos():
    photos = torch.rand(2, 90, 100, 3)
    points = scene.face_points(scene.BOY) * 80
    crops, where = align.align(photos, points, 32, "toon")
    frames = crops.repeat_interleave(3, 0)
    out = film(photos, frames, where, paste.Style(), crops)
    assert torch.equal(out, photos.repeat_interleave(3, 0))


@pytest.mark.parametrize("photos,frames,crops", [(3, 4, 1), (1, 4, 2), (2, 5, 2)])
def test_numbers_that_do_not_fit_are_refused(photos, frames, crops):
    with pytest.raises(LGFAError, match="frames"):
        paste.check_counts(photos, frames, crops)


def test_a_crop_beside_the_edge_is_pasted_too():
    photo = scene.draw_face(size=96)
    crop, where = align.align(photo, scene.face_points(scene.BOY) * 96 + [40, 30], 64, "toon")
    out = film(photo, crop, where, paste.Style(region="whole crop", colour=0.0))
    assert out.shape == photo.shape and (out - photo).abs().mean() < 0.02


def test_frames_side_by_side_are_refused(cut):
    photo, _, where = cut
    with pytest.raises(LGFAError, match="128 x 64 px and should be square"):
        next(paste.paste(photo, torch.rand(2, 64, 128, 3), where))
