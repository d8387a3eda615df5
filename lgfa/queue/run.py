"""The loop: rows are sent a few at a time, followed, fetched and remembered."""
from __future__ import annotations

import time
import uuid
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import LGFAError
from . import results
from .jobs import Job
from .server import Away, Refused, Server
from .show import Show
from .state import Record, State
from .watch import Watch
from .workflow import Workflow

# A prompt that is neither queued nor in the history is lost: the server was started anew, or
# somebody emptied its queue. A few polls of patience, since behind a proxy answers may be old.
PATIENCE = 5                                    # polls
MOST_LOSSES = 3                                 # times that a row is queued anew


@dataclass
class Flight:
    """A row on the server. `partial`: complaints about outputs that it will not make."""
    job: Job
    partial: str = ""
    running: bool = False
    missing: float | None = None                # since when nothing is known of it


@dataclass
class Tally:
    """How many rows ended how."""
    total: int
    before: int = 0
    done: int = 0
    files: int = 0
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
    if row.status == "failed":
        return "again"
    if row.status == "done" and all((out / name).is_file() for name in row.files):
        return "finished"
    return "pick up"            # queued, or finished and somebody removed the files


class Runner:
    """One run over all rows; `run()` returns the tally."""

    def __init__(self, server: Server, workflow: Workflow, jobs: list[Job], state: State,
                 out: Path, show: Show, at_once: int = 4, poll: float = 1.0,
                 previews: bool = False) -> None:
        """`at_once`: rows on the server at a time; `poll`: seconds between two looks at it."""
        self.server, self.workflow, self.jobs = server, workflow, jobs
        self.state, self.out, self.show = state, out, show
        self.at_once, self.poll, self.previews = at_once, poll, previews
        self.waiting: deque[Job] = deque()
        self.flying: dict[str, Flight] = {}
        self.losses: dict[str, int] = {}
        self.stored: dict[tuple[Path, str], str] = {}       # uploads made: name on the server
        self.tally = Tally(len(jobs), failed=[])
        self.watch = Watch(server.address, state.client_id, server.headers)

    def run(self) -> Tally:
        """Works until every row is finished or has failed, or the server stays away."""
        self.watch.start()
        try:
            self._begin()
            while self.waiting or self.flying:
                while self.waiting and len(self.flying) < self.at_once:
                    self._send(self.waiting.popleft())
                self._look()
                self._show_status()
                if self.flying:
                    self.watch.wait(self.poll)
        except LGFAError as error:              # Away, or a full disk
            self.tally.stopped = str(error)
        finally:
            self.watch.stop()
            self.show.status("")
        return self.tally

    @property
    def left(self) -> int:
        """Rows neither finished nor failed."""
        return len(self.waiting) + len(self.flying)

    # ---- beginning

    def _begin(self) -> None:
        plans = plan(self.jobs, self.state, self.out)
        for job in self.jobs:
            row = self.state.rows.get(job.name, Record())
            what = plans[job.name]
            if what == "finished":
                self.tally.before += 1
            elif what == "pick up":
                self.flying[row.prompt_id] = Flight(job)
            else:
                if what == "changed" and row.status == "queued":
                    self.server.forget(row.prompt_id)
                self.waiting.append(job)
        if self.tally.before or self.flying:
            self.show.line(f"{self.tally.before} of {len(self.jobs)} rows are finished, "
                           f"{len(self.flying)} are picked up.")

    # ---- sending

    def _send(self, job: Job) -> None:
        """Uploads what the row needs and queues it. A refusal ends the row, not the run."""
        prompt_id = str(uuid.uuid4())
        try:
            for (node, key), path in job.uploads.items():
                job.prompt[node]["inputs"][key] = self._upload(path, job.folders[node, key])
            # Written down first: after a kill between the two it is asked for, not sent twice.
            self.state.queued(job.name, job.digest, prompt_id)
            errors = self.server.submit(job.prompt, prompt_id, self.state.client_id)
        except Refused as error:
            answer = error.answer if isinstance(error.answer, dict) else {}
            reason = results.node_errors(answer.get("node_errors"), self.workflow)
            self._fail(job, reason or str(error))
        except OSError as error:
            self._fail(job, f"cannot read {error.filename}: {error.strerror}.")
        except Away:
            self.waiting.appendleft(job)
            raise
        else:
            partial = results.node_errors(errors, self.workflow)
            self.flying[prompt_id] = Flight(job, partial)

    def _upload(self, path: Path, folder: str) -> str:
        if (path, folder) not in self.stored:
            self.stored[path, folder] = self.server.upload(path, folder)
        return self.stored[path, folder]

    # ---- following

    def _look(self) -> None:
        """One look at the server: what is finished is fetched, what is lost is sent anew."""
        # The queue first: what leaves it is in the history before the history is asked for.
        queued = self.server.queue()
        lost = []
        for prompt_id, flight in list(self.flying.items()):
            if prompt_id in queued:
                flight.running, flight.missing = queued[prompt_id] == "running", None
                continue
            entry = self.server.history(prompt_id)
            if entry is not None:
                self._finish(flight, entry, prompt_id)
                del self.flying[prompt_id]
            elif flight.missing is None:
                flight.missing = time.monotonic()
            elif time.monotonic() - flight.missing >= PATIENCE * self.poll:
                del self.flying[prompt_id]
                lost.append(flight.job)
        for job in reversed(lost):              # each goes to the front
            self._lost(job)

    def _lost(self, job: Job) -> None:
        count = self.losses[job.name] = self.losses.get(job.name, 0) + 1
        if count > MOST_LOSSES:
            self._fail(job, f"the server lost it {count} times: it may have crashed over it.")
            return
        self.stored.clear()                     # its input folder may be new as well
        self.show.line(f"{job.name}: the server no longer knows it; it is queued anew.")
        self.waiting.appendleft(job)

    # ---- ends

    def _finish(self, flight: Flight, entry: dict[str, Any], prompt_id: str) -> None:
        job = flight.job
        reason = results.failure(entry, self.workflow)
        if reason is not None:
            self._fail(job, reason)
            return
        found = results.outputs(entry, self.previews)
        if not found:
            blocked = self.watch.blocked.get(prompt_id) or "it finished without any file: the " \
                "workflow needs a node that saves one."
            self._fail(job, blocked)
            return
        try:
            files = self._fetch(job, found)
        except Refused as error:
            self._fail(job, str(error))
            return
        if flight.partial:
            self._fail(job, f"{len(files)} file(s) came, but a part was refused: {flight.partial}")
            return
        self.state.done(job.name, files)
        self.tally.done += 1
        self.tally.files += len(files)
        took = results.seconds(entry)
        listed = ", ".join(files[:3]) + (f", .. ({len(files)} files)" if len(files) > 3 else "")
        self._row(job, f"done{f' in {took:.1f} s' if took is not None else ''}: {listed}")

    def _fetch(self, job: Job, found: list[dict[str, Any]]) -> list[str]:
        """Writes the row's files; those that an earlier version of the row left are removed."""
        files = results.names(job.name, found)
        self.state.saving(job.name, files)
        for name, one in zip(files, found, strict=True):
            self.server.download(one, self.out / name)
        for name in self.state.rows[job.name].files:
            if name not in files and Path(name).name == name:
                (self.out / name).unlink(missing_ok=True)
        return files

    def _fail(self, job: Job, reason: str) -> None:
        reason = str(LGFAError(reason))         # without the terminal codes of others
        self.state.failed(job.name, job.digest, reason)
        self.tally.failed.append(job.name)
        self._row(job, f"FAILED: {reason}")

    # ---- telling

    def _row(self, job: Job, text: str) -> None:
        tally = self.tally
        count = tally.before + tally.done + len(tally.failed)
        self.show.line(f"[{count:>{len(str(tally.total))}}/{tally.total}] {job.name}: {text}")

    def _show_status(self) -> None:
        parts = []
        for prompt_id, flight in self.flying.items():
            if flight.running:
                value, most = self.watch.progress.get(prompt_id, (0.0, 0.0))
                parts.append(flight.job.name + (f" {value:g}/{most:g}" if most else ""))
        self.show.status(f"running: {', '.join(parts) or 'nothing of ours'}; "
                         f"{len(self.flying) - len(parts)} queued, {len(self.waiting)} to come")
