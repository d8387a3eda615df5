"""Which device, and what fits into its memory."""
from __future__ import annotations

import pytest
import torch

from lgfa.devices import check_room, no_memory, path_bytes, pick_device, size
from lgfa.errors import LGFAError


@pytest.mark.parametrize(("count", "words"), (
    (0, "0 MB"), (999_000_000, "999 MB"), (3.2e9, "3.2 GB"), (5e12, "5.0 TB")))
def test_bytes_in_words(count: float, words: str) -> None:
    assert size(count) == words


def test_what_does_not_fit_is_refused_saying_how_much_is_missing() -> None:
    check_room(100, 100, "two frames", "render one")
    with pytest.raises(LGFAError) as told:
        check_room(2 * 10**9, 10**9, "two frames", "render one")
    assert str(told.value) == "two frames need 2.0 GB of memory, and 1.0 GB are free: render one."


def test_paths_are_counted_with_what_is_made_of_them() -> None:
    assert path_bytes(2, 3, 18, 512) >= 4 * torch.zeros(2, 3, 18, 512).nbytes


def test_the_processor_is_always_there() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("cpu", 3) == torch.device("cpu")     # a rank's number says nothing of it
    assert pick_device(None).type in ("cpu", "cuda", "mps", "xpu")


@pytest.mark.parametrize(("name", "said"), (
    ("nonsense", "there is no device 'nonsense': use cpu, cuda or mps."),
    ("cuda:99", "the device 'cuda:99' cannot be used here"), ("meta", "'meta' cannot be used")))
def test_devices_that_are_not_there(name: str, said: str) -> None:
    with pytest.raises(LGFAError) as told:
        pick_device(name)
    assert said in str(told.value)


def test_lack_of_memory_is_a_sentence_and_other_errors_stay() -> None:
    error = ValueError("other")
    assert no_memory(error, "take less") is error
    told = no_memory(MemoryError(), "take less")
    assert isinstance(told, LGFAError) and str(told).endswith("for this training: take less.")
