"""Shared by all tests: the reference folder, the number of threads, interrupts."""
from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def pytest_configure(config: pytest.Config) -> None:
    """Few threads: the tests' tensors are small, and other work may share the machine.

    A shell's background jobs ignore interrupts, and so would every program that the tests start
    and interrupt.
    """
    import torch

    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(int(os.environ.get("LGFA_TEST_THREADS", min(4, os.cpu_count() or 1))))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of reference data beside the repository (or $LGFA_SHARED); skips where it is not."""
    path = Path(os.environ.get("LGFA_SHARED", ROOT.parent / "shared"))
    if not (path / "reference").is_dir():
        pytest.skip(f"no reference data at {path}: put it there or set LGFA_SHARED")
    return path


@pytest.fixture(scope="session")
def repo() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def tiny_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files of small random networks that belong together: kind -> path."""
    from tiny import save_all

    return save_all(tmp_path_factory.mktemp("tiny"))
