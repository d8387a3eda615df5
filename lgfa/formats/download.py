"""The known public models: a table, and a download that resumes, verifies and is asked for.

Sizes and hashes are in the table only where they are certain; for a file without a hash the
download is checked by reading it and recognising its format.
"""
from __future__ import annotations

import http.client
import io
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from ..errors import LGFAError, short
from ..files import lock, writing
from .public import YUNET, Model, folder, known

CHUNK = 1 << 20             # bytes taken at once, at most
TIMEOUT = 30                # seconds without any data
ATTEMPTS = 4                # connections that may break before we give up
WAIT = 2.0                  # seconds before the second attempt, doubled for each further one
GOES_ON = "; the same command goes on from what is there"


def download(
    name: str,                                          # of the table, or the file's name
    progress: Callable[[int, int | None], None] | None = None,
    #                                                     called with (bytes so far, bytes in all)
    to: Path | None = None,                             # folder; None = the cache folder
) -> Path:
    """Fetches a model into a folder and returns its path; nothing is done if it is there.

    Goes on where an earlier attempt stopped, compares size and SHA-256 (without one, recognises
    the file), and only then gives the file its name. Raises LGFAError, one sentence.
    """
    model = known(name)
    path = (to or folder()) / model.file
    if path.is_file():
        return path
    part = path.with_name(path.name + ".part")
    with writing(path, GOES_ON):
        part.parent.mkdir(parents=True, exist_ok=True)
        _fetch(model, part, progress or (lambda done, total: None))
        _verify(model, part)
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
        _stamp(part).unlink(missing_ok=True)
    return path


def _fetch(model: Model, part: Path, progress: Callable[[int, int | None], None]) -> None:
    """Fills the partial file, going on after a broken connection."""
    for attempt in range(ATTEMPTS):
        before = _length(part)
        try:
            if _fetch_once(model, part, progress):
                return
            error: Exception = ConnectionError("the connection ended early")
        except urllib.error.HTTPError as failed:
            raise LGFAError(f"{model.address} answers {failed.code} {failed.reason}: fetch "
                            f"{model.file} by hand and put it into {part.parent}.") from failed
        except LGFAError:
            raise
        except (OSError, http.client.HTTPException, ValueError) as failed:  # an odd address, too
            error = failed
        if attempt + 1 < ATTEMPTS and _length(part) == before:
            time.sleep(WAIT * 2**attempt)
    why = getattr(error, "reason", None) or error
    raise LGFAError(f"the download of {model.file} broke off ({short(why, 200)}): run it again to "
                    f"go on from {_length(part):,} bytes.")


def _fetch_once(model: Model, part: Path, progress: Callable[[int, int | None], None]) -> bool:
    """One connection; True when the file is whole."""
    start = _length(part)
    request = urllib.request.Request(model.address, headers={"User-Agent": "lgfa"})
    stamp = _read_stamp(part)
    if start and not (stamp or model.sha256):
        start = 0                       # nothing would tell whether the two halves belong together
    if start:
        if start == model.size:
            return True
        request.add_header("Range", f"bytes={start}-")
        if stamp:
            request.add_header("If-Range", stamp)
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:                 # nothing beyond what we have
            return error.headers.get("Content-Range", "").endswith(f"/{start}") or _restart(part)
        raise
    with answer:
        if not _continues(answer, start):
            start = 0                                   # a server without Range, or a newer file
        total = _total(answer, start)
        _check_room(model, part, start, total)
        tag = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        with _open(part, start, tag, model) as file:
            progress(start, total)
            while chunk := answer.read1(CHUNK):         # what is there: a stop loses nothing
                _append(file, chunk, part)
                start += len(chunk)
                progress(start, total)
                if model.size is not None and start > model.size:
                    break                               # another file: the size check says so
    return total is None or start >= total


def _open(
    part: Path,
    start: int,                         # bytes of it that stay
    tag: str,                           # the server's mark of this version
    model: Model,
) -> io.FileIO:
    """The partial file, ready to be gone on with; no other process has it."""
    with writing(part, GOES_ON):
        file = open(part, "ab", buffering=0)    # noqa: SIM115 - the caller closes it
        try:
            lock(file)
        except BlockingIOError as error:
            file.close()
            raise LGFAError(f"another process is downloading {model.file}: wait for it.") from error
        except OSError:
            pass                                # a disk without locks
        file.truncate(start)
        _stamp(part).write_text(tag if _is_stamp(tag) else "", encoding="ascii")
    return file


def _append(file: io.FileIO, chunk: bytes, part: Path) -> None:
    """Writes all of a chunk; a full disk takes a part of it first."""
    rest = memoryview(chunk)
    with writing(part, GOES_ON):
        while rest:
            rest = rest[file.write(rest):]


def _read_stamp(part: Path) -> str:
    """The mark that was noted beside a partial file; "" for one that no server gave."""
    try:
        tag = _stamp(part).read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
    return tag if _is_stamp(tag) else ""


def _is_stamp(tag: str) -> bool:
    """Can it be sent back? A weak mark (W/) does not promise the same bytes."""
    return not tag.startswith("W/") and tag.isascii() and tag.isprintable() and len(tag) <= 200


def _restart(part: Path) -> bool:
    """Forgets a partial file that the server cannot complete."""
    part.unlink(missing_ok=True)
    return False


def _continues(answer: http.client.HTTPResponse, start: int) -> bool:
    """Whether an answer goes on at `start`."""
    return bool(start) and answer.status == 206 and \
        answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def _total(answer: http.client.HTTPResponse, start: int) -> int | None:
    """The whole file's bytes, as the server has it."""
    length = answer.headers.get("Content-Length", "")
    # No file has more digits; another length is none.
    return start + int(length) if re.fullmatch("[0-9]{1,18}", length) else None


def _check_room(model: Model, part: Path, start: int, total: int | None) -> None:
    """LGFAError when the file is another one, or does not fit on the disk."""
    if total is not None and model.size is not None and total != model.size:
        raise LGFAError(f"{model.address} holds {total:,} bytes instead of {model.size:,}: it is "
                        f"another file, or the server is in error; try again later.")
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - start > free:
        raise LGFAError(f"{model.file} needs {total - start:,} bytes and {part.parent} has "
                        f"{free:,}: make room, or set LGFA_HOME to another disk.")


def _verify(model: Model, part: Path) -> None:
    """Compares a finished download with the table; a wrong one is removed."""
    from ..hashes import file_hash

    wrong = None
    if model.size is not None and _length(part) != model.size:
        wrong = f"has {_length(part):,} bytes instead of {model.size:,}"
    elif model.sha256 is not None:
        found = file_hash(part)
        if not found.startswith(model.sha256):
            wrong = f"has the SHA-256 {found[:16]}.. instead of {model.sha256[:16]}.."
    elif model.kind is not None:
        wrong = _strange(model, part)
    if wrong is not None:
        part.unlink(missing_ok=True)
        _stamp(part).unlink(missing_ok=True)
        raise LGFAError(f"the download of {model.file} {wrong}; it was removed, try again.")


def _strange(model: Model, part: Path) -> str | None:
    """Why a file without a known hash is not the model, or None when it looks like it."""
    from .. import formats

    try:
        formats.recognise(formats.read(part), model.kind)
    except LGFAError as error:
        return f"is not {model.format}: {str(error).rstrip('.')}"
    return None


def _length(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _stamp(part: Path) -> Path:
    """Beside a partial file: the server's mark of the version that it belongs to."""
    return part.with_name(part.name + ".tag")


def fetch_yunet(folder: str | Path) -> Path:
    """Downloads YuNet's 0.3 MB into the folder, by a pinned address and hash, and returns it."""
    return download(YUNET, to=Path(folder))
