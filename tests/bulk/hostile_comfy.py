"""A ComfyUI server that turns on whoever asks: named attacks on one route, all else in order.

An attack is what is sent in place of an answer. Routes that belong to a row (/history, /view,
/prompt) are attacked only for the rows whose text holds "evil".
"""
from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fake_comfy import FakeComfy, Handler

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
PAUSE = 0.05                    # seconds between the bytes of a drip
Send = Callable[[socket.socket], None]


def drip(head: bytes, body: bytes = b"", each: bytes = b" ") -> Send:
    """A beginning at once, and then a byte now and then, without end."""
    def send(sock: socket.socket) -> None:
        sock.sendall(head)
        for byte in body:
            sock.sendall(bytes([byte]))
            time.sleep(PAUSE)
        while True:
            sock.sendall(each)
            time.sleep(PAUSE)
    return send


def flood(head: bytes, block: bytes) -> Send:
    """A beginning, and then the same for ever, as fast as it is taken."""
    def send(sock: socket.socket) -> None:
        sock.sendall(head)
        while True:
            sock.sendall(block)
    return send


def answer(body: bytes, *headers: str, status: str = "200 OK") -> Send:
    """An answer as it stands; its length is announced where the headers do not."""
    lines = [f"HTTP/1.1 {status}", *headers]
    if not any(line.lower().startswith(("content-length", "transfer")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")

    def send(sock: socket.socket) -> None:
        sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
    return send


DRIPS = {
    "status line": drip(b"", b"HTTP/1.1 2", b"0"),
    "a header": drip(OK + b"X: "),
    "headers": drip(OK, each=b"X: y\r\n"),
    "continue": drip(b"", each=b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": drip(OK + b"Content-Length: 100000\r\n\r\n"),
    "body without length": drip(OK + b"\r\n"),
    "chunk's head": drip(CHUNKED + b"5;"),
    "chunk": drip(CHUNKED + b"fffff\r\n"),
    "chunks": drip(CHUNKED, each=b"1\r\n \r\n"),
    "trailers": drip(CHUNKED + b"2\r\n{}\r\n0\r\n", each=b"X: y\r\n"),
    "silence": drip(b"", each=b""),
}
FLOODS = {
    "chunks": flood(CHUNKED, b"40000\r\n" + b" " * 0x40000 + b"\r\n"),
    "no length": flood(OK + b"\r\n", b"[" * 0x40000),
    "a chunk of size -1": flood(CHUNKED + b"-1\r\n", b" " * 0x40000),
}
LENGTHS = {
    "absurd": answer(b"{}", "Content-Length: 99999999999999"),
    "more absurd": answer(b"{}", "Content-Length: " + "9" * 5000),
    "negative": answer(b"{}", "Content-Length: -5"),
    "a word": answer(b"{}", "Content-Length: abc"),
    "superscript": answer(b"{}", "Content-Length: \u00b2"),
    "two": answer(b"{}", "Content-Length: 2", "Content-Length: 7"),
    "too long": answer(b"{}", "Content-Length: 100"),
    "chunk's": answer(b"zz\r\n{}\r\n", "Transfer-Encoding: chunked"),
    "a chunk's, absurd": answer(b"fffffffffffff\r\n{}\r\n", "Transfer-Encoding: chunked"),
}
TEXTS = {
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "deep dicts": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deeper than anything needs": b"[" * 500 + b"]" * 500,
    "too many values": b"[" + b"[]," * 4_000_000 + b"[]]",
    "cut off": b'{"a": [1, 2',
    "bad encoding": b'{"a": "\xff\xfe\xfd"}',
    "no JSON": b"<html>busy</html>", "nothing": b"", "null": b"null", "a number": b"5",
    "many digits": b"[" + b"9" * 5000 + b"]", "a list": b"[[[5]]]", "a text": b'"x"',
    "another's": b'{"queue_running": {}, "queue_pending": 5}',
}
OTHERS = {
    "an error that drips": drip(b"HTTP/1.1 500 x\r\nContent-Length: 999\r\n\r\n"),
    "an error without end": flood(CHUNKED.replace(b"200 OK", b"500 Oops"),
                                  b"40000\r\n" + b" " * 0x40000 + b"\r\n"),
    "an error, deep": answer(TEXTS["deep lists"], status="400 Bad Request"),
    "busy": answer(b"", status="503 Busy"), "odd status": answer(b"", status="abc"),
    "no status": lambda sock: sock.sendall(b"hello"), "too large a status": answer(b"{}", status=
                                                                                 "99999 x"),
    "no content": answer(b"", status="204 No"), "not modified": answer(b"", status="304 Not"),
    "switched": answer(b"", status="101 Other"), "closed": lambda sock: None,
    "a long line": lambda sock: sock.sendall(b"HTTP/1.1 200 " + b"x" * 200_000),
    "many headers": lambda sock: sock.sendall(OK + b"a: b\r\n" * 5000 + b"\r\n{}"),
    "headers without end": flood(OK, b"a: b\r\n" * 1000),
    "trailers without end": flood(CHUNKED + b"2\r\n{}\r\n0\r\n", b"a: b\r\n" * 1000),
    "a chunk's length without end": flood(CHUNKED, b"f" * 100_000),
    "a chunk of 2^72": lambda sock: sock.sendall(CHUNKED + b"f" * 18 + b"\r\n{}"),
    "sent in circles": answer(b"", "Location: ?again", status="302 Found"),
    "sent on with a body without end": flood(
        b"HTTP/1.1 302 x\r\nLocation: /queue\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"40000\r\n" + b" " * 0x40000 + b"\r\n"),
    "another encoding": answer(b"xx", "Transfer-Encoding: gzip, chunked"),
    "halves of characters": answer(
        b'{"node_errors": {"3": {"errors": [{"message": "\\ud800", "details": "\\udfff"}]}}, '
        b'"error": {"message": "\\ud83d"}}', status="400 Bad Request"),
}


class HostileHandler(Handler):
    """The routes, and what is sent in place of one."""
    server: HostileComfy

    def _route(self, body: bytes | None) -> None:
        url = urllib.parse.urlsplit(self.path)
        root = "/" + url.path.split("/")[1]
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        attack = self.server.attacks.get(root)
        if attack is None or not self._evil(root, url, body):
            return super()._route(body)
        with self.server.lock:
            self.server.asked[f"attacked {root}"] += 1
        try:
            attack(self.connection)
        except OSError:
            pass                                # the client went away, as it should
        self.close_connection = True

    def _evil(self, root: str, url: Any, body: bytes | None) -> bool:
        comfy = self.server
        if root == "/history":
            entry = comfy.history.get(url.path.split("/")[2])
            return entry is not None and "evil" in entry["prompt"][2]["2"]["inputs"]["text"]
        if root == "/view":
            name = dict(urllib.parse.parse_qsl(url.query)).get("filename", "")
            return b"evil" in comfy.files.get(name, b"evil")
        return root != "/prompt" or b"evil" in (body or b"")

    def _ws(self, body: bytes | None) -> None:
        if self.server.frames is None:
            return super()._ws(body)
        shake(self.connection, self.headers["Sec-WebSocket-Key"])
        try:
            self.server.frames(self.connection)
        except OSError:
            pass
        self.close_connection = True


class HostileComfy(FakeComfy):
    """`attacks`: route -> what is sent; `frames`: what follows the websocket's handshake;
    `patch`: changes the history of evil rows."""
    handler = HostileHandler

    def __init__(self) -> None:
        self.attacks: dict[str, Send] = {}
        self.frames: Send | None = None
        self.patch: Callable[[dict[str, Any]], Any] | None = None
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        super().__init__()

    def _entry(self, item: Any) -> dict[str, Any]:
        entry = super()._entry(item)
        if self.patch is not None and "evil" in item[2]["2"]["inputs"]["text"]:
            self.patch(entry)
        return entry


def shake(sock: socket.socket, key: str) -> None:
    """The server's half of the websocket's handshake."""
    digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade"
                 b"\r\nSec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n")


def frame(code: int, data: bytes, final: bool = True) -> bytes:
    """A frame as servers send it."""
    size = bytes([len(data)]) if len(data) < 126 else b"\x7f" + len(data).to_bytes(8, "big")
    return bytes([0x80 * final | code]) + size + data


class Elsewhere(ThreadingHTTPServer):
    """Another host, which writes down what it is asked and with which headers."""
    daemon_threads = True

    def __init__(self, host: str) -> None:
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        super().__init__((host, 0), _Noter)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self) -> str:
        return "http://{}:{}".format(*self.server_address[:2])

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class _Noter(BaseHTTPRequestHandler):
    server: Elsewhere

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        body = json.dumps({}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET
