"""The one exception and its sentence: how values, reasons and damaged files are told."""
from __future__ import annotations

import errno
import os

import numpy as np
import pytest
import torch

from lgfa.errors import (
    LONGEST_REASON,
    LGFAError,
    article,
    is_out_of_memory,
    printable,
    reading,
    reason,
    short,
    shown,
)


@pytest.mark.parametrize(("value", "said"), (
    ("a", "'a'"), ("x" * 99, repr("x" * 60 + "..")), (None, "None"), (True, "True"), (7, "7"),
    (0.5, "0.5"), (float("nan"), "nan"), (10**4000, "2 to the power of 13287 or more"),
    (-10**4000, "-2 to the power of 13287 or more"), ([1, 3, 3, 1], "[1, 3, 3, 1]"),
    ((), "an empty tuple"),
    ([1] * 13, "a list"), (["a"], "a list"), ({}, "an empty dict"), ({"a": 1}, "a dict"),
    (torch.zeros(2, 3), "a Tensor of shape [2, 3]"), (np.zeros(4), "a ndarray of shape [4]"),
    (object(), "an object"), (1 + 2j, "a complex"), (np.float32(0.5), "0.5"),
    ([10**4000], "a list"), ([float("inf")], "a list")))
def test_wrong_values_as_sentences_quote_them(value: object, said: str) -> None:
    assert shown(value) == said


def test_long_texts_and_numbers_are_cut() -> None:
    assert short("x" * 40) == "x" * 40 and short("x" * 41) == "x" * 40 + ".."
    assert short(10**5000) == "a number of very many digits" and short("abc", 2) == "ab.."


def test_articles() -> None:
    assert [article(word) for word in ("encoder", "CLIP", "LGFA file", "NVIDIA .pkl", "IR-SE50")] \
        == ["an encoder", "a CLIP", "an LGFA file", "an NVIDIA .pkl", "an IR-SE50"]


def test_no_sentence_holds_line_ends_or_terminal_codes() -> None:
    assert printable("a\nb\x1b[31m\ud800") == "a?b?[31m?"
    assert str(LGFAError("two\nlines")) == "two?lines"


def test_reasons_are_one_line() -> None:
    assert reason(OSError(errno.ENOENT, os.strerror(errno.ENOENT))) == "No such file or directory"
    assert reason(KeyError("a")) == "KeyError 'a'" and reason(ValueError()) == "ValueError"
    assert reason(ValueError("one.\ntwo")) == "one"
    assert len(reason(ValueError("x" * 999))) == LONGEST_REASON + 2


@pytest.mark.parametrize(("error", "said"), (
    (ValueError("odd bytes"), "a.pt is damaged, or of a kind that is not known here: its parts: "
                              "odd bytes."),
    (OSError(errno.EIO, "broken"), "a.pt cannot be read: its parts: broken."),
    (MemoryError(), "a.pt: its parts needs more memory than there is: close other programs."),
    (LGFAError("it has no weights."), "a.pt: it has no weights."),
    (LGFAError("a.pt is empty."), "a.pt is empty.")))
def test_whatever_goes_wrong_in_a_file_is_one_sentence(error: Exception, said: str) -> None:
    with pytest.raises(LGFAError) as told, reading("a.pt", "its parts"):
        raise error
    assert str(told.value) == said


@pytest.mark.parametrize("error", (ImportError("no module"), KeyboardInterrupt()))
def test_what_is_no_fault_of_a_file_passes(error: BaseException) -> None:
    with pytest.raises(type(error)), reading("a.pt"):
        raise error


def test_lack_of_memory_is_told_from_other_failures() -> None:
    said = "DefaultCPUAllocator: can't allocate memory"
    assert is_out_of_memory(MemoryError()) and is_out_of_memory(RuntimeError(said))
    assert not is_out_of_memory(ValueError(said)) and not is_out_of_memory(RuntimeError("other"))
