"""Lines for people and for logs; one line that changes, where there is a terminal."""
from __future__ import annotations

import shutil
import sys
from typing import TextIO

from ..errors import printable


class Show:
    """Results go to standard output line by line, warnings to standard error."""

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self.out, self.err = out or sys.stdout, err or sys.stderr
        self.live = self.out.isatty()
        self._shown = 0                         # width of the line that changes

    def line(self, text: str) -> None:
        """A line that stays."""
        self._wipe()
        encoding = self.out.encoding or "utf-8"
        self.out.write(printable(text).encode(encoding, "replace").decode(encoding) + "\n")
        self.out.flush()                        # a log is read while it grows

    def warn(self, text: str) -> None:
        """A line about trouble that is being dealt with."""
        self._wipe()
        print(f"warning: {printable(text)}", file=self.err, flush=True)

    def status(self, text: str) -> None:
        """The line that changes; "" takes it away. Nothing where there is no terminal."""
        if not self.live:
            return
        self._wipe()
        text = printable(text)[: shutil.get_terminal_size().columns - 1]
        self.out.write(text)
        self.out.flush()
        self._shown = len(text)

    def _wipe(self) -> None:
        if self._shown:
            self.out.write("\r" + " " * self._shown + "\r")
            self._shown = 0
