"""A new file layout of a known kind of network is one file and one row of the registry.

In a copy of the library both are added for generators of a toy project. Then reading, recognising,
loading, inspecting and converting must know its files, with nothing else touched.
"""
from __future__ import annotations

from pathlib import Path

from library_copy import add_rows, copied, python, touched
from test_import_order import modules, wrong_arrows

LAYOUT = '''
"""Generators of the toy project: {"toy": [side, z_dim, layers], "weights": {"a/b": tensor}}."""
from __future__ import annotations

from ...config import GeneratorConfig
from .. import tables
from ..recognition import Format


def is_toy(tree):
    return isinstance(tree, dict) and set(tree) == {"toy", "weights"}


def convert(tree):
    side, z_dim, layers = tree["toy"]
    weights = {name.replace("/", "."): value for name, value in tree["weights"].items()}
    convs = [2 * level for level in range(side.bit_length() - 2)]
    channels = tuple(tables.shape_of(weights, f"synthesis.convs.{i}.weight", 4)[0] for i in convs)
    w_dim = tables.shape_of(weights, "synthesis.convs.0.affine.weight", 2)[1]
    return GeneratorConfig(side, channels, z_dim, w_dim, layers), weights


FORMATS = [Format("toy project's generator", "generator", is_toy, convert)]
'''

USES = '''
import sys
from pathlib import Path

import pytest
import torch
from tiny import tiny_generator

import lgfa
from lgfa import formats
from lgfa.cli import entry

folder = Path(sys.argv[1])
one = tiny_generator()
weights = {name.replace(".", "/"): value for name, value in one.state_dict().items()}
toy = [one.config.resolution, one.config.z_dim, one.config.mapping_layers]
torch.save({"toy": toy, "weights": weights}, folder / "theirs.pt")

def same(other):
    assert other.config == one.config
    z = torch.randn(2, one.config.z_dim)
    assert torch.equal(other(z), one(z))

assert formats.recognise(formats.read(folder / "theirs.pt")).name == "toy project's generator"
same(formats.load(folder / "theirs.pt"))
same(lgfa.load_generator(folder / "theirs.pt"))
assert entry.main(["convert", str(folder / "theirs.pt"), str(folder / "ours.safetensors")]) == 0
same(lgfa.load_generator(folder / "ours.safetensors"))

# What is broken in such a file ends in one sentence of the ordinary kind.
weights["other/name"] = weights.pop("synthesis/const")
torch.save({"toy": toy, "weights": weights}, folder / "broken.pt")
with pytest.raises(lgfa.LGFAError, match="broken.pt.*missing: synthesis.const; left over: other"):
    formats.load(folder / "broken.pt")
torch.save([1], folder / "nothing.pt")
with pytest.raises(lgfa.LGFAError, match="known formats .*toy project's generator"):
    formats.load(folder / "nothing.pt")
'''


def test_one_file_and_one_row_are_all_that_is_touched(tmp_path: Path) -> None:
    library, before = copied(tmp_path / "copy")
    (library / "formats" / "layouts" / "toy.py").write_text(LAYOUT.lstrip(), encoding="utf-8")
    add_rows(library, {"LAYOUTS = (\n": '    "formats.layouts.toy",\n'})
    script = tmp_path / "uses.py"
    script.write_text(USES, encoding="utf-8")
    python(library, str(script), str(tmp_path))

    said = python(library, "-m", "lgfa", "inspect", str(tmp_path / "theirs.pt"))
    assert "toy project's generator" in said and "image generator" in said
    assert touched(library, before) == {"registry.py", "formats/layouts/toy.py"}
    assert not wrong_arrows(modules(library))
