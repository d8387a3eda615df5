"""How a request can end badly, by what that means for the table."""
from __future__ import annotations

from typing import Any

from ..errors import LGFAError


class Stop(LGFAError):
    """Ends the run: nothing can be sent, or nothing kept. No row has failed by it."""


class Away(Stop):
    """The server was not reached, after all tries."""


class Refused(LGFAError):
    """Ends one request or one row: the server said no, or nothing that can be understood.

    `status` is HTTP's (200: an answer that is none, 0: no answer was looked at), `answer` the JSON
    that came with an error, if it was any.
    """

    def __init__(self, text: str, status: int, answer: Any = None) -> None:
        super().__init__(text)
        self.status, self.answer = status, answer
