"""Workflow files: written in the front end's format, converted to the API's.

Both need what a ComfyUI says of its nodes (`/object_info`): the order of widgets is the order of
saved values. Only tests and `tools/workflows.py` use this file; ComfyUI and the pack do not.
"""
from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
NOTES = ("Note", "MarkdownNote")
RUNS, MUTED, BYPASSED = 0, 2, 4             # node modes of the front end
TITLE, ROW, WIDGET, TEXT = 30, 20, 24, 76   # heights in pixels
GAP = 30                                    # between nodes, and around them in a group
UPLOADS = ("image_upload", "video_upload", "audio_upload", "animated_image_upload")
SHOWING = 225                               # height of a preview while a node works, and after
SHOW = ("LGFA_RenderAnimation", "LGFA_PasteFaceBack", "LGFA_AnimateFace", "LGFA_TrainMotionModel")
COLORS = {"blue": "#3f789e", "green": "#8A8", "red": "#A88", "yellow": "#b58b2a",
          "violet": "#88A", "grey": "#444"}


# ------------------------------------------------------------------ what nodes are


def described(info: dict[str, Any]) -> list[tuple[str, str, dict[str, Any], bool]]:
    """Inputs of a node as (name, type, options, is a widget), in order."""
    found = []
    for part in ("required", "optional"):
        inputs = info["input"].get(part, {})
        for name in info.get("input_order", {}).get(part, list(inputs)):
            kind, *rest = inputs[name]
            options = rest[0] if rest else {}
            combo = isinstance(kind, list)
            found.append((name, "COMBO" if combo else kind, options,
                          (combo or kind in WIDGETS) and not options.get("forceInput")))
    return found


def extra_values(name: str, kind: str, options: dict[str, Any]) -> list[str]:
    """What the front end saves after a widget's own value: seed control, upload button."""
    if options.get("control_after_generate") or (kind == "INT" and name in ("seed", "noise_seed")):
        return ["fixed"]
    return ["image"] if any(options.get(key) for key in UPLOADS) else []


def default(kind: str, options: dict[str, Any], spec: Any) -> Any:
    """A widget's value when nobody sets it."""
    if "default" in options:
        return options["default"]
    if kind == "COMBO":
        choices = spec[0] if isinstance(spec[0], list) else options.get("options", [])
        return choices[0] if choices else ""
    return {"INT": 0, "FLOAT": 0.0, "STRING": "", "BOOLEAN": False}[kind]


# ------------------------------------------------------------------ front end -> API


def to_api(workflow: dict[str, Any], object_info: dict[str, Any]) -> dict[str, Any]:
    """A workflow in the front end's format as the prompt that pressing Run would send.

    Raises:
        KeyError: a node that the server does not know.
        ValueError: saved values that do not match the node's widgets.
    """
    nodes = {node["id"]: node for node in workflow["nodes"]}
    links = {link[0]: (link[1], link[2]) for link in workflow["links"]}
    prompt = {}
    for node in sorted(workflow["nodes"], key=lambda n: n["order"]):
        if node["type"] in NOTES or node["mode"] in (MUTED, BYPASSED):
            continue
        inputs = _values(node, object_info[node["type"]])
        for socket in node.get("inputs", []):
            if socket.get("link") is None:
                continue
            source = _source(nodes, links, socket["link"])
            if source:
                inputs[socket["name"]] = [str(source[0]), source[1]]
        prompt[str(node["id"])] = {
            "inputs": inputs, "class_type": node["type"],
            "_meta": {"title": node.get("title") or object_info[node["type"]]["display_name"]}}
    return prompt


def _values(node: dict[str, Any], info: dict[str, Any]) -> dict[str, Any]:
    """Widget values of a node by name."""
    saved, values = list(node.get("widgets_values", [])), {}
    for name, kind, options, is_widget in described(info):
        if not is_widget:
            continue
        if not saved:
            raise ValueError(f"{node['type']} {node['id']}: no value is saved for {name}")
        values[name] = saved.pop(0)
        del saved[:len(extra_values(name, kind, options))]
    if saved:
        raise ValueError(f"{node['type']} {node['id']}: values without a widget: {saved}")
    return values


def _source(nodes: dict, links: dict, link: int) -> tuple[int, int] | None:
    """Where a link comes from, through bypassed nodes; None behind a muted one."""
    origin, slot = links[link]
    node = nodes[origin]
    if node["mode"] == MUTED:
        return None
    if node["mode"] != BYPASSED:
        return origin, slot
    kind = node["outputs"][slot]["type"]
    for socket in node.get("inputs", []):
        if socket["type"] == kind and socket.get("link") is not None:
            return _source(nodes, links, socket["link"])
    return None


# ------------------------------------------------------------------ writing


class Placed:
    """A node on a sheet; indexing gives one of its outputs, by name or number."""

    def __init__(self, entry: dict[str, Any]) -> None:
        self.entry = entry

    def __getitem__(self, output: str | int) -> tuple[Placed, int]:
        if isinstance(output, str):
            names = [out["name"] for out in self.entry["outputs"]]
            if output not in names:
                raise KeyError(f"{self.entry['type']} has no output {output}: {names}")
            output = names.index(output)
        return self, output

    @property
    def below(self) -> float:
        """Where the next node of the column begins."""
        return self.entry["pos"][1] + self.entry["size"][1] + TITLE + GAP

    @property
    def right(self) -> float:
        return self.entry["pos"][0] + self.entry["size"][0]


class Sheet:
    """A workflow being written: nodes, links, notes and groups at places of one's choice."""

    def __init__(self, name: str, object_info: dict[str, Any]) -> None:
        self.name, self.info = name, object_info
        self.nodes: list[dict[str, Any]] = []
        self.links: list[list[Any]] = []
        self.groups: list[dict[str, Any]] = []

    def node(self, kind: str, x: float, y: float, width: float = 320, height: float | None = None,
             /, title: str = "", mode: int = RUNS, **inputs: Any) -> Placed:
        """Place a node; `inputs` are widget values, or outputs of other nodes to connect.
        Positional: its type, left, top, and size in pixels; no height = as tall as needed."""
        info = self.info[kind]
        entry = {"id": len(self.nodes) + 1, "type": kind, "pos": [x, y], "size": [width, 0],
                 "flags": {}, "order": len(self.nodes), "mode": mode, "inputs": [], "outputs": [],
                 "properties": {"Node name for S&R": kind}, "widgets_values": []}
        if title:
            entry["title"] = title
        self.nodes.append(entry)
        # the front end lists sockets first, whatever the order in the schema
        for one in sorted(described(info), key=lambda one: one[3]):
            self._input(entry, *one, inputs)
        if inputs:
            raise KeyError(f"{kind} has no inputs {sorted(inputs)}")
        for name, out in zip(info["output_name"], info["output"], strict=True):
            entry["outputs"].append({"name": name, "type": out, "links": None})
        entry["size"][1] = height or _height(info) + SHOWING * (kind in SHOW)
        return Placed(entry)

    def _input(self, entry: dict, name: str, kind: str, options: dict, is_widget: bool,
               inputs: dict) -> None:
        value = inputs.pop(name, None)
        linked = isinstance(value, tuple)
        socket: dict[str, Any] = {"name": name, "type": kind, "link": None}
        spec = self.info[entry["type"]]["input"]
        if name in spec.get("optional", {}):
            socket["shape"] = 7
        if is_widget:
            socket["widget"] = {"name": name}
            if value is None or linked:
                spec_of = spec.get("required", {}).get(name) or spec["optional"][name]
                plain = default(kind, options, spec_of)
            else:
                plain = value
            entry["widgets_values"] += [plain, *extra_values(name, kind, options)]
        elif value is not None and not linked:
            raise ValueError(f"{entry['type']}.{name} is a socket, not a value")
        entry["inputs"].append(socket)
        if linked:
            self._link(value, entry, len(entry["inputs"]) - 1)

    def _link(self, source: tuple[Placed, int], target: dict, slot: int) -> None:
        placed, number = source
        out = placed.entry["outputs"][number]
        link = len(self.links) + 1
        self.links.append([link, placed.entry["id"], number, target["id"], slot, out["type"]])
        out["links"] = [*(out["links"] or []), link]
        target["inputs"][slot]["link"] = link

    def note(self, text: str, height: float, y: float = 0, title: str = "Read me") -> Placed:
        """A Markdown note, left of everything."""
        self.nodes.append({
            "id": len(self.nodes) + 1, "type": "MarkdownNote", "pos": [-420, y],
            "size": [360, height], "flags": {}, "order": len(self.nodes), "mode": RUNS,
            "inputs": [], "outputs": [], "title": title, "properties": {},
            "widgets_values": [text.strip()], "color": "#432", "bgcolor": "#653"})
        return Placed(self.nodes[-1])

    def group(self, title: str, members: Iterable[Placed], color: str = "blue") -> None:
        """A frame around nodes."""
        boxes = [(*m.entry["pos"], *m.entry["size"]) for m in members]
        left, top = min(b[0] for b in boxes) - GAP / 2, min(b[1] for b in boxes) - TITLE - 50
        right = max(b[0] + b[2] for b in boxes) + GAP / 2
        bottom = max(b[1] + b[3] for b in boxes) + GAP / 2
        self.groups.append({"id": len(self.groups) + 1, "title": title,
                            "bounding": [left, top, right - left, bottom - top],
                            "color": COLORS[color], "font_size": 24, "flags": {}})

    def workflow(self) -> dict[str, Any]:
        """The file's content; its id follows from the name, so that it stays the same."""
        return {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"lgfa/workflows/{self.name}")),
            "revision": 0, "last_node_id": len(self.nodes), "last_link_id": len(self.links),
            "nodes": self.nodes, "links": self.links, "groups": self.groups, "config": {},
            "extra": {"ds": {"scale": 0.8, "offset": [60, 120]}}, "version": 0.4}


def _height(info: dict[str, Any]) -> float:
    """Height of a node's body, as the front end lays it out."""
    inputs = described(info)
    rows = max(sum(not widget for *_, widget in inputs), len(info["output"]))
    tall = 0
    for name, kind, options, widget in inputs:
        if widget:
            tall += TEXT if options.get("multiline") else WIDGET
            tall += WIDGET * len(extra_values(name, kind, options))
    return rows * ROW + tall + (14 if tall else 6)


def write(path: Path, content: dict[str, Any]) -> None:
    """Write JSON as git likes it: one item a line, a line feed at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")
