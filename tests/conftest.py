"""Shared by all tests: the reference folder, the number of threads, interrupts."""
from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def pytest_configure(config: pytest.Config) -> None:
    """Few threads: the tests' tensors are small, and other work may share the machine.

    A shell's background jobs ignore interrupts, what nohup starts ignores hang-ups, and so would
    every program that the tests start and stop by a signal.
    """
    threads = os.environ.get("LGFA_TEST_THREADS", str(min(4, max(1, (os.cpu_count() or 1) // 2))))
    os.environ.setdefault("OMP_NUM_THREADS", threads)       # also of the programs that they start
    import torch

    usual = {"SIGINT": signal.default_int_handler, "SIGTERM": signal.SIG_DFL,
             "SIGHUP": signal.SIG_DFL}
    for number, handler in usual.items():
        one = getattr(signal, number, None)                 # Windows has no SIGHUP
        if one is not None and signal.getsignal(one) is signal.SIG_IGN:
            signal.signal(one, handler)
    torch.set_num_threads(int(threads))


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
