"""python -m lgfa: one command line over the library.

Whatever a user's input can cause ends as one sentence on stderr and exit code 2; Ctrl-C, and TERM
and HUP like it, as 130.
"""
from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from ..errors import LGFAError, LGFAWarning, is_out_of_memory, printable, reason, short
from ..signals import STOPPED
from ..version import __version__
from . import ab_summary, animate, evaluate, files, queue, train, words

DESCRIPTION = """\
Language-guided face animation: a still and a sentence become a clip.

start here:
  python -m lgfa demo                                    see what it does
  python -m lgfa animate --sample 7 --text "The person is smiling" --out smile.webp
  python -m lgfa COMMAND --help                          a page on each command
"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and keeps the line breaks of its help pages."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**options)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {short(message, 400)} (see {self.prog} --help)\n")


def build_parser() -> argparse.ArgumentParser:
    """All commands; each sets `handler`, a function of the parsed arguments."""
    parser = Parser(prog="python -m lgfa", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"lgfa {__version__}")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", required=True)
    animate.add_parsers(commands)
    train.add_train_parser(commands)
    evaluate.add_parser(commands)
    ab_summary.add_parser(commands)
    files.add_parsers(commands)
    queue.add_parser(commands)
    words.add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    def command() -> int:
        args = build_parser().parse_args(arguments)
        return args.handler(args)
    return guarded(command)


def guarded(command: Callable[[], int | None]) -> int:
    """What `command` returns as an exit code; failures that a user can cause become a sentence."""
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            code = command()
            sys.stdout.flush()
            return int(code or 0)
        except LGFAError as error:
            return _fail(str(error))
        except KeyboardInterrupt:
            _say("stopped.")
            return STOPPED
        except BrokenPipeError:             # the reader of our output went away
            _forget_output()
            return 141
        except OSError as error:
            try:
                sys.stdout.flush()
            except OSError:                 # it is our output that cannot be written
                _forget_output()
            place = f"{error.filename}: " if error.filename else ""
            return _fail(f"{printable(place)}{reason(error)}.")
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return _fail("there is not enough memory: choose a smaller --chunk or another "
                         "--device, or close other programs.")


def _fail(sentence: str) -> int:
    _say(f"error: {sentence}")
    return 2


def _say(line: str) -> None:
    """Prints a line on stderr; the terminal may be gone."""
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def _forget_output() -> None:
    """What stdout still holds is not tried again at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_warning(message: Any, category: type[Warning], *_: Any, **__: Any) -> None:
    """Our own warnings as one line; other libraries' news about their future are left out."""
    if issubclass(category, LGFAWarning):
        print(f"warning: {message}", file=sys.stderr)
