"""The other end of watched.py: asks it to read files, and notices when it hangs or dies."""
from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from watched import PICTURE, SECONDS, SLACK

HANG = 60.0                     # seconds after which a file counts as one that never ends
FAILURES = ("traceback", "network", "code", "crash", "hang", "slow", "memory")


@dataclass
class Answer:
    """What came of reading one file."""

    outcome: str                # "read", "refused", or one of FAILURES
    text: str = ""              # the sentence, or what went wrong
    seconds: float = 0.0        # of work
    growth: int = 0             # bytes of memory at most, above what there was before


class Watcher:
    """Reads files in a process of its own, a new one after a crash or a hang."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def look(self, file: Path, reader: str = "inspect") -> Answer:
        """What reading a file leads to, its time and memory compared with the bounds."""
        process = self._process = self._process or self._start()
        size = file.stat().st_size
        try:
            process.stdin.write(json.dumps({"file": str(file), "reader": reader}).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            return self._died()
        ready, _, _ = select.select([process.stdout], [], [], HANG)
        if not ready:
            self._end()
            return Answer("hang", f"no answer within {HANG:g} s", HANG)
        line = process.stdout.readline()
        if not line:
            return self._died()
        answer = Answer(**json.loads(line))
        if answer.outcome in ("read", "refused"):
            if answer.growth > 4 * size + (PICTURE if reader == "image" else SLACK):
                answer.outcome = "memory"
            elif answer.seconds > SECONDS:
                answer.outcome = "slow"
        return answer

    def _start(self) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("watched.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1", "HF_TOKEN": "secret"})
        return process

    def _died(self) -> Answer:
        code = self._process.wait()
        self._process = None
        return Answer("crash", f"the process ended with {code}")

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
            self._process.stdout.close()
            self._process = None
