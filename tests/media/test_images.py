"""Every kind of still picture, good and bad (lgfa/media/images.py)."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import as_x, ramp, sentence
from PIL import Image, ImageCms

from lgfa.errors import LGFAError
from lgfa.media.images import (
    MIN_SIDE,
    from_uint8,
    from_unit,
    levels,
    read_image,
    square,
    to_pictures,
    to_uint8,
    to_unit,
)


def test_all_ways_to_hand_over_one_picture(tmp_path: Path) -> None:
    picture = ramp()
    Image.fromarray(picture).save(tmp_path / "face.png")
    unit = picture.astype(np.float32) / 255
    wanted = as_x(picture)
    for given in (
        tmp_path / "face.png", str(tmp_path / "face.png"), Image.fromarray(picture), picture,
        picture[None], unit, unit[None], torch.from_numpy(picture), torch.from_numpy(unit)[None],
        wanted, wanted[0], wanted.numpy(), wanted.double(), picture.astype(np.int64),
        (picture.astype(np.uint16) * 257),
    ):
        x = read_image(given)
        assert x.shape == (1, 3, 24, 32) and x.dtype == torch.float32
        assert (x - wanted).abs().max() < 1e-5
    half = read_image(wanted.half())
    assert (half - wanted).abs().max() < 2e-3


@pytest.mark.parametrize("shape", [(24, 32), (24, 32, 1), (1, 24, 32, 1)])
def test_grey_becomes_three_equal_channels(shape: tuple[int, ...]) -> None:
    grey = ramp()[..., 0]
    x = read_image(grey.reshape(shape))
    assert x.shape == (1, 3, 24, 32) and (x[:, 0] == x[:, 1]).all() and (x[:, 0] == x[:, 2]).all()


def test_transparency_is_laid_on_white() -> None:
    picture = np.dstack([ramp(), np.zeros((24, 32), np.uint8)])
    picture[:12, :, 3] = 255
    for given in (picture, Image.fromarray(picture), Image.fromarray(picture).convert("PA")):
        x = read_image(given)
        assert (x[:, :, 12:] == 1).all() and (x[:, :, :12] < 1).any()
    palette = Image.fromarray(ramp()).quantize(16)
    palette.info["transparency"] = palette.getpixel((0, 0))
    assert (read_image(palette)[0, :, 0, 0] == 1).all()
    grey = Image.fromarray(picture).convert("LA")
    assert (read_image(grey)[:, :, 12:] == 1).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "LAB", "HSV", "RGBX"])
def test_modes_of_pil(mode: str) -> None:
    picture = Image.fromarray(ramp())
    if mode == "LAB":
        to_lab = ImageCms.buildTransform(
            ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
        picture = ImageCms.applyTransform(picture, to_lab)
    else:
        picture = picture.convert(mode)
    x = read_image(picture)
    assert x.shape == (1, 3, 24, 32) and x.min() >= -1 and x.max() <= 1
    if mode in ("RGB", "CMYK", "YCbCr", "HSV", "RGBX"):
        assert (x - as_x(ramp())).abs().mean() < 0.05


def test_16_bit_and_float_grey(tmp_path: Path) -> None:
    deep = ramp()[..., 0].astype(np.uint16) * 257
    wanted = as_x(ramp())[:, :1].expand(-1, 3, -1, -1)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    Image.fromarray(deep).save(tmp_path / "deep.tiff")
    Image.fromarray(deep.astype(np.float32) / 65535).save(tmp_path / "float.tiff")
    for name in ("deep.png", "deep.tiff", "float.tiff"):
        assert (read_image(tmp_path / name) - wanted).abs().max() < 1e-4, name
    assert (read_image(Image.fromarray(deep.astype(np.int32))) - wanted).abs().max() < 1e-4
    bad = np.full((24, 32), np.nan, np.float32)
    assert "NaN" in sentence(read_image, Image.fromarray(bad))
    assert "8 or 16 bits" in sentence(read_image, Image.fromarray(np.full((24, 32), 9e9, "f4")))


def test_animated_gives_its_first_frame(tmp_path: Path) -> None:
    first, second = Image.fromarray(ramp()), Image.fromarray(255 - ramp())
    for name in ("a.webp", "a.gif", "a.png"):
        options = {"lossless": True} if name == "a.webp" else {}
        first.save(tmp_path / name, save_all=True, append_images=[second], **options)
        assert (read_image(tmp_path / name) - as_x(ramp())).abs().mean() < 0.05, name


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    picture = Image.fromarray(ramp()).rotate(90, expand=True)     # lies on its side
    exif = Image.Exif()
    exif[0x0112] = 6                                              # "turn me clockwise"
    picture.save(tmp_path / "turned.png", exif=exif)
    assert torch.equal(read_image(tmp_path / "turned.png"), as_x(ramp()))


def test_colour_profile_is_applied(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(ramp()).save(tmp_path / "a.png", icc_profile=profile)
    assert (read_image(tmp_path / "a.png") - as_x(ramp())).abs().max() < 0.02
    Image.fromarray(ramp()).save(tmp_path / "b.png", icc_profile=b"nonsense")
    assert torch.equal(read_image(tmp_path / "b.png"), as_x(ramp()))


def test_square_cuts_the_centre_and_resizes() -> None:
    x = read_image(ramp(24, 48))
    assert torch.equal(square(x, 24), x[..., 12:36])
    assert read_image(ramp(24, 48), size=16).shape == (1, 3, 16, 16)
    board = np.indices((64, 64)).sum(0) % 2 * 255                 # alternate pixels: no aliasing
    assert read_image(board.astype(np.uint8), size=16).abs().max() < 0.2


def test_ranges() -> None:
    x = torch.tensor([-3.0, -1.0, -0.5, 0.0, 1.0, 7.0])
    assert to_unit(x).tolist() == [0.0, 0.0, 0.25, 0.5, 1.0, 1.0] and x[0] == -3
    assert torch.equal(from_unit(to_unit(x)), x.clamp(-1, 1))
    assert levels(torch.tensor([-0.2, 0.0, 0.5, 0.3, 1.0, 2.0])).tolist() == [0, 0, 128, 76, 255,
                                                                              255]
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(levels(from_uint8(every)), every.float())
    assert np.array_equal(to_uint8(from_uint8(every)), every.numpy())
    assert torch.equal(from_uint8(Image.fromarray(ramp())), from_uint8(ramp()))
    with pytest.raises(LGFAError, match="not numbers"):
        to_uint8(torch.tensor([[[float("nan")] * 3]]))


def test_networks_pictures_as_pictures() -> None:
    x = torch.arange(24.0).view(1, 3, 2, 4) / 12 - 1
    shown = to_pictures(x)
    assert shown.shape == (1, 2, 4, 3) and shown.is_contiguous()
    assert torch.equal(shown[0, 1, 3], (x[0, :, 1, 3] + 1) / 2)


def test_bad_arrays_are_one_sentence() -> None:
    size = f"at least {MIN_SIDE}"
    assert size in sentence(read_image, ramp(8, 64))
    assert size in sentence(read_image, Image.new("RGB", (15, 300)))
    assert "batch" in sentence(read_image, torch.zeros(2, 3, 32, 32))
    assert "not understood" in sentence(read_image, torch.zeros(5, 32, 32))
    assert "not understood" in sentence(read_image, np.zeros((2, 2, 2, 32, 32)))
    assert "not understood" in sentence(read_image, np.zeros((0, 32, 3)))
    assert "NaN" in sentence(read_image, torch.full((3, 32, 32), float("nan")))
    assert "0..1" in sentence(read_image, np.full((32, 32, 3), 200.0))
    assert "-1..1" in sentence(read_image, torch.full((3, 32, 32), 200.0))
    assert "0..255" in sentence(read_image, np.full((32, 32, 3), 300))
    assert "type" in sentence(read_image, np.full((32, 32, 3), "x"))
    assert "NoneType" in sentence(read_image, None)


def test_a_unit_range_in_the_wrong_layout_is_pointed_out() -> None:
    with pytest.warns(UserWarning, match="-1..1"):
        read_image(torch.rand(3, 32, 32))
