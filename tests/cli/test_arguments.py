"""Numbers on the command line."""
from __future__ import annotations

import argparse

import pytest

from lgfa.cli import arguments


@pytest.mark.parametrize("text", ("0", "7", "007", "+5", " 5", "18446744073709551615"))
def test_whole_numbers(text: str) -> None:
    assert arguments.seed(text) == int(text)


@pytest.mark.parametrize("text", ("", "-1", "1.0", "1e3", "\u00b2",
                                  "x", "18446744073709551616", "9" * 5000))
def test_what_is_no_seed(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="whole number from 0 to 2.64 - 1") as told:
        arguments.seed(text)
    assert len(str(told.value)) < 120


def test_bounds_of_whole_numbers() -> None:
    assert arguments.whole(1)("1" * 30) == int("1" * 30) and arguments.whole(2, 3)("3") == 3
    for text in ("1", "4"):
        with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}' is not a .* from 2 to 3"):
            arguments.whole(2, 3)(text)


@pytest.mark.parametrize("text", ("0", "-1", "nan", "inf", "100.5", "", "1,5"))
def test_what_is_no_number_of_these_bounds(text: str) -> None:
    assert arguments.number(0, 100)("1e2") == 100
    with pytest.raises(argparse.ArgumentTypeError, match="not a share above 0 and at most 100"):
        arguments.number(0, 100, "a share")(text)
