"""A training's files: checkpoints that hold everything, the log, and the check before going on."""
from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from ..errors import LGFAError, reading, short
from ..files import atomic_path, writing
from ..formats.unpickle import reader

VERSION = 1
NAME = re.compile(r"step-(\d{8,18})\.pt")
PLAIN = (str, int, float, bool, type(None))     # what settings are made of
MOST_NAMED = 12                                 # differences that one sentence lists
LINE = 1 << 16                                  # bytes of a log's line; real ones have about 200
MOST_TERMS = 40                                 # numbers of a line; real ones have below ten
HIGHEST = 1e300                                 # of a logged number: sums of a few are finite


class Unlike(LGFAError):
    """A whole checkpoint, but of a training with other settings than this one's."""


# ---- writing

def save(
    path: Path,
    tree: Any,                              # tensors and plain data
) -> None:
    """Writes torch's zip layout, whole or not at all."""
    # Given a file, torch tells of a full disk, from which atomic_path makes the sentence.
    with atomic_path(path, tidy=False) as tmp, open(tmp, "wb") as file:
        torch.save(tree, file)


def write(
    folder: Path,
    state: dict[str, Any],                  # with "step"; tensors and plain data only
    keep: int,                              # checkpoints that stay
) -> Path:
    """Writes FOLDER/step-00001200.pt whole or not at all, then removes the oldest.

    Broken files of later steps do not count, or they would push out the only whole one.
    """
    path = folder / f"step-{state['step']:08d}.pt"
    save(path, {"lgfa_training": VERSION, **state})
    for old in [one for one in paths(folder) if step_of(one) <= state["step"]][:-keep]:
        with contextlib.suppress(OSError):      # one too many does no harm
            old.unlink(missing_ok=True)
    return path


# ---- reading

def paths(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first."""
    found = [path for path in folder.glob("step-*.pt")
             if NAME.fullmatch(path.name) and path.is_file()]
    return sorted(found, key=step_of)


def step_of(path: Path) -> int:
    """The step in a checkpoint's name."""
    return int(NAME.fullmatch(path.name)[1])


def read_latest(
    folder: Path,
    check: Callable[[dict[str, Any]], None] | None = None,  # raises LGFAError for wrong contents
    note: Callable[[str], None] | None = None,      # told of each file that is left out, and why
) -> tuple[Path, dict[str, Any]] | None:
    """The newest whole checkpoint, on the CPU; None where there is none.

    A killed training leaves no broken file, a full or failing disk may: then the one before is
    taken. Raises LGFAError when there are files and none can be used, and whatever Unlike `check`
    raises: a training with other settings is whole.
    """
    found, first = paths(folder), ""
    for path in reversed(found):
        try:
            with reading(part="its state"):
                state = read(path)
                if check is not None:
                    check(state)
            return path, state
        except Unlike:
            raise
        except LGFAError as error:
            # The reader's advice is for downloads.
            why = str(error).removeprefix(f"{path}").lstrip(": ").partition(";")[0].rstrip(".")
            first = first or why
            if note is not None:
                note(f"the checkpoint {path.name} is left out: {why}.")
    if found:
        raise LGFAError(f"none of the {len(found)} checkpoints in {folder} can be read (the "
                        f"newest: {first}): remove them to begin again.")
    return None


def read(path: Path) -> dict[str, Any]:
    """A checkpoint's state, which has the "step" of its name; LGFAError for any other file."""
    state = reader.read(path)
    version = state.get("lgfa_training") if isinstance(state, dict) else None
    if type(version) is not int or version != VERSION:
        raise LGFAError(f"{path}: it is no checkpoint of a training, or of a newer version.")
    step = state.get("step")
    if type(step) is not int or step != step_of(path):
        raise LGFAError(f"{path}: its step is not that of its name.")
    return state


# ---- where a training's checkpoints lie

class Numbered:
    """FOLDER/step-00001200.pt and the like, of which the newest stay: when the last is broken, a
    training goes on from the one before."""

    def __init__(
        self,
        folder: Path,
        keep: int = 2,                      # checkpoints that stay
        guard: Callable[[], None] = lambda: None,   # called before each is written: LGFAError when
        #                                     the folder is no longer this training's
    ) -> None:
        self.folder, self.keep, self.guard = folder, keep, guard

    def latest(
        self,
        check: Callable[[dict[str, Any]], None],
        note: Callable[[str], None] | None = None,
    ) -> tuple[Path, dict[str, Any]] | None:
        """The newest whole one, as `read_latest` gives it."""
        return read_latest(self.folder, check, note)

    def write(self, state: dict[str, Any]) -> Path:
        """Adds one and removes the oldest."""
        self.guard()
        return write(self.folder, state, self.keep)


class Single:
    """One file, which each checkpoint replaces; no other can stand in for a broken one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def latest(
        self,
        check: Callable[[dict[str, Any]], None],
        note: Callable[[str], None] | None = None,
    ) -> tuple[Path, dict[str, Any]] | None:
        """The file and its state, None where there is none; LGFAError when it cannot be used."""
        if not self.path.exists():
            return None
        try:
            with reading(self.path):
                state = reader.read(self.path)
                if type(state["step"]) is not int or state["step"] < 0:
                    raise LGFAError("its step is no number.")
                check(state)
        except LGFAError as error:
            raise LGFAError(f"{error} Remove it to begin this training again.") from error
        return self.path, state

    def write(self, state: dict[str, Any]) -> Path:
        """Puts this one in the other's place."""
        save(self.path, state)
        return self.path


# ---- is it this training?

def check_settings(state: Mapping[str, Any]) -> None:
    """LGFAError unless a state has the settings of a motion model's training."""
    settings = state.get("settings")
    groups = {"train": dict, "motion": dict, "encoder": dict, "networks": dict, "source": str,
              "prompts": str}
    if not isinstance(settings, dict) or not _is_plain(settings):
        raise LGFAError("its settings are no settings.")
    for name, kind in groups.items():
        if not isinstance(settings.get(name), kind) or not settings[name]:
            raise LGFAError(f"its settings lack {name}.")
    seed = settings["train"].get("seed")
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**64:
        raise LGFAError("its settings hold no seed.")


def _is_plain(tree: Any) -> bool:
    """Whether a tree is made of tables with names, lists and plain values."""
    if isinstance(tree, dict):
        return all(isinstance(key, str) and _is_plain(value) for key, value in tree.items())
    if isinstance(tree, list | tuple):
        return all(map(_is_plain, tree))
    return isinstance(tree, PLAIN)


def compare(
    then: Mapping[str, Any],                # settings of the checkpoint, nested dicts
    now: Mapping[str, Any],                 # settings of this training
    free: tuple[str, ...] = (),             # names that may differ
) -> None:
    """Raises Unlike, which names every setting that differs. What an older version did not write
    down yet is no difference."""
    old, new = _flat(then), _flat(now)
    unequal = [f"{name[:80]} (was {_short(old[name])}, is {_short(new.get(name))})"
               for name in sorted(old) if name.split(".")[-1] not in free
               and old[name] != new.get(name)]
    if len(unequal) > MOST_NAMED:
        unequal[MOST_NAMED:] = [f"{len(unequal) - MOST_NAMED} more settings"]
    if unequal:
        raise Unlike(f"the training cannot go on, since it differs in {', '.join(unequal)}: "
                     "give the same settings and networks, or begin in another folder.")


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"train.batch": 4, ..}, with values as JSON keeps them."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = json.loads(json.dumps(value))
    return flat


def _short(value: Any) -> str:
    text = "not given" if value is None else value if isinstance(value, str) else json.dumps(value)
    return short(text, 48)


# ---- the log

class Log:
    """FILE.jsonl: one line a step, so that curves can be drawn after any end."""

    def __init__(
        self,
        path: Path,
        step: int = 0,                      # the last step that counts; later lines are dropped
    ) -> None:
        self.path = path
        lines = [line for line in read_log(path) if line["step"] <= step]
        with atomic_path(path) as tmp:
            tmp.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        with writing(path):
            self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 - closed by close()

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Appends a line; LGFAError when the disk is full."""
        line = {"step": step, **{name: round(value, 6) for name, value in values.items()}}
        with writing(self.path):
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Whatever could not be written was reported when it was."""
        with contextlib.suppress(OSError):
            self._file.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a log, {"step": 1, "total": .., ..} each; a kill may have cut the last,
    a failing disk may have damaged any: such a line is left out."""
    if not os.path.isfile(path):
        return []
    try:
        with open(path, "rb") as file:
            return [entry for line in _lines(file) if (entry := _entry(line)) is not None]
    except OSError:
        return []


def _lines(file: Any) -> Iterator[bytes]:
    """Lines of at most LINE bytes; longer ones are passed over piece by piece."""
    inside = False                          # .. of a line that is too long
    while piece := file.readline(LINE):
        whole = piece.endswith(b"\n") or len(piece) < LINE
        if whole and not inside:
            yield piece
        inside = not whole


def _entry(line: bytes) -> dict[str, Any] | None:
    """A line's numbers by name; None unless it is whole."""
    try:
        entry = json.loads(line.decode("utf-8"), parse_constant=float)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or len(entry) > MOST_TERMS or not all(
            name.isidentifier() and _is_number(value) for name, value in entry.items()):
        return None
    step = entry.get("step")
    return entry if isinstance(step, int) and 0 <= step < 2**53 else None


def _is_number(value: Any) -> bool:
    """Whether a logged value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and \
        abs(value) <= HIGHEST
