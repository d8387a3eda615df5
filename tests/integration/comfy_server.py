"""A real ComfyUI server for the tests: started on a free port with a folder of its own, stopped."""
from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACK = "lgfa"                               # folder name below custom_nodes
NEEDED = ("torch", "torchsde", "torchvision", "numpy", "einops", "transformers", "safetensors",
          "aiohttp", "yarl", "yaml", "PIL", "scipy", "tqdm", "psutil", "alembic", "sqlalchemy",
          "av", "comfyui_frontend_package")     # modules of ComfyUI's requirements.txt
CHECK = ("import importlib.util as u, sys; "
         "print(*[m for m in sys.argv[1:] if u.find_spec(m) is None])")


def comfy_folder() -> Path:
    """Where ComfyUI should lie: COMFYUI_DIR, else ~/ComfyUI."""
    return Path(os.environ.get("COMFYUI_DIR") or Path.home() / "ComfyUI").expanduser()


def python() -> str:
    """The interpreter that runs ComfyUI: COMFYUI_PYTHON, else the one that runs the tests."""
    return os.environ.get("COMFYUI_PYTHON") or sys.executable


def why_not() -> str:
    """Why no server can be started here, in a sentence; empty when one can."""
    folder = comfy_folder()
    if not (folder / "main.py").is_file():
        return f"no ComfyUI at {folder}: put it there or set COMFYUI_DIR"
    found = subprocess.run([python(), "-c", CHECK, *NEEDED], capture_output=True, text=True)
    if found.returncode:
        return f"{python()} does not run: set COMFYUI_PYTHON"
    if found.stdout.strip():
        return (f"{python()} lacks ComfyUI's requirements ({found.stdout.strip()}): install "
                f"{folder / 'requirements.txt'} or set COMFYUI_PYTHON")
    return ""


def stop(process: subprocess.Popen) -> None:
    """Ends a program, by force if it does not in ten seconds."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def base_folder(base: Path, pack: Path = ROOT) -> Path:
    """ComfyUI's own folders below `base`, this project among the custom nodes, its example image
    among the inputs as in every installation."""
    for name in ("custom_nodes", "input", "output", "temp", "models", "user"):
        (base / name).mkdir(parents=True, exist_ok=True)
    (base / "custom_nodes" / PACK).symlink_to(pack, target_is_directory=True)
    example = comfy_folder() / "input" / "example.png"
    if example.is_file():
        shutil.copy(example, base / "input" / "example.png")
    return base


class Server:
    """`with Server(base) as server:` - a running ComfyUI; `server.url`, `server.log`."""

    def __init__(self, base: Path, *flags: str, starter: str | None = None) -> None:
        """flags: further arguments, "--cpu" if none is given; starter: a script in main.py's
        place, which gets main.py's path as its first argument."""
        self.base, self.flags, self.starter = base, flags or ("--cpu",), starter
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_file = base / f"server_{self.port}.log"
        self.process: subprocess.Popen | None = None
        self.seconds = 0.0                  # until it answered

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def __enter__(self) -> Server:
        main = str(comfy_folder() / "main.py")
        command = [python(), "-u", *([self.starter, main] if self.starter else [main]),
                   *self.flags, "--disable-api-nodes", "--disable-auto-launch",
                   "--port", str(self.port), "--base-directory", str(self.base),
                   "--database-url", "sqlite:///:memory:"]
        began = time.monotonic()
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=comfy_folder(), stdout=log,
                                            stderr=subprocess.STDOUT)
        try:
            self._wait_until_ready(began + 180)
        except BaseException:
            self.__exit__()
            raise
        self.seconds = time.monotonic() - began
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is None:
            return
        stop(self.process)
        self.process = None

    def _wait_until_ready(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"ComfyUI ended with {self.process.returncode}:\n"
                                   + self.log[-4000:])
            try:
                with urllib.request.urlopen(f"{self.url}/system_stats", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise RuntimeError("ComfyUI did not answer within three minutes:\n" + self.log[-4000:])
