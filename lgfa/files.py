"""Writing files so that a reader never sees half of one."""
from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

from .errors import LGFAError

# Reasons of an OSError that are the user's to mend; any other is a bug and keeps its traceback.
REASONS = {
    errno.EACCES: "there is no right to write there",
    errno.EPERM: "there is no right to write there",
    errno.EROFS: "the disk is read-only",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.ENOTDIR: "a part of the path is a file",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EISDIR: "a folder of this name is in the way",
    errno.EEXIST: "a file is in the way",
    errno.EINVAL: "the name is not allowed on this disk",
}


def explain(error: OSError) -> str | None:
    """The reason in words, or None when the error is not one that a user can mend."""
    return REASONS.get(error.errno) if error.errno is not None else None


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success it takes `path`'s place as a whole.

    The temporary name keeps the suffix, since encoders choose their format by it. Missing
    folders are made. When the block raises, the temporary file goes and the old file stays;
    a full disk, a missing right and their like become one LGFAError.
    """
    path = Path(path)
    if os.path.isdir(path):                     # never raises, unlike Path.is_dir
        raise LGFAError(f"cannot write {path}: a folder of this name is in the way.")
    stem, suffix = _split(path)
    tmp = path.parent / f".{stem}.{secrets.token_hex(4)}.tmp{suffix}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = _usual_mode(tmp)
        yield tmp
        os.chmod(tmp, mode)                     # some writers make files for their owner only
        _sync(tmp)
        os.replace(tmp, path)
        _sync(path.parent)
    except OSError as error:
        reason = explain(error)
        if reason is None:
            raise
        raise LGFAError(f"cannot write {path}: {reason}.") from error
    finally:
        try:
            tmp.unlink(missing_ok=True)
        except OSError:
            pass                    # the folder itself is unreachable, and was reported above


def remove_leftovers(
    folder: Path,
    name: str,                              # of the file
    wildcards: bool = False,                # may the name hold them? Then it means many files
) -> None:
    """Removes what killed processes left of attempts to write a file by `atomic_path`; call it
    where nobody else can be writing it."""
    stem, suffix = (part if wildcards else escape(part) for part in _split(Path(name)))
    for left in folder.glob(f".{stem}.????????.tmp{suffix}"):
        left.unlink(missing_ok=True)


def _split(path: Path) -> tuple[str, str]:
    """What temporary names keep of a file's: its stem, not too long, and its suffix."""
    stem = path.name[: -len(path.suffix)] if path.suffix else path.name
    return stem[:80], path.suffix


def _usual_mode(tmp: Path) -> int:
    """The rights that a new file gets in this folder, found by making one."""
    os.close(os.open(tmp, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    mode = tmp.stat().st_mode & 0o777
    tmp.unlink()
    return mode


def _sync(path: Path) -> None:
    """Waits until a file or folder is on the disk; folders cannot be opened on Windows."""
    if os.name == "nt" and path.is_dir():
        return
    # Windows flushes only what is open for writing.
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:         # a file system without fsync is not an error
            raise
    finally:
        os.close(handle)


def lock(file: Any) -> None:
    """Takes a file for this process; OSError when another has it. A kill gives it back."""
    if os.name == "nt":
        import msvcrt

        file.seek(1 << 30)                      # a byte that nobody reads or writes
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
