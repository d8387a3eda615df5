"""Links and literals in a real server: it passes them on, and the nodes say what is wrong."""
from __future__ import annotations

from typing import Any

import pytest
from client import Client
from graphs import Graph, Out, one_node


def said(client: Client, graph: Graph) -> str:
    """The one sentence that the failed node shows."""
    done = client.wait(client.queue(graph))
    assert done.status == "error"
    assert done.message("execution_error")["exception_type"].endswith("LGFAError")
    assert "\n" not in done.error.strip()
    return done.error


def sampled(graph: Graph, **inputs: Any) -> tuple[Out, Out]:
    """A domain and faces of its generator."""
    domain = graph.add("LGFA_LoadDomain", domain="toon (bundled)")
    settings = {"generator": domain[0], "truncation": 0.7, "batch_size": 1, "seed": 0, **inputs}
    return domain, graph.add("LGFA_SampleFace", **settings)


def aligned(graph: Graph, **inputs: Any) -> Out:
    """Align Face on the example picture, and its preview."""
    example = graph.add("LGFA_LoadExample", picture="lgfa_toon_face")
    settings = {"image": example[0], "size": 64, "face_index": 0, "points": example[1],
                "order": "left to right", "framing": "toon", "detector": "none", **inputs}
    face = graph.add("LGFA_AlignFace", **settings)
    graph.add("PreviewImage", images=face[0])
    return face


@pytest.mark.parametrize("name,value", [
    ("fps", "nan"), ("fps", 1e6), ("fps", 0), ("fps", -1), ("strength", 1e6), ("strength", "nan"),
    ("truncation", -5)])
def test_numbers_over_links(name: str, value: Any, client: Client) -> None:
    graph = one_node()
    number = graph.add("PrimitiveFloat", value=value)
    graph["1"]["inputs"][name] = number[0]
    text = said(client, graph)
    assert text.startswith(f"Animate Face (LGFA): {name} is ") and "from" in text


@pytest.mark.parametrize("value", [0, -1, 10**7])
def test_faces_over_links(value: int, client: Client) -> None:
    graph = Graph()
    number = graph.add("PrimitiveInt", value=value)
    _, face = sampled(graph, batch_size=number[0])
    graph.add("PreviewImage", images=face[1])
    assert said(client, graph).strip() == (
        f"Sample Face (LGFA): batch_size is {value}; it must be a whole number from 1 to 4096.")


def test_a_typed_number_that_is_none(client: Client) -> None:
    """ComfyUI's own bounds let NaN pass."""
    assert "fps is nan" in said(client, one_node(fps="nan"))


@pytest.mark.parametrize("value", [5, "x", {}, True, {"__value__": [1, 2, 3]}])
def test_literals_on_sockets(value: Any, client: Client) -> None:
    graph = Graph()
    aligned(graph, image=value)
    assert said(client, graph).startswith("Align Face (LGFA): image is ")
    graph = Graph()
    _, face = sampled(graph, generator=value)
    graph.add("PreviewImage", images=face[1])
    assert said(client, graph).startswith("Sample Face (LGFA): generator is ")
    assert said(client, one_node(image=value)).startswith("Animate Face (LGFA): image is ")


def test_a_mask_of_none(client: Client) -> None:
    graph = Graph()
    mask = graph.add("SolidMask", value=1.0, width=64, height=64)
    none = graph.add("CropMask", mask=mask[0], x=100, y=0, width=10, height=10)
    aligned(graph, mask=none[0], points="")
    assert "Align Face (LGFA): mask holds no mask" in said(client, graph)


def test_pictures_with_alpha_run(client: Client) -> None:
    graph = Graph()
    example = graph.add("LGFA_LoadExample", picture="lgfa_toon_face")
    mask = graph.add("SolidMask", value=0.0, width=256, height=256)
    clear = graph.add("JoinImageWithAlpha", image=example[0], alpha=mask[0])
    face = aligned(graph, image=clear[0], points=example[1])
    domain = graph.add("LGFA_LoadDomain", domain="toon (bundled)")
    found = graph.add("LGFA_InvertFace", encoder=domain[1], generator=domain[0], image=clear[0])
    graph.add("PreviewImage", images=found[1])
    pasted = graph.add("LGFA_PasteFaceBack", photo=clear[0], frames=found[1], alignment=face[1],
                       feather=0.08, colour_match=1.0, detail=1.0, region="face")
    graph.add("PreviewImage", images=pasted[0])
    assert len(client.run(graph).files()) == 3
