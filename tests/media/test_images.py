"""Every kind of still picture, good and bad (lgfa/media/images.py)."""
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


# ------------------------------------------------------------------ damaged files
def noisy(size: int = 128) -> Image.Image:
    """A picture that no format can make small."""
    noise = np.random.default_rng(0).integers(0, 60, (size, size, 3), dtype=np.uint8)
    return Image.fromarray(ramp(size, size) // 2 + noise)


def stored(kind: str, picture: Image.Image | None = None, **options) -> bytes:
    data = io.BytesIO()
    (picture or noisy()).save(data, kind, **options)
    return data.getvalue()


def png_with(*chunks: tuple[bytes, bytes], check: int = 0) -> bytes:
    """A PNG with chunks after its header; their checksums are changed by `check`."""
    whole = stored("PNG")
    more = b"".join(struct.pack(">I", len(data)) + name + data
                    + struct.pack(">I", zlib.crc32(name + data) ^ check) for name, data in chunks)
    return whole[:33] + more + whole[33:]


X_TEXT = zlib.compress(b"x" * 3_000_000)


@pytest.mark.parametrize("content", [
    stored("PNG")[:-12],                                                # no end chunk
    png_with((b"zTXt", b"workflow\0\0" + X_TEXT)),
    png_with((b"iTXt", b"workflow\0\1\0\0\0" + X_TEXT)),
    png_with((b"iTXt", b"workflow\0\0\0\0\0" + b"x" * 5_000_000)),
    png_with(*[(b"tEXt", b"a\0" + b"x" * 9_000_000)] * 8),              # more than Pillow adds up
    png_with(*[(b"zTXt", b"a\0\0" + zlib.compress(b"x" * 900_000))] * 80),
    stored("PNG")[:-12] + png_with((b"zTXt", b"a\0\0" + X_TEXT))[33:-len(stored("PNG")) + 33],
    png_with((b"iCCP", b"icc\0\0" + X_TEXT)), png_with((b"iCCP", b"icc\0\0nothing")),
    png_with((b"tEXt", b"a\0b"), (b"gAMA", struct.pack(">I", 45455)), check=1),
    png_with((b"eXIf", b"MM\0*\xff\xff\xff\xff")), png_with((b"eXIf", b"")),
])
def test_what_is_no_part_of_the_picture_may_be_anything(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)                           # nor is its name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)                    # Pillow's, of EXIF data
        assert torch.equal(read_image(tmp_path / "a.jpg"), as_x(np.asarray(noisy())))


@pytest.mark.parametrize("part", [b"Exif\0\0MM\0*\0\0\0\x08\0\xff\x01\x12\0\x03", b"Exif\0\0junk"])
def test_broken_exif_of_a_jpeg(tmp_path: Path, part: bytes) -> None:
    whole = stored("JPEG", quality=98)
    app1 = b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part
    (tmp_path / "a.jpg").write_bytes(whole[:2] + app1 + whole[2:])
    assert (read_image(tmp_path / "a.jpg") - as_x(np.asarray(noisy()))).abs().mean() < 0.2


def test_every_exif_orientation(tmp_path: Path) -> None:
    upright = Image.fromarray(ramp())
    undo = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
            6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_270}
    for value, turn in undo.items():
        exif = Image.Exif()
        exif[0x0112] = value
        for name, options in (("a.png", {}), ("a.webp", {"lossless": True}), ("a.tif", {})):
            upright.transpose(turn).save(tmp_path / name, exif=exif, **options)
            assert torch.equal(read_image(tmp_path / name), as_x(ramp())), (value, name)


CUT = {"a.jpg": stored("JPEG", quality=95), "b.jpg": stored("JPEG", noisy().convert("CMYK")),
       "c.jpg": stored("JPEG", noisy().convert("L")), "a.png": stored("PNG"),
       "b.png": stored("PNG", noisy().convert("RGBA")),
       "c.png": stored("PNG", noisy().quantize(64)), "a.gif": stored("GIF"),
       "a.bmp": stored("BMP"), "a.tif": stored("TIFF"), "a.ppm": stored("PPM")}


@pytest.mark.parametrize("name", CUT)
def test_a_lost_tail_is_shown_as_missing(tmp_path: Path, name: str) -> None:
    """As much as ComfyUI's own Load Image shows; too little of it is refused."""
    file, whole = tmp_path / name, CUT[name]
    file.write_bytes(whole)
    wanted = read_image(file)
    file.write_bytes(whole[:int(len(whole) * 0.8)])
    with pytest.warns(UserWarning, match=f"{name} is damaged .image file is truncated.: [12].% of "
                                         "its picture is missing"):
        x = read_image(file)
    half = slice(64, None) if name == "a.bmp" else slice(0, 64)         # a BMP begins below
    assert (x - wanted)[:, :, half].abs().max() < 0.02 and x.shape == wanted.shape
    file.write_bytes(whole[:int(len(whole) * 0.3)])
    said = sentence(read_image, file)
    assert "is damaged" in said and "get the file anew" in said and name in said


@pytest.mark.parametrize("lost", [2, 12])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_jpeg_without_its_end(tmp_path: Path, lost: int, options: dict) -> None:
    whole = stored("JPEG", quality=95, **options)
    (tmp_path / "a.jpg").write_bytes(whole[:-lost])
    with pytest.warns(UserWarning, match="its end is missing"):
        x = read_image(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(whole)
    assert (x - read_image(tmp_path / "b.jpg"))[:, :, :-17].abs().max() < 0.05


def test_a_plain_background_is_not_taken_for_a_loss(tmp_path: Path) -> None:
    picture = Image.new("RGB", (128, 128), "white")
    picture.paste(noisy(128).crop((0, 0, 128, 40)))
    (tmp_path / "a.jpg").write_bytes(stored("JPEG", picture)[:-2])
    clear = Image.new("RGBA", (128, 128))
    clear.paste(noisy(128).crop((0, 0, 128, 40)))
    broken = bytearray(stored("PNG", clear))
    broken[-20] ^= 255                                                  # the last of the pixels
    (tmp_path / "a.png").write_bytes(broken)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert (read_image(tmp_path / "a.jpg")[:, :, 60:] > 0.95).all()
        assert (read_image(tmp_path / "a.png")[:, :, 60:] == 1).all()


def test_pillows_switches_stay_as_they_are(tmp_path: Path) -> None:
    """Whichever thread looks while pictures are read."""
    from concurrent.futures import ThreadPoolExecutor

    from PIL import ImageFile, PngImagePlugin

    files = {"a.jpg": stored("JPEG")[:-2], "b.png": png_with((b"zTXt", b"a\0\0" + X_TEXT)),
             "c.png": CUT["a.png"][:-3000], "d.png": stored("PNG")}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    limits, seen = PngImagePlugin.MAX_TEXT_CHUNK, []
    filters = list(warnings.filters)

    def read(name: str) -> torch.Tensor:
        x = read_image(tmp_path / name)
        seen.append((ImageFile.LOAD_TRUNCATED_IMAGES, PngImagePlugin.MAX_TEXT_CHUNK))
        return x

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        alone = {name: read(name) for name in files}
        with ThreadPoolExecutor(4) as threads:
            for name, x in zip([*files] * 8, threads.map(read, [*files] * 8), strict=True):
                assert torch.equal(x, alone[name])
    assert set(seen) == {(False, limits)} and warnings.filters == filters


def test_formats_that_run_other_programs_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(stored("EPS"))
    assert "no picture format" in sentence(read_image, tmp_path / "a.png")


def test_a_claim_of_many_pixels_is_refused_before_unpacking(tmp_path: Path) -> None:
    """Also where the file is damaged besides."""
    huge = claim(60000, 2200)
    for name, content in (("a.png", huge), ("b.png", huge[:-20]),
                          ("c.png", huge[:33] + png_with((b"zTXt", b"a\0\0" + X_TEXT))[33:])):
        (tmp_path / name).write_bytes(content)
        assert "megapixels" in sentence(read_image, tmp_path / name)


@pytest.mark.parametrize("name", ["noeoi.jpg", "workflow_ztxt.png"])
def test_damaged_pictures_that_people_have(shared: Path, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert read_image(shared / "cases" / name).std() > 0.2
