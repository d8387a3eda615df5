"""A headless Chromium on the front end, driven over its debugging protocol."""
from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

from comfy_server import stop

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-port=0")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """LGFA_CHROMIUM, else the first that is installed."""
    given = os.environ.get("LGFA_CHROMIUM")
    return given or next((path for name in NAMES if (path := shutil.which(name))), None)


class Failed(Exception):
    """JavaScript in the page failed."""


class Browser:
    """`with Browser(folder, url) as page:` - the page, its console and its pictures."""

    def __init__(self, folder: Path, url: str, size: tuple[int, int] = (1600, 1000)) -> None:
        self.folder, self.url, self.size = folder, url, size
        self.console: list[tuple[str, str]] = []        # (level, text)
        self._loop = asyncio.new_event_loop()
        self._answers: dict[int, asyncio.Future] = {}
        self._count = 0

    def __enter__(self) -> Browser:
        width, height = self.size
        self.process = subprocess.Popen(
            [find_chromium(), *FLAGS, f"--user-data-dir={self.folder}",
             f"--window-size={width},{height}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            threading.Thread(target=self._loop.run_forever, daemon=True).start()
            self._await(self._connect(self._address()), 30)
            for domain in ("Page", "Runtime", "Log"):
                self.call(f"{domain}.enable")
            self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                      deviceScaleFactor=1, mobile=False)
            self.open(self.url)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "_session"):
            self._await(self._session.close(), 10)
        stop(self.process)
        self._loop.call_soon_threadsafe(self._loop.stop)

    # ------------------------------------------------------------------ the page

    def open(self, url: str) -> None:
        """Go there, and wait until ComfyUI's front end has set itself up."""
        self.call("Page.navigate", url=url)
        self.until("window.app && window.app.graph && window.app.canvas"
                   " && !document.querySelector('.p-blockui-mask')"
                   " && Object.keys(LiteGraph.registered_node_types).length > 100", 90)

    def js(self, expression: str, seconds: float = 60) -> Any:
        """The value of an expression; promises are awaited."""
        answer = self.call("Runtime.evaluate", seconds, expression=expression,
                           awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise Failed(details.get("exception", {}).get("description") or details["text"])
        return answer["result"].get("value")

    def until(self, expression: str, seconds: float = 60) -> Any:
        """Waits for an expression to become true; errors count as false."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if value := self.js(expression):
                    return value
            except Failed:
                pass
            if time.monotonic() > deadline:
                raise TimeoutError(f"{expression} did not come true within {seconds:g} s")
            time.sleep(0.2)

    def picture(self, path: Path, quality: int = 85) -> Path:
        """A screenshot as JPEG."""
        answer = self.call("Page.captureScreenshot", format="jpeg", quality=quality)
        path.write_bytes(base64.b64decode(answer["data"]))
        return path

    def load(self, workflow: dict[str, Any]) -> None:
        """Loads a workflow as dropping its file onto the canvas does."""
        self.js(f"app.loadGraphData({json.dumps(workflow)})")

    # ------------------------------------------------------------------ the protocol

    def call(self, method: str, seconds: float = 60, **params: Any) -> dict[str, Any]:
        return self._await(self._call(method, params), seconds)

    def _await(self, coroutine: Any, seconds: float) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(seconds)

    def _address(self) -> str:
        """The first page's websocket address."""
        port_file, deadline = self.folder / "DevToolsActivePort", time.monotonic() + 60
        while time.monotonic() < deadline:
            if port_file.is_file() and (lines := port_file.read_text().split()):
                url = f"http://127.0.0.1:{lines[0]}/json/list"
                with urllib.request.urlopen(url, timeout=10) as answer:
                    pages = [p for p in json.loads(answer.read()) if p["type"] == "page"]
                if pages:
                    return pages[0]["webSocketDebuggerUrl"]
            if self.process.poll() is not None:
                raise RuntimeError(f"Chromium ended with {self.process.returncode}")
            time.sleep(0.1)
        raise TimeoutError("Chromium did not open its debugging port within a minute")

    async def _connect(self, address: str) -> None:
        import aiohttp

        self._session = aiohttp.ClientSession()
        self._socket = await self._session.ws_connect(address, max_msg_size=0)
        self._listener = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for message in self._socket:
            body = json.loads(message.data)
            if "id" in body:
                self._answers.pop(body["id"]).set_result(body)
            else:
                self._note(body["method"], body["params"])

    async def _call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._count += 1
        answer = self._answers[self._count] = self._loop.create_future()
        await self._socket.send_str(json.dumps(
            {"id": self._count, "method": method, "params": params}))
        body = await answer
        if "error" in body:
            raise Failed(f"{method}: {body['error']['message']}")
        return body["result"]

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.consoleAPICalled":
            words = [str(a.get("value", a.get("description", ""))) for a in params["args"]]
            self.console.append((params["type"], " ".join(words)))
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            text = details.get("exception", {}).get("description") or details["text"]
            self.console.append(("error", text))
        elif method == "Log.entryAdded":
            entry = params["entry"]
            self.console.append((entry["level"], f"{entry['text']} {entry.get('url', '')}"))
