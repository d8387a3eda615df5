"""Writing files so that a reader never sees half of one, and nothing is left of an attempt.

An attempt at a.webp writes .a.1f2e3d4c.tmp.webp, which then takes a.webp's place. Beside it lies
.a.1f2e3d4c.tmp.webp.lock, locked by the process that is at work: where the lock is free, its owner
is dead (the system gives it back, whatever killed him, in any container), and the next attempt at
a.webp removes what he left. On a disk without locks only what is a day old counts as left.
"""
from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from . import signals
from .errors import LGFAError, reason

# Reasons of an OSError that are the user's to mend; any other is a bug and keeps its traceback.
REASONS = {
    errno.EACCES: "there is no right to write there (choose another place)",
    errno.EPERM: "there is no right to write there (choose another place)",
    errno.EROFS: "the disk is read-only (choose another place)",
    errno.ENOSPC: "the disk is full (make room, or choose another place)",
    errno.EDQUOT: "the disk quota is used up (make room, or choose another place)",
    errno.EFBIG: "the file would be larger than files may be there",
    errno.EIO: "the disk reports an error",
    errno.ENOTDIR: "a part of the path is a file",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EBUSY: "it is in use",
    errno.EISDIR: "a folder of this name is in the way",
    errno.EEXIST: "a file is in the way",
    errno.EINVAL: "the name is not allowed on this disk",
    errno.ELOOP: "its links lead in a circle",
    errno.ESTALE: "the network disk has lost it",
}
IN_USE = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)       # how systems say that a lock is taken
OLD = 24 * 3600                     # seconds after which nobody is writing any more
TRIES = 20                          # to get a lock
LONGEST = 100                       # bytes of a name that temporary ones keep


def explain(error: BaseException) -> str | None:
    """The reason in words, or None when the error is not one that a user can mend.

    Libraries that write by themselves hide the system's reason: safetensors in a text, torch
    behind a complaint about its own archive.
    """
    if isinstance(error, OSError):
        return REASONS.get(error.errno) if error.errno is not None else None
    text = str(error)
    if "inline_container" in text:
        hidden = next((one for one in _before(error) if isinstance(one, OSError)), None)
        return hidden and explain(hidden) or "the disk took no more of it, it may be full"
    found = re.search(r"\(os error (\d+)\)", text)
    return REASONS.get(int(found[1][:9])) if found else None


def _before(error: BaseException) -> Iterator[BaseException]:
    """What an exception was raised in the handling of, latest first."""
    while (error := error.__context__) is not None:
        yield error


@contextmanager
def writing(
    path: object,
    more: str = "",                         # what the sentence says behind the reason
    kind: type[LGFAError] = LGFAError,      # what is raised
) -> Iterator[None]:
    """Turns the system's failures to write a file that is open, or opened, into the sentence."""
    try:
        yield
    except OSError as error:
        raise kind(f"cannot write {path}: {explain(error) or reason(error)}{more}.") from error


def check_file(path: str | os.PathLike[str]) -> Path:
    """The file that a path means, links followed; LGFAError where no file can be."""
    path = Path(path)
    if os.path.islink(path):                    # the link stays, what it means is written
        path = Path(os.path.realpath(path))
        if os.path.islink(path):
            raise LGFAError(f"cannot write {path}: its links lead in a circle.")
    if os.path.isdir(path):                     # never raises, unlike Path.is_dir
        raise LGFAError(f"cannot write {path}: a folder of this name is in the way.")
    if os.path.exists(path) and not os.path.isfile(path):
        raise LGFAError(f"cannot write {path}: it is a device or a pipe, name a file.")
    return path


@contextmanager
def atomic_path(
    path: str | os.PathLike[str],
    tidy: bool = True,                      # remove what killed attempts left; False where a
    #                                         folder has many files: remove_leftovers, once
) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success it takes `path`'s place as a whole.

    The temporary name keeps the suffix, since encoders choose their format by it. Missing
    folders are made. When the block raises, the temporary file goes and the old file stays;
    a full disk, a missing right and their like become one LGFAError.
    """
    path = check_file(path)
    with _attempt(path, tidy) as attempt:
        yield attempt.tmp
        os.chmod(attempt.tmp, attempt.mode)     # some writers make files for their owner only
        _sync(attempt.tmp)
        os.replace(attempt.tmp, path)
        _sync(path.parent)


@contextmanager
def atomic_folder(
    path: str | os.PathLike[str],
    check: Callable[[Path], None],          # raises LGFAError for a folder that must stay
) -> Iterator[Path]:
    """The same for a folder: yields a new one, empty, that takes `path`'s place at the end."""
    path = Path(os.path.realpath(path)) if os.path.islink(path) else Path(path)
    if os.path.lexists(path) and not os.path.isdir(path):
        raise LGFAError(f"cannot write {path}: a file of this name is in the way.")
    with _attempt(path) as attempt:
        attempt.tmp.mkdir()
        yield attempt.tmp
        with signals.held():
            if os.path.isdir(path):
                check(path)
                path.rename(attempt.old)
            attempt.tmp.rename(path)
        _sync(path.parent)


def remove_leftovers(
    folder: Path,
    name: str,                              # of the file or folder
    wildcards: bool = False,                # may the name hold them? Then it means many files
) -> None:
    """Removes what killed processes left of attempts to write a file; others' work stays."""
    stem, suffix = (re.escape(part) for part in _split(Path(name)))
    if wildcards:
        stem, suffix = (part.replace(r"\*", ".*") for part in (stem, suffix))
    pattern = re.compile(rf"(\.{stem}\.[0-9a-f]{{8}}\.tmp{suffix})(?:\.lock|\.old)?", re.DOTALL)
    try:
        found = {match[1] for entry in os.listdir(folder) if (match := pattern.fullmatch(entry))}
    except OSError:
        return                                  # there is no such folder yet
    for tmp in sorted(found):
        with signals.held(), suppress(OSError):
            _remove_dead(folder / tmp, folder / name)


# ---- one attempt

class _Attempt:
    """The names of one attempt to write `path`, and the lock that says that it is going on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.made = [one for one in path.parents if not os.path.exists(one)]
        self.file: Any = None

    def begin(self) -> None:
        """Makes the folders and a lock with a name of its own."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        stem, suffix = _split(self.path)
        for left in reversed(range(TRIES)):
            self.tmp = self.path.parent / f".{stem}.{secrets.token_hex(4)}.tmp{suffix}"
            self.old, lock_path = _beside(self.tmp)
            handle = os.open(lock_path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
            self.file = os.fdopen(handle, "r+b")
            self.mode = os.fstat(handle).st_mode & 0o777    # rights that a new file gets here
            # A tidier may take us for dead before we have the lock; some disks number files anew.
            if _take(self.file) is not False and _is_same(self.file, lock_path) or not left:
                return
            self.file.close()
            with suppress(OSError):
                lock_path.unlink(missing_ok=True)

    def end(self, failed: bool) -> None:
        """Removes everything but what is finished."""
        with signals.held():
            if self.file is not None:
                _settle(self.tmp, self.path)
                _remove_lock(self.file, _beside(self.tmp)[1])
            for folder in self.made if failed else ():      # they were made for this file alone
                with suppress(OSError):     # somebody else uses it by now
                    folder.rmdir()
            signals.forget(self)


@contextmanager
def _attempt(path: Path, tidy: bool = True) -> Iterator[_Attempt]:
    """An attempt that leaves nothing behind; failures to write become LGFAError."""
    attempt = _Attempt(path)
    failed = True
    try:
        if tidy:
            remove_leftovers(path.parent, path.name)
        with signals.held():
            signals.remember(attempt, partial(attempt.end, True))
            attempt.begin()
        yield attempt
        failed = False
    except LGFAError:
        raise
    except Exception as error:
        why = explain(error)
        if why is None:
            raise
        stop = next((one for one in _before(error) if isinstance(one, KeyboardInterrupt)), None)
        if stop is not None:                # the library complains that it was interrupted
            raise stop from None
        raise LGFAError(f"cannot write {path}: {why}.") from error
    finally:
        attempt.end(failed)


def _settle(tmp: Path, path: Path) -> None:
    """Ends an attempt at `path`: the temporary file goes; what had been put aside comes back, or
    goes if something new stands in its place."""
    old = _beside(tmp)[0]
    if os.path.lexists(old) and not os.path.lexists(path):
        try:
            os.rename(old, path)
        except OSError:
            return                          # it is the only copy
    for one in (tmp, old):
        if os.path.isdir(one) and not os.path.islink(one):
            shutil.rmtree(one, ignore_errors=True)
        else:
            with suppress(OSError):         # the folder itself is gone or out of reach
                one.unlink(missing_ok=True)


def _remove_dead(tmp: Path, path: Path) -> None:
    """Removes an attempt whose process is no more; leaves it where that is not certain."""
    lock_path = _beside(tmp)[1]
    try:
        file = open(lock_path, "r+b")       # noqa: SIM115 - _remove_lock closes it
    except FileNotFoundError:
        _settle(tmp, path)                  # its lock went first, or an older version made it
        return
    taken = _take(file)
    if taken is False or taken is None and time.time() - _used(tmp, lock_path) < OLD:
        file.close()
        return
    if _is_same(file, lock_path):
        _settle(tmp, path)
    _remove_lock(file, lock_path)


def _take(file: Any) -> bool | None:
    """Whether a lock could be taken; None on a disk without locks."""
    try:
        lock(file)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _used(*paths: Path) -> float:
    """When one of these was last written; now, if they are gone."""
    times = []
    for path in paths:
        with suppress(OSError):
            times.append(os.stat(path).st_mtime)
    return max(times, default=time.time())


def _remove_lock(file: Any, lock_path: Path) -> None:
    """Removes a lock's file while it is held, where the system allows that."""
    if os.name == "nt":
        file.close()
    with suppress(OSError):
        lock_path.unlink(missing_ok=True)
    file.close()


def _is_same(file: Any, path: Path) -> bool:
    """Whether an open file still has this name."""
    with suppress(OSError):
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    return False


def _beside(tmp: Path) -> tuple[Path, Path]:
    """Where an attempt puts the folder that it replaces, and its lock."""
    return tmp.with_name(tmp.name + ".old"), tmp.with_name(tmp.name + ".lock")


def _split(path: Path) -> tuple[str, str]:
    """What temporary names keep of a file's: its stem, not too long, and its suffix."""
    stem = path.name[: -len(path.suffix)] if path.suffix else path.name
    while len(os.fsencode(stem)) > LONGEST:
        stem = stem[:-1]
    return stem, path.suffix


def _sync(path: Path) -> None:
    """Waits until a file or folder is on the disk; folders cannot be opened on Windows."""
    if os.name == "nt" and path.is_dir():
        return
    try:                                        # Windows flushes only what is open for writing
        handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    except PermissionError:
        return                                  # a folder that one may write to but not read
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:         # a file system without fsync is not an error
            raise
    finally:
        os.close(handle)


def lock(file: Any) -> None:
    """Takes a file for this process; a kill gives it back. BlockingIOError when another has it,
    another OSError on a disk without locks."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(1 << 30)                  # a byte that nobody reads or writes
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in IN_USE and not isinstance(error, BlockingIOError):
            raise BlockingIOError(error.errno, error.strerror) from error
        raise
