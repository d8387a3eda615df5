"""Frames -> files: animated WebP and GIF, PNG strip, folder of PNG, MP4, WebM; contact sheets.

Every writer takes frames one by one, so that a clip of any length needs the memory of one frame,
and writes beside the target first: a failure leaves neither a new file nor a changed old one.
"""
from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import LGFAError, short
from ..files import atomic_folder, atomic_path, check_file
from .images import to_uint8

MAX_STRIP = 65_500                          # pixels; few viewers open a wider picture
MAX_FPS = 240.0                             # frames a second; more is a mistyped number
GIF_MAX_FPS = 50.0                          # its delays are whole hundredths, 1 means "slow"
LOSSLESS_SIDE = 256                         # px; small WebP frames are stored without loss
VIDEO = {".mp4": ("mp4", ("libx264", "libopenh264", "h264")),
         ".webm": ("webm", ("libvpx-vp9", "libvpx"))}
SUFFIXES = (".webp", ".gif", ".png", *VIDEO)


# ---------------------------------------------------------------- the one entry
def write(
    path: str | Path,                       # the suffix chooses the format, none = a folder
    frames: Any,                            # Clip, [T,H,W,3] or [H,W,3] tensor/array, iterable
    fps: float = 10.0,                      # frames a second
    count: int | None = None,               # number of frames, if an iterable hides it
) -> Path:
    """Writes frames, floats 0..1 (or uint8), and returns the path.

    An iterable may yield single frames [H,W,3] or chunks [n,H,W,3], as rendering does.
    Raises LGFAError with one sentence, and leaves nothing behind, if that is not possible.
    """
    frames = getattr(frames, "frames", frames)
    if count is None and isinstance(frames, (Tensor, np.ndarray)):
        count = len(frames) if frames.ndim == 4 else 1
    path = check_target(path, fps, count)
    suffix = "" if _is_folder(path) else path.suffix.lower()
    try:
        with (atomic_folder(path, _check_folder) if suffix == "" else atomic_path(path)) as target:
            _WRITERS[suffix](target, _each(frames), fps, count, suffix)
    except OSError as error:                # a reason that files.py does not know
        raise LGFAError(f"cannot write {path}: {error.strerror or error}.") from error
    return path


def check_target(path: str | Path, fps: float = 10.0, count: int | None = None) -> Path:
    """Refuses, before anything is computed, what `write` could not do in the end."""
    folder = str(path).endswith(("/", os.sep))
    path = Path(path)
    if len(os.fsencode(path.name)) > 240:                   # systems stop at 255
        raise LGFAError(f"the name {path.name[:40]}.. is too long for a file.")
    suffix = path.suffix.lower()
    if not path.name:
        raise LGFAError("the output needs a file name, for example smile.webp.")
    if suffix not in SUFFIXES and suffix and not folder and not os.path.isdir(path):
        raise LGFAError(f"the suffix {path.suffix} of {path} is unknown: use "
                        f"{', '.join(SUFFIXES)}, or no suffix for a folder of PNG frames.")
    if not is_rate(fps):
        raise LGFAError(f"frames a second must lie between 0 and {MAX_FPS:g}, not {short(fps)}.")
    if suffix == ".gif" and fps > GIF_MAX_FPS:
        raise LGFAError(f"a GIF shows at most {GIF_MAX_FPS:g} frames a second, not {fps:g}: "
                        f"choose .webp or .mp4.")
    if count is not None and count < 1:
        raise LGFAError("there is no frame to write.")
    check_place(path, _is_folder(path))
    return path


def is_rate(fps: object) -> bool:
    """Can it be a number of frames a second? NaN cannot."""
    return isinstance(fps, (int, float)) and not isinstance(fps, bool) and 0 < fps <= MAX_FPS


def check_place(
    path: Path,
    folder: bool = False,                   # of frames, that is to be written; else a file
) -> None:
    """Can it be written: is nothing in the way, and may a file be put there?"""
    if not folder:
        place = check_file(path)
    elif os.path.lexists(path) and not os.path.isdir(path):
        raise LGFAError(f"{path} is a file, and a name without a suffix means a folder of frames: "
                        f"give another name, or one of {', '.join(SUFFIXES)}.")
    else:
        place = Path(os.path.realpath(path))
        if os.path.isdir(place):
            _check_folder(place)
    parent = place.parent
    while not os.path.exists(parent) and parent != parent.parent:   # missing ones will be made
        parent = parent.parent
    if not os.path.isdir(parent):
        raise LGFAError(f"{path} cannot be written: {parent} is not a folder.")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise LGFAError(f"{path} cannot be written: there is no right to write in {parent}.")


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path) or path.suffix.lower() not in SUFFIXES


def _check_folder(path: Path) -> None:
    """An existing folder is replaced only if it holds nothing but frames of an earlier run."""
    other = next((p for p in path.iterdir() if not _is_frame(p)), None)
    if other is not None:
        raise LGFAError(f"the folder {path} holds other things ({other.name}): "
                        f"give a new or empty folder for the frames.")


def _is_frame(path: Path) -> bool:
    name = path.name
    return name.startswith("frame_") and name.endswith(".png") and name[6:-4].isdigit()


# ---------------------------------------------------------------- frames
def _each(frames: Any) -> Iterator[np.ndarray]:
    """Single frames uint8 [H,W,3] of any accepted form, all of one size."""
    if isinstance(frames, (Tensor, np.ndarray)):
        frames = [frames]
    size = None
    for chunk in frames:
        chunk = torch.as_tensor(chunk)
        if chunk.ndim not in (3, 4) or chunk.shape[-1] != 3:
            raise LGFAError(f"frames must be [T,H,W,3] or [H,W,3], not {list(chunk.shape)}.")
        for frame in chunk if chunk.ndim == 4 else chunk[None]:
            size = size or frame.shape
            if frame.shape != size:
                raise LGFAError(f"all frames must have one size, not {list(size[:2])} "
                                f"and {list(frame.shape[:2])}.")
            yield to_uint8(frame)
    if size is None:
        raise LGFAError("there is no frame to write.")


def _durations(fps: float, unit: float) -> Iterator[int]:
    """Whole durations in units of `unit` seconds whose sum keeps the true time."""
    shown, frame = 0, 0
    while True:
        frame += 1
        end = round(frame / fps / unit)
        yield end - shown
        shown = end


def _encode(frame: np.ndarray, kind: str, **options: Any) -> bytes:
    """One frame as a file of its own in memory. Given a file, Pillow hides why it cannot write."""
    picture = Image.fromarray(frame)
    if kind == "GIF":
        picture = picture.quantize(256)
    memory = io.BytesIO()
    picture.save(memory, kind, **options)
    return memory.getvalue()


# ---------------------------------------------------------------- animated pictures
def _write_webp(
    target: Path, frames: Iterator[np.ndarray], fps: float, count: int | None, suffix: str,
) -> None:
    """Each frame is encoded alone and put into an ANMF chunk (WebP container specification).

    Pillow's own writer would hold all frames in memory.
    """
    with target.open("wb") as file:
        for frame, duration in zip(frames, _durations(fps, 1e-3), strict=False):
            height, width = frame.shape[:2]
            if max(height, width) > 16383:
                raise LGFAError(f"a WebP frame has at most 16383 px a side, "
                                f"not {width} x {height}.")
            if file.tell() == 0:
                file.write(b"RIFF\0\0\0\0WEBP")
                canvas = b"\x02\0\0\0" + _int24(width - 1) + _int24(height - 1)
                file.write(_chunk(b"VP8X", canvas) + _chunk(b"ANIM", b"\xff\xff\xff\xff\0\0"))
            lossless = max(height, width) <= LOSSLESS_SIDE
            coded = _encode(frame, "WEBP", lossless=lossless, quality=50 if lossless else 92)
            place = bytes(6) + _int24(width - 1) + _int24(height - 1)
            file.write(_chunk(b"ANMF", place + _int24(duration) + b"\x02" + coded[12:]))
        size = file.tell() - 8
        if size >= 2**32:
            raise LGFAError("a WebP file holds at most 4 GB: choose .mp4 or a folder.")
        file.seek(4)
        file.write(size.to_bytes(4, "little"))


def _int24(value: int) -> bytes:
    return value.to_bytes(3, "little")


def _chunk(name: bytes, payload: bytes) -> bytes:
    return name + len(payload).to_bytes(4, "little") + payload + bytes(len(payload) % 2)


def _write_gif(
    target: Path, frames: Iterator[np.ndarray], fps: float, count: int | None, suffix: str,
) -> None:
    """Each frame is encoded alone, with its own 256 colours, and spliced in (GIF89a)."""
    with target.open("wb") as file:
        for frame, delay in zip(frames, _durations(fps, 1e-2), strict=False):
            coded = _encode(frame, "GIF", interlace=0)
            if file.tell() == 0:
                file.write(b"GIF89a" + coded[6:10] + b"\0\0\0")
                file.write(b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0")            # for ever
            file.write(b"!\xf9\x04\x04" + delay.to_bytes(2, "little") + b"\0\0")
            file.write(_gif_image(coded))
        file.write(b";")


def _gif_image(coded: bytes) -> bytes:
    """The image block of a one-frame GIF, its global palette made a local one."""
    bits = coded[10] & 7
    start = 13 + (3 * 2 ** (bits + 1) if coded[10] & 0x80 else 0)
    palette, at = coded[13:start], start
    while coded[at] == 0x21:                                # skip extensions and their blocks
        at += 2
        while coded[at]:
            at += coded[at] + 1
        at += 1
    descriptor, data = coded[at:at + 10], coded[at + 10:-1]
    if descriptor[9] & 0x80:                                # it has a local palette already
        return descriptor + data
    return descriptor[:9] + bytes([0x80 | descriptor[9] & 0x40 | bits]) + palette + data


# ---------------------------------------------------------------- PNG
def _write_strip(
    target: Path, frames: Iterator[np.ndarray], fps: float, count: int | None, suffix: str,
) -> None:
    """All frames side by side; one frame is just a picture."""
    strip: list[np.ndarray] = []
    for frame in frames:
        strip.append(frame)
        width = frame.shape[1] * max(count or 0, len(strip))
        if width > MAX_STRIP:
            raise LGFAError(f"a PNG strip of these frames would be {width} px wide, more than "
                            f"{MAX_STRIP}: choose .webp, .mp4 or a folder.")
    target.write_bytes(_encode(np.concatenate(strip, axis=1), "PNG"))


def _write_folder(
    target: Path, frames: Iterator[np.ndarray], fps: float, count: int | None, suffix: str,
) -> None:
    """frame_00001.png, frame_00002.png, .."""
    digits = max(5, len(str(count or 0)))
    for number, frame in enumerate(frames, start=1):
        (target / f"frame_{number:0{digits}d}.png").write_bytes(_encode(frame, "PNG"))


# ---------------------------------------------------------------- video
def _write_video(
    target: Path, frames: Iterator[np.ndarray], fps: float, count: int | None, suffix: str,
) -> None:
    """H.264 in MP4 or VP9 in WebM, 4:2:0 as players want it, BT.709 and tagged so (no tint)."""
    import av

    with target.open("wb") as plain:
        file = _Kept(plain)
        try:
            # a Python file, because libavformat's own may swallow a failed write
            with av.open(file, "w", format=VIDEO[suffix][0]) as container:
                stream = None
                for frame in frames:
                    frame = _even(frame)
                    stream = stream or _add_stream(container, frame.shape, fps, suffix)
                    picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
                    picture = picture.reformat(format="yuv420p", dst_colorspace="ITU709")
                    picture.colorspace, picture.color_range = 1, 1
                    for packet in stream.encode(picture):
                        container.mux(packet)
                    file.check()
                for packet in stream.encode() if stream else ():
                    container.mux(packet)
        except av.error.FFmpegError as error:
            file.check()
            raise OSError(None, error.strerror or str(error)) from error
        file.check()


class _Kept:
    """A file for PyAV, which prints what is raised while it writes and goes on: the first error
    is kept, and what follows is left out."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.error: BaseException | None = None
        self.tell = file.tell

    def write(self, data: bytes) -> int:
        self._try(self.file.write, data)
        return len(data)

    def seek(self, *place: int) -> int:
        return self._try(self.file.seek, *place) or 0       # writes what was buffered

    def _try(self, call: Callable[..., int], *given: Any) -> int | None:
        if self.error is None:
            try:
                return call(*given)
            except BaseException as error:  # Ctrl-C, too
                self.error = error
        return None

    def check(self) -> None:
        """Raises what was kept."""
        if self.error is not None:
            raise self.error


def _even(frame: np.ndarray) -> np.ndarray:
    """4:2:0 needs even sides: the last row or column is shown twice."""
    height, width = frame.shape[:2]
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _add_stream(container: Any, shape: tuple[int, ...], fps: float, suffix: str) -> Any:
    """The first codec of the table that this PyAV has, set to near-lossless quality."""
    import av

    for codec in VIDEO[suffix][1]:
        try:
            stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        except (av.codec.codec.UnknownCodecError, av.error.EncoderNotFoundError, ValueError):
            continue
        stream.height, stream.width = shape[:2]
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 1        # BT.709
        context.color_range = 1                                                     # 16..235
        if codec == "libx264":
            stream.options = {"crf": "14", "preset": "medium"}
        elif codec == "libvpx-vp9":
            stream.bit_rate = 0                             # constant quality
            stream.options = {"crf": "18", "deadline": "good", "cpu-used": "4"}
        else:
            stream.bit_rate = int(8 * shape[0] * shape[1] * fps / 8)
        return stream
    raise LGFAError(f"this PyAV has no encoder for {suffix}: choose .webp, .gif or a folder.")


_WRITERS: dict[str, Callable[..., None]] = {
    ".webp": _write_webp, ".gif": _write_gif, ".png": _write_strip, "": _write_folder,
    **dict.fromkeys(VIDEO, _write_video),
}
