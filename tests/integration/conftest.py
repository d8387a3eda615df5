"""A real ComfyUI for the tests of this folder, and eyes that see what its frames show."""
from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from client import Client, Done, frames_of  # noqa: E402
from comfy_server import Server, base_folder, why_not  # noqa: E402

API = Path(__file__).resolve().parents[2] / "workflows" / "api"


@pytest.fixture(scope="session")
def comfy() -> None:
    """Skips where ComfyUI or what its server needs is missing."""
    pytest.importorskip("aiohttp", reason="aiohttp, a requirement of ComfyUI, is missing")
    reason = why_not()
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def base(comfy: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ComfyUI's folders, the pack among the custom nodes."""
    return base_folder(tmp_path_factory.mktemp("comfy"))


@pytest.fixture(scope="session")
def server(base: Path) -> Iterator[Server]:
    """The running server of the session."""
    with Server(base) as running:
        yield running


@pytest.fixture(scope="session")
def object_info(server: Server) -> dict[str, Any]:
    """What the server says of all nodes."""
    return Client(server.url).json("/object_info")


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client of its own for each test, listening."""
    with Client(server.url) as one:
        yield one


@pytest.fixture
def api() -> Callable[[str], dict[str, Any]]:
    """A shipped workflow in API format, by its name."""
    def read(name: str) -> dict[str, Any]:
        return json.loads((API / f"{name}.json").read_text(encoding="utf-8"))

    return read


@pytest.fixture
def shown(client: Client) -> Callable[[Done], list[np.ndarray]]:
    """Every output file of a finished prompt that holds pictures: frames [T, H, W, 3] each."""
    def read(done: Done) -> list[np.ndarray]:
        files = [f for f in done.files() if not f["filename"].endswith(".safetensors")]
        return [frames_of(client.fetch(file), file["filename"]) for file in files]

    return read


@pytest.fixture(scope="session")
def seen() -> Callable[[np.ndarray], list[str]]:
    """The expressions of toon faces [T, H, W, 3] by the independent attribute network."""
    import torch

    from lgfa import formats
    from lgfa.toon.parameters import EXPRESSION_NAMES

    attributes = formats.load("toon", "attributes").eval()

    @torch.no_grad()
    def look(frames: np.ndarray) -> list[str]:
        logits, _ = attributes(torch.from_numpy(frames).permute(0, 3, 1, 2) * 2 - 1)
        return [EXPRESSION_NAMES[i] for i in logits.argmax(1)]

    return look
