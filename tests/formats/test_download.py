"""Downloads against a small server: resume, broken connections, wrong files, odd servers."""
from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lgfa.errors import LGFAError
from lgfa.files import lock
from lgfa.formats import download, public
from lgfa.formats.public import Model

ROOT = Path(__file__).resolve().parents[2]

DATA = bytes(range(256)) * 4000                 # about one MB
HASH = hashlib.sha256(DATA).hexdigest()


class Server:
    """What the handler serves, and what it was asked."""

    data, tag, ranges, cut, length, code = DATA, '"1"', True, [], True, 200
    place, claimed, pause = "", "", 0.0         # Location, another Content-Length, between blocks

    def __init__(self) -> None:
        self.asked: list[str | None] = []
        self.cut = []                           # bytes after which connections end, one by one
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_address[1]}/file.bin"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.asked.append(wanted)
        if self.code != 200:
            request.send_error(self.code)
            return
        if self.place:
            request.send_response(302)
            request.send_header("Location", self.place)
            request.end_headers()
            return
        start = int(wanted[6:-1]) if wanted and self.ranges else 0
        if start and request.headers.get("If-Range", self.tag) != self.tag:
            start = 0
        if wanted and self.ranges and start >= len(self.data):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(self.data)}")
            request.end_headers()
            return
        body = self.data[start:]
        request.send_response(206 if start else 200)
        if self.tag:
            request.send_header("ETag", self.tag)
        if start:
            request.send_header("Content-Range",
                                f"bytes {start}-{len(self.data) - 1}/{len(self.data)}")
        if self.length:
            request.send_header("Content-Length", self.claimed or str(len(body)))
        request.end_headers()
        while self.pause:
            request.wfile.write(body[:1000])
            time.sleep(self.pause)
        request.wfile.write(body[:self.cut.pop(0)] if self.cut else body)


@pytest.fixture
def server(monkeypatch, tmp_path):
    server = Server()
    monkeypatch.setenv("LGFA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(download, "WAIT", 0.0)
    put(monkeypatch, server)
    yield server
    server.http.shutdown()
    server.http.server_close()


def put(monkeypatch, server: Server, **changes) -> None:
    """Makes the server's file the only known model."""
    row = {"file": "file.bin", "what": "", "format": "a test", "licence": "none",
           "address": server.address, "megabytes": 1, "size": len(DATA), "sha256": HASH}
    monkeypatch.setattr(public, "MODELS", {"test": Model(**(row | changes))})


def files() -> list[str]:
    return sorted(p.name for p in public.folder().iterdir()) if public.folder().exists() else []


def test_download_once_with_progress(server):
    with pytest.raises(LGFAError, match="models download test"):
        public.local("test")
    assert server.asked == [] and not public.is_present("test")

    seen: list[tuple] = []
    path = download.download("test", lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == DATA and path == public.local("test") and files() == ["file.bin"]
    assert seen[0] == (0, len(DATA)) and seen[-1] == (len(DATA), len(DATA))
    download.download("test")
    assert len(server.asked) == 1


def test_broken_connections_are_resumed(server):
    server.cut = [300_000, 100_000, 0]
    assert download.download("test").read_bytes() == DATA
    assert server.asked == [None, "bytes=300000-", "bytes=400000-", "bytes=400000-"]
    assert files() == ["file.bin"]


def test_a_later_attempt_goes_on_where_the_first_stopped(server):
    server.cut = [200_000, 0, 0, 0]
    with pytest.raises(LGFAError, match="broke off .* go on from 200,000 bytes"):
        download.download("test")
    assert "file.bin" not in files() and "file.bin.part" in files()
    server.asked.clear()
    assert download.download("test").read_bytes() == DATA
    assert server.asked == ["bytes=200000-"] and files() == ["file.bin"]


def test_server_without_range(server):
    server.ranges, server.cut = False, [300_000]
    assert download.download("test").read_bytes() == DATA
    assert server.asked == [None, "bytes=300000-"]


def test_server_without_length(server):
    server.length = False
    assert download.download("test").read_bytes() == DATA


def test_a_file_that_changed_in_between_starts_anew(server, monkeypatch):
    put(monkeypatch, server, sha256=None, size=None)
    server.cut = [200_000, 0, 0, 0]
    with pytest.raises(LGFAError):
        download.download("test")
    server.data, server.tag = DATA[::-1], '"2"'
    assert download.download("test").read_bytes() == DATA[::-1]


def test_without_hash_and_mark_nothing_is_resumed(server, monkeypatch):
    put(monkeypatch, server, sha256=None, size=None)
    server.tag, server.cut = "", [200_000]
    assert download.download("test").read_bytes() == DATA
    assert server.asked == [None, None]


def test_a_whole_partial_file_needs_no_more_bytes(server, monkeypatch):
    put(monkeypatch, server, size=None)
    public.folder().mkdir(parents=True)
    (public.folder() / "file.bin.part").write_bytes(DATA)
    assert download.download("test").read_bytes() == DATA         # the server answers 416


def test_a_partial_file_that_is_too_long_starts_anew(server, monkeypatch):
    put(monkeypatch, server, size=None)
    public.folder().mkdir(parents=True)
    (public.folder() / "file.bin.part").write_bytes(DATA + b"more")
    assert download.download("test").read_bytes() == DATA


@pytest.mark.parametrize("changes, words", [
    ({"sha256": "0" * 64}, "SHA-256"),
    ({"sha256": "00000000"}, "SHA-256"),
    ({"sha256": None, "kind": "generator"}, "is not a test"),
])
def test_wrong_contents_are_removed(server, monkeypatch, changes, words):
    put(monkeypatch, server, **changes)
    with pytest.raises(LGFAError, match=words):
        download.download("test")
    assert files() == []


def test_wrong_size_is_refused_before_the_download(server, monkeypatch):
    put(monkeypatch, server, size=5)
    with pytest.raises(LGFAError, match="instead of 5"):
        download.download("test")
    assert "file.bin" not in files()


def test_no_such_file_and_no_such_server(server, monkeypatch):
    server.code = 404
    with pytest.raises(LGFAError, match="answers 404 .* by hand"):
        download.download("test")
    put(monkeypatch, server, address="http://127.0.0.1:1/file.bin")
    with pytest.raises(LGFAError, match="broke off"):
        download.download("test")
    assert "file.bin" not in files()


def test_full_disk_is_said_before_the_download(server, monkeypatch):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: type("U", (), {"free": 10}))
    with pytest.raises(LGFAError, match="make room"):
        download.download("test")


@pytest.mark.parametrize("place", [
    "file:///etc/passwd", "http://[::1/", "http://a..b/", "data:,x", "//", "ftp://127.0.0.1:1/x",
    "gopher://x/", "http://" + "a" * 300 + "/"])
def test_odd_redirects_are_one_sentence(server, place):
    server.place = place
    with pytest.raises(LGFAError) as caught:
        download.download("test")
    assert len(str(caught.value)) < 1000 and "file.bin" not in files()


@pytest.mark.parametrize("length", ["9" * 400, "-5", "\u00b2", "1e3", "abc", "9" * 5000])
def test_odd_lengths_are_no_length_or_one_sentence(server, monkeypatch, length):
    put(monkeypatch, server, size=None)
    server.claimed = length
    try:
        assert download.download("test").read_bytes() == DATA
    except LGFAError as error:
        assert "broke off" in str(error)


@pytest.mark.parametrize("tag", [b"", b"a\r\nX: y", b"\xff\x00", b"x" * 100_000, b'W/"1"'])
def test_a_mark_that_no_server_gave_counts_as_none(server, tag):
    public.folder().mkdir(parents=True)
    (public.folder() / "file.bin.part").write_bytes(DATA[:1000])
    (public.folder() / "file.bin.part.tag").write_bytes(tag)
    assert download.download("test").read_bytes() == DATA and files() == ["file.bin"]


def test_a_disk_that_fills_up_keeps_what_came(server):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
    try:
        with pytest.raises(LGFAError, match="cannot write .* goes on from what is there"):
            download.download("test")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (public.folder() / "file.bin.part").read_bytes() == DATA[:300_000]
    assert download.download("test").read_bytes() == DATA
    assert server.asked == [None, "bytes=300000-"]


def test_one_process_at_a_time_writes_a_file(server):
    public.folder().mkdir(parents=True)
    with open(public.folder() / "file.bin.part", "ab") as held:
        lock(held)
        with pytest.raises(LGFAError, match="another process"):
            download.download("test")
    assert download.download("test").read_bytes() == DATA


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as on posix systems")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_keeps_what_came(server, name):
    server.pause = 0.01
    row = json.dumps(asdict(public.MODELS["test"]))
    program = ("import json, sys; from lgfa import signals; from lgfa.cli import entry; "
               "from lgfa.formats import public; "
               f"public.MODELS = {{'test': public.Model(**json.loads({row!r}))}}; "
               "signals.run(lambda: entry.main(['models', 'download', 'test']))")
    part = public.folder() / "file.bin.part"
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.PIPE,
                          stdout=subprocess.DEVNULL, text=True) as process:
        until = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size):
            assert time.monotonic() < until and process.poll() is None
            time.sleep(0.02)
        process.send_signal(getattr(signal, name))
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and said.endswith("stopped.\n"), said
    assert "goes on from what is there" in said and "Traceback" not in said
    assert part.stat().st_size


def test_the_table(monkeypatch, tmp_path):
    assert len(public.MODELS) >= 12
    for name, model in public.MODELS.items():
        assert public.known(name) is public.known(model.file) is model
        assert model.address.startswith("https://") and model.licence and model.what
        assert model.sha256 is None or set(model.sha256) <= set("0123456789abcdef")
    assert len({m.file for m in public.MODELS.values()}) == len(public.MODELS)
    monkeypatch.delenv("LGFA_HOME", raising=False)
    assert public.folder().parts[-2:] == (".cache", "lgfa")
    with pytest.raises(LGFAError, match="known are"):
        public.known("teapot")


def test_the_face_detector_is_the_one_of_the_table(shared):
    file = shared / "faces" / "yunet_n_640_640.onnx"
    model = public.MODELS["yunet"]
    assert file.stat().st_size == model.size
    assert hashlib.sha256(file.read_bytes()).hexdigest() == model.sha256
