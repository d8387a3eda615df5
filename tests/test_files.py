"""Atomic writes: a reader sees the old file or the new one, whatever happens in between."""
from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import time

import pytest
import safetensors.torch
import torch

from lgfa import files
from lgfa.errors import LGFAError
from lgfa.files import atomic_folder, atomic_path, remove_leftovers
from lgfa.formats.safetensors_io import write_tensors


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


# ---------------------------------------------------------------- what a kill leaves

WORKER = """
import os, signal, sys
from pathlib import Path
from lgfa.files import atomic_folder, atomic_path
path, how = Path(sys.argv[1]), sys.argv[2]
if how == "between":                        # killed after the old folder was put aside
    rename, calls = Path.rename, []
    def killed(self, target):
        calls.append(target)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return rename(self, target)
    Path.rename = killed
    with atomic_folder(path, lambda _: None) as tmp:
        (tmp / "frame_00001.png").write_text("new")
begin = atomic_path(path) if "folder" not in how else atomic_folder(path, lambda _: None)
with begin as tmp:
    (tmp / "x" if tmp.is_dir() else tmp).write_text("half")
    if how.endswith("kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    print("writing", flush=True)
    sys.stdin.readline()
"""


def worker(path, how, repo):
    return subprocess.Popen([sys.executable, "-c", WORKER, str(path), how], cwd=repo, text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def names(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("how", ["kill", "folder kill"])
def test_the_next_attempt_removes_what_a_kill_left(tmp_path, repo, how):
    path = tmp_path / "a.b.webp"
    with worker(path, how, repo) as process:
        process.wait(60)
    left = names(tmp_path)
    assert len(left) == 2 and left[0].startswith(".a.b.")
    for other in ("b.webp", "a.b.mp4", "a.webp"):           # is not theirs to remove
        with atomic_path(tmp_path / other) as tmp:
            tmp.write_text("x")
    assert set(left) < set(names(tmp_path))
    with atomic_path(path) as tmp:
        tmp.write_text("new")
    assert names(tmp_path) == sorted(["b.webp", "a.b.mp4", "a.webp", "a.b.webp"])


@pytest.mark.parametrize("how", ["file", "folder"])
def test_what_another_process_is_writing_stays(tmp_path, repo, how):
    path = tmp_path / "a"
    with worker(path, how, repo) as process:
        assert process.stdout.readline() == "writing\n"
        before = names(tmp_path)
        remove_leftovers(tmp_path, "a")
        assert names(tmp_path) == before and len(before) == 2
        if how == "file":                   # both may write at once, the last one wins
            with atomic_path(path) as tmp:
                tmp.write_text("ours")
            assert path.read_text() == "ours"
        process.communicate("go on\n", timeout=60)
    assert process.returncode == 0 and names(tmp_path) == ["a"]
    assert (path / "x" if how == "folder" else path).read_text() == "half"


def test_a_folder_put_aside_comes_back(tmp_path, repo):
    path = tmp_path / "frames"
    path.mkdir()
    (path / "frame_00001.png").write_text("old")
    with worker(path, "between", repo) as process:
        process.wait(60)
    assert not path.exists() and len(names(tmp_path)) == 3
    with pytest.raises(KeyError), atomic_folder(path, lambda _: None):
        raise KeyError                      # the next run fails, too
    assert names(tmp_path) == ["frames"] and (path / "frame_00001.png").read_text() == "old"
    with atomic_folder(path, lambda _: None) as tmp:
        (tmp / "frame_00001.png").write_text("new")
    assert names(tmp_path) == ["frames"] and (path / "frame_00001.png").read_text() == "new"


def test_where_locks_are_unknown_only_old_files_are_left_ones(tmp_path, monkeypatch):
    def none(_):
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr(files, "lock", none)
    tmp = tmp_path / ".a.0a1b2c3d.tmp.txt"
    lock = tmp_path / (tmp.name + ".lock")
    for age, stays in ((0, True), (2 * files.OLD, False)):
        for one in (tmp, lock):
            one.write_text("half")
            os.utime(one, (time.time() - age,) * 2)
        with atomic_path(tmp_path / "a.txt") as ours:
            ours.write_text("x")
        assert tmp.exists() == lock.exists() == stays
    assert names(tmp_path) == ["a.txt"]


def test_only_our_own_names_are_removed(tmp_path):
    kept = [".a.mine.tmp.txt", ".a.0a1b2c3d.tmp", ".a.0a1b2c3d.txt", ".b.0a1b2c3d.tmp.txt", "a.tmp",
            ".a.0A1B2C3D.tmp.txt"]
    for name in [*kept, ".a.0a1b2c3d.tmp.txt"]:
        (tmp_path / name).write_text("x")
    remove_leftovers(tmp_path, "a.txt")
    assert names(tmp_path) == sorted(kept)
    remove_leftovers(tmp_path / "none", "a.txt")


def test_names_of_any_script_and_length(tmp_path):
    for name in ("\u5979" * 80 + ".webp", "[a]*?.txt", "\U0001f600" * 60, "-x", ".hidden", "a\nb"):
        for text in ("one", "two"):
            with atomic_path(tmp_path / name) as tmp:
                tmp.write_text(text)
        assert (tmp_path / name).read_text() == "two"
    assert len(names(tmp_path)) == 6


# ---------------------------------------------------------------- links, pipes, devices

def test_a_link_stays_and_what_it_means_is_written(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link.txt"
    real.mkdir()
    link.symlink_to(real / "a.txt")
    for text in ("new", "newer"):           # the first one makes what the link means
        with atomic_path(link) as tmp:
            assert tmp.parent == real
            tmp.write_text(text)
        assert link.is_symlink() and (real / "a.txt").read_text() == text
    frames = tmp_path / "frames"
    frames.symlink_to(real / "f")
    (real / "f").mkdir()
    with atomic_folder(frames, lambda _: None) as tmp:
        (tmp / "x").write_text("x")
    assert frames.is_symlink() and names(real / "f") == ["x"]


def test_no_file_can_be_there(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    for target, words in (("loop", "circle"), ("pipe", "pipe"), ("/dev/null", "device")):
        with pytest.raises(LGFAError, match=words), atomic_path(tmp_path / target) as tmp:
            tmp.write_text("x")
    (tmp_path / "file").write_text("x")
    with pytest.raises(LGFAError, match="file of this name"), \
            atomic_folder(tmp_path / "file", lambda _: None):
        pass
    assert names(tmp_path) == ["file", "loop", "pipe"]


# ---------------------------------------------------------------- full disks

FULL = """
import resource, sys, torch, safetensors.torch
from lgfa.errors import LGFAError
from lgfa.files import atomic_path
from lgfa.formats.safetensors_io import write_tensors
big = {f"w{i}": torch.rand(1000) for i in range(20)}
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)

def ours(path):
    write_tensors(path, big, {})

def library(path):
    with atomic_path(path) as tmp:
        safetensors.torch.save_file(big, tmp)

def named(path):
    with atomic_path(path) as tmp:
        torch.save(big, tmp)

def opened(path):
    with atomic_path(path) as tmp, open(tmp, "wb") as file:
        torch.save(big, file)

def text(path):
    with atomic_path(path) as tmp:
        tmp.write_text("x" * 100_000)

for write in (ours, library, named, opened, text):
    try:
        write(sys.argv[1] + "/new/deep/a.bin")
    except LGFAError as error:
        print(error)
"""


@pytest.mark.parametrize("room", [0, 1000, 30_000])
def test_every_librarys_way_to_say_that_the_disk_is_full(tmp_path, repo, room):
    """A real limit of the system on the size of files stands for the full disk."""
    pytest.importorskip("resource")
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path), str(room)], cwd=repo,
                          capture_output=True, text=True)
    said = done.stdout.splitlines()
    assert len(said) == 5 and not done.stderr, done
    assert all(line.startswith("cannot write ") and line.endswith(".") for line in said)
    assert not names(tmp_path)              # the folders that were made for it are gone, too


def test_a_full_disk(tmp_path):
    """A small disk in memory, where this user may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.name != "posix" or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)],
            capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    try:
        (disk / "a.safetensors").write_text("old")
        with pytest.raises(LGFAError, match="the disk is full"):
            write_tensors(disk / "a.safetensors", {"w": torch.rand(300_000)}, {})
        with pytest.raises(LGFAError, match="the disk is full"), \
                atomic_path(disk / "a.safetensors") as tmp:
            safetensors.torch.save_file({"w": torch.rand(300_000)}, tmp)
        assert names(disk) == ["a.safetensors"]
        assert (disk / "a.safetensors").read_text() == "old"
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_an_interrupt_is_not_hidden_by_the_archive_that_it_leaves(tmp_path):
    class Interrupted(io.BytesIO):
        def write(self, data):
            if self.tell() > 2000:
                raise KeyboardInterrupt
            return super().write(data)

    with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / "a.pt"):
        torch.save({"w": torch.rand(10_000)}, Interrupted())
    assert not names(tmp_path)


def test_tensors_are_written_as_the_library_reads_them(tmp_path):
    some = {"b": torch.rand(3, 2), "a": torch.arange(5), "half": torch.rand(7).half(),
            "brain": torch.rand(2).bfloat16(), "flag": torch.tensor([True, False, True]),
            "one": torch.tensor(2.5), "none": torch.zeros(0, 3), "\u5979": torch.rand(4).double(),
            "turned": torch.rand(4, 6).T, "byte": torch.arange(9, dtype=torch.uint8)}
    write_tensors(tmp_path / "a.safetensors", some, {"k": "\u5979\n"})
    back = safetensors.torch.load_file(tmp_path / "a.safetensors")
    assert back.keys() == some.keys()
    assert all(torch.equal(back[name], some[name]) for name in some)
    with safetensors.safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert file.metadata() == {"k": "\u5979\n"}
    write_tensors(tmp_path / "b.safetensors", {}, {"k": "v"})
    assert safetensors.torch.load_file(tmp_path / "b.safetensors") == {}
    with pytest.raises(LGFAError, match="complex"):
        write_tensors(tmp_path / "c.safetensors", {"c": torch.zeros(2, dtype=torch.complex64)}, {})
    assert names(tmp_path) == ["a.safetensors", "b.safetensors"]


def test_attempts_and_tidiers_get_along(tmp_path, repo):
    """Several processes write one file again and again, each tidying up before: none fails."""
    program = ("import sys; from lgfa.files import atomic_path\n"
               "for i in range(300):\n"
               "    with atomic_path(sys.argv[1]) as tmp:\n"
               "        tmp.write_text(sys.argv[2] * 1000)")
    running = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "a.txt"), name],
                                cwd=repo, stderr=subprocess.PIPE, text=True) for name in "xyz"]
    assert [(process.communicate(timeout=120)[1], process.returncode) for process in running] == \
        [("", 0)] * 3
    assert names(tmp_path) == ["a.txt"] and len(set((tmp_path / "a.txt").read_text())) == 1
