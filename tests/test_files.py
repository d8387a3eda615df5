"""Atomic writes: a reader sees the old file or the new one, whatever happens in between."""
from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from lgfa.errors import LGFAError
from lgfa.files import atomic_path


def test_replaces_the_file_and_makes_folders(tmp_path):
    path = tmp_path / "a" / "b" / "x.webp"
    for text in ("old", "new"):
        with atomic_path(path) as tmp:
            assert tmp.parent == path.parent and tmp.suffix == ".webp"
            tmp.write_text(text)
        assert path.read_text() == text
    assert [p.name for p in path.parent.iterdir()] == ["x.webp"]


def test_an_exception_keeps_the_old_file(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(KeyError), atomic_path(path) as tmp:
        tmp.write_text("half")
        raise KeyError
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_a_kill_in_between_keeps_the_old_file(tmp_path, repo):
    path = tmp_path / "x.txt"
    path.write_text("old")
    code = ("import os, signal, sys; from lgfa.files import atomic_path\n"
            "with atomic_path(sys.argv[1]) as tmp:\n"
            "    tmp.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)")
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=repo)
    assert done.returncode != 0 and path.read_text() == "old"


@pytest.mark.parametrize("code, words", [
    (errno.ENOSPC, "the disk is full"), (errno.EACCES, "no right to write"),
])
def test_the_systems_reasons_become_sentences(tmp_path, code, words):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(LGFAError, match=words), atomic_path(path) as tmp:
        tmp.write_text("half")
        raise OSError(code, os.strerror(code))
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_impossible_targets(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.txt").mkdir()
    for target, words in [("file/x.txt", "file"), ("folder.txt", "folder"),
                          ("n" * 300 + ".txt", "too long")]:
        with pytest.raises(LGFAError, match=words), atomic_path(tmp_path / target) as tmp:
            tmp.write_text("x")


def test_a_block_that_writes_nothing_is_a_bug_of_ours(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "x.txt"):
        pass


def test_files_get_the_usual_rights(tmp_path):
    """Writers that make files for their owner only (safetensors) do not decide."""
    before = os.umask(0o022)
    try:
        with atomic_path(tmp_path / "a.bin") as tmp:
            os.close(os.open(tmp, os.O_CREAT | os.O_WRONLY, 0o600))
        assert (tmp_path / "a.bin").stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)
