"""Small graphs in API format that the tests are built from, and changes to shipped ones."""
from __future__ import annotations

from typing import Any


class Graph(dict):
    """A prompt in API format: `node = graph.add("LGFA_X", image=other[0])`, `node[0]` a link."""

    def add(self, class_type: str, **inputs: Any) -> Out:
        name = str(len(self) + 1)
        self[name] = {"class_type": class_type, "inputs": inputs}
        return Out(name)


class Out(str):
    """A node's id; indexing gives the link to one of its outputs."""

    def __getitem__(self, slot: int) -> list:  # type: ignore[override]
        return [str(self), slot]


def only(prompt: dict[str, Any], class_type: str) -> dict[str, Any]:
    """The inputs of the one node of a type, to be changed."""
    found = [node["inputs"] for node in prompt.values() if node["class_type"] == class_type]
    assert len(found) == 1, f"{len(found)} nodes of type {class_type}"
    return found[0]
