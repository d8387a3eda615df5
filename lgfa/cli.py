"""python -m lgfa: one command line over the library.

Whatever a user's input can cause ends as one sentence on stderr and exit code 2; Ctrl-C as 130.
"""
from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

from . import __version__, cli_ab, cli_animate, cli_evaluate, cli_files, cli_queue, cli_train
from .errors import LGFAError, is_out_of_memory

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
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def build_parser() -> argparse.ArgumentParser:
    """All commands; each sets `handler`, a function of the parsed arguments."""
    parser = Parser(prog="python -m lgfa", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"lgfa {__version__}")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", required=True)
    cli_animate.add_parsers(commands)
    cli_train.add_train_parser(commands)
    cli_evaluate.add_parser(commands)
    cli_ab.add_parser(commands)
    cli_files.add_parsers(commands)
    cli_queue.add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            args = build_parser().parse_args(arguments)
            code = args.handler(args)
            sys.stdout.flush()
            return int(code or 0)
        except LGFAError as error:
            return _fail(str(error))
        except KeyboardInterrupt:
            print("stopped.", file=sys.stderr)
            return 130
        except BrokenPipeError:             # the reader of our output went away
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            return _fail(f"{place}{error.strerror or error}.")
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return _fail("there is not enough memory: choose a smaller --chunk or another "
                         "--device, or close other programs.")


def _fail(sentence: str) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return 2


def _show_warning(message: Any, category: type[Warning], *_: Any, **__: Any) -> None:
    """Our own warnings as one line; other libraries' news about their future are left out."""
    if category is UserWarning:
        print(f"warning: {message}", file=sys.stderr)
