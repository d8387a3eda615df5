"""Fixtures of the node tests: ComfyUI (real, or the stand-in with LGFA_STANDIN=1), pack, runner."""
from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch


@pytest.fixture(scope="session")
def comfy_home() -> SimpleNamespace:
    """Temporary folders of ComfyUI (base, models, input, output, temp), and is it the real one?"""
    import host

    base = host.bring_comfy()
    return SimpleNamespace(base=base, models=base / "models", input=base / "input",
                           output=base / "output", temp=base / "temp",
                           real=not host.use_standin())


@pytest.fixture(scope="session")
def pack(comfy_home: SimpleNamespace) -> ModuleType:
    """The package as ComfyUI imports it; its nodes are `pack.nodes`, its library `pack.lgfa`."""
    import host

    return host.bring_pack()


@pytest.fixture(scope="session")
def session_run(pack: ModuleType) -> Any:
    """A runner for what is computed once for all tests."""
    from host import Runner

    return Runner(pack.nodes.NODE_CLASS_MAPPINGS)


@pytest.fixture
def run(pack: ModuleType) -> Any:
    """run(node_id, **inputs) -> tuple of outputs; see host.Runner."""
    from host import Runner

    return Runner(pack.nodes.NODE_CLASS_MAPPINGS)


@pytest.fixture
def page(run: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The page of the user who runs the nodes; see host.Page."""
    from host import Page

    run.page = Page()
    server = SimpleNamespace(PromptServer=SimpleNamespace(instance=run.page))
    monkeypatch.setitem(sys.modules, "server", server)
    return run.page


@pytest.fixture(scope="session")
def domain(session_run: Any) -> tuple:
    """Outputs of Load Domain for the toon faces: generator, encoder, clip, motion."""
    return session_run("LGFA_LoadDomain")


@pytest.fixture(scope="session")
def tiny_models(comfy_home: SimpleNamespace) -> Path:
    """models/lgfa with tiny random networks: tiny/generator.safetensors, .. that fit together."""
    from tiny import save_all

    folder = comfy_home.models / "lgfa" / "tiny"
    folder.mkdir(parents=True)
    save_all(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_domain(session_run: Any, tiny_models: Path) -> tuple:
    """Tiny random networks over the loaders: generator (16 px), encoder, clip, motion."""
    generator, = session_run("LGFA_LoadGenerator", model="tiny/generator.safetensors")
    encoder, = session_run("LGFA_LoadFaceEncoder", model="tiny/encoder.safetensors")
    motion, clip = session_run("LGFA_LoadMotionModel", model="tiny/motion.safetensors")
    return generator, encoder, clip, motion


@pytest.fixture(scope="session")
def face(session_run: Any, domain: tuple) -> torch.Tensor:
    """IMAGE [1, 256, 256, 3] of a toon face."""
    return session_run("LGFA_SampleFace", generator=domain[0], seed=7)[1]


@pytest.fixture
def progress(comfy_home: SimpleNamespace) -> Iterator[list[tuple]]:
    """Progress reported while the test runs: (value, total, preview)."""
    import comfy.utils

    seen: list[tuple] = []
    before = comfy.utils.PROGRESS_BAR_HOOK
    comfy.utils.set_progress_bar_global_hook(
        lambda value, total, preview, node_id=None: seen.append((value, total, preview)))
    yield seen
    comfy.utils.set_progress_bar_global_hook(before)
