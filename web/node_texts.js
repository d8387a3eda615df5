// Keeps on our nodes what the server has said of them ("progress text", nodes/notices.py): newer
// front ends take such texts away when a job ends, often before anyone has read them.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const kept = new Map();         // node id of a message -> { node, text }

// The node of an id such as "7", or "3:7" inside a subgraph.
function find(id) {
  let graph = app.rootGraph ?? app.graph;
  let node;
  for (const part of String(id).split(":")) {
    node = graph?.getNodeById(Number(part)) ?? undefined;
    graph = node?.subgraph;
  }
  return node;
}

api.addEventListener("progress_text", ({ detail }) => {
  const node = find(detail.nodeId);
  if (!node?.type?.startsWith("LGFA_")) return;
  if (detail.text.trim()) kept.set(detail.nodeId, { node, text: detail.text });
  else kept.delete(detail.nodeId);              // the server takes a text away by a space
});

function showAgain() {
  for (const [nodeId, { node, text }] of kept) {
    if (find(nodeId) !== node) kept.delete(nodeId);         // another workflow is open, or it is gone
    else api.dispatchEvent(new CustomEvent("progress_text", { detail: { nodeId, text } }));
  }
}

for (const end of ["execution_success", "execution_error", "execution_interrupted"]) {
  api.addEventListener(end, () => setTimeout(showAgain));   // after the front end's own listeners
}
