"""From a tree to a network: names, shapes and numbers are compared before anything is copied."""
from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from lgfa import formats
from lgfa.cli import entry
from lgfa.config import GeneratorConfig
from lgfa.errors import LGFAError
from lgfa.formats import build

SMALL = GeneratorConfig(16, (8, 8, 8), z_dim=6, w_dim=8, mapping_layers=2)


@pytest.fixture(scope="module")
def generator() -> torch.nn.Module:
    torch.manual_seed(0)
    return build.new_network("generator", SMALL).eval()


def test_keys_and_shapes_are_compared_before_copying(generator):
    state = {k: v + 1 for k, v in generator.state_dict().items()}
    before = {k: v.clone() for k, v in generator.state_dict().items()}
    del state["synthesis.const"]
    state["surplus"] = torch.zeros(2)
    state["mapping.layers.0.bias"] = torch.zeros(3)
    with pytest.raises(LGFAError, match=r"missing: synthesis.const; left over: surplus; "
                                        r"unequal: mapping.layers.0.bias \[3\] for \[8\]"):
        formats.copy_strict(generator, state, "generator")
    assert all(torch.equal(v, before[k]) for k, v in generator.state_dict().items())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_inf_are_refused(tmp_path, generator, value):
    file = tmp_path / "x.safetensors"
    formats.save(file, generator)
    tensors, metadata = load_file(file), {"lgfa": json.dumps(formats.read(file)["lgfa"])}
    tensors["synthesis.const"][0, 0, 0] = value
    save_file(tensors, file, metadata)
    with pytest.raises(LGFAError, match="NaN or infinite weights .synthesis.const."):
        formats.load(file)
    assert entry.main(["inspect", str(file)]) == 2
    twin = build.new_network("generator", SMALL)
    with torch.no_grad():
        twin.synthesis.const[0, 0, 0] = value
    with pytest.raises(LGFAError, match="NaN"):
        formats.save(tmp_path / "y.safetensors", twin)
    assert not (tmp_path / "y.safetensors").exists()


@pytest.mark.parametrize("value, words", [
    (torch.tensor(1e300, dtype=torch.float64), "NaN or infinite"),
    (torch.tensor(complex(1, float("nan")), dtype=torch.complex64), "complex64"),
    (torch.tensor(1 + 1j), "complex64"),
    (torch.tensor(3), "int64"), (torch.tensor(3, dtype=torch.uint8), "uint8"),
    (torch.tensor(True), "bool"), (torch.tensor(1.0).to(torch.float8_e4m3fn), "float8"),
])
def test_numbers_are_looked_at_in_the_networks_own_precision(tmp_path, generator, value, words):
    file = tmp_path / "x.safetensors"
    formats.save(file, generator)
    header = json.dumps(formats.read(file)["lgfa"])
    state = load_file(file)
    state["synthesis.const"] = value.expand_as(state["synthesis.const"]).contiguous()
    before = generator.synthesis.const.clone()
    with pytest.raises(LGFAError, match=words):
        formats.copy_strict(generator, state, "generator")
    assert torch.equal(generator.synthesis.const, before)
    save_file(state, file, {"lgfa": header})
    with pytest.raises(LGFAError, match=f"{file.name}.*{words}"):
        formats.load(file)
    assert entry.main(["inspect", str(file)]) == 2


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_precisions_are_read(tmp_path, generator, dtype):
    state = {k: v.to(dtype) for k, v in generator.state_dict().items()}
    twin = formats.copy_strict(build.new_network("generator", SMALL), state, "generator")
    assert torch.equal(twin.synthesis.const, state["synthesis.const"].float())


def test_weights_that_share_their_numbers_too_often_are_refused():
    shared = torch.zeros(512, 512)
    tree = {f"features.{i}.weight": shared for i in range(2000)}
    form = formats.Format("copies", "generator", lambda tree: True,
                          lambda tree: (SMALL, dict(tree)))
    with pytest.raises(LGFAError, match="the same numbers for so many weights"):
        build.examine(tree, form)
