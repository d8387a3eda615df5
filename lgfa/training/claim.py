"""A training's folder: whether it can be one, and the lock that keeps a second training out."""
from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import LGFAError, reason
from ..files import lock, remove_leftovers, writing

LOCK = ".training.lock"                     # stays in the folder; nothing is read from it
FOLDERS = ("checkpoints", "samples")        # in a training's folder
FILES = ("log.jsonl", "motion.safetensors")


class Claim:
    """The folder as it was locked."""

    def __init__(self, folder: Path, file: Any) -> None:
        self.folder, self._file = folder, file

    def check(self) -> None:
        """LGFAError when the folder is no longer there: what is written would lie in another one,
        which no lock guards and whose log begins anew."""
        try:
            same = os.path.samestat(os.stat(self.folder / LOCK), os.fstat(self._file.fileno()))
        except OSError:
            same = False
        if not same:
            raise LGFAError(f"the training ends, since its folder {self.folder} was moved or "
                            f"removed: what was saved is where the folder went.")


def check_place(folder: str | os.PathLike[str]) -> None:
    """LGFAError unless a training can be written there: a folder, or nothing yet."""
    name = os.fspath(folder)
    if not name.strip() or "\0" in name:
        raise LGFAError("the training's folder has no usable name: give another one.")
    folder = Path(folder)
    above = next((one for one in folder.parents if os.path.lexists(one)), folder)
    for path in (above, folder, *(folder / name for name in FOLDERS)):
        if os.path.lexists(path) and not os.path.isdir(path):
            raise LGFAError(f"{path} is {_kind(path)}, where a folder is needed: name another "
                            f"folder for the training.")
    for path in (folder / name for name in FILES):
        if os.path.lexists(path) and not os.path.isfile(path):
            raise LGFAError(f"{path} is {_kind(path)}, where a file is to be written: remove it, "
                            f"or name another folder for the training.")


def check_free(folder: str | os.PathLike[str]) -> None:
    """LGFAError unless a training can be written there and none is at work there now."""
    folder = Path(folder)
    check_place(folder)
    if os.path.lexists(folder / LOCK):
        with alone(folder):
            pass


@contextmanager
def alone(
    folder: Path,                           # made if it is not there
    note: Callable[[str], None] = lambda sentence: None,    # told where locks do not exist
) -> Iterator[Claim]:
    """Holds a training's folder; LGFAError when another process does. A kill gives it back."""
    check_place(folder)
    with _open(folder) as file:
        try:
            lock(file)
        except BlockingIOError as error:
            raise LGFAError(f"another training is at work in {folder}: let it end, or name "
                            f"another folder.") from error
        except OSError as error:
            note(f"{folder} lies on a disk without locks ({reason(error)}): no second training "
                 f"may be started there.")
        yield Claim(folder, file)


def clean(folder: Path) -> None:
    """Removes what a killed training left half written; only for who holds the folder."""
    remove_leftovers(folder / "checkpoints", "step-*.pt", wildcards=True)
    remove_leftovers(folder / "samples", "step-*.png", wildcards=True)
    for name in FILES:
        remove_leftovers(folder, name)


def _open(folder: Path) -> Any:
    """The lock's file, made if it is not there; never waits, whatever bears its name."""
    path = folder / LOCK
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with writing(path):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, flags, 0o666)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise LGFAError(f"{path} is {_kind(path)}, where a file is needed: remove it.")
        return os.fdopen(handle, "r+b")


def _kind(path: Path) -> str:
    """What bears a name, in words."""
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        return "a link that leads nowhere" if not os.path.exists(path) else "a link to a file"
    return {stat.S_IFREG: "a file", stat.S_IFDIR: "a folder",
            stat.S_IFIFO: "a named pipe"}.get(stat.S_IFMT(mode), "no folder and no plain file")
