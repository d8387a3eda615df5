"""Damaged files of every format: one sentence each, and nothing runs, hangs or grows."""
from __future__ import annotations

import pytest
from run import fuzz, show


def check(count: int, seed: int, tmp_path) -> None:
    table, failures = fuzz(count, seed, tmp_path)
    print(show(table))
    assert not failures, "\n".join(failures)
    assert sum(outcomes["refused"] for outcomes in table.values()) > count / 3


def test_a_few_damaged_files(tmp_path):
    check(240, 1, tmp_path)


@pytest.mark.slow
def test_three_thousand_damaged_files(tmp_path):
    check(3000, 0, tmp_path)
