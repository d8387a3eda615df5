"""Picture files -> unpacked PIL images, slightly damaged ones too.

As in ComfyUI's own Load Image a file that lost its end shows what is left of it, and text chunks
of a PNG, which hold whole graphs there, may have any size. Pillow has process-wide switches for
both; none of them is touched here, for other threads read pictures at the same time.
"""
from __future__ import annotations

import io
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..errors import LGFAError, is_out_of_memory, reading, reason, warn

MIN_SIDE = 16                               # pixels; nothing of a face is left below
MAX_PIXELS = 128_000_000                    # a 108 megapixel photograph passes, a bomb does not
LEAST = 0.5                                 # of a picture must be left

_PNG = b"\x89PNG\r\n\x1a\n"
_NO_PICTURE = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")      # PNG chunks that a picture can do without
_RUN_PROGRAMS = ("EPS", "WMF")              # formats that Pillow hands to other programs
_GREY = (127, 129)                          # what a JPEG decoder puts where data are missing
_WARNINGS = threading.Lock()                # warnings.catch_warnings is of the whole process


def open_image(path: Path) -> Image.Image:
    """The first picture of a file, found out by its content and unpacked.

    Warns when the file is damaged and parts of its picture are missing. Raises LGFAError when
    less than half is left, when it is no picture, and when it is larger than MAX_PIXELS, which is
    looked at before a pixel is unpacked.
    """
    with reading(path):
        if path.is_dir():
            raise LGFAError(f"{path} is a folder: give one image file.")
        if not path.exists():
            raise LGFAError(f"there is no image {path}.")
        if path.stat().st_size == 0:
            raise LGFAError(f"{path} is empty: it holds no image.")
        try:
            picture = _begin(path, str(path))
            picture.load()
        except LGFAError:
            raise
        except Exception as error:          # decoders raise whatever broken data lead them to
            if is_out_of_memory(error):
                raise
            picture = _mend(path, error)
        return picture


def check_size(width: int, height: int, name: str) -> None:
    """Refuses pictures too small to hold a face and those too large to be meant."""
    if min(width, height) < MIN_SIDE:
        raise LGFAError(f"{name} is {width} x {height} px: "
                        f"at least {MIN_SIDE} px a side are needed.")
    if width * height > MAX_PIXELS:
        raise LGFAError(f"{name} claims {width} x {height} px: more than {MAX_PIXELS // 10**6} "
                        f"megapixels are refused, make it smaller.")


def _begin(source: Path | bytes, name: str) -> Image.Image:
    """Opens a file or what it holds; the size is checked, nothing is unpacked yet."""
    Image.init()
    known = [one for one in Image.ID if one not in _RUN_PROGRAMS]
    try:
        with _WARNINGS, warnings.catch_warnings():
            warnings.simplefilter("ignore")         # of strange headers; what counts is raised
            picture = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source,
                                 formats=known)
    except Image.DecompressionBombError:
        raise LGFAError(f"{name} claims more than {MAX_PIXELS // 10**6} megapixels: "
                        f"that is refused, make it smaller.") from None
    except UnidentifiedImageError:
        raise UnidentifiedImageError("its content is no picture format that Pillow knows") from None
    check_size(*picture.size, name)
    return picture


# ---------------------------------------------------------------- damaged files
def _mend(path: Path, error: Exception) -> Image.Image:
    """A second look at a file that Pillow gave up with an error: without its texts, if it is a
    PNG; then at what is left of its picture. Raises the error where that fails, too."""
    source: Path | bytes = path
    with open(path, "rb") as file:
        if file.read(len(_PNG)) == _PNG:
            source = _bare(file)
    try:
        if source is not path:
            picture = _begin(source, str(path))
            if _finished(picture):
                return picture
        return _left(source, str(path), error)
    except LGFAError:
        raise
    except Exception:
        raise error from None


def _bare(file: io.BufferedReader) -> bytes:
    """A PNG, open after its signature, without texts and colour profile; checksums of what else
    is not the picture itself are put right."""
    parts = [_PNG]
    while len(head := file.read(8)) == 8:
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        if name in _NO_PICTURE:
            file.seek(length + 4, io.SEEK_CUR)
            continue
        data, check = file.read(length), file.read(4)
        if name[0] & 32:                    # a small first letter: not needed for the picture
            check = zlib.crc32(name + data).to_bytes(4, "big")
        parts += [head, data, check]
    return b"".join(parts)


def _left(source: Path | bytes, name: str, error: Exception) -> Image.Image:
    """What is left of a damaged picture; it is unpacked onto black and onto white, and where
    these show through there was nothing."""
    picture, other = (_partly(source, name, fill) for fill in (0, 255))
    x, y = np.asarray(picture), np.asarray(other)
    other.close()
    differ = x != y
    lost = float((differ.any(-1) if differ.ndim == 3 else differ).mean())
    if _is_jpeg(picture):
        lost = max(lost, _grey_rows(x))
    if lost == 1:
        raise error
    why = reason(error).split(" (")[0]      # without a count of bytes
    if 1 - lost < LEAST:
        raise LGFAError(f"{name} is damaged ({why}): only {1 - lost:.0%} of its picture is left, "
                        f"get the file anew.")
    rest = f"{lost:.0%} of its picture is missing" if lost >= 0.005 else "its end is missing"
    warn(f"{name} is damaged ({why}): {rest}; what it still shows is taken.", stacklevel=6)
    return picture


def _partly(source: Path | bytes, name: str, fill: int) -> Image.Image:
    """A damaged picture, as far as it can be unpacked onto one colour."""
    picture = _begin(source, name)
    bands = len(picture.getbands())
    picture.im = Image.new(picture.mode, picture.size, (fill,) * bands if bands > 1 else fill).im
    if not _finished(picture):
        picture.tile = []                   # nothing more is to come
        picture.load()
    return picture


def _finished(picture: Image.Image) -> bool:
    """Unpacks a picture; False when its data end too early or are broken.

    A JPEG gets the mark of its end where the file has none: without it the decoder waits for
    more, and rows that it has already are not shown.
    """
    if _is_jpeg(picture):
        read, ends = picture.load_read, [b"\xff\xd9"]
        picture.load_read = lambda size: read(size) or (ends.pop() if ends else b"")
    try:
        picture.load()
    except Exception:
        return False
    return True


def _is_jpeg(picture: Image.Image) -> bool:
    return picture.format in ("JPEG", "MPO")


def _grey_rows(x: np.ndarray) -> float:
    """The share of rows at the lower end that are of the grey that stands for no data."""
    x = x.reshape(len(x), -1)
    grey = ((x >= _GREY[0]) & (x <= _GREY[1])).all(1)[::-1]
    return float(np.argmin(grey) if not grey.all() else len(grey)) / len(grey)
