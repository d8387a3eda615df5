"""Talk to a ComfyUI server from a test: queue, wait, history, interrupt, and what it tells."""
from __future__ import annotations

import asyncio
import io
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PREVIEWS, TEXT = (1, 4), 3      # binary events of ComfyUI's protocol.py: PREVIEW_IMAGE (+ METADATA)


class Refused(Exception):
    """The server refused a prompt: `answer` is its JSON, `sentences` every message in it."""

    def __init__(self, status: int, answer: dict[str, Any]) -> None:
        self.status, self.answer = status, answer
        super().__init__(f"{status}: {json.dumps(answer)[:2000]}")

    @property
    def sentences(self) -> str:
        return sentences(self.answer.get("node_errors", {}))


def sentences(node_errors: dict[str, Any]) -> str:
    """What `node_errors` says, in lines."""
    return "\n".join(f"{error['message']}: {error['details']}"
                     for node in node_errors.values() for error in node["errors"])


@dataclass
class Done:
    """A finished prompt, from /history."""

    prompt_id: str
    entry: dict[str, Any]

    @property
    def status(self) -> str:
        """"success", "error" or "interrupted"."""
        if self.entry["status"]["status_str"] == "success":
            return "success"
        return "interrupted" if self.message("execution_interrupted") else "error"

    def message(self, kind: str) -> dict[str, Any]:
        """The first message of a kind (execution_error, execution_cached ...), {} if none."""
        return next((data for k, data in self.entry["status"]["messages"] if k == kind), {})

    @property
    def error(self) -> str:
        return self.message("execution_error").get("exception_message", "")

    @property
    def cached(self) -> set[str]:
        """Ids of the nodes whose outputs were still there."""
        return set(self.message("execution_cached").get("nodes", []))

    @property
    def outputs(self) -> dict[str, dict[str, Any]]:
        return self.entry.get("outputs", {})

    def files(self) -> list[dict[str, str]]:
        """Every file of every output node, under whatever key it came."""
        return [one for node in self.outputs.values() for value in node.values()
                if isinstance(value, list) for one in value
                if isinstance(one, dict) and "filename" in one]


@dataclass
class Heard:
    """A websocket message: kind "preview" carries an image, "progress_text" a node and its text,
    others their data."""

    kind: str
    data: dict[str, Any] = field(default_factory=dict)
    image: bytes = b""
    at: float = 0.0


class Client:
    """One client of a server, listening on its websocket while it is open."""

    def __init__(self, url: str) -> None:
        self.url, self.id = url, uuid.uuid4().hex
        self.heard: list[Heard] = []
        self._news = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Client:
        self._thread.start()
        self.wait_for(lambda m: m.kind == "status", 30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)

    # ------------------------------------------------------------------- requests

    def get(self, path: str, **query: str) -> bytes:
        query_text = "?" + urllib.parse.urlencode(query) if query else ""
        with urllib.request.urlopen(f"{self.url}{path}{query_text}", timeout=60) as answer:
            return answer.read()

    def json(self, path: str) -> Any:
        return json.loads(self.get(path))

    def post(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise Refused(error.code, json.loads(error.read())) from None
        return json.loads(text) if text else {}

    def queue(self, prompt: dict[str, Any], **more: Any) -> str:
        """Queue a prompt in API format; its id, or Refused."""
        answer = self.post("/prompt", {"prompt": prompt, "client_id": self.id, **more})
        if answer["node_errors"]:
            raise Refused(200, answer)
        return answer["prompt_id"]

    def history(self, prompt_id: str) -> Done | None:
        entry = self.json(f"/history/{prompt_id}").get(prompt_id)
        return Done(prompt_id, entry) if entry else None

    def wait(self, prompt_id: str, seconds: float = 120) -> Done:
        """The prompt, finished in whatever way."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            done = self.history(prompt_id)
            if done:
                return done
            time.sleep(0.05)
        raise TimeoutError(f"prompt {prompt_id} was not finished within {seconds:g} s")

    def run(self, prompt: dict[str, Any], seconds: float = 120) -> Done:
        """Queue, wait, and demand success."""
        done = self.wait(self.queue(prompt), seconds)
        assert done.status == "success", done.entry["status"]
        return done

    def interrupt(self) -> None:
        self.post("/interrupt", {})

    def fetch(self, file: dict[str, str]) -> bytes:
        return self.get("/view", filename=file["filename"], subfolder=file["subfolder"],
                        type=file["type"])

    def upload(self, path: Path) -> str:
        """Puts a picture among the inputs; the name that it got."""
        edge = uuid.uuid4().hex
        head = (f'--{edge}\r\nContent-Disposition: form-data; name="image"; '
                f'filename="{path.name}"\r\nContent-Type: image/png\r\n\r\n')
        body = head.encode() + path.read_bytes() + f"\r\n--{edge}--\r\n".encode()
        request = urllib.request.Request(
            f"{self.url}/upload/image", body,
            {"Content-Type": f"multipart/form-data; boundary={edge}"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())["name"]

    # ------------------------------------------------------------------- websocket

    def about(self, prompt_id: str, kind: str) -> list[Heard]:
        """What was said of a prompt."""
        return [m for m in self.heard if m.kind == kind and m.data.get("prompt_id") == prompt_id]

    def texts(self, since: int = 0) -> dict[str, str]:
        """What stands on each node after all messages from number `since` on."""
        return {m.data["node"]: m.data["text"] for m in self.heard[since:]
                if m.kind == "progress_text"}

    def executed(self, prompt_id: str) -> list[str]:
        """Ids of the nodes that really ran, those inside an expanded node included."""
        return [m.data["node"] for m in self.about(prompt_id, "executing") if m.data["node"]]

    def wait_for(self, test: Any, seconds: float = 60, since: int = 0) -> Heard:
        """The first message from number `since` on that passes a test."""
        deadline = time.monotonic() + seconds
        with self._news:
            while True:
                for message in self.heard[since:]:
                    if test(message):
                        return message
                left = deadline - time.monotonic()
                if left <= 0 or not self._thread.is_alive():
                    raise TimeoutError(f"not heard within {seconds:g} s")
                self._news.wait(min(left, 1))

    def _listen(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._follow())
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            pass
        finally:
            self._loop.close()

    async def _follow(self) -> None:
        import aiohttp

        async with aiohttp.ClientSession() as session:
            address = f"{self.url}/ws?clientId={self.id}"
            async with session.ws_connect(address, max_msg_size=0) as socket:
                async for message in socket:
                    self._note(message)

    def _note(self, message: Any) -> None:
        if isinstance(message.data, bytes):
            heard = binary(message.data)
        else:
            body = json.loads(message.data)
            heard = Heard(body["type"], body["data"])
        heard.at = time.monotonic()
        with self._news:
            self.heard.append(heard)
            self._news.notify_all()


def binary(data: bytes) -> Heard:
    """A binary message: [event, 4 bytes][format, 4 bytes][JPEG or PNG], or with a text
    [event][length of the node's id, 4 bytes][the node's id][text]."""
    event = int.from_bytes(data[:4], "big")
    if event == TEXT:
        end = 8 + int.from_bytes(data[4:8], "big")
        return Heard("progress_text", {"node": data[8:end].decode(), "text": data[end:].decode()})
    if event not in PREVIEWS:
        return Heard(f"binary {event}")
    if event == 1:
        return Heard("preview", {}, data[8:])
    length = int.from_bytes(data[4:8], "big")
    return Heard("preview", json.loads(data[8:8 + length]), data[8 + length:])


def frames_of(data: bytes, name: str) -> np.ndarray:
    """The pictures in a fetched file: [T, H, W, 3] float32 in 0..1."""
    if name.lower().endswith((".mp4", ".webm", ".mkv")):
        import av

        with av.open(io.BytesIO(data)) as video:
            shown = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
        return np.stack(shown).astype(np.float32) / 255
    image = Image.open(io.BytesIO(data))
    shown = []
    for number in range(getattr(image, "n_frames", 1)):
        image.seek(number)
        shown.append(np.asarray(image.convert("RGB")))
    return np.stack(shown).astype(np.float32) / 255
