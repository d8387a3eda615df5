"""ComfyUI has loaded the pack: nothing failed, every node is known and says what it does."""
from __future__ import annotations

import ast
import re
from typing import Any

import pytest
from client import Client
from comfy_server import PACK, ROOT, Server


def node_ids() -> set[str]:
    """Ids in nodes/__init__.py, read without running it."""
    tree = ast.parse((ROOT / "nodes" / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and node.target.id == "NODE_CLASS_MAPPINGS":
            return {key.value for key in node.value.keys}
    raise AssertionError("nodes/__init__.py has no literal NODE_CLASS_MAPPINGS")


def test_no_import_error(server: Server) -> None:
    log = server.log[:server.log.index("To see the GUI go to")]
    ours = [line for line in log.splitlines() if f"custom_nodes/{PACK}" in line]
    assert ours, log
    assert not [line for line in ours if re.search("FAILED|Cannot import|Error|Traceback", line)]
    assert not re.search(rf"Traceback[\s\S]{{0,3000}}custom_nodes/{PACK}/", log)


def test_import_takes_no_time(server: Server) -> None:
    """ComfyUI prints what each custom node took."""
    took = re.search(rf"([\d.]+) seconds: \S*custom_nodes/{PACK}\s*$", server.log, re.M)
    assert took and float(took[1]) <= 0.3, server.log


def test_every_node_is_known(object_info: dict[str, Any]) -> None:
    known = {name for name in object_info if name.startswith("LGFA_")}
    assert known == node_ids()


@pytest.mark.parametrize("node_id", sorted(node_ids()))
def test_node_says_what_it_does(node_id: str, object_info: dict[str, Any]) -> None:
    info = object_info[node_id]
    assert info["display_name"].endswith("(LGFA)") and info["description"]
    assert info["category"].startswith("LGFA/") and info["python_module"] == f"custom_nodes.{PACK}"
    for part in ("required", "optional"):
        for name, (_, *options) in info["input"].get(part, {}).items():
            assert options and options[0].get("tooltip"), name
    assert all(info["output_tooltips"]) and len(info["output_tooltips"]) == len(info["output"])


def test_help_pages_are_served(server: Server, object_info: dict[str, Any]) -> None:
    client = Client(server.url)
    for node_id in node_ids():
        text = client.get(f"/extensions/{PACK}/docs/{node_id}.md").decode()
        assert len(text) > 100, node_id


def test_translations_are_served(server: Server) -> None:
    said = Client(server.url).json("/i18n")
    assert {"en"} < set(said), "one more language than English"
    for language, texts in said.items():
        if any(name.startswith("LGFA_") for name in texts.get("nodeDefs", {})):
            assert node_ids() <= set(texts["nodeDefs"]), language
    assert sum("LGFA_LoadDomain" in texts.get("nodeDefs", {}) for texts in said.values()) >= 2


def test_templates_are_served(server: Server) -> None:
    client = Client(server.url)
    templates = client.json("/workflow_templates")[PACK]
    assert sorted(templates) == sorted(p.stem for p in (ROOT / "workflows").glob("*.json"))
    assert len(templates) >= 7
    for name in templates:
        address = f"/api/workflow_templates/{PACK}/{name}.jpg".replace(" ", "%20")
        assert client.get(address)[:2] == b"\xff\xd8", f"{name} has no thumbnail"
