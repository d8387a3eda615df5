"""A small HTTP server that answers as ComfyUI v0.3.64 does (server.py, execution.py), and that can
lose connections, forget, be late and go down when a test says so."""
from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

INFOS = {
    "LoadImage": {"image": [["example.png"], {"image_upload": True}]},
    "FakeEncode": {"text": ["STRING", {"multiline": True}]},
    "FakeRender": {"image": ["IMAGE"], "text": ["LGFA_TEXT"], "frames": ["INT", {"max": 100}],
                   "strength": ["FLOAT", {}], "loop": ["BOOLEAN", {}],
                   "mode": ["COMBO", {"options": ["soft", "hard", 3]}],
                   "seed": ["INT", {"max": 2 ** 64 - 1}]},
    "FakeSave": {"frames": ["IMAGE"], "filename_prefix": ["STRING", {}]},
}


def workflow(**inputs: Any) -> dict[str, Any]:
    """Load -> encode -> render -> save."""
    render = {"image": ["1", 0], "text": ["2", 0], "frames": 16, "strength": 1, "loop": False,
              "mode": "soft", "seed": 7, **inputs}
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"},
              "_meta": {"title": "Load Image"}},
        "2": {"class_type": "FakeEncode", "inputs": {"text": "smiling"},
              "_meta": {"title": "Encode Text"}},
        "3": {"class_type": "FakeRender", "inputs": render, "_meta": {"title": "Render"}},
        "10": {"class_type": "FakeSave", "inputs": {"frames": ["3", 0], "filename_prefix": "a"},
               "_meta": {"title": "Save"}},
    }


class FakeComfy(ThreadingHTTPServer):
    """`faults` counts down by name: "before /prompt", "after /prompt", "503 /queue", "cut /view".

    Words in the text of a row say how it ends: boom, interrupt, blocked, partial, several, gifs,
    stuck (it runs until somebody interrupts it).
    """
    daemon_threads = True
    handler: type[BaseHTTPRequestHandler]

    def __init__(self, delay: float = 0.0, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), self.handler)
        self.delay, self.lag = delay, 0.0
        self.faults: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.pending: list[Any] = []
        self.running: list[Any] = []
        self.history: dict[str, Any] = {}
        self.ready: dict[str, float] = {}
        self.files: dict[str, bytes] = {}
        self.inputs: dict[str, bytes] = {"example.png": b"example"}
        self.executed: list[str] = []               # prompt ids
        self.prompts: list[dict[str, Any]] = []     # what was executed
        self.understood: Callable[[str], Any] | None = None     # of a text, as our nodes tell it
        self.deepest = 0
        self.interrupted: list[str] = []            # prompt ids
        self.sockets: list[Any] = []
        self.lock, self._over = threading.RLock(), threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        threading.Thread(target=self._work, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """Clients that were killed are no news."""

    def close(self) -> None:
        self._over.set()
        self.shutdown()
        self.server_close()

    def forget(self) -> None:
        """As after a restart."""
        with self.lock:
            self.pending.clear()
            self.running.clear()
            self.history.clear()

    def fault(self, name: str) -> bool:
        """Whether this fault is due; it is one fewer then."""
        with self.lock:
            due = self.faults[name] > 0
            self.faults[name] -= due
            return due

    # ---- execution

    def _work(self) -> None:
        while not self._over.is_set():
            with self.lock:
                item = self.pending.pop(0) if self.pending else None
                self.running = [item] if item else []
            if item is None:
                time.sleep(0.005)
                continue
            self._tell({"type": "progress", "data": {"value": 3, "max": 16, "prompt_id": item[1],
                                                     "node": "3"}})
            time.sleep(self.delay)
            while "stuck" in item[2]["2"]["inputs"]["text"] and item[1] not in self.interrupted:
                if self._over.wait(0.005):
                    return
            with self.lock:
                if self.running != [item]:
                    continue                        # forgotten meanwhile
                self.running = []
                self.executed.append(item[1])
                self.prompts.append(item[2])
                self.history[item[1]] = self._entry(item)
                self.ready[item[1]] = time.monotonic() + self.lag
            self._tell({"type": "executing", "data": {"node": None, "prompt_id": item[1]}})

    def _entry(self, item: Any) -> dict[str, Any]:
        prompt_id, prompt = item[1], item[2]
        text, now = prompt["2"]["inputs"]["text"], time.time() * 1000
        messages: list[Any] = [["execution_start", {"prompt_id": prompt_id, "timestamp": now}]]
        where = {"prompt_id": prompt_id, "node_id": "3", "node_type": "FakeRender"}
        outputs: dict[str, Any] = {}
        if "boom" in text:
            messages.append(["execution_error", {
                **where, "exception_message": "the face\nis too small.\n", "timestamp": now,
                "exception_type": "ValueError", "traceback": ["secret"]}])
        elif "interrupt" in text or "stuck" in text:
            messages.append(["execution_interrupted", {**where, "timestamp": now}])
        else:
            messages.append(["execution_success", {"prompt_id": prompt_id,
                                                   "timestamp": now + 1500}])
            if "blocked" in text:
                self._tell({"type": "execution_error", "data": {
                    **where, "exception_message": "Execution Blocked: no CLIP in it"}})
            else:
                outputs = self._outputs(text, prompt)
        bad = any(word in text for word in ("boom", "interrupt", "stuck"))
        return {"prompt": item, "outputs": outputs, "meta": {},
                "status": {"status_str": "error" if bad else "success", "completed": not bad,
                           "messages": messages}}

    def _outputs(self, text: str, prompt: dict[str, Any]) -> dict[str, Any]:
        image = self.inputs[prompt["1"]["inputs"]["image"]]
        count = 3 if "several" in text else 1
        made = []
        for index in range(count):
            name = f"a_{len(self.files):05}_.webp"
            self.files[name] = json.dumps([text, image.decode(), index,
                                           prompt["3"]["inputs"]["seed"]]).encode() + b"." * 3000
            made.append({"filename": name, "subfolder": "sub", "type": "output"})
        self.files["temp.png"] = b"preview"
        preview = {"filename": "temp.png", "subfolder": "", "type": "temp"}
        told = {} if self.understood is None else {"2": {"understood": self.understood(text)}}
        return {"10": {"gifs" if "gifs" in text else "images": made, "animated": [True]},
                "9": {"images": [preview], "text": ["a caption"]}, **told}

    # ---- websocket

    def _tell(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode()
        with self.lock:
            for sock in list(self.sockets):
                try:
                    # A preview, a ping in the middle, and the message in two fragments.
                    sock.sendall(b"\x82\x7f" + (70000).to_bytes(8, "big") + b"p" * 70000)
                    sock.sendall(b"\x01" + bytes([5]) + data[:5] + b"\x89\x02hi")
                    sock.sendall(b"\x80\x7e" + (len(data) - 5).to_bytes(2, "big") + data[5:])
                except OSError:
                    self.sockets.remove(sock)


class Handler(BaseHTTPRequestHandler):
    """The routes."""
    server: FakeComfy
    dropped = False

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._route(None)

    def do_POST(self) -> None:
        self._route(self.rfile.read(int(self.headers["Content-Length"])))

    def _route(self, body: bytes | None) -> None:
        self.url = urllib.parse.urlsplit(self.path)
        root = "/" + self.url.path.split("/")[1]
        comfy = self.server
        with comfy.lock:
            comfy.asked[root] += 1
            if comfy.fault(f"before {root}"):
                return                              # the connection closes without an answer
            if comfy.fault(f"503 {root}"):
                return self._answer("busy", 503, "text/html")
            handle = getattr(self, f"_{root[1:]}")
            self.dropped = comfy.fault(f"after {root}")
        handle(body)

    def _answer(self, data: Any, status: int = 200, kind: str = "application/json",
                cut: int = 0) -> None:
        if self.dropped:
            return                                  # done, and the answer is lost
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) - cut])

    def _queue(self, body: bytes | None) -> None:
        comfy = self.server
        with comfy.lock:
            if body is not None:
                gone = json.loads(body)["delete"]
                comfy.pending = [item for item in comfy.pending if item[1] not in gone]
                return self._answer(b"")
            self._answer({"queue_running": comfy.running, "queue_pending": comfy.pending})

    def _interrupt(self, body: bytes | None) -> None:
        self.server.interrupted.append(json.loads(body or b"{}")["prompt_id"])
        self._answer(b"")

    def _history(self, _: bytes | None) -> None:
        comfy, key = self.server, self.url.path.split("/")[2]
        with comfy.lock:
            there = key in comfy.history and time.monotonic() >= comfy.ready[key]
            self._answer({key: comfy.history[key]} if there else {})

    def _object_info(self, _: bytes | None) -> None:
        key = self.url.path.split("/")[2]
        self._answer({key: {"input": {"required": INFOS[key]}}} if key in INFOS else {})

    def _prompt(self, body: bytes | None) -> None:
        comfy, tree = self.server, json.loads(body or b"")
        inputs = tree["prompt"]["3"]["inputs"]
        wrong = {"errors": [{"type": "value_bigger_than_max",
                             "message": f"Value {inputs['frames']} bigger than max of 100",
                             "details": "frames", "extra_info": {"input_name": "frames"}}],
                 "dependent_outputs": ["10"], "class_type": "FakeRender"}
        if inputs["frames"] > 100:
            return self._answer({"error": {
                "type": "prompt_outputs_failed_validation", "extra_info": {},
                "message": "Prompt outputs failed validation", "details": "frames"},
                "node_errors": {"3": wrong}}, 400)
        partial = "partial" in tree["prompt"]["2"]["inputs"]["text"]
        with comfy.lock:
            number = comfy.asked["/prompt"]
            comfy.pending.append([number, tree["prompt_id"], tree["prompt"],
                                  {"client_id": tree["client_id"]}, ["10"]])
            comfy.deepest = max(comfy.deepest, len(comfy.pending) + len(comfy.running))
            self._answer({"prompt_id": tree["prompt_id"], "number": number,
                          "node_errors": {"3": wrong} if partial else {}})

    def _upload(self, body: bytes | None) -> None:
        head, _, data = (body or b"").partition(b'filename="')[2].partition(b"\r\n\r\n")
        name = head.split(b'"')[0].decode()
        data = data.rpartition(b"\r\n--")[0]
        stem, dot, suffix = name.rpartition(".")
        store, count, stored = self.server.inputs, 1, name
        while stored in store and store[stored] != data:
            stored, count = f"{stem} ({count}){dot}{suffix}", count + 1
        store[stored] = data
        self._answer({"name": stored, "subfolder": "", "type": "input"})

    def _view(self, _: bytes | None) -> None:
        query = dict(urllib.parse.parse_qsl(self.url.query))
        data = self.server.files.get(query["filename"])
        if data is None or query["type"] not in ("output", "temp"):
            return self._answer(b"", 404)
        self._answer(data, kind="image/webp", cut=1000 * self.server.fault("cut /view"))

    def _ws(self, _: bytes | None) -> None:
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        assert re.search("clientId=[0-9a-f]{32}$", self.url.query)
        self.connection.sendall(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                 "Connection: upgrade\r\nSec-WebSocket-Accept: "
                                 f"{accept}\r\n\r\n").encode())
        with self.server.lock:
            self.server.sockets.append(self.connection)
        while self.rfile.read(1):                   # pongs, until the client goes
            self.server.asked["pong bytes"] += 1
        with self.server.lock:
            if self.connection in self.server.sockets:
                self.server.sockets.remove(self.connection)


FakeComfy.handler = Handler
