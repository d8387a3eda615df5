"""A new way to animate is one folder and its rows: what else would have to be touched, breaks here.

In a copy of the library a toy method is added: a network, a Method, a training, a file layout of
some other project. Then everything that animates, reads files, inspects and compares must know it.
"""
from __future__ import annotations

from pathlib import Path

import pytest
from library_copy import add_rows, copied, python, touched
from test_import_order import modules, wrong_arrows

FOLDER = {
    "__init__.py": '"""A toy: model.py (network and Method), training.py, format.py."""\n',
    "model.py": '''
"""One vector, towards which every face moves."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...config import Frozen
from ..method import Edit, Embedded, Prompt


@dataclass(frozen=True)
class ToyConfig(Frozen):
    """How long a code is."""

    w_dim: int = 512
    num_layers: int | None = None
    resolution: int | None = None


class ToyNetwork(nn.Module):
    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.config = config
        self.way = nn.Parameter(torch.ones(config.w_dim))


class Toy(Edit):
    """As far along the vector as the sentence is long."""

    def __init__(self, network: ToyNetwork) -> None:
        super().__init__(network.config)
        self.network = network

    def embed(self, still: Tensor | None, prompt: Prompt) -> Embedded:
        return Embedded(None, torch.tensor([[float(len(prompt.text))]]))

    @torch.no_grad()
    def edited(self, w_s: Tensor, embedded: Embedded) -> Tensor:
        return w_s + embedded.z_t * self.network.way
''',
    "training.py": '''
"""The toy in the comparison."""
from __future__ import annotations

from ... import formats
from .model import Toy, ToyConfig, ToyNetwork


def units(texts):
    return ["way"]


def train(unit, parts, folder, note=print, scale=1.0):
    network = ToyNetwork(ToyConfig(w_dim=parts.generator.config.w_dim))
    path = folder / f"{unit}.safetensors"
    formats.save(path, network, {"minutes": 0.5})
    return path


def load(parts, folder, texts):
    return Toy(formats.load(folder / "way.safetensors", "toy"))
''',
    "format.py": '''
"""Files of the toy project: {"toy_way": vector}."""
from __future__ import annotations

from ...formats.recognition import Format
from .model import ToyConfig


def convert(tree):
    return ToyConfig(w_dim=len(tree["toy_way"])), {"way": tree["toy_way"]}


FORMATS = [Format("toy project", "toy",
                  lambda tree: isinstance(tree, dict) and "toy_way" in tree, convert)]
''',
}

ROWS = {                                    # line of registry.py -> the row below it
    "KINDS = {\n": '    "toy": Kind("toy motion", "methods.toy.model:ToyNetwork",\n'
                   '                (("config", "methods.toy.model:ToyConfig"),)),\n',
    "LAYOUTS = (\n": '    "methods.toy.format",\n',
    "METHODS = {\n": '    "toy": "methods.toy.model:Toy",\n',
    "BASELINES = {\n": '    "toy": Entry("A toy", "one vector for all", "Nobody 2026",\n'
                       '                 "methods.toy.training"),\n',
}

USES = '''
import sys
from pathlib import Path

import torch
from tiny import W_DIM, tiny_clip_config, tiny_generator

import lgfa
from lgfa import formats
from lgfa.embed.clip import CLIP
from lgfa.evaluate import contenders
from lgfa.methods.baselines import Parts
from lgfa.methods.method import as_method
from lgfa.methods.toy.model import Toy, ToyConfig, ToyNetwork

folder = Path(sys.argv[1])
network, generator = ToyNetwork(ToyConfig(W_DIM)), tiny_generator()
assert isinstance(as_method(network), Toy)

# Its files, ours and those of its project.
formats.save(folder / "own.safetensors", network)
assert isinstance(formats.load(folder / "own.safetensors"), ToyNetwork)
torch.save({"toy_way": torch.full((W_DIM,), 2.0)}, folder / "theirs.pt")
assert formats.load(folder / "theirs.pt", "toy").config == ToyConfig(W_DIM)

# An Animator takes such a file for its motion model.
formats.save(folder / "generator.safetensors", generator)
animator = lgfa.Animator.from_pretrained(None, "cpu", generator=folder / "generator.safetensors",
                                         motion=folder / "theirs.pt")
still = animator.sample(1)
path = animator.trajectory(still, "four", 5)
assert torch.allclose(path - still, 2 * torch.arange(5.0)[:, None, None], atol=1e-5)

# The comparison knows it, trains it and loads it.
assert "toy" in contenders.known() and contenders.check(["toy"])
assert (contenders.label("toy"), contenders.about("toy"), contenders.paper("toy")) == (
    "A toy", "one vector for all", "Nobody 2026")
parts = Parts(generator, CLIP(tiny_clip_config()).eval())
workshop = contenders.Workshop(parts, folder / "work", note=lambda line: None)
workshop.prepare([("toy", ["four"])])
subject = workshop.load("toy", ["four"])
assert isinstance(subject.method, Toy) and subject.minutes == 0.5
'''


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """The library with the toy in it, and what it held before."""
    library, before = copied(tmp_path_factory.mktemp("copy"))
    (library / "methods" / "toy").mkdir()
    for name, text in FOLDER.items():
        (library / "methods" / "toy" / name).write_text(text.lstrip("\n"), encoding="utf-8")
    add_rows(library, ROWS)
    return library, before


def test_one_folder_and_its_rows_are_all_that_is_touched(copy: tuple, tmp_path: Path) -> None:
    library, before = copy
    script = tmp_path / "uses.py"
    script.write_text(USES, encoding="utf-8")
    python(library, str(script), str(tmp_path))

    # The command line, on the files that were written there.
    said = python(library, "-m", "lgfa", "inspect", str(tmp_path / "theirs.pt"))
    assert "toy project" in said and "toy motion" in said and "w_dim=24" in said
    assert "toy," in python(library, "-m", "lgfa", "evaluate", "--help")

    assert touched(library, before) == {"registry.py", *(f"methods/toy/{name}" for name in FOLDER)}


def test_the_toy_keeps_the_order_of_imports(copy: tuple) -> None:
    trees = modules(copy[0])
    assert "methods.toy.model" in trees and not wrong_arrows(trees)
