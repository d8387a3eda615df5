"""Live progress over the server's websocket (RFC 6455, client side), as far as it is needed.

Nothing depends on it: results are found by polling. It shows how far a row is, ends the wait
between two polls early, and hears the one reason that the history does not keep.
"""
from __future__ import annotations

import base64
import hashlib
import os
import socket
import ssl
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any

from ..bounded import finite, parse
from .transport import PORTS, Clock, connected

MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
LARGEST_MESSAGE = 1 << 24                       # bytes, of all fragments; previews are smaller
LARGEST_CONTROL = 125                           # bytes of a ping, by the RFC
LARGEST_HANDSHAKE, HANDSHAKE_SECONDS = 1 << 16, 20.0
MOST_PROMPTS, LONGEST_TEXT = 1000, 2000         # that are remembered, and characters of each
ENDS = ("execution_success", "execution_error", "execution_interrupted")


class Watch(threading.Thread):
    """Listens until `stop()`; `progress` and `blocked` are by prompt id."""

    def __init__(self, address: str, client_id: str, headers: dict[str, str],
                 again: float = 5.0) -> None:
        """`again`: seconds until a lost connection is made anew."""
        super().__init__(daemon=True, name="lgfa-queue-watch")
        self.address, self.client_id, self.headers = address, client_id, headers
        self.again = again
        self.progress: dict[str, tuple[float, float]] = {}      # prompt id -> (value, of)
        self.blocked: dict[str, str] = {}
        self.news = threading.Event()           # something ended: worth asking at once
        self._stopped = threading.Event()
        self._socket: socket.socket | None = None

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._listen()
            except Exception:                   # whatever was sent: polling goes on
                pass
            self._stopped.wait(self.again)

    def stop(self) -> None:
        """Ends the thread."""
        self._stopped.set()
        if (current := self._socket) is not None:
            try:
                current.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def wait(self, seconds: float) -> None:
        """Waits, but no longer than until something ends."""
        self.news.wait(seconds)
        self.news.clear()

    def _listen(self) -> None:
        self._socket = connect(self.address, self.client_id, self.headers)
        try:
            with self._socket, self._socket.makefile("rb") as stream:
                for text in messages(stream, self._socket):
                    self._heard(parse(text))
        finally:
            self._socket = None

    def _heard(self, message: Any) -> None:
        data = message.get("data") if isinstance(message, dict) else None
        prompt_id = data.get("prompt_id") if isinstance(data, dict) else None
        if not isinstance(prompt_id, str) or len(prompt_id) > LONGEST_TEXT:
            return
        kind = message.get("type")
        if kind == "progress":
            value, most = data.get("value"), data.get("max")
            if finite(value) and finite(most):
                remember(self.progress, prompt_id, (float(value), float(most)))
        elif kind == "executing" and data.get("node") is not None:
            self.progress.pop(prompt_id, None)          # another node begins
        if kind == "execution_error":
            text = data.get("exception_message")
            remember(self.blocked, prompt_id, text[:LONGEST_TEXT] if isinstance(text, str) else "")
        if kind in ENDS or (kind == "executing" and data.get("node") is None):
            self.progress.pop(prompt_id, None)
            self.news.set()


def remember(notes: dict[str, Any], prompt_id: str, note: Any) -> None:
    """Keeps a note on a prompt, and only the newest of very many."""
    notes.pop(prompt_id, None)
    notes[prompt_id] = note
    while len(notes) > MOST_PROMPTS:
        del notes[next(iter(notes))]


def connect(address: str, client_id: str, headers: dict[str, str]) -> socket.socket:
    """An open websocket. OSError or ValueError when there is none."""
    parts = urllib.parse.urlsplit(address)
    host, secure = parts.hostname or "", parts.scheme == "https"
    clock = Clock(HANDSHAKE_SECONDS)
    sock = connected((host, parts.port or PORTS[parts.scheme]), clock)
    try:
        if secure:
            sock = ssl.create_default_context().wrap_socket(sock, server_hostname=host)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {parts.path}/ws?clientId={client_id} HTTP/1.1",
                 *(() if "host" in map(str.lower, headers) else (f"Host: {parts.netloc}",)),
                 "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}",
                 "Sec-WebSocket-Version: 13",
                 *(f"{name}: {value}" for name, value in headers.items())]
        sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        answer = bytearray()
        while not answer.endswith(b"\r\n\r\n"):         # byte by byte: a message may follow
            sock.settimeout(clock.left())
            byte = sock.recv(1)
            if not byte or len(answer) > LARGEST_HANDSHAKE:
                raise ConnectionError("no answer to the handshake")
            answer += byte
        accept = base64.b64encode(hashlib.sha1((key + MAGIC).encode()).digest())
        if b" 101 " not in answer.split(b"\r\n")[0] + b" " or accept not in answer:
            raise ConnectionError("the server opens no websocket")
        sock.settimeout(None)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return sock
    except BaseException:
        sock.close()
        raise


def messages(stream: Any, sock: socket.socket) -> Iterator[bytes]:
    """Yields text messages, puts fragments together, answers pings, leaves the rest out.

    ConnectionError where the server does not keep to the RFC, or a message is too large.
    """
    whole, kind, length = bytearray(), 0, 0             # of the message that is being put together
    while True:
        final, code, size = header(stream)
        if code >= CLOSE:
            data = exactly(stream, size)
            if code == CLOSE:
                return
            if code == PING:
                sock.sendall(frame(PONG, data))
            continue
        if (code == 0) != (kind != 0):
            raise ConnectionError("a fragment stands alone, or is left out")
        kind, length = code or kind, length + size
        if length > LARGEST_MESSAGE:
            raise ConnectionError("the message is too large")
        whole += exactly(stream, size, keep=kind == TEXT)
        if final:
            if kind == TEXT:
                yield bytes(whole)
            whole, kind, length = bytearray(), 0, 0


def header(stream: Any) -> tuple[bool, int, int]:
    """A frame's head: whether it is the last of its message, its code, its length in bytes."""
    first, second = exactly(stream, 2)
    final, code, size = bool(first & 0x80), first & 0x0F, second & 0x7F
    if size >= 126:
        size = int.from_bytes(exactly(stream, 2 if size == 126 else 8), "big")
    if first & 0x70 or second & 0x80 or code not in (0, TEXT, BINARY, CLOSE, PING, PONG):
        raise ConnectionError("the frame is none of a server's")
    if code >= CLOSE and (size > LARGEST_CONTROL or not final):
        raise ConnectionError("the control frame is too large, or a fragment")
    return final, code, size


def exactly(stream: Any, size: int, keep: bool = True) -> bytes:
    """`size` bytes of a stream, or b"" when they are only skipped. ConnectionError at its end."""
    out = []
    while size:
        block = stream.read(min(size, 1 << 16))
        if not block:
            raise ConnectionError("the websocket was closed")
        size -= len(block)
        if keep:
            out.append(block)
    return b"".join(out)


def frame(code: int, data: bytes) -> bytes:
    """A frame of a client, which is always masked; control frames are under 126 bytes."""
    mask = os.urandom(4)
    body = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data[:LARGEST_CONTROL]))
    return bytes([0x80 | code, 0x80 | len(body)]) + mask + body
