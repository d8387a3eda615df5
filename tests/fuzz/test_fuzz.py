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


# Names without the sizes of the real network, or without what must lie beside them.
REFUSED = ("open_clip.pt", "training.pt", "latents.pt", "e4e.pt", "ir_se50.pth", "facenet.pt",
           "alexnet.pth", "lpips_lin.pth", "critic.pt", "mocogan.pth", "open_clip.safetensors")


def test_whole_files_are_read_without_network_or_programs(tmp_path):
    table, failures = fuzz(0, 0, tmp_path)
    assert not failures
    found = {name: outcomes["as it is"] for name, outcomes in table.items()}
    assert found == {name: "refused" if name in REFUSED else "read" for name in found}
