"""A new term of the loss is a function and a row in losses.py, and a line of config.py.

In a copy of the library and its nodes both are edited. Then the training, its log and picture, the
help of `train`, the node Loss Weights and the texts of the nodes must know the term.
"""
from __future__ import annotations

import shutil
from pathlib import Path

from library_copy import ROOT, contents, copied, python, touched

EDITS = {
    "training/losses.py": {
        "\n\n#: in the order of equation 12": '''

def unlike(frames: Tensor, source: Tensor, metric: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The largest distance of the frames to their still."""
    still = source.unsqueeze(1).expand_as(frames)
    return metric(frames.flatten(0, 1), still.flatten(0, 1)).max()

''',
        "\n)\n\n\ndef terms_of": '''
    Term("unlike", lambda seen: unlike(seen.frames, seen.still, seen.network), (120, 90, 200), 0.0,
         "Keeps every frame near the still. Paper: no such term.",
         frames=("random", "last"), still=True, network="perceptual"),''',
    },
    "training/config.py": {
        "\n    latent_units: str": '\n    unlike: float = weight(0.0, "the largest distance")',
    },
}

USES = '''
import contextlib
import json
import os
import sys
from pathlib import Path

os.environ["LGFA_STANDIN"] = "1"
sys.path[:0] = ["tests", "."]
sys.path.append(sys.argv[2])
import host
import numpy as np
import pytest
from training_scenarios import WORDS, networks, trainer

import lgfa
from lgfa.cli import entry
from lgfa.errors import LGFAError
from lgfa.training.config import TrainConfig
from lgfa.training.curves import draw_losses
from lgfa.training.data import SampleSource
from lgfa.training.prompts import Prompts
from lgfa.training.trainer import Trainer
from tools import locales

assert Path(lgfa.__file__).parents[1] == Path.cwd()

# A training with its weight logs and plots it; without its weight there is no such term.
out = Path(sys.argv[1])
only = {"w_reg": 0, "path_reg": 0, "cont": 0, "lpips": 0, "iterations": 2}
trainer(out, **only, unlike=0.5).run()
log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
assert [list(line) for line in log] == [["step", "total", "unlike"]] * 2
assert all(line["total"] == 0.5 * line["unlike"] > 0 for line in log)
picture = np.asarray(draw_losses(log))
assert (picture == (120, 90, 200)).all(axis=2).sum() > 20
one = trainer(None)
assert "unlike" not in one.objective(one.draw())

# The network that its row names is missed.
parts = networks()
with pytest.raises(LGFAError, match="unlike has a weight of 0.5, but there is no perceptual"):
    Trainer(TrainConfig(**only, unlike=0.5), parts["motion"], parts["generator"],
            SampleSource(parts["generator"]), Prompts(WORDS), parts["clip"])

# The node: behind all other widgets, with the row's words, and it wants the network too.
host.bring_comfy()
pack = host.bring_pack()
run = host.Runner(pack.nodes.NODE_CLASS_MAPPINGS)
last = run.classes["LGFA_LossWeights"].GET_SCHEMA().inputs[-1]
assert (last.id, last.default, last.optional) == ("unlike", 0.0, True)
assert last.tooltip == "Keeps every frame near the still. Paper: no such term."
bare = {"lpips": 0.0, "identity": 0.0, "perceptual": "none", "identity_network": "none"}
assert run("LGFA_LossWeights", **bare)[0].settings["unlike"] == 0
with pytest.raises(ValueError, match="unlike has a weight of 2, but no network"):
    run("LGFA_LossWeights", **bare, unlike=2.0)
losses, = run("LGFA_LossWeights", **{**bare, "perceptual": "toon (bundled)"}, unlike=2.0)
assert losses.settings["unlike"] == 2 and losses.perceptual.kind == "perceptual"
assert losses.identity is None

# The help of `train`, and what the tool makes of the schemas: a translation needs a person.
with contextlib.suppress(SystemExit):
    entry.build_parser().parse_args(["train", "--help"])
assert locales.update(pack.nodes.NODE_CLASS_MAPPINGS) == [
    f"zh lacks LGFA_LossWeights.inputs.unlike.{what}" for what in ("name", "tooltip")]
node = locales.read("en")["LGFA_LossWeights"]["inputs"]
assert list(node)[-1] == "unlike" and "every frame" in node["unlike"]["tooltip"]
page = (locales.PAGES / "LGFA_LossWeights.md").read_text()
assert page.count("\\n| `unlike` | Optional. Keeps every frame near the still. Paper: no such") == 1
'''


def test_a_function_a_row_and_a_weight_are_all_that_is_touched(tmp_path: Path) -> None:
    library, _ = copied(tmp_path / "pack")
    pack = library.parent
    for name in ("nodes", "tools", "web", "locales", "tests/standin"):
        shutil.copytree(ROOT / name, pack / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("__init__.py", "tests/host.py"):
        shutil.copy(ROOT / name, pack / name)
    (pack / "models").symlink_to(ROOT / "models")
    before = contents(pack)
    for name, rows in EDITS.items():
        text = (library / name).read_text(encoding="utf-8")
        for line, new in rows.items():
            assert text.count(line) == 1, line
            text = text.replace(line, new + line)
        (library / name).write_text(text, encoding="utf-8")

    script = tmp_path / "uses.py"
    script.write_text(USES, encoding="utf-8")
    said = python(library, str(script), str(tmp_path / "run"), str(ROOT / "tests" / "training"))
    assert "--unlike X weight of the largest distance (default: 0.0)" in " ".join(said.split())
    made = {"locales/en/nodeDefs.json", "web/docs/LGFA_LossWeights.md"}     # by the tool
    assert touched(pack, before) == {*(f"lgfa/{name}" for name in EDITS), *made}
