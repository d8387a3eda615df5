"""What a user must know stands on the node: seen by a client on the server's websocket."""
from __future__ import annotations

from pathlib import Path

import pytest
from client import Client, Done
from graphs import Graph, one_node
from worded import KNOWN, UNKNOWN, UNKNOWN_SAID, worded_toon

WORDED = "worded.safetensors"


@pytest.fixture(scope="module")
def worded(base: Path) -> str:
    """A choice of Load Motion Model: the toon model with two words of its own."""
    from lgfa import formats

    folder = base / "models" / "lgfa"
    folder.mkdir(exist_ok=True)
    formats.save(folder / WORDED, worded_toon())
    return WORDED


def run(client: Client, prompt: Graph) -> tuple[Done, dict[str, str]]:
    """The finished job, and what then stands on each node of the page."""
    since = len(client.heard)
    prompt_id = client.queue(prompt)
    done = client.wait(prompt_id)
    assert done.status == "success", done.entry["status"]
    client.wait_for(lambda m: m.kind == "execution_success" and m.data["prompt_id"] == prompt_id)
    return done, client.texts(since)


def kept(done: Done, key: str) -> list:
    """All that the history has under a key."""
    return [one for output in done.outputs.values() for one in output.get(key, [])]


def test_sentence_that_nobody_knows(client: Client, worded: str) -> None:
    """On Animate Face, which reads it in a part of its own, and nowhere else."""
    done, texts = run(client, one_node(UNKNOWN, frames=2, motion_model=worded))
    assert set(texts) == {"1"} and texts["1"].startswith(UNKNOWN_SAID)
    assert kept(done, "notices")[0] == texts["1"]
    said, = kept(done, "understood")
    assert said["verdict"] == "unknown" and len(said["nearest"]) == 2

    with Client(client.url) as other:           # another user's page has a node 1 as well
        since = len(other.heard)
        _, texts = run(client, one_node(KNOWN, frames=2, motion_model=worded))
        assert texts == {"1": "understood: smiling (1.00)"}
        assert other.texts(since) == {}


def test_encode_text_says_what_it_understood(client: Client, worded: str) -> None:
    def graph(text: str) -> Graph:
        graph = Graph()
        model = graph.add("LGFA_LoadMotionModel", model=worded)
        words = graph.add("LGFA_EncodeText", clip=model[1], text=text,
                          template="The person is {}")
        graph.add("PreviewAny", source=words[1])
        return graph

    done, texts = run(client, graph(f"crying\n{UNKNOWN}"))
    assert done.outputs["3"]["text"][0].split("\n")[0] == "known: crying 1.00"
    first, second = texts["2"].split("\n")
    assert first == "understood: crying (1.00)" and second.startswith(UNKNOWN_SAID)
    assert [one["verdict"] for one in done.outputs["2"]["understood"]] == ["known", "unknown"]


def test_photograph_that_becomes_a_toon(client: Client) -> None:
    """A picture of one colour; the text goes when a toon comes in its place."""
    def graph(**picture: object) -> Graph:
        graph = Graph()
        domain = graph.add("LGFA_LoadDomain", domain="toon (bundled)")
        image = graph.add(**picture)
        found = graph.add("LGFA_InvertFace", encoder=domain[1], generator=domain[0], image=image[0])
        graph.add("PreviewImage", images=found[1])
        return graph

    green = {"class_type": "EmptyImage", "width": 128, "height": 128, "batch_size": 1,
             "color": 0x00FF00}
    done, texts = run(client, graph(**green))
    assert set(texts) == {"3"} and "unlike the image" in texts["3"]
    assert done.outputs["3"]["notices"] == [texts["3"]]
    done, texts = run(client, graph(class_type="LGFA_LoadExample", picture="lgfa_toon_face"))
    assert texts == {"3": " "} and "3" not in done.outputs
