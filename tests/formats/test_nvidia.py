"""NVIDIA's PyTorch generators: golden outputs of the original code, settings, what is refused."""
from __future__ import annotations

import copy
import math

import pytest
import torch
from golden import Case

from lgfa.config import GeneratorConfig
from lgfa.errors import LGFAError
from lgfa.formats import build, loading, recognition
from lgfa.formats.layouts.nvidia import nvidia_names
from lgfa.formats.unpickle import reader
from lgfa.frames.stylegan2 import Generator
from lgfa.hashes import network_hash


@torch.no_grad()
def test_nvidia_gives_the_original_numbers(shared):
    case = Case(shared, "ada_pkl_tiny")
    network = loading.load(case.folder / "ada_pkl_tiny.pkl", "generator")
    assert network.config == GeneratorConfig.nvidia(64, 1024, 48, z_dim=32, w_dim=48)
    near = network.mapping(case["z"], truncation=0.7)
    case.check("w", network.mapping(case["z"])[:, 0])
    case.check("ws_trunc", near)
    case.check("ws_trunc_cutoff", network.mapping(case["z"], truncation=0.7, cutoff=6))
    case.check_image("image", network.synthesis(case["wplus"]))
    case.check_image("image_nonoise", network.synthesis(case["wplus"][:1], noise="none"))
    case.check_image("image_z", network.synthesis(near[:1]))


@pytest.fixture(scope="module")
def pickled(shared):
    return recognition.read(shared / "reference" / "ada_pkl_tiny.pkl")


def part(tree, *path):
    """A submodule's state in a network pickle."""
    node = tree["G_ema"]
    for name in path:
        node = node["state"]["_modules"][name]
    return node["state"]


def test_nvidia_averaged_generator_is_chosen_and_others_are_refused(pickled):
    def refusal(change):
        tree = copy.deepcopy(pickled)
        change(tree)
        with pytest.raises(LGFAError) as error:
            build.from_tree(tree, recognition.recognise(tree, "generator"))
        return str(error.value)

    def change(key, value, *path):
        return lambda tree: part(tree, *path).__setitem__(key, value)

    assert "class-conditional" in refusal(change("c_dim", 10))
    block = ("synthesis", "b16")
    assert "missing: synthesis.to_rgbs.2.weight" in refusal(
        lambda t: part(t, *block)["_modules"].pop("torgb"))
    stylegan3 = {"L0_36_1024": {"class_name": "SynthesisLayer", "module_type": "class",
                                "state": {}}}
    assert "StyleGAN3" in refusal(change("_modules", stylegan3, "synthesis"))
    layer = (*block, "conv1")
    assert "missing: synthesis.convs.4.bias" in refusal(
        lambda t: part(t, *layer)["_parameters"].pop("bias"))
    assert "left over: synthesis.b16.conv1.extra" in refusal(
        lambda t: part(t, *layer)["_parameters"].__setitem__("extra", torch.zeros(1)))
    assert "not [1, 3, 3, 1]" in refusal(
        lambda t: part(t, *layer)["_buffers"].__setitem__("resample_filter", torch.ones(4, 4)))


@pytest.mark.parametrize(("path", "name", "value"), [
    ("mapping.fc0", "bias_gain", value)
    for value in (math.nan, math.inf, 0, -0.01, 1e300, "1e400", "0.01", True, [0.01])
] + [
    ("synthesis.b4.conv1", "conv_clamp", value) for value in (math.nan, math.inf, 0, -256, "256")
] + [
    ("", "z_dim", 0), ("", "num_ws", 9), ("", "img_resolution", 128),
    ("mapping", "num_layers", 1), ("mapping", "num_ws", None),
    ("mapping.fc1", "activation", "relu"), ("mapping.fc1", "bias_gain", 0.02),
    ("mapping.fc1", "weight_gain", 1.0), ("mapping.fc1", "lr_multiplier", math.nan),
    ("synthesis", "block_resolutions", [4, 8, 64]),
    ("synthesis.b8", "architecture", "resnet"), ("synthesis.b8", "architecture", 5),
    ("synthesis.b8", "in_channels", 0), ("synthesis.b16", "resolution", 8),
    ("synthesis.b8.conv0", "up", 1), ("synthesis.b8.conv1", "up", 2),
    ("synthesis.b8.conv0", "kernel_size", 5), ("synthesis.b8.conv0", "padding", 0),
    ("synthesis.b8.conv0", "activation", "relu"), ("synthesis.b8.conv0", "act_gain", 1),
    ("synthesis.b8.conv0", "use_noise", False), ("synthesis.b8.conv0", "conv_clamp", 1.0),
    ("synthesis.b8.conv0", "resample_filter", [1, 2, 1]),
    ("synthesis.b8.conv0.affine", "bias_gain", 2), ("synthesis.b8.torgb", "weight_gain", 1.0),
    ("synthesis.b8.torgb", "conv_clamp", 1.0), ("synthesis.b8.torgb.affine", "activation", "relu"),
])
def test_nvidia_settings_of_every_layer_are_looked_at(pickled, path, name, value):
    tree = copy.deepcopy(pickled)
    part(tree, *filter(None, path.split(".")))[name] = value
    with pytest.raises(LGFAError) as error:
        build.from_tree(tree, recognition.recognise(tree, "generator"))
    assert f"{path}.{name}".strip(".") in str(error.value) and len(str(error.value)) < 300


def test_nvidia_settings_that_are_absent_have_their_usual_values(pickled):
    tree = copy.deepcopy(pickled)
    wanted = build.from_tree(tree, recognition.recognise(tree, "generator"))

    def strip(node):
        for name in [name for name in node["state"] if not name.startswith("_")]:
            del node["state"][name]
        for child in node["state"].get("_modules", {}).values():
            strip(child)

    strip(tree["G_ema"])
    found = build.from_tree(tree, recognition.recognise(tree, "generator"))
    assert found.config == wanted.config and network_hash(found) == network_hash(wanted)


@pytest.mark.parametrize("broken", [
    5, "weights", None, {}, [1], {"class_name": "Generator", "module_type": "class", "state": 5},
    "no mapping",
])
def test_broken_averaged_generator_is_never_replaced(pickled, broken):
    tree = copy.deepcopy(pickled)
    if broken == "no mapping":
        del part(tree)["_modules"]["mapping"]
    else:
        tree["G_ema"] = broken
    with pytest.raises(LGFAError, match="G_ema, is broken"):
        build.from_tree(tree, recognition.recognise(tree, "generator"))


def test_generator_without_average_is_taken_with_a_warning(pickled):
    tree = {key: value for key, value in pickled.items() if key != "G_ema"}
    with pytest.warns(UserWarning, match="no averaged generator"):
        network = build.from_tree(tree, recognition.recognise(tree, "generator"))
    assert network.resolution == 64


def test_nvidia_clamp_is_kept(pickled):
    tree = copy.deepcopy(pickled)
    for block in part(tree, "synthesis")["_modules"].values():
        for layer in block["state"]["_modules"].values():
            layer["state"]["conv_clamp"] = 256
    assert build.from_tree(tree, recognition.recognise(tree, "generator")).config.conv_clamp == 256


@pytest.mark.parametrize("outer", [
    lambda w: w, lambda w: {"G_ema": w}, lambda w: {"state_dict": w, "step": 5},
    lambda w: {f"G_ema.{k}": v for k, v in w.items()} | {"D.b4.out.bias": torch.zeros(1)},
    lambda w: {k: v for k, v in w.items() if "resample_filter" not in k},
], ids=["bare", "G_ema", "state_dict", "flat", "no filters"])
def test_nvidia_state_dict_gives_the_pickles_network(pickled, outer):
    wanted = build.from_tree(pickled, recognition.recognise(pickled, "generator"))
    tree = outer(reader.weights(pickled["G_ema"]))
    assert network_hash(build.from_tree(tree, recognition.recognise(tree))) == network_hash(wanted)


def test_other_nvidia_state_dicts_are_refused_by_name(pickled):
    weights = reader.weights(pickled["G_ema"])

    def refusal(tree):
        with pytest.raises(LGFAError) as error:
            build.from_tree(tree, recognition.recognise(tree))
        return str(error.value)

    assert "class-conditional" in refusal(weights | {"mapping.embed.weight": torch.zeros(48, 9)})
    assert "StyleGAN3" in refusal({"mapping.fc0.weight": torch.zeros(4, 4),
                                   "synthesis.L0_36_512.weight": torch.zeros(1)})
    discriminator = {f"b4.{n}.weight": torch.zeros(1) for n in ("conv", "fc", "out")}
    assert "discriminator" in refusal(discriminator) and "discriminator" in refusal(
        {"D": pickled["D"]})
    assert "mapping.fc1000000000" in refusal(weights | {"mapping.fc1000000000.weight":
                                                        torch.zeros(1)})
    assert "b1000000000" in refusal(weights | {"synthesis.b1000000000.const": torch.zeros(1)})
    silent = {k: v for k, v in weights.items() if "noise" not in k}
    assert "without noise inputs" in refusal(silent)


@pytest.mark.parametrize(("count", "words"), [(1, "one colour"), (4, "four colour")])
def test_other_colours_are_named(pickled, count, words):
    tree = reader.weights(pickled["G_ema"])
    for name, value in tree.items():
        if "torgb." in name and name.endswith("weight") and "affine" not in name:
            tree[name] = value.narrow(0, 0, 1).repeat_interleave(count, 0)
    with pytest.raises(LGFAError, match=f"{words} channel"):
        build.from_tree(tree, recognition.recognise(tree))


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
def test_the_name_table_covers_every_weight(architecture):
    config = GeneratorConfig(16, (6, 5, 4), z_dim=7, w_dim=7, mapping_layers=2,
                             architecture=architecture)
    assert set(nvidia_names(config).values()) == set(Generator(config).state_dict())
