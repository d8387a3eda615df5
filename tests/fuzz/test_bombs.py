"""Small files that ask for much: each is refused, or read, within its bounds, and nothing runs."""
from __future__ import annotations

from collections.abc import Iterator

import bombs
import pytest
from watcher import Watcher

READERS = {"latents_expanded.pt": "training_latents", ".npy": "npy"}


@pytest.fixture(scope="module")
def watcher() -> Iterator[Watcher]:
    with Watcher() as one:
        yield one


def reader(name: str) -> str:
    """The reader that a bomb is meant for."""
    return next((what for end, what in READERS.items() if name.endswith(end)), "load")


@pytest.mark.parametrize("kind", bombs.KINDS, ids=lambda kind: kind.__name__)
def test_small_files_stay_small(kind, tmp_path, watcher):
    failures = []
    for name, data in kind():
        file = tmp_path / name
        file.write_bytes(data)
        answer = watcher.look(file, reader(name))
        print(f"{name:<32} {len(data):>10,} bytes  {answer.outcome:<8} {answer.seconds:6.2f} s "
              f"{answer.growth / 2**20:6.0f} MiB  {answer.text[:120]}")
        if answer.outcome not in ("read", "refused"):
            failures.append((name, answer))
        file.unlink()
    assert not failures


def test_no_hub_is_asked_and_the_key_is_named(tmp_path, watcher):
    for name, data in bombs.hub_headers():
        file = tmp_path / name
        file.write_bytes(data)
        for way in ("inspect", "load", *(("load_clip",) if "_clip." in name else ())):
            answer = watcher.look(file, way)
            assert answer.outcome == "refused" and name in answer.text, (name, way, answer)
            key = "options." if "_option" in name or "_unknown" in name else "_cfg."
            assert "which a file must not say" in answer.text and key in answer.text, answer.text
