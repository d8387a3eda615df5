"""Requests to a ComfyUI server (v0.3.64: server.py, execution.py), tried again when it is away."""
from __future__ import annotations

import http.client
import ipaddress
import json
import secrets
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import LGFAError
from ..files import atomic_path

# Said by proxies while the server behind them is away or busy; any other answer is an answer.
TRY_AGAIN = (408, 429, 502, 503, 504)
FIRST_WAIT, LONGEST_WAIT = 0.5, 15.0        # seconds; doubled from try to try


class Away(LGFAError):
    """The server was not reached, after all tries."""


class Refused(LGFAError):
    """The server answered with an error; `status` is HTTP's, `answer` the JSON if it is one."""

    def __init__(self, text: str, status: int, answer: Any = None) -> None:
        super().__init__(text)
        self.status, self.answer = status, answer


class Server:
    """One server's address. Every method raises Away or Refused, and nothing else."""

    def __init__(self, address: str, retries: int = 6, timeout: float = 60.0,
                 headers: dict[str, str] | None = None,
                 tell: Callable[[str], None] = lambda text: None) -> None:
        """`timeout`: seconds to wait for one answer; `tell` is given a line when one is lost."""
        self.address = checked_address(address)
        self.retries, self.timeout, self.tell = retries, timeout, tell
        self.headers = {"User-Agent": f"lgfa/{__version__}", **(headers or {})}
        host = urllib.parse.urlsplit(self.address).hostname or ""
        # A proxy for the internet does not know this machine.
        proxy = [urllib.request.ProxyHandler({})] if is_local(host) else []
        self._opener = urllib.request.build_opener(*proxy)
        self.pause = time.sleep

    # ---- what is asked

    def queue(self) -> dict[str, str]:
        """{prompt id: "running" or "pending"} of everything queued, ours or not."""
        tree = self._json("/queue")
        try:
            return {str(item[1]): word for word in ("pending", "running")
                    for item in tree[f"queue_{word}"]}
        except (KeyError, TypeError, IndexError):
            raise Refused(f"{self.address} does not answer as ComfyUI does: look at --server.",
                          200) from None

    def history(self, prompt_id: str) -> dict[str, Any] | None:
        """What became of a prompt; None while it is not finished, or unknown."""
        tree = self._json(f"/history/{urllib.parse.quote(prompt_id, safe='')}")
        entry = tree.get(prompt_id) if isinstance(tree, dict) else None
        return entry if isinstance(entry, dict) else None

    def node_info(self, kind: str) -> dict[str, Any] | None:
        """/object_info of one node class; None when the server has no such node."""
        tree = self._json(f"/object_info/{urllib.parse.quote(kind, safe='')}")
        return tree.get(kind) if isinstance(tree, dict) else None

    def submit(self, prompt: dict[str, Any], prompt_id: str, client_id: str) -> dict[str, Any]:
        """Queues a prompt under an id of our choice; returns the server's node_errors.

        When the answer was lost, the server is asked whether it has the prompt before it is sent
        once more, so that no row runs twice. Refused carries the server's reasons.
        """
        body = json.dumps({"prompt": prompt, "prompt_id": prompt_id, "client_id": client_id})

        def known() -> dict[str, Any] | None:
            there = prompt_id in self.queue() or self.history(prompt_id) is not None
            return {"node_errors": {}} if there else None

        answer = self._json("/prompt", body.encode(), "application/json", known)
        errors = answer.get("node_errors") if isinstance(answer, dict) else None
        return errors if isinstance(errors, dict) else {}

    def forget(self, prompt_id: str) -> None:
        """Takes a prompt that has not begun out of the queue."""
        self._open("/queue", json.dumps({"delete": [prompt_id]}).encode(), "application/json")

    def upload(self, path: Path, folder: str) -> str:
        """Sends a file; returns what a loader's input must say, which may be another name.

        The same file sent twice is stored once: the server compares the contents.
        """
        boundary = secrets.token_hex(16)
        name = "".join("_" if c in '"\\/%' or not c.isprintable() else c for c in path.name)
        body = b"".join([
            f'--{boundary}\r\nContent-Disposition: form-data; name="type"\r\n\r\n{folder}\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n".encode(),
            path.read_bytes(), f"\r\n--{boundary}--\r\n".encode()])
        answer = self._json("/upload/image", body, f"multipart/form-data; boundary={boundary}")
        try:
            stored = "/".join(part for part in (answer["subfolder"], answer["name"]) if part)
            # Loaders read "name [output]" from another folder than the input folder.
            return stored if answer["type"] == "input" else f"{stored} [{answer['type']}]"
        except (KeyError, TypeError):
            raise Refused("the upload's answer names no file.", 200) from None

    def download(self, entry: dict[str, Any], target: Path) -> None:
        """Writes one file of an output to `target`, which appears only when it is whole."""
        query = urllib.parse.urlencode({key: str(entry.get(key) or default) for key, default in
                                        (("filename", ""), ("subfolder", ""), ("type", "output"))})

        def receive(answer: http.client.HTTPResponse) -> None:
            with atomic_path(target) as tmp, open(tmp, "wb") as file:
                received = 0
                while block := answer.read(1 << 18):
                    file.write(block)
                    received += len(block)
                wanted = answer.headers.get("Content-Length")
                if wanted is not None and received != int(wanted):
                    raise http.client.IncompleteRead(b"", int(wanted) - received)

        try:
            self._open(f"/view?{query}", receive=receive)
        except Refused as error:
            if error.status == 404:
                raise Refused(f"the server no longer has {entry.get('filename')}.", 404) from error
            raise

    # ---- how it is asked

    def _json(self, path: str, body: bytes | None = None, kind: str = "",
              known: Callable[[], Any] | None = None) -> Any:
        def receive(answer: http.client.HTTPResponse) -> Any:
            data = answer.read()
            try:
                return json.loads(data)
            except ValueError:
                raise Refused(f"{self.address}{path} does not answer as ComfyUI does: look at "
                              "--server.", 200) from None

        return self._open(path, body, kind, receive, known)

    def _open(self, path: str, body: bytes | None = None, kind: str = "",
              receive: Callable[[Any], Any] = lambda answer: answer.read(),
              known: Callable[[], Any] | None = None) -> Any:
        """One request with all its tries. `known` may tell that an earlier try had arrived."""
        request = urllib.request.Request(self.address + path, body, dict(self.headers))
        if body is not None:
            request.add_header("Content-Type", kind)
        wait = FIRST_WAIT
        for left in range(self.retries, -1, -1):
            try:
                with self._opener.open(request, timeout=self.timeout) as answer:
                    return receive(answer)
            except urllib.error.HTTPError as error:
                if error.code not in TRY_AGAIN:
                    raise refusal(error) from None
                reason = f"{error.code} {error.reason}"
            except (OSError, http.client.HTTPException) as error:
                reason = spoken(error)
            if not left:
                break
            self.tell(f"{self.address}: {reason}; trying again in {wait:g} s.")
            self.pause(wait)
            wait = min(2 * wait, LONGEST_WAIT)
            if known is not None and (answer := known()) is not None:
                return answer
        raise Away(f"{self.address} cannot be reached: {reason}. Is ComfyUI running there?")


def checked_address(address: str) -> str:
    """An address without its last slash; http:// is added. LGFAError when it is none."""
    text = address if "://" in address else f"http://{address}"
    try:
        parts = urllib.parse.urlsplit(text)
        _ = parts.port
    except ValueError:
        parts = urllib.parse.urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise LGFAError(f"--server {address}: this is no address like http://127.0.0.1:8188.")
    return text.rstrip("/")


def is_local(host: str) -> bool:
    """Whether a host name means this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def spoken(error: BaseException) -> str:
    """A lost connection in words."""
    inner = getattr(error, "reason", None)
    error = inner if isinstance(inner, BaseException) else error
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, http.client.IncompleteRead):
        return "the answer was cut off"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


# ---- the server's reasons

def refusal(error: urllib.error.HTTPError) -> Refused:
    """An answer that is an error, with the reasons that it holds."""
    try:
        tree = json.loads(error.read())
    except (ValueError, OSError, http.client.HTTPException):
        tree = None
    if error.code == 413:
        return Refused("the file is larger than the server takes (its --max-upload-size).", 413)
    if error.code in (401, 403):
        return Refused(f"the server refuses us ({error.code} {error.reason}): it may want a "
                       "--header with a key.", error.code)
    head = tree.get("error") if isinstance(tree, dict) else None
    if isinstance(head, dict):
        text = ": ".join(filter(None, (str(head.get("message") or "").rstrip("."),
                                       one_line(head.get("details")))))
    else:
        text = one_line(head) or f"the server says {error.code} {error.reason}"
    return Refused(text, error.code, tree)


def one_line(text: Any) -> str:
    """A text without line ends and double spaces."""
    return " ".join(str(text or "").split())
