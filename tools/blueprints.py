"""Writes the subgraph blueprint: `python tools/blueprints.py http://127.0.0.1:8188`.

A blueprint is a workflow of a single node, which stands for a subgraph. Newer versions of ComfyUI
list subgraphs/*.json of a pack among the nodes; an older one takes the file when it is copied to
user/default/subgraphs. The address is that of a running ComfyUI with this pack.
"""
from __future__ import annotations

import sys
import urllib.request
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tools.workflow_files import GAP, ROW, Placed, Sheet, write  # noqa: E402

NAME = "Animate a Toon Face (LGFA)"
TEXT = ("A made-up toon face performs an expression. Open it to see the stages, and to put your "
        "own between them.")
INPUT, OUTPUT = -10, -20                    # ids of a subgraph's ends


class Subgraph:
    """Nodes of a sheet, with some of their widgets and outputs led to the outside."""

    def __init__(self, name: str, sheet: Sheet) -> None:
        self.name, self.sheet = name, sheet
        self.inputs: list[dict[str, Any]] = []
        self.outputs: list[dict[str, Any]] = []
        self.values: list[Any] = []
        self.ends: list[list[Any]] = []     # links to the outside, as the sheet has links

    def widget(self, name: str, node: Placed, inner: str, value: Any) -> None:
        """Shows a widget outside, with this value, under a name of its own."""
        slot = next(k for k, one in enumerate(node.entry["inputs"]) if one["name"] == inner)
        socket = node.entry["inputs"][slot]
        socket["link"] = self._link(INPUT, len(self.inputs), node.entry["id"], slot,
                                    socket["type"])
        self.inputs.append(self._end("inputs", name, socket["type"], socket["link"]))
        self.values.append(value)

    def output(self, name: str, node: Placed, slot: int) -> None:
        """Leads an output of a node to the outside."""
        out = node.entry["outputs"][slot]
        link = self._link(node.entry["id"], slot, OUTPUT, len(self.outputs), out["type"])
        out["links"] = [*(out["links"] or []), link]
        self.outputs.append(self._end("outputs", name, out["type"], link))

    def blueprint(self, text: str) -> dict[str, Any]:
        """The content of the file."""
        kind, sockets = self._id(""), [{"name": one["name"], "type": one["type"], "link": None,
                                        "widget": {"name": one["name"]}} for one in self.inputs]
        node = {"id": 1, "type": kind, "title": self.name, "pos": [0, 0], "size": [340, 240],
                "flags": {}, "order": 0, "mode": 0, "inputs": sockets,
                "outputs": [{"name": one["name"], "type": one["type"], "links": None}
                            for one in self.outputs],
                "properties": {"proxyWidgets": []}, "widgets_values": self.values}
        return {"id": self._id("file"), "revision": 0, "last_node_id": 1, "last_link_id": 0,
                "nodes": [node], "links": [], "groups": [], "config": {}, "version": 0.4,
                "definitions": {"subgraphs": [self._definition(kind)]},
                "extra": {"BlueprintDescription": text}}

    # ---- inside
    def _definition(self, kind: str) -> dict[str, Any]:
        links = [*self.sheet.links, *self.ends]
        names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
        right = max(Placed(one).right for one in self.sheet.nodes)
        return {
            "id": kind, "version": 1, "revision": 0, "config": {}, "name": self.name,
            "state": {"lastGroupId": 0, "lastNodeId": len(self.sheet.nodes),
                      "lastLinkId": len(links), "lastRerouteId": 0},
            "inputNode": {"id": INPUT, "bounding": [-240, 0, 120, _tall(self.inputs)]},
            "outputNode": {"id": OUTPUT, "bounding": [right + 120, 0, 120, _tall(self.outputs)]},
            "inputs": self.inputs, "outputs": self.outputs, "widgets": [],
            "nodes": self.sheet.nodes, "groups": self.sheet.groups,
            "links": [dict(zip(names, link, strict=True)) for link in links], "extra": {}}

    def _link(self, origin: int, out: int, target: int, slot: int, kind: str) -> int:
        link = len(self.sheet.links) + len(self.ends) + 1
        self.ends.append([link, origin, out, target, slot, kind])
        return link

    def _end(self, side: str, name: str, kind: str, link: int) -> dict[str, Any]:
        return {"id": self._id(f"{side}/{name}"), "name": name, "type": kind, "linkIds": [link]}

    def _id(self, part: str) -> str:
        """The same at every writing."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"lgfa/subgraphs/{self.name}/{part}"))


def _tall(ends: list[dict[str, Any]]) -> int:
    return ROW * (len(ends) + 2)


def animate(info: dict[str, Any]) -> dict[str, Any]:
    """Animate Face in stages. All nodes have to be placed before anything leads outside."""
    sheet = Sheet(NAME, info)
    domain = sheet.node("LGFA_LoadDomain", 0, 0)
    face = sheet.node("LGFA_SampleFace", domain.right + 2 * GAP, 0,
                      generator=domain["generator"], seed=7)
    text = sheet.node("LGFA_EncodeText", face.entry["pos"][0], face.below, clip=domain["clip"])
    path = sheet.node("LGFA_ChainExpressions", face.right + 2 * GAP, 0, motion=domain["motion"],
                      text=text[0], latent=face["latent"])
    film = sheet.node("LGFA_RenderAnimation", path.right + 2 * GAP, 0,
                      generator=domain["generator"], trajectory=path[0])

    graph = Subgraph(NAME, sheet)
    graph.widget("text", text, "text", "smiling")
    graph.widget("frames", path, "frames", 16)
    graph.widget("strength", path, "strength", 1.0)
    graph.widget("fps", film, "fps", 10.0)
    graph.widget("face_seed", face, "seed", 7)
    graph.widget("seed", path, "seed", 0)
    graph.output("images", film, 0)
    graph.output("video", film, 1)
    return graph.blueprint(TEXT)


def main() -> int:
    import json

    with urllib.request.urlopen(f"{sys.argv[1].rstrip('/')}/object_info", timeout=60) as answer:
        info = json.load(answer)
    path = ROOT / "subgraphs" / f"{NAME}.json"
    write(path, animate(info))
    print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
