"""The real front end in a headless Chromium: shipped workflows are opened, read and run.

$LGFA_SCREENSHOTS names a folder for the pictures; otherwise they lie among the test's files.
"""
from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, find_chromium
from client import Client
from comfy_server import ROOT, Server

WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
RUN = "[data-testid=queue-button] button[aria-label=Run]"
pytestmark = pytest.mark.skipif(not WORKFLOWS, reason="no workflows")


@pytest.fixture(scope="module")
def page(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if find_chromium() is None:
        pytest.skip("no Chromium: install one or name it by LGFA_CHROMIUM")
    # the first visit would open the template browser over everything
    Client(server.url).post("/settings", {"Comfy.TutorialCompleted": True,
                                          "Comfy.Workflow.Persist": False,
                                          "Comfy.Minimap.Visible": False,
                                          "Comfy.Graph.CanvasInfo": False})
    with Browser(tmp_path_factory.mktemp("chromium"), server.url) as browser:
        yield browser


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    given = os.environ.get("LGFA_SCREENSHOTS")
    folder = Path(given) if given else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def errors(page: Browser) -> list[str]:
    return [text for level, text in page.console if level == "error"]


def show_all(page: Browser) -> None:
    """Fit the whole workflow into the window."""
    page.js("""(() => {
        const boxes = [...app.graph.nodes.map(n => n.getBounding()),
                       ...app.graph.groups.map(g => [...g.pos, ...g.size])];
        const left = Math.min(...boxes.map(b => b[0])), top = Math.min(...boxes.map(b => b[1]));
        const right = Math.max(...boxes.map(b => b[0] + b[2]));
        const bottom = Math.max(...boxes.map(b => b[1] + b[3]));
        const width = innerWidth - 180, height = innerHeight - 180;
        const scale = Math.min(width / (right - left), height / (bottom - top), 1.2);
        app.canvas.ds.scale = scale;
        app.canvas.ds.offset = [90 / scale - left, 100 / scale - top];
        app.canvas.setDirty(true, true);
    })()""")
    page.js("new Promise(done => setTimeout(done, 600))")


def overlaps(nodes: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Pairs of nodes that lie on each other, titles included."""
    def apart(a: list[float], b: list[float]) -> bool:
        return (a[0] + a[2] <= b[0] or b[0] + b[2] <= a[0]
                or a[1] + a[3] <= b[1] or b[1] + b[3] <= a[1])

    return [(a["type"], b["type"]) for a, b in itertools.combinations(nodes, 2)
            if not apart(a["box"], b["box"])]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_workflow_opens(path: Path, page: Browser, pictures: Path) -> None:
    workflow = json.loads(path.read_text(encoding="utf-8"))
    before = len(errors(page))
    page.load(workflow)
    show_all(page)

    known = set(page.js("Object.keys(LiteGraph.registered_node_types)"))
    assert {node["type"] for node in workflow["nodes"]} <= known
    assert not page.js("document.querySelectorAll('.p-dialog').length"), "a dialog opened"

    held = {node["id"]: node for node in page.js("app.graph.serialize().nodes")}
    for node in workflow["nodes"]:
        assert held[node["id"]].get("widgets_values", []) == node["widgets_values"], node["type"]
        missing = [s["name"] for s in node["inputs"] if s["link"] is not None and s["name"] not in
                   {t["name"] for t in held[node["id"]]["inputs"] if t["link"] is not None}]
        assert not missing, node["type"]

    nodes = page.js("app.graph.nodes.map(n => ({type: n.type, box: [...n.getBounding()]}))")
    page.picture(pictures / f"{path.stem}.jpg")
    assert not overlaps(nodes)
    assert errors(page)[before:] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_prompt_is_the_api_twin(path: Path, page: Browser, object_info: dict[str, Any]) -> None:
    """What Run would send is what tools/workflow_files.py says and what workflows/api holds."""
    from tools.workflow_files import to_api

    workflow = json.loads(path.read_text(encoding="utf-8"))
    page.load(workflow)
    sent = page.js("app.graphToPrompt()")["output"]
    assert sent == to_api(workflow, object_info)
    twins = [json.loads(p.read_text(encoding="utf-8"))
             for p in (ROOT / "workflows" / "api").glob("*.json")]
    assert sent in twins


def test_text_on_a_node_outlives_its_job(page: Browser) -> None:
    """Newer front ends take it away when a job ends; here that is done by hand."""
    def tell(kind: str, **detail: str) -> None:
        page.js(f"app.api.dispatchEvent(new CustomEvent('{kind}', {{detail: "
                f"{json.dumps(detail)}}})) && new Promise(done => setTimeout(done, 300))")

    def end_job() -> dict[str, str]:
        """What stands on each node after one more job, which took all of it away."""
        page.js("app.graph.nodes.forEach(n => n.widgets = n.widgets?.filter("
                "w => w.name !== '$$node-text-preview'))")
        tell("execution_success", prompt_id="none")
        return dict(page.js("app.graph.nodes.flatMap(n => (n.widgets ?? []).filter("
                            "w => w.name === '$$node-text-preview').map(w => [n.type, w.value]))"))

    first = json.loads(WORKFLOWS[0].read_text(encoding="utf-8"))
    page.load(first)
    ids = {node["type"]: str(node["id"]) for node in first["nodes"]}
    tell("progress_text", nodeId=ids["LGFA_AnimateFace"], text="understood: smiling (0.93)")
    tell("progress_text", nodeId=ids["SaveVideo"], text="not ours")
    for _ in range(2):
        assert end_job() == {"LGFA_AnimateFace": "understood: smiling (0.93)"}
    tell("progress_text", nodeId=ids["LGFA_AnimateFace"], text=" ")
    assert end_job() == {}
    tell("progress_text", nodeId=ids["LGFA_AnimateFace"], text="of the first workflow")
    page.load(json.loads(WORKFLOWS[1].read_text(encoding="utf-8")))
    assert end_job() == {}


@pytest.mark.parametrize("stem", ["1_", "2_"])
def test_run_is_pressed(stem: str, page: Browser, server: Server, pictures: Path) -> None:
    path = next(p for p in WORKFLOWS if p.stem.startswith(stem))
    page.load(json.loads(path.read_text(encoding="utf-8")))
    show_all(page)              # what lies outside the window is not shown
    client = Client(server.url)
    before = client.json("/history")
    page.js(f"document.querySelector('{RUN}').click()")
    saver = "app.graph.nodes.find(n => n.type === 'SaveVideo').id"
    page.until(f"Object.keys(app.nodeOutputs[{saver}] || {{}}).length", 120)
    deadline = time.monotonic() + 60
    while not (new := set(client.json("/history")) - set(before)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(new) == 1 and client.history(new.pop()).status == "success"
    page.until("[...document.querySelectorAll('video')].some(v => v.videoWidth > 0)", 30)
    show_all(page)
    page.picture(pictures / f"{path.stem}_run.jpg")
