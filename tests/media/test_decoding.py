"""Picture files, whole and damaged: what is unpacked, what is refused."""
from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import as_x, ramp, sentence
from PIL import Image

from lgfa.media.images import read_image


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
