"""Live progress over the server's websocket (RFC 6455, client side), as far as it is needed.

Nothing depends on it: results are found by polling. It shows how far a row is, ends the wait
between two polls early, and hears the one reason that the history does not keep.
"""
from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import ssl
import threading
import urllib.parse
from typing import Any

MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
LARGEST_TEXT = 1 << 24                          # bytes; a longer message is read and left out
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
            except (OSError, ValueError):
                pass                            # polling goes on
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
                    self._heard(json.loads(text))
        finally:
            self._socket = None

    def _heard(self, message: Any) -> None:
        data = message.get("data") if isinstance(message, dict) else None
        if not isinstance(data, dict):
            return
        kind, prompt_id = message.get("type"), str(data.get("prompt_id"))
        if kind == "progress":
            self.progress[prompt_id] = (float(data.get("value") or 0), float(data.get("max") or 1))
        elif kind == "executing" and data.get("node") is not None:
            self.progress.pop(prompt_id, None)          # another node begins
        if kind == "execution_error":
            self.blocked[prompt_id] = str(data.get("exception_message") or "")
        if kind in ENDS or (kind == "executing" and data.get("node") is None):
            self.progress.pop(prompt_id, None)
            self.news.set()


def connect(address: str, client_id: str, headers: dict[str, str]) -> socket.socket:
    """An open websocket. OSError or ValueError when there is none."""
    parts = urllib.parse.urlsplit(address)
    host, secure = parts.hostname or "", parts.scheme == "https"
    sock = socket.create_connection((host, parts.port or (443 if secure else 80)), timeout=20)
    try:
        if secure:
            sock = ssl.create_default_context().wrap_socket(sock, server_hostname=host)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {parts.path}/ws?clientId={client_id} HTTP/1.1",
                 f"Host: {parts.netloc.rpartition('@')[2]}", "Upgrade: websocket",
                 "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13",
                 *(f"{name}: {value}" for name, value in headers.items())]
        sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):         # byte by byte: a message may follow
            byte = sock.recv(1)
            if not byte or len(answer) > 65536:
                raise ConnectionError("no answer to the handshake")
            answer += byte
        accept = base64.b64encode(hashlib.sha1((key + MAGIC).encode()).digest()).decode()
        if b" 101 " not in answer.split(b"\r\n")[0] + b" " or accept.encode() not in answer:
            raise ConnectionError("the server opens no websocket")
        sock.settimeout(None)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return sock
    except BaseException:
        sock.close()
        raise


def messages(stream: Any, sock: socket.socket) -> Any:
    """Yields text messages as bytes, puts fragments together, answers pings, skips the rest."""
    whole, kind = b"", 0
    while True:
        head = exactly(stream, 2)
        final, code, size = head[0] & 0x80, head[0] & 0x0F, head[1] & 0x7F
        if size >= 126:
            size = int.from_bytes(exactly(stream, 2 if size == 126 else 8), "big")
        keep = code >= CLOSE or (code or kind) == TEXT and len(whole) + size <= LARGEST_TEXT
        data = exactly(stream, size, keep)
        if code == CLOSE:
            return
        if code == PING:
            sock.sendall(frame(PONG, data))
        if code >= CLOSE:
            continue
        whole, kind = (whole + data if code == 0 else data), (code or kind)
        if not keep:
            kind, whole = -1, b""
        if final:
            if kind == TEXT:
                yield whole
            whole, kind = b"", 0


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
    body = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data[:125]))
    return bytes([0x80 | code, 0x80 | len(body)]) + mask + body
