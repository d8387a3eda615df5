"""--lowvram and --novram: the same frames as with all memory.

Without an accelerator ComfyUI refuses both flags; then its partial loading is forced onto the CPU
(partial_loads.py), which takes the same ways through ModelPatcher.
"""
from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from client import Client, frames_of
from comfy_server import Server, base_folder, python
from graphs import Graph

HERE = Path(__file__).parent
FLAGS = {"low": "--lowvram", "no": "--novram"}


def has_accelerator() -> bool:
    check = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([python(), "-c", check], capture_output=True).returncode == 0


def animation(seed: int) -> Graph:
    """All four networks at work."""
    graph = Graph()
    domain = graph.add("LGFA_LoadDomain", domain="toon (bundled)")
    face = graph.add("LGFA_SampleFace", generator=domain[0], truncation=0.7, batch_size=1,
                     seed=seed)
    still = graph.add("LGFA_InvertFace", encoder=domain[1], generator=domain[0], image=face[1])
    text = graph.add("LGFA_EncodeText", clip=domain[2], text="smiling",
                     template="The person is {}")
    path = graph.chain(domain, text, still, frames=6)
    frames = graph.render(domain, path)
    graph.add("SaveImage", images=frames[0], filename_prefix="memory")
    return graph


def frames(server: Server, seed: int) -> np.ndarray:
    with Client(server.url) as client:
        done = client.run(animation(seed))
        files = sorted(done.files(), key=lambda f: f["filename"])
        return np.concatenate([frames_of(client.fetch(f), f["filename"]) for f in files])


@pytest.mark.slow
@pytest.mark.parametrize("state", ["low", "no"])
def test_little_memory(state: str, server: Server, tmp_path: Path) -> None:
    expected = [frames(server, seed) for seed in (1, 2)]
    real = has_accelerator()
    flags = [FLAGS[state]] if real else [state, "--cpu"]
    starter = None if real else str(HERE / "partial_loads.py")
    with Server(base_folder(tmp_path), *flags, starter=starter) as lean:
        found = [frames(lean, seed) for seed in (1, 2)]     # the second after an unloading
        assert real or f"under {state.upper()}_VRAM" in lean.log
    for a, b in zip(expected, found, strict=True):
        assert len(a) == len(b) == 6
        assert np.abs(a - b).max() < (0.1 if real else 0.01)
