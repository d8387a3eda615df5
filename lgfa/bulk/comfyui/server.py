"""Requests to a ComfyUI server (v0.3.64: server.py, execution.py), tried again when it is away."""
from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ...errors import LGFAError, reason, short
from ...files import atomic_path
from ...version import __version__
from ..bounded import LARGEST, parse, size
from ..errors import Away, Refused, Stop
from .transport import Clock, opener, parts_of, pieces, same_place

# Said by proxies while the server behind them is away or busy; any other answer is an answer.
TRY_AGAIN = (408, 429, 502, 503, 504)
FIRST_WAIT, LONGEST_WAIT = 0.5, 15.0        # seconds; doubled from try to try
LARGEST_RESULT = 4 << 30                    # bytes
ROOM = 16 << 20                             # bytes of the disk that no result may take
LARGEST_REASONS = 16 << 20                  # bytes of an error's JSON: it may list all files
LONGEST_LINE = 600                          # characters of what a server says that are quoted
FOLDERS = ("input", "output", "temp")       # that files can be uploaded to


class _Lost(Exception):
    """One try failed in a way that another may not."""


class Server:
    """One server's address. Every method raises Away, Stop or Refused, and nothing else."""

    def __init__(self, address: str, retries: int = 6, timeout: float = 60.0,
                 headers: dict[str, str] | None = None,
                 tell: Callable[[str], None] = lambda text: None,
                 max_result: int = LARGEST_RESULT) -> None:
        """`timeout`: seconds for one answer as a whole (of a file: for each MB of it);
        `max_result`: bytes of one file; `tell` is given a line when an answer is lost."""
        self.address = checked_address(address)
        self.retries, self.timeout, self.tell = retries, timeout, tell
        self.max_result = max_result
        self.headers = {"User-Agent": f"lgfa/{__version__}", **(headers or {})}
        self._opener = opener(urllib.parse.urlsplit(self.address).hostname or "")
        self.pause = time.sleep

    # ---- what is asked

    def queue(self) -> dict[str, str]:
        """{prompt id: "running" or "pending"} of everything queued, ours or not."""
        return self._queued(self._json("/queue"))

    def history(self, prompt_id: str) -> dict[str, Any] | None:
        """What became of a prompt; None while it is not finished, or unknown."""
        path = f"/history/{quoted(prompt_id)}"
        tree = self._json(path)
        entry = tree.get(prompt_id) if isinstance(tree, dict) else None
        if tree != {} and not isinstance(entry, dict):      # {}: it is not there, or not yet
            raise self._no_answer(path)
        return entry

    def node_info(self, kind: str) -> dict[str, Any] | None:
        """/object_info of one node class; None when the server has no such node."""
        path = f"/object_info/{quoted(kind)}"
        tree = self._json(path)
        if not isinstance(tree, dict) or not isinstance(tree.get(kind, {}), dict):
            raise self._no_answer(path)
        return tree.get(kind)

    def submit(self, prompt: dict[str, Any], prompt_id: str, client_id: str) -> dict[str, Any]:
        """Queues a prompt under an id of our choice; returns the server's node_errors.

        When the answer was lost, or is none, the server is asked whether it has the prompt before
        it is sent once more or given up, so that no row runs twice. Refused carries the server's
        reasons.
        """
        body = json.dumps({"prompt": prompt, "prompt_id": prompt_id, "client_id": client_id})

        def known() -> dict[str, Any] | None:
            there = prompt_id in self.queue() or self.history(prompt_id) is not None
            return {"node_errors": {}} if there else None

        try:
            answer = self._json("/prompt", body.encode(), "application/json", known)
        except Refused as error:
            if error.status != 200 or (answer := known()) is None:
                raise
        errors = answer.get("node_errors") if isinstance(answer, dict) else None
        return errors if isinstance(errors, dict) else {}

    def forget(self, prompt_id: str) -> None:
        """Takes a prompt that has not begun out of the queue."""
        self._post("/queue", {"delete": [prompt_id]})

    def stop(self, prompt_id: str) -> None:
        """Takes a prompt out of the queue, or interrupts it when it is the one that runs."""
        self.forget(prompt_id)
        if self.queue().get(prompt_id) == "running":
            # Older servers interrupt whatever runs, so this is sent only when it is ours.
            self._post("/interrupt", {"prompt_id": prompt_id})

    def upload(self, path: Path, folder: str) -> str:
        """Sends a file; returns what a loader's input must say, which may be another name.

        The same file sent twice is stored once: the server compares the contents.
        """
        answer = self._json("/upload/image", Form(path, folder))
        parts = [answer.get(key) for key in ("subfolder", "name", "type")] \
            if isinstance(answer, dict) else [None]
        if not all(isinstance(part, str) for part in parts) or not parts[1]:
            raise Refused("the upload's answer names no file.", 200)
        stored = "/".join(filter(None, parts[:2]))
        # Loaders read "name [output]" from another folder than the input folder.
        return stored if parts[2] == "input" else f"{stored} [{parts[2]}]"

    def download(self, entry: dict[str, Any], target: Path) -> None:
        """Writes one file of an output to `target`, which appears only when it is whole.

        Refused when it is larger than allowed; Stop when it cannot be written.
        """
        path = f"/view?{view_query(entry)}"

        def receive(answer: Any, clock: Clock) -> None:
            most = min(self.max_result, room(target.parent))
            with atomic_path(target) as tmp, open(tmp, "wb") as file:
                for block in pieces(answer, most, lambda: self._too_large(entry, most)):
                    file.write(block)
                    clock.moved(len(block))

        try:
            self._open(path, receive=receive)
        except Refused as error:
            if error.status == 404:
                name = short(one_line(entry.get("filename")), 200)
                raise Refused(f"the server no longer has {name}.", 404) from error
            raise
        except LGFAError as error:
            if isinstance(error.__cause__, OSError):        # of our own disk
                raise Stop(str(error)) from error
            raise

    def _too_large(self, entry: dict[str, Any], most: int) -> Refused:
        name = short(one_line(entry.get("filename")), 200)
        if most < self.max_result:
            return Refused(f"{name} is larger than the {size(max(most, 0))} that the disk has "
                           "room for: make some.", 200)
        return Refused(f"{name} is larger than {size(most)}: say a larger --max-result if it may "
                       "be.", 200)

    def _queued(self, tree: Any) -> dict[str, str]:
        lists = [tree.get(f"queue_{word}") for word in ("pending", "running")] \
            if isinstance(tree, dict) else [None]
        if not all(isinstance(one, list) for one in lists):
            raise self._no_answer("/queue")
        return {item[1]: word for word, items in zip(("pending", "running"), lists, strict=True)
                for item in items
                if isinstance(item, list) and len(item) > 1 and isinstance(item[1], str)}

    # ---- how it is asked

    def _json(self, path: str, body: bytes | Form | None = None, kind: str = "",
              known: Callable[[], Any] | None = None) -> Any:
        return self._open(path, body, kind, lambda answer, _: self._tree(path, answer), known)

    def _tree(self, path: str, answer: Any) -> Any:
        """The JSON of an answer. Refused when it is none, or out of bounds."""
        data = b"".join(pieces(answer, LARGEST, lambda: self._no_answer(
            path, f"it is larger than {size(LARGEST)}")))
        try:
            return parse(data)
        except ValueError as error:
            raise self._no_answer(path, reason(error)) from None

    def _no_answer(self, path: str, why: str = "") -> Refused:
        return Refused(f"{self.address}{path} does not answer as ComfyUI does"
                       f"{f' ({why})' if why else ''}: look at --server.", 200)

    def _post(self, path: str, tree: Any) -> None:
        """Says something whose answer does not matter."""
        self._open(path, json.dumps(tree).encode(), "application/json", lambda *_: None)

    def _open(self, path: str, body: bytes | Form | None = None, kind: str = "",
              receive: Callable[[Any, Clock], Any] = lambda *_: None,
              known: Callable[[], Any] | None = None) -> Any:
        """One request with all its tries. `known` may tell that an earlier try had arrived.

        Where every try fails while the server answers other questions, it is this request that is
        Refused; else the server is Away.
        """
        wait = FIRST_WAIT
        for left in range(self.retries, -1, -1):
            try:
                return self._once(path, body, kind, receive)
            except _Lost as error:
                why = str(error)
            if left:
                self.tell(f"{self.address}: {why}; trying again in {wait:g} s.")
                self.pause(wait)
                wait = min(2 * wait, LONGEST_WAIT)
            if known is not None and (answer := known()) is not None:
                return answer
        if path != "/queue" and self._answers():
            raise Refused(f"{self.address}{path.partition('?')[0]}: {why} "
                          f"({self.retries + 1} tries).", 200)
        raise Away(f"{self.address} cannot be reached: {why}. Is ComfyUI running there?")

    def _answers(self) -> bool:
        """Whether the server is there for a simple question."""
        try:
            self._queued(self._once("/queue", None, "", lambda it, _: self._tree("/queue", it)))
            return True
        except (_Lost, Refused):
            return False

    def _once(self, path: str, body: bytes | Form | None, kind: str,
              receive: Callable[[Any, Clock], Any]) -> Any:
        """One try. _Lost when another may help, Refused when none will."""
        request = urllib.request.Request(self.address + path, body, dict(self.headers))
        if isinstance(body, Form):
            request.add_header("Content-Length", str(body.size))
            kind = body.kind
        if kind:
            request.add_header("Content-Type", kind)
        request.clock = clock = Clock(self.timeout)
        try:
            with self._opener.open(request, timeout=self.timeout) as answer:
                return receive(answer, clock)
        except urllib.error.HTTPError as error:
            with error:
                if error.code in TRY_AGAIN:
                    raise _Lost(f"{error.code} {short(one_line(error.reason), 200)}") from None
                raise self._refusal(error) from None
        except LGFAError:
            raise
        except (OSError, http.client.HTTPException) as error:
            raise _Lost(self._spoken(error)) from error
        except Exception as error:      # whatever an answer leads the standard library to
            raise self._no_answer(path.partition("?")[0], reason(error)) from error

    def _spoken(self, error: BaseException) -> str:
        """A lost connection in words."""
        inner = getattr(error, "reason", None)
        error = inner if isinstance(inner, BaseException) else error
        if isinstance(error, TimeoutError):
            return f"no whole answer within {self.timeout:g} s (--timeout)"
        if isinstance(error, http.client.IncompleteRead):
            return "the answer was cut off"
        return short(one_line(reason(error)), 200)

    # ---- the server's reasons

    def _refusal(self, error: urllib.error.HTTPError) -> Refused:
        """An answer that is an error, with the reasons that it holds."""
        try:
            tree = parse(error.read(LARGEST_REASONS))
        except Exception:               # it is an error with or without a reason
            tree = None
        said = f"{error.code} {short(one_line(error.reason), 200)}"
        if error.code == 413:
            return Refused("the file is larger than the server takes (its --max-upload-size).",
                           413)
        if error.code in (401, 403):
            if not same_place(self.address, error.url):
                return Refused(f"the server sent us on to {error.url[:200]}, which refuses us "
                               f"({said}), without what --header gave for {self.address}.",
                               error.code)
            return Refused(f"the server refuses us ({said}): it may want a --header with a key.",
                           error.code)
        head = tree.get("error") if isinstance(tree, dict) else None
        parts = (one_line(head.get("message")).rstrip("."), one_line(head.get("details"))) \
            if isinstance(head, dict) else (f"the server says {said}", one_line(head))
        text = ": ".join(filter(None, parts)) or f"the server says {said}"
        return Refused(short(text, LONGEST_LINE), error.code, tree)


class Form:
    """A file as the body of an upload; read anew for each try, and never as a whole."""

    def __init__(self, path: Path, folder: str) -> None:
        """Refused when the file cannot be read."""
        boundary = secrets.token_hex(16)
        name = "".join("_" if c in '"\\/%' or not c.isprintable() else c for c in path.name)
        self.path, self.kind = path, f"multipart/form-data; boundary={boundary}"
        folder = folder if folder in FOLDERS else FOLDERS[0]
        self._head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="type"\r\n\r\n{folder}\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n").encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        try:
            self._length = os.path.getsize(path)
        except OSError as error:
            raise self._unreadable(error) from error
        self.size = len(self._head) + self._length + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        left = self._length
        try:
            file = open(self.path, "rb")
        except OSError as error:
            raise self._unreadable(error) from error
        with file:
            while left:
                try:
                    block = file.read(min(left, 1 << 18))
                except OSError as error:
                    raise self._unreadable(error) from error
                if not block:
                    raise Refused(f"{self.path} became shorter while it was sent.", 0)
                left -= len(block)
                yield block
        yield self._tail

    def _unreadable(self, error: OSError) -> Refused:
        return Refused(f"cannot read {self.path}: {reason(error)}.", 0)


def checked_address(address: str) -> str:
    """An address without its last slash; http:// is added. LGFAError when it is none."""
    text = address if "://" in address else f"http://{address}"
    try:
        if "@" in urllib.parse.urlsplit(text).netloc:
            raise LGFAError("--server: leave the name and password out of the address, and give "
                            "them as --header 'Authorization: ..'.")
        if parts_of(text).query or parts_of(text).fragment:
            raise ValueError
    except LGFAError:
        raise
    except ValueError:
        raise LGFAError(f"--server {address}: this is no address like http://127.0.0.1:8188."
                        ) from None
    return text.rstrip("/")


def view_query(entry: dict[str, Any]) -> str:
    """How a file of an output is asked for. Refused when its name cannot be sent."""
    try:
        return urllib.parse.urlencode(
            {key: value if isinstance(value := entry.get(key), str) and value else default
             for key, default in (("filename", ""), ("subfolder", ""), ("type", "output"))},
            errors="surrogateescape")           # names that are no UTF-8, on the server's disk
    except UnicodeError:
        raise Refused("the server names a file that cannot be asked for.", 200) from None


def quoted(text: str) -> str:
    """A part of a path. Refused when it cannot be sent."""
    try:
        return urllib.parse.quote(text, safe="")
    except UnicodeError:
        raise Refused(f"{text[:80]!r} cannot be asked for.", 0) from None


def room(folder: Path) -> int:
    """Bytes that a result may take of the disk; many where that cannot be told."""
    try:
        return max(0, shutil.disk_usage(folder).free - ROOM)
    except OSError:
        return 1 << 62


def one_line(text: Any) -> str:
    """A text without line ends and double spaces; "" for anything that is no text."""
    if isinstance(text, (bool, int, float)):
        text = str(text)
    return " ".join(text[:100 * LONGEST_LINE].split()) if isinstance(text, str) else ""
