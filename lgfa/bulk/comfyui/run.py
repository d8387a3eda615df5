"""The loop: rows are sent a few at a time, followed, fetched and remembered."""
from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...errors import LGFAError, reading, reason, short
from ..errors import Refused, Stop
from ..show import Show
from ..state import Record, State
from . import results
from .jobs import Job
from .rows import Flight, Tally, plan
from .server import LONGEST_LINE, Server
from .watch import Watch
from .workflow import Workflow

# A prompt that is neither queued nor in the history is lost: the server was started anew, or
# somebody emptied its queue. A few polls of patience, since behind a proxy answers may be old.
PATIENCE = 5                                    # polls
MOST_LOSSES = 3                                 # times that a row is queued anew
MOST_FILES = 100_000                            # of a row: more frames than anybody saves
MOST_ODD = 5                                    # answers in a row that cannot be understood


def in_words(error: Exception) -> str:
    """The sentence for whatever went wrong with an answer."""
    try:
        with reading("the server's answer"):
            raise error
    except LGFAError as told:
        return str(error if isinstance(error, LGFAError) else told)


class Runner:
    """One run over all rows; `run()` returns the tally."""

    def __init__(self, server: Server, workflow: Workflow, jobs: list[Job], state: State,
                 out: Path, show: Show, at_once: int = 4, poll: float = 1.0,
                 previews: bool = False, row_timeout: float | None = None,
                 strict: bool = False) -> None:
        """`at_once`: rows on the server at a time; `poll`: seconds between two looks at it;
        `row_timeout`: seconds that a row may run, or wait while no other of ours begins or ends;
        `strict`: a row fails when the model does not know a sentence of it."""
        self.server, self.workflow, self.jobs = server, workflow, jobs
        self.state, self.out, self.show = state, out, show
        self.at_once, self.poll, self.previews = at_once, poll, previews
        self.row_timeout, self.strict = row_timeout, strict
        self.odd, self.warned = 0, ""           # answers on the queue that made no sense
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
            elif what == "pick up" and row.prompt_id not in self.flying:
                self.flying[row.prompt_id] = Flight(job, again=row.there)
            else:
                if what == "changed" and row.status == "queued":
                    self._quietly(self.server.forget, row.prompt_id)
                self.waiting.append(job)
        if self.tally.before or self.flying:
            self.show.line(f"{self.tally.before} of {len(self.jobs)} rows are finished, "
                           f"{len(self.flying)} are picked up.")

    # ---- sending

    def _send(self, job: Job) -> None:
        """Uploads what the row needs and queues it. A refusal ends the row, not the run."""
        prompt_id = str(uuid.uuid4())
        with self._row_alone(job):
            for (node, key), path in job.uploads.items():
                job.prompt[node]["inputs"][key] = self._upload(path, job.folders[node, key])
            # Written down first: after a kill between the two it is asked for, not sent twice.
            self.state.queued(job.name, job.digest, prompt_id)
            errors = self.server.submit(job.prompt, prompt_id, self.state.client_id)
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
        queued = self._queued()
        lost = []
        # Those that run first: when one of them ends, the time of the others begins anew.
        for prompt_id, flight in sorted(
                self.flying.items(), key=lambda item: (queued or {}).get(item[0]) != "running"):
            with self._row_alone(flight.job, prompt_id):
                if queued is not None and prompt_id in queued:
                    self._wait_for(flight, prompt_id, queued[prompt_id] == "running")
                    continue
                entry = self._history(flight, prompt_id)
                if entry is not None:
                    self._finish(flight, entry, prompt_id)
                    self._landed(prompt_id)
                elif queued is None:
                    self._wait_for(flight, prompt_id, flight.running)
                elif flight.missing is None:
                    flight.missing = time.monotonic()
                elif time.monotonic() - flight.missing >= PATIENCE * self.poll:
                    self._landed(prompt_id)
                    lost.append(flight.job)
        for job in reversed(lost):              # each goes to the front
            self._lost(job)

    def _queued(self) -> dict[str, str] | None:
        """What is queued; None when the answer cannot be understood, which is borne for a while:
        the history may tell more."""
        try:
            queued = self.server.queue()
            self.odd = 0
            return queued
        except Refused as error:
            self.odd += 1
            if self.odd > MOST_ODD:
                raise Stop(str(error)) from error
            if str(error) != self.warned:
                self.warned = str(error)
                self.show.warn(self.warned)
            return None

    def _history(self, flight: Flight, prompt_id: str) -> dict[str, Any] | None:
        """A prompt's history; an answer that cannot be understood counts as none for a while."""
        try:
            entry = self.server.history(prompt_id)
            flight.odd = 0
            return entry
        except Refused:
            flight.odd += 1
            if flight.odd >= MOST_ODD:
                raise
            flight.missing = None
            return None

    def _wait_for(self, flight: Flight, prompt_id: str, running: bool) -> None:
        """A row that is still on the server; it fails when its time is over."""
        begins = running and not flight.running
        flight.running, flight.missing = running, None
        if begins:
            flight.since = time.monotonic()
            self._moved_on()
        if self.row_timeout and time.monotonic() - flight.since > self.row_timeout:
            stopped = self._quietly(self.server.stop, prompt_id)
            self._landed(prompt_id)
            what = "ran" if running else "waited"
            self._fail(flight.job, f"it {what} for more than {self.row_timeout:g} s "
                       f"(--row-timeout){'' if stopped else ', and could not be stopped'}.")

    def _landed(self, prompt_id: str) -> None:
        """A row is no longer on the server."""
        self.flying.pop(prompt_id, None)
        self._moved_on()

    def _moved_on(self) -> None:
        """A row of ours began or ended: the time of those behind it begins."""
        for flight in self.flying.values():
            if not flight.running:
                flight.since = time.monotonic()

    @staticmethod
    def _quietly(ask: Any, prompt_id: str) -> bool:
        """Asks for something that would be good, but is not needed. Whether it was done."""
        try:
            ask(prompt_id)
            return True
        except Refused:
            return False

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
        understood = results.understood(entry)
        unknown = results.doubts(understood, ["unknown"]) if self.strict else ""
        if unknown:
            self._fail(job, f"{unknown} (--strict).")
            return
        found = results.outputs(entry, self.previews)
        if not found:
            blocked = self.watch.blocked.get(prompt_id) or "it finished without any file: the " \
                "workflow needs a node that saves one."
            self._fail(job, blocked)
            return
        if len(found) > MOST_FILES:
            self._fail(job, f"it lists {len(found):,} files, of which at most {MOST_FILES:,} are "
                       "fetched for a row.")
            return
        files = self._fetch(job, found)
        if flight.partial:
            self._fail(job, f"{len(files)} file(s) came, but a part was refused: {flight.partial}")
            return
        self.state.done(job.name, files, understood)
        doubts = results.doubts(understood)
        self.tally.done += 1
        self.tally.files += len(files)
        self.tally.doubtful += bool(doubts)
        took = results.seconds(entry)
        listed = ", ".join(files[:3]) + (f", .. ({len(files)} files)" if len(files) > 3 else "")
        self._row(job, f"done{f' in {took:.1f} s' if took is not None else ''}: {listed}"
                  + (f" - {doubts}" if doubts else ""))

    def _fetch(self, job: Job, found: list[dict[str, Any]]) -> list[str]:
        """Writes the row's files; those that an earlier version of the row left are removed."""
        files = results.names(job.name, found)
        self.state.saving(job.name, files)
        for name, one in zip(files, found, strict=True):
            self.server.download(one, self.out / name)
        for name in self.state.rows[job.name].files:
            if name not in files:
                try:
                    (self.out / name).unlink(missing_ok=True)
                except OSError as error:
                    raise LGFAError(f"cannot remove {self.out / name}, which an earlier version "
                                    f"of the row left: {reason(error)}.") from error
        return files

    @contextmanager
    def _row_alone(self, job: Job, prompt_id: str = "") -> Iterator[None]:
        """Where a row's failure is caught: whatever is wrong with the answers to it, or with its
        files, ends this row and no other. Stop passes, and the row is left for the next run.

        `prompt_id`: under which the server has it; then it may still give what did not come.
        """
        try:
            yield
        except (Stop, OSError):             # an OSError that gets here is of our own output
            if not prompt_id:
                self.waiting.appendleft(job)
            raise
        except Exception as error:          # answers of any shape lead to whatever error
            answer = getattr(error, "answer", None)
            errors = answer.get("node_errors") if isinstance(answer, dict) else None
            flight = self.flying.get(prompt_id)
            self._landed(prompt_id)
            gone = getattr(error, "status", 200) == 404
            self._fail(job, results.node_errors(errors, self.workflow) or in_words(error),
                       there=flight is not None and not flight.again and not gone)

    def _fail(self, job: Job, reason: str, there: bool = False) -> None:
        reason = short(LGFAError(reason), LONGEST_LINE)     # without the terminal codes of others
        self.state.failed(job.name, job.digest, reason, there)
        self.tally.failed.append(job.name)
        self._row(job, f"FAILED: {reason}")

    # ---- telling

    def _row(self, job: Job, text: str) -> None:
        tally = self.tally
        self.odd = 0
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
