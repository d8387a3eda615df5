"""Where a run of the queue takes place: a folder with a workflow and a table, and its results."""
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from fake_comfy import FakeComfy, workflow

from lgfa.bulk import state
from lgfa.bulk.comfyui import server

Server = TypeVar("Server", bound=FakeComfy)


class Place:
    """A folder with flow.json, jobs.csv and results."""

    def __init__(self, folder: Path, comfy: FakeComfy) -> None:
        self.folder, self.comfy, self.out = folder, comfy, folder / "results"
        self.flow = folder / "flow.json"
        self.flow.write_text(json.dumps(workflow()))

    def csv(self, *lines: str, encoding: str = "utf-8") -> None:
        (self.folder / "jobs.csv").write_text("\n".join(lines), encoding=encoding)

    def arguments(self, *more: object) -> list[str]:
        return ["queue", "--server", self.comfy.address, "--workflow", str(self.flow),
                "--jobs", str(self.folder / "jobs.csv"), "--out", str(self.out),
                "--poll", "0.02", *map(str, more)]

    def files(self) -> list[str]:
        return sorted(path.name for path in self.out.iterdir() if path.name != state.FILE)


def served(comfy: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server for the time of a test; lost connections are tried again at once."""
    monkeypatch.setattr(server, "FIRST_WAIT", 0.01)
    yield comfy
    comfy.close()
