"""What survives a stop: a file of events in the results' folder, one JSON object a line.

Lines are only ever appended and reach the disk before what they announce is done, so that a
process may be killed at any moment. A last line that was cut off is left out.
"""
from __future__ import annotations

import json
import os
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import LGFAError
from ..files import explain, lock, remove_leftovers

FILE = "queue.state.jsonl"


@dataclass
class Record:
    """What is known of a row: the job it was (`digest`), where it is, and its files."""
    digest: str = ""
    prompt_id: str = ""
    status: str = ""                            # "", queued, done, failed
    reason: str = ""
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
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, "a+b")
        except OSError as error:
            raise LGFAError(f"cannot write {self.path}: {explain(error) or error}.") from error
        try:
            lock(self._file)
        except OSError as error:
            self._file.close()
            raise LGFAError(f"another queue is at work in {self.path.parent}: let it end, or "
                            "choose another --out.") from error
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
                event = json.loads(line)
                if event["event"] == "client":
                    self.client_id = str(event["id"])
                else:
                    self._apply(event)
            except (ValueError, KeyError, TypeError):
                continue                        # cut off by a kill

    # ---- events

    def queued(self, name: str, digest: str, prompt_id: str) -> None:
        """A row is about to be sent."""
        self._note({"event": "queued", "row": name, "digest": digest, "prompt_id": prompt_id})

    def saving(self, name: str, files: list[str]) -> None:
        """A row's files are about to be written; those of before count as ours too."""
        self._note({"event": "saving", "row": name, "files": files})

    def done(self, name: str, files: list[str]) -> None:
        """A row is finished, and its files are all there."""
        self._note({"event": "done", "row": name, "files": files})

    def failed(self, name: str, digest: str, reason: str) -> None:
        """A row failed; the next run tries it again."""
        self._note({"event": "failed", "row": name, "digest": digest, "reason": reason})

    def _note(self, event: dict[str, Any]) -> None:
        self._append(event)
        self._apply(event)

    def _apply(self, event: dict[str, Any]) -> None:
        row = self.rows.setdefault(str(event["row"]), Record())
        kind = event["event"]
        if kind == "saving":
            row.files = [*row.files, *(f for f in map(str, event["files"]) if f not in row.files)]
            return
        row.status = kind
        if kind == "queued":
            row.digest, row.prompt_id = str(event["digest"]), str(event["prompt_id"])
        elif kind == "done":
            row.files = [str(file) for file in event["files"]]
        elif kind == "failed":
            row.digest, row.reason = str(event["digest"]), str(event["reason"])

    def _append(self, event: dict[str, Any]) -> None:
        self._write(json.dumps({**event, "time": round(time.time(), 3)}).encode() + b"\n")

    def _write(self, line: bytes) -> None:
        try:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise LGFAError(f"cannot write {self.path}: {explain(error) or error}.") from error


def peek(folder: Path) -> State:
    """The state of a folder, only to look at; empty when there is none."""
    state = State(folder)
    if state.path.is_file():
        state.replay(state.path.read_bytes())
    return state
