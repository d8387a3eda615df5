"""Small graphs in API format that the tests are built from, and changes to shipped ones."""
from __future__ import annotations

from typing import Any


class Graph(dict):
    """A prompt in API format: `node = graph.add("LGFA_X", image=other[0])`, `node[0]` a link."""

    def add(self, class_type: str, **inputs: Any) -> Out:
        name = str(len(self) + 1)
        self[name] = {"class_type": class_type, "inputs": inputs}
        return Out(name)

    def chain(self, domain: Out, text: Out, still: Out, frames: int = 8, **more: Any) -> Out:
        """A trajectory with the motion model of a Load Domain."""
        settings = {"strength": 1.0, "hold": 0, "seed": 0, "easing": "none", **more}
        return self.add("LGFA_ChainExpressions", motion=domain[3], text=text[0], latent=still[0],
                        frames=frames, **settings)

    def render(self, domain: Out, path: Out, **more: Any) -> Out:
        """Its frames, with the generator of a Load Domain."""
        settings = {"fps": 10.0, "chunk": 8, "layout": "one after another", "noise": "const",
                    "precision": "full", **more}
        return self.add("LGFA_RenderAnimation", generator=domain[0], trajectory=path[0],
                        **settings)


class Out(str):
    """A node's id; indexing gives the link to one of its outputs."""

    def __getitem__(self, slot: int) -> list:  # type: ignore[override]
        return [str(self), slot]


def only(prompt: dict[str, Any], class_type: str) -> dict[str, Any]:
    """The inputs of the one node of a type, to be changed."""
    found = [node["inputs"] for node in prompt.values() if node["class_type"] == class_type]
    assert len(found) == 1, f"{len(found)} nodes of type {class_type}"
    return found[0]


def node_of(prompt: dict[str, Any], class_type: str) -> str:
    """The id of the first node of a type."""
    return next(i for i, node in prompt.items() if node["class_type"] == class_type)


def one_node(text: str = "smiling", **inputs: Any) -> Graph:
    """Animate Face and all frames as PNG previews."""
    graph = Graph()
    settings = {"frames": 8, "strength": 1.0, "fps": 10.0, "truncation": 0.7, "face_seed": 7,
                "seed": 0, "easing": "none", "motion_model": "toon (bundled)", **inputs}
    clip = graph.add("LGFA_AnimateFace", text=text, **settings)
    graph.add("PreviewImage", images=clip[0])
    return graph
