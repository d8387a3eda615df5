"""The one exception that a user's input can cause, what turns others into it, and warnings."""
from __future__ import annotations

import numbers
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST_REASON = 200        # characters of another library's complaint that a sentence quotes
LONGEST_VALUE, MOST_ITEMS = 60, 12      # .. of a wrong text, and items of a list of numbers

# What PyTorch says when a device, or the CPU, has no memory left without OutOfMemoryError.
_OUT_OF_MEMORY = ("out of memory", "not enough memory", "defaultcpuallocator")


class LGFAError(ValueError):
    """One sentence for the user: what was wrong, what to do.

    Names out of files may hold line ends and terminal codes; these become question marks.
    """

    def __init__(self, text: object = "") -> None:
        super().__init__(printable(text))


class LGFAWarning(UserWarning):
    """One sentence for the user: what came out otherwise than they may think, and what to do.

    A class of its own tells our warnings from other libraries' news about their future.
    """


def warn(text: str, stacklevel: int = 1) -> None:
    """Warns the user; `stacklevel` as of warnings.warn, seen from the caller."""
    warnings.warn(printable(text), LGFAWarning, stacklevel=stacklevel + 1)


def printable(text: object) -> str:
    """A text without line ends, terminal codes and halves of characters."""
    return "".join(c if c.isprintable() else "?" for c in str(text))


@contextmanager
def reading(
    file: object = "",              # what is read, as the user knows it; "" = the caller names it
    part: str = "",                 # the part of it that is looked at: "its settings", ..
) -> Iterator[None]:
    """Turns whatever goes wrong while a file is looked at into the sentence that names file, part
    and reason. Every reader of a foreign or stored file goes through here, and nowhere else is a
    failure guessed at; interrupts pass."""
    try:
        yield
    except LGFAError as error:
        if not file or str(file) in str(error):
            raise
        raise LGFAError(f"{file}: {error}") from error
    except ImportError:                     # no file's fault: nothing is imported by its word
        raise
    except Exception as error:              # a decoder raises whatever broken data lead it to
        name, of = str(file) or "the file", f": {part}" if part else ""
        if is_out_of_memory(error):
            text = f"{name}{of} needs more memory than there is: close other programs."
        elif isinstance(error, OSError):
            text = f"{name} cannot be read{of}: {reason(error)}."
        else:
            text = (f"{name} is damaged, or of a kind that is not known here{of}: "
                    f"{reason(error)}.")
        raise LGFAError(text) from error


def reason(error: BaseException) -> str:
    """Another library's complaint, short enough to be part of one sentence."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = (str(error).strip().splitlines() or [""])[0].rstrip(". ")
    name = type(error).__name__
    text = f"{name} {text}" if text and isinstance(error, LookupError) else text or name
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}.."


def short(value: object, most: int = 40) -> str:
    """What was given, as a sentence can quote it; a number may have thousands of digits."""
    try:
        text = str(value)
    except ValueError:                      # more digits than Python writes
        text = "a number of very many digits"
    return text if len(text) <= most else f"{text[:most]}.."


def shown(value: object) -> str:
    """A wrong value as a sentence quotes it, short whatever it is and wherever it came from."""
    if isinstance(value, str):
        return repr(short(value, LONGEST_VALUE))
    if isinstance(value, int) and value.bit_length() > 128:         # str() refuses the longest
        return f"{'-' if value < 0 else ''}2 to the power of {value.bit_length() - 1} or more"
    if value is None or isinstance(value, numbers.Real):
        return str(value)
    kind = type(value).__name__
    if isinstance(value, list | tuple) and 0 < len(value) <= MOST_ITEMS and all(
            isinstance(item, int | float) and abs(item) < 1e9 for item in value):
        return repr(value)
    if isinstance(getattr(value, "shape", None), tuple):            # arrays and tensors
        return f"{article(kind)} of shape {list(value.shape)}"
    empty = isinstance(value, list | tuple | dict) and not value
    return f"an empty {kind}" if empty else article(kind)


def article(words: str) -> str:
    """The words with "a" or "an"."""
    an = words[:1].lower() in "aeio" or words[:3] in ("LGF", "IR-", "NVI")
    return f"{'an' if an else 'a'} {words}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that a device or the CPU has no memory left."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in _OUT_OF_MEMORY)
