"""Ctrl-C, SIGTERM and SIGHUP end a command alike, from its first import to its last line.

They say "stopped." and give exit code 130, and what was being written goes. Only a command line
installs this; in a program that uses the library, signals stay as they are.
"""
from __future__ import annotations

import os
import signal
import sys
import time
from _thread import get_ident
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

STOPPED = 130
AGAIN = 2.0                     # seconds in which further signals are the same wish
NAMES = ("SIGINT", "SIGTERM", "SIGHUP")         # Windows has no SIGHUP


class _State:
    """What the handler needs to know of the program that it interrupts."""

    working = False             # is there somebody above who expects a KeyboardInterrupt?
    held = 0                    # blocks that must not be interrupted
    waiting = False             # a signal came in such a block
    asked = float("-inf")       # when the last signal was passed on
    thread = get_ident()        # the main one, which alone receives signals
    undo: dict[object, Callable[[], None]] = {}     # what removes unfinished files


_state = _State()


def install() -> None:
    """Takes the signals over; one that is ignored already (nohup, a shell's "&") stays so."""
    for number in _numbers():
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)
    sys.unraisablehook = _unraisable


def run(command: Callable[[], int]) -> None:
    """Runs a command and ends the process with its exit code."""
    install()
    try:
        _state.working = True
        code = command()
    except KeyboardInterrupt:
        code = STOPPED
        _say()
    except SystemExit as end:               # argparse has said why
        code = end.code
    finally:
        _state.working = False
        for number in _numbers():           # what is left takes no time: nothing interrupts it
            signal.signal(number, signal.SIG_IGN)
    if code == STOPPED:
        _leave()                            # no library's clean-up can fail any more
    sys.exit(code)


class held:  # noqa: N801 - used as a function is
    """A block that signals do not interrupt: they are obeyed when it ends."""

    def __enter__(self) -> None:
        if get_ident() == _state.thread:
            _state.held += 1

    def __exit__(self, *_: object) -> None:
        if get_ident() != _state.thread:
            return
        _state.held -= 1
        if _state.waiting and not _state.held:
            _state.waiting = False
            _stop(signal.SIGINT, sys._getframe())


def remember(key: object, undo: Callable[[], None]) -> None:
    """Says how to remove something unfinished if the program has to end without unwinding."""
    _state.undo[key] = undo


def forget(key: object) -> None:
    """It is finished, or removed."""
    _state.undo.pop(key, None)


@contextmanager
def asking(
    asked: list[int],                       # signals that came in the meantime, in order
) -> Iterator[Callable[[], bool]]:
    """While it lasts signals only ask: gives a function that says whether one came, so that work
    can end at a good moment. A second one ends it at once, as it would end any other command."""
    def ask(number: int, frame: object) -> None:
        asked.append(number)                    # first of all: the next may come at once
        if len(asked) > 1:
            _hand_on(before[number], number, frame)
            return
        with suppress(OSError):                 # the terminal may be gone
            os.write(2, b"saving; once more to end at once\n")

    before: dict[int, object] = {}
    try:
        for number in _numbers():
            if number == getattr(signal, "SIGHUP", None) \
                    and signal.getsignal(number) is signal.SIG_IGN:
                continue                        # nohup ignores it
            before[number] = signal.getsignal(number)
            signal.signal(number, ask)
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


# ---- inside

def _hand_on(before: object, number: int, frame: object) -> None:
    """Hands a signal to whoever looked after it before."""
    if not callable(before):
        raise KeyboardInterrupt
    before(number, frame)


def _numbers() -> list[int]:
    return [getattr(signal, name) for name in NAMES if hasattr(signal, name)]


def _stop(number: int, frame: object) -> None:
    """Raises KeyboardInterrupt where that can be caught; ends the process at once elsewhere."""
    if time.monotonic() - _state.asked < AGAIN:
        return                              # the first one is being obeyed
    if _state.held:
        _state.waiting = True
        return
    _state.asked = time.monotonic()
    # Libraries that are being imported run Python from C++, where an exception aborts the process
    # or is lost. Nothing but files has to be tidied up then.
    if _state.working and not _importing(frame):
        raise KeyboardInterrupt
    _say()
    _leave()


def _importing(frame: object) -> bool:
    """Whether a frame, or one that called it, belongs to an import statement."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _say() -> None:
    """One line, past Python's own buffers, which may be in use; nobody may be listening."""
    try:
        os.write(2, b"stopped.\n")
    except OSError:
        pass


def _leave() -> None:
    """Removes what is unfinished and ends the process."""
    for undo in list(_state.undo.values()):
        try:
            undo()
        except Exception:                   # the others go nevertheless
            continue
    for number in _numbers():               # whoever reads our output may have fallen asleep
        signal.signal(number, lambda *_: os._exit(STOPPED))
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:                   # closed, full or in use
            continue
    os._exit(STOPPED)


def _unraisable(found: object) -> None:
    """A KeyboardInterrupt that a destructor or callback swallowed is raised once more."""
    if found.exc_type is KeyboardInterrupt and hasattr(signal, "setitimer"):
        _state.asked = float("-inf")
        signal.signal(signal.SIGALRM, _stop)
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        return
    sys.__unraisablehook__(found)
