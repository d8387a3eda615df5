"""Settings of networks in files: what they may say, and that they come back."""
from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from lgfa import formats
from lgfa.config import EncoderConfig, GeneratorConfig
from lgfa.errors import LGFAError
from lgfa.formats import build, kinds

SMALL = GeneratorConfig(16, (8, 8, 8), z_dim=6, w_dim=8, mapping_layers=2)


@pytest.fixture(scope="module")
def generator() -> torch.nn.Module:
    torch.manual_seed(0)
    return build.new_network("generator", SMALL).eval()


@pytest.mark.parametrize("change, words", [
    ({"version": 99}, "newer version"),
    ({"kind": "teapot"}, "unknown kind 'teapot'"),
    ({"config": {"resolution": 12, "channels": [8]}}, "resolution 12"),
    ({"config": {"resolution": 16, "channels": [8, 8, 8], "extra": 1}}, "unknown extra"),
    ({"config": {"resolution": 16}}, "lack channels"),
    ({"config": {}}, "lack resolution, channels"),
    ({"config": None}, "missing"),
    ({"config": 5}, "missing"),
    ({"config": {"resolution": 16, "channels": [10**9] * 3}}, "something that no network has"),
    ({"config": {"resolution": 16, "channels": [8] * 3, "mapping_layers": 10**6}}, "mapping"),
    ({"config": {"resolution": 16, "channels": [8] * 3, "mapping_layers": 60}}, "larger network"),
    ({"config": {"resolution": 16, "channels": [900_000] * 3}}, "larger network"),
    ({"config": {"resolution": 16, "channels": [8] * 3, "z_dim": 900_000}}, "larger network"),
    ({"config": {"resolution": 16, "channels": [8] * 3, "z_dim": "8"}}, "z_dim is '8'"),
    ({"config": {"resolution": 16, "channels": [8] * 3, "z_dim": True}}, "z_dim is True"),
    ({"config": {"resolution": 16, "channels": [8] * 3, "conv_clamp": float("nan")}}, "network"),
    ({"config": {"resolution": 16, "channels": [-1, 8, 8]}}, "channels"),
    ({"config": [[[[[[[[[[[[]]]]]]]]]]]]}, "missing"),
])
def test_descriptions_that_do_harm(tmp_path, generator, change, words):
    file = tmp_path / "x.safetensors"
    formats.save(file, generator)
    header = formats.read(file)["lgfa"] | change
    save_file(load_file(file), file, {"lgfa": json.dumps(header)})
    with pytest.raises(LGFAError, match=words):
        formats.load(file)


def test_a_network_of_no_kind_cannot_be_saved(tmp_path):
    with pytest.raises(LGFAError, match="Linear is none of the networks"):
        formats.save(tmp_path / "x.safetensors", torch.nn.Linear(1, 1))


def test_encoder_settings_round_trip():
    config = EncoderConfig(num_layers=6, resolution=16)
    plain = json.loads(json.dumps({"config": dataclasses.asdict(config)}))
    assert kinds.configs("encoder", plain) == (config,)
