"""A training's files: checkpoints that hold everything, the log, and the check before going on."""
from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from .errors import LGFAError
from .files import atomic_path, remove_leftovers

VERSION = 1


def write(
    folder: Path,
    state: dict[str, Any],                  # with "step"; tensors and plain data only
    keep: int,                              # checkpoints that stay
) -> Path:
    """Writes FOLDER/step-00001200.pt whole or not at all, then removes the oldest."""
    path = folder / f"step-{state['step']:08d}.pt"
    # Given a name instead of a file, torch.save hides a full disk behind an error of its own.
    with atomic_path(path) as tmp, open(tmp, "wb") as file:
        torch.save({"lgfa_training": VERSION, **state}, file)
    for old in paths(folder)[:-keep]:
        old.unlink(missing_ok=True)
    return path


def paths(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first."""
    return sorted(folder.glob("step-*.pt"))


def read_latest(
    folder: Path,
) -> tuple[Path, dict[str, Any]] | None:
    """The newest checkpoint that can be read, on the CPU; None where there is none.

    A killed training leaves no broken file, a full or failing disk may: then the one before is
    taken. Raises LGFAError when there are files and none can be read.
    """
    found = paths(folder)
    for path in reversed(found):
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception:                   # whatever is wrong with it: the one before may do
            continue
        if isinstance(state, dict) and state.get("lgfa_training") == VERSION:
            return path, state
    if found:
        raise LGFAError(f"none of the {len(found)} checkpoints in {folder} can be read: remove "
                        "them to begin again.")
    return None


def clean(folder: Path) -> None:
    """Removes what a killed training may have left half written."""
    remove_leftovers(folder, "step-*.pt", wildcards=True)


def compare(
    then: Mapping[str, Any],                # settings of the checkpoint, nested dicts
    now: Mapping[str, Any],                 # settings of this training
    free: tuple[str, ...] = (),             # names that may differ
) -> None:
    """Raises LGFAError that names every setting which differs."""
    old, new = _flat(then), _flat(now)
    names = [name for name in sorted(old.keys() | new.keys()) if name.split(".")[-1] not in free]
    unequal = [f"{name} (was {_short(old.get(name))}, is {_short(new.get(name))})"
               for name in names if old.get(name) != new.get(name)]
    if unequal:
        raise LGFAError(f"the training cannot go on, since it differs in {', '.join(unequal)}: "
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
    return text if len(text) <= 48 else text[:45] + ".."


class Log:
    """FILE.jsonl: one line a step, so that curves can be drawn after any end."""

    def __init__(
        self,
        path: Path,
        step: int = 0,                      # the last step that counts; later lines are dropped
    ) -> None:
        lines = [line for line in read_log(path) if line["step"] <= step]
        with atomic_path(path) as tmp:
            tmp.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 - closed by close()

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Appends a line."""
        line = {"step": step, **{name: round(value, 6) for name, value in values.items()}}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a log, {"step": 1, "total": .., ..} each; a kill may have cut the last."""
    found = []
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and isinstance(entry.get("step"), int):
            found.append(entry)
    return found
