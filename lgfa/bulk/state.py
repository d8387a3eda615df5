"""What survives a stop: a file of events in the results' folder, one JSON object a line.

Lines are only ever appended and reach the disk before what they announce is done, so that a
process may be killed at any moment. A last line that was cut off is left out.
"""
from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import LGFAError, reason
from ..files import lock, remove_leftovers, writing
from .bounded import parse
from .errors import Stop

FILE = "queue.state.jsonl"
EVENTS = ("queued", "saving", "done", "failed")


@dataclass
class Record:
    """What is known of a row: the job it was (`digest`), where it is, and its files.

    `there`: it failed, but only its answer or its files did not come; the server may have them.
    """
    digest: str = ""
    prompt_id: str = ""
    status: str = ""                            # "", queued, done, failed
    reason: str = ""
    there: bool = False
    files: list[str] = field(default_factory=list)


class State:
    """The rows' records by name. Use as a context: only one process may hold a folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self.rows: dict[str, Record] = {}
        self.client_id = uuid.uuid4().hex       # rows queued earlier report to the same client
        self._file: Any = None

    def __enter__(self) -> State:
        """Makes the folder, takes the file, reads it. LGFAError when another process has it."""
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, "a+b")
        try:
            lock(self._file)
        except OSError as error:
            self._file.close()
            why = f"another queue is at work in {self.path.parent}: let it end, or" \
                if isinstance(error, BlockingIOError) else \
                f"{self.path.parent} lies on a disk without locks ({reason(error)}):"
            raise LGFAError(f"{why} choose another --out.") from error
        self.load()
        for record in self.rows.values():
            for name in record.files:
                remove_leftovers(self.path.parent, name)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()                      # gives the lock back too

    def load(self) -> None:
        """Reads the events; a file that does not end with a line end gets one."""
        self._file.seek(0)
        data = self._file.read()
        self.replay(data)
        if data and not data.endswith(b"\n"):
            self._write(b"\n")
        if b'"client"' not in data:
            self._append({"event": "client", "id": self.client_id})

    def replay(self, data: bytes) -> None:
        """The records that a file's lines amount to."""
        for line in data.split(b"\n"):
            try:
                event = parse(line, strict=True)
                if event["event"] == "client":
                    self.client_id = uuid.UUID(event["id"]).hex
                elif event["event"] in EVENTS:
                    self._apply(event)
            except (ValueError, LookupError, TypeError, AttributeError):
                continue                        # cut off by a kill, or damaged

    # ---- events

    def queued(self, name: str, digest: str, prompt_id: str) -> None:
        """A row is about to be sent."""
        self._note({"event": "queued", "row": name, "digest": digest, "prompt_id": prompt_id})

    def saving(self, name: str, files: list[str]) -> None:
        """A row's files are about to be written; those of before count as ours too."""
        self._note({"event": "saving", "row": name, "files": files})

    def done(self, name: str, files: list[str],
             understood: Sequence[dict[str, Any]] = ()) -> None:
        """A row is finished, and its files are all there; `understood` is what its sentences were
        taken for, for those who read the file."""
        told = {"understood": list(understood)} if understood else {}
        self._note({"event": "done", "row": name, "files": files, **told})

    def failed(self, name: str, digest: str, reason: str, there: bool = False) -> None:
        """A row failed; the next run tries it again, or asks for it again if it is `there`."""
        self._note({"event": "failed", "row": name, "digest": digest, "reason": reason,
                    "there": there})

    def _note(self, event: dict[str, Any]) -> None:
        self._append(event)
        self._apply(event)

    def _apply(self, event: dict[str, Any]) -> None:
        row = self.rows.setdefault(str(event["row"]), Record())
        kind = event["event"]
        if kind == "saving":
            row.files = list(dict.fromkeys([*row.files, *plain_names(event["files"])]))
            return
        row.status = kind
        if kind == "queued":
            row.digest, row.prompt_id = str(event["digest"]), str(event["prompt_id"])
            row.there = False
        elif kind == "done":
            row.files = plain_names(event["files"])
        elif kind == "failed":
            row.digest, row.reason = str(event["digest"]), str(event["reason"])
            row.there = event.get("there") is True

    def _append(self, event: dict[str, Any]) -> None:
        self._write(json.dumps({**event, "time": round(time.time(), 3)}).encode() + b"\n")

    def _write(self, line: bytes) -> None:
        with writing(self.path, kind=Stop):
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())


def plain_names(files: list[str]) -> list[str]:
    """Those of some names that are files of the folder itself."""
    return [name for name in map(str, files) if name.isprintable() and Path(name).name == name]


def peek(folder: Path) -> State:
    """The state of a folder, only to look at; empty when there is none."""
    state = State(folder)
    if state.path.is_file():
        state.replay(state.path.read_bytes())
    return state
