"""The rows of a run: where each is, what its record asks for, how many ended how."""
from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from ..state import Record, State
from .jobs import Job


@dataclass
class Flight:
    """A row on the server. `partial`: complaints about outputs that it will not make; `again`:
    its answer did not come in an earlier run either."""
    job: Job
    partial: str = ""
    again: bool = False
    running: bool = False
    missing: float | None = None                # since when nothing is known of it
    odd: int = 0                                # answers that could not be understood
    since: float = field(default_factory=time.monotonic)    # when its time began


@dataclass
class Tally:
    """How many rows ended how."""
    total: int
    before: int = 0
    done: int = 0
    files: int = 0
    doubtful: int = 0                           # done, though a sentence was not surely known
    failed: list[str] | None = None
    stopped: str = ""

    @property
    def code(self) -> int:
        """The exit code: 1 if any row is not finished."""
        return 1 if self.failed or self.stopped else 0


def plan(jobs: list[Job], state: State, out: Path) -> dict[str, str]:
    """What each row's record asks for: finished, pick up, changed, again (failed) or new."""
    return {job.name: _planned(job, state.rows.get(job.name, Record()), out) for job in jobs}


def _planned(job: Job, row: Record, out: Path) -> str:
    if not row.status:
        return "new"
    if row.digest != job.digest:
        return "changed"
    if row.status == "failed" and not row.there:
        return "again"
    if row.status == "done" and all((out / name).is_file() for name in row.files):
        return "finished"
    return "pick up" if row.prompt_id else "new"    # queued, or its files did not come, or went
