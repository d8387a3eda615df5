"""What artists read in the front end: help pages, Chinese names, and the subgraph blueprint."""
from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, find_chromium
from client import Client
from comfy_server import ROOT, Server

BLUEPRINTS = sorted((ROOT / "subgraphs").glob("*.json"))
STORE = "document.querySelector('#vue-app').__vue_app__.config.globalProperties.$pinia._s.get"


@pytest.fixture(scope="module")
def page(server: Server, base: Path,
         tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The front end in Chinese, the blueprints among the user's."""
    if find_chromium() is None:
        pytest.skip("no Chromium: install one or name it by LGFA_CHROMIUM")
    folder = base / "user" / "default" / "subgraphs"
    folder.mkdir(parents=True, exist_ok=True)
    for path in BLUEPRINTS:
        shutil.copy(path, folder)
    client = Client(server.url)
    client.post("/settings", {"Comfy.TutorialCompleted": True, "Comfy.Workflow.Persist": False,
                              "Comfy.Locale": "zh"})
    try:
        with Browser(tmp_path_factory.mktemp("chromium"), server.url) as browser:
            yield browser
    finally:
        client.post("/settings", {"Comfy.Locale": "en"})
        shutil.rmtree(folder)


def ours(object_info: dict[str, Any]) -> list[str]:
    return [name for name in object_info if name.startswith("LGFA_")]


def test_help_opens_for_every_node(page: Browser, object_info: dict[str, Any]) -> None:
    """Found, and its tables are tables for the front end's Markdown."""
    for name in ours(object_info):
        page.js(f"{STORE}('nodeHelp').openHelp({STORE}('nodeDef').nodeDefsByName['{name}'])")
        page.until(f"!{STORE}('nodeHelp').isLoading", 20)
        error, html = page.js(f"(h => [h.error, h.renderedHelpHtml])({STORE}('nodeHelp'))")
        written = (ROOT / "web" / "docs" / f"{name}.md").read_text(encoding="utf-8")
        rows = sum(line.startswith("|") for line in written.splitlines()) - 2
        assert error is None and html.count("<tr>") == rows, name
        assert html.count("<h2") == written.count("## "), name
    page.js(f"{STORE}('nodeHelp').closeHelp()")


def test_chinese_names_are_shown(page: Browser, object_info: dict[str, Any]) -> None:
    texts = json.loads((ROOT / "locales/zh/nodeDefs.json").read_text(encoding="utf-8"))
    before = len(page.console)
    for name in ours(object_info):
        shown = page.js(f"""(() => {{
            const node = LiteGraph.createNode('{name}');
            return {{title: node.title,
                     inputs: Object.fromEntries(node.inputs.map(i => [i.name, i.localized_name])),
                     outputs: node.outputs.map(o => o.localized_name)}};
        }})()""")
        wanted = texts[name]
        assert shown["title"] == wanted["display_name"]
        assert shown["inputs"] == {k: v["name"] for k, v in wanted.get("inputs", {}).items()}
        assert shown["outputs"] == [v["name"] for v in wanted.get("outputs", {}).values()]
    assert [text for level, text in page.console[before:] if level == "error"] == []


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda p: p.stem)
def test_blueprint_is_listed(path: Path, page: Browser) -> None:
    listed = page.js(f"{STORE}('subgraph').subgraphBlueprints.map(b => [b.display_name, "
                     "b.description, b.outputs.map(o => o.name)])")
    content = json.loads(path.read_text(encoding="utf-8"))
    outputs = [one["name"] for one in content["nodes"][0]["outputs"]]
    assert [path.stem, content["extra"]["BlueprintDescription"], outputs] in listed


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda p: p.stem)
def test_blueprint_is_up_to_date(path: Path, object_info: dict[str, Any]) -> None:
    from tools import blueprints

    assert path.stem == blueprints.NAME
    assert json.loads(path.read_text(encoding="utf-8")) == blueprints.animate(object_info), \
        "run `python tools/blueprints.py` with the address of a ComfyUI"


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda p: p.stem)
def test_blueprint_runs(path: Path, page: Browser, client: Client) -> None:
    """Loaded as a workflow, with another text and length set on its outside, it is performed."""
    page.load(json.loads(path.read_text(encoding="utf-8")))
    page.js("""(() => {
        const widgets = app.graph.nodes[0].widgets;
        widgets.find(w => w.name === 'text').value = 'angry';
        widgets.find(w => w.name === 'frames').value = 3;
    })()""")
    prompt = page.js("app.graphToPrompt()")["output"]
    kinds = {one["class_type"]: (key, one["inputs"]) for key, one in prompt.items()}
    assert kinds["LGFA_EncodeText"][1]["text"] == "angry"
    assert kinds["LGFA_ChainExpressions"][1]["frames"] == 3
    assert not page.js("document.querySelectorAll('.p-toast-message').length"), "a complaint"

    preview = {"class_type": "PreviewImage",
               "inputs": {"images": [kinds["LGFA_RenderAnimation"][0], 0]}}
    done = client.run({**prompt, "preview": preview})
    assert done.status == "success", done.error
    assert len(done.files()) == 3
