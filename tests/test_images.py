"""Every kind of still picture, good and bad (lgfa/images.py)."""
from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from lgfa.errors import LGFAError
from lgfa.images import MIN_SIDE, read_image, square, to_unit


def ramp(height: int = 24, width: int = 32) -> np.ndarray:
    """uint8 [H,W,3] with a different gradient in every channel."""
    y, x = np.mgrid[0:height, 0:width]
    picture = np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (height + width)], 2)
    return picture.astype(np.uint8)


def as_x(picture: np.ndarray) -> torch.Tensor:
    """What a network should see of uint8 [H,W,3]."""
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1


def sentence(call, *args) -> str:
    """The message of the LGFAError that the call raises; must be one line."""
    with pytest.raises(LGFAError) as caught:
        call(*args)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".") and len(text) < 400
    return text


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
    assert to_unit(torch.full((1, 3, 2, 2), 7.0)).max() == 1
    assert to_unit(x).shape == (1, 24, 48, 3)


def claim(width: int, height: int) -> bytes:
    """A small PNG whose header claims to be huge."""
    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(bytes(1000))), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_bad_files_are_one_sentence(tmp_path: Path) -> None:
    whole = io.BytesIO()
    Image.fromarray(ramp(200, 200)).save(whole, "PNG")
    files = {
        "empty.png": b"", "text.png": b"this is a text, renamed",
        "noise.jpg": bytes(range(256)) * 9, "cut.png": whole.getvalue()[:300],
        "bomb.png": claim(60000, 60000), "large.png": claim(16000, 9000),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        said = {name: sentence(read_image, tmp_path / name) for name in files}
    assert "empty" in said["empty.png"] and "no picture format" in said["text.png"]
    assert "megapixels" in said["bomb.png"] and "megapixels" in said["large.png"]
    assert all(name in text for name, text in said.items())
    assert "folder" in sentence(read_image, tmp_path)
    assert "no image" in sentence(read_image, tmp_path / "missing.png")


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
