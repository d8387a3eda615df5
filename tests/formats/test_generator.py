"""Generators from foreign files: golden outputs of the original code, and what is refused."""
from __future__ import annotations

import copy
import math
import sys

import numpy as np
import pytest
import torch

from lgfa.config import GeneratorConfig
from lgfa.errors import LGFAError
from lgfa.formats import build, loading, recognition
from lgfa.formats.layouts.nvidia import nvidia_names
from lgfa.formats.layouts.rosinality import convert_rosinality, is_rosinality, rosinality_names
from lgfa.formats.unpickle import reader
from lgfa.frames.stylegan2 import Generator
from lgfa.hashes import network_hash

WORST = 2e-4                        # max |difference| / rms that float32 may have on the CPU


@pytest.fixture(scope="module")
def recipe(shared):
    """The module that fills the reference checkpoints and packs images."""
    sys.path.insert(0, str(shared / "reference"))
    try:
        import recipe
    finally:
        sys.path.pop(0)
    return recipe


class Case:
    """One reference case: its manifest, its inputs, its golden outputs."""

    def __init__(self, shared, recipe, name):
        folder = shared / "reference"
        self.recipe, self.name, self.folder = recipe, name, folder
        self.manifest = recipe.load_manifest(str(folder / f"{name}.manifest.json"))
        self.gold = np.load(folder / f"{name}.golden.npz")

    def __getitem__(self, name):
        """An input."""
        entry = self.manifest["golden"]["inputs"][name]
        return torch.from_numpy(self.recipe.inputs(self.manifest["salt"], name, entry["shape"],
                                                   entry["kind"]))

    def check(self, name, value):
        """Compares an output with the golden one of that name and prints the figure."""
        gold = self.gold[name].astype(np.float64)
        error = np.abs(np.asarray(value) - gold).max() / np.sqrt((gold**2).mean())
        print(f"{self.name} {name}: max/rms {error:.1e}")
        assert error <= WORST, name

    def check_image(self, name, image):
        for key, value in self.recipe.pack_image(image.numpy(), name).items():
            self.check(key, value)


@pytest.mark.parametrize("name", ["rosinality_512", "rosinality_ffhq1024"])
@torch.no_grad()
def test_rosinality_gives_the_original_numbers(shared, recipe, name):
    case = Case(shared, recipe, name)
    tree = recipe.build_checkpoint(case.manifest)
    network = build.from_tree(tree, recognition.recognise(tree, "generator")).eval()
    assert network.config == GeneratorConfig.rosinality(case.manifest["network"]["size"])
    del tree
    w, near = network.mapping(case["z"]), network.mapping(case["z"], truncation=0.7)
    case.check("w", w[:, 0])
    case.check("w_trunc", near[:, 0])
    case.check_image("image", network.synthesis(case["wplus"]))
    case.check_image("image_z", network.synthesis(near[:1]))


@torch.no_grad()
def test_nvidia_gives_the_original_numbers(shared, recipe):
    case = Case(shared, recipe, "ada_pkl_tiny")
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
def test_other_colours_are_named(pickled, small, count, words):
    nvidia = reader.weights(pickled["G_ema"])
    theirs = dict(small[1])
    for tree, mark in ((nvidia, "torgb."), (theirs, "to_rgb")):
        for name, value in tree.items():
            if mark in name and name.endswith("weight") and "affine" not in name \
                    and "modulation" not in name:
                axis = 0 if mark == "torgb." else 1
                tree[name] = value.narrow(axis, 0, 1).repeat_interleave(count, axis)
        with pytest.raises(LGFAError, match=f"{words} channel"):
            build.from_tree(tree, recognition.recognise(tree))


@pytest.fixture
def small():
    """A small generator and its weights in the rosinality layout."""
    torch.manual_seed(0)
    network = Generator(GeneratorConfig(16, (6, 5, 4), z_dim=7, w_dim=7, mapping_layers=2)).eval()
    state = network.state_dict()
    theirs = {a: state[b] for a, b in rosinality_names(network.config).items()}
    for name in theirs:
        if name.endswith("conv.weight"):
            theirs[name] = theirs[name][None]
        if name.startswith("to_rgb") and name.endswith("bias") and "modulation" not in name:
            theirs[name] = theirs[name].reshape(1, 3, 1, 1)
    return network, theirs


def test_name_tables_cover_every_weight(small):
    config = small[0].config
    for names in (rosinality_names(config), nvidia_names(config)):
        ours = list(names.values()) + ["mapping.latent_avg"]
        assert set(ours) == set(small[0].state_dict())


@pytest.mark.parametrize("outer", [
    lambda w: {"g_ema": w, "latent_avg": torch.ones(7)},
    lambda w: {"g": w, "d": {}, "latent_avg": torch.ones(6, 7)},
    lambda w: {"g_ema": {f"module.{k}": v for k, v in w.items()},
               "latent_avg": torch.ones(1, 7)},
], ids=["g_ema", "g only", "module."])
@pytest.mark.filterwarnings("ignore:this file has no averaged")
def test_rosinality_variants(small, outer):
    network, theirs = small
    tree = outer(theirs)
    assert recognition.recognise(tree).name == "rosinality .pt"
    other = build.from_tree(tree, recognition.recognise(tree))
    assert torch.equal(other.latent_avg, torch.ones(7))
    w = torch.randn(1, 6, 7)
    assert torch.equal(other.synthesis(w), network.synthesis(w))


@pytest.mark.parametrize("outer", [
    lambda w: {"params_ema": w}, lambda w: {"generator": w}, lambda w: {"state_dict": w},
    lambda w: {"state_dict": {f"decoder.{k}": v for k, v in w.items()}},
    lambda w: {"g_ema": {f"generator.{k}": v for k, v in w.items()}},
    lambda w: {f"g_ema.{k}": v for k, v in w.items()} | {"g.style.1.bias": torch.zeros(3)},
    lambda w: {k: v.numpy() for k, v in w.items()},
], ids=["params_ema", "generator", "state_dict", "decoder.", "generator.", "g_ema.", "numpy"])
def test_rosinality_wrappings(small, outer):
    network, theirs = small
    tree = outer(theirs)
    assert recognition.recognise(tree).name == "rosinality .pt"
    found = build.from_tree(tree, recognition.recognise(tree)).synthesis.state_dict()
    assert all(torch.equal(v, found[k]) for k, v in network.synthesis.state_dict().items())


@pytest.mark.parametrize("store", [
    lambda tree, mean: tree | {"latent_avg": mean},
    lambda tree, mean: tree | {"mean_latent": mean[None]},
    lambda tree, mean: tree | {"latent_avg": mean[None, None].repeat(1, 6, 1)},
    lambda tree, mean: tree["g_ema"] | {"latent_avg": mean},
    lambda tree, mean: {"state_dict": tree["g_ema"] | {"latent_avg": mean}},
    lambda tree, mean: tree | {"latent_avg": mean.numpy()},
])
def test_stored_averages_are_found(small, store):
    mean = torch.arange(7.0)
    tree = store({"g_ema": small[1]}, mean)
    assert torch.equal(build.from_tree(tree, recognition.recognise(tree)).latent_avg, mean)


@pytest.mark.parametrize(("mean", "words"), [
    (torch.zeros(3), r"latent_avg has the shape \[3\]"), (torch.zeros(14), "latent_avg"),
    (torch.zeros(()), "latent_avg"), (torch.zeros(5, 7), "latent_avg"),
    (torch.zeros(7, 6), "latent_avg"), (torch.zeros(0), "latent_avg"),
    ("text", "latent_avg"), (3.5, "latent_avg"), ([0.0] * 7, "latent_avg"),
    (torch.full((7,), math.nan), "NaN"), (torch.full((7,), 1e300, dtype=torch.float64), "infinite"),
    (torch.zeros(7, dtype=torch.complex64), "type"), (torch.zeros(7, dtype=torch.int64), "type"),
])
def test_odd_averages_are_refused(small, mean, words):
    tree = {"g_ema": small[1], "latent_avg": mean}
    with pytest.raises(LGFAError, match=words):
        build.from_tree(tree, recognition.recognise(tree))


@pytest.mark.parametrize("lost", [range(5), (1, 3)], ids=["all", "some"])
@pytest.mark.parametrize("averaged", [True, False])
def test_missing_noise_maps_are_drawn_alike(small, lost, averaged):
    network, theirs = small
    kept = {k: v for k, v in theirs.items() if k not in {f"noises.noise_{i}" for i in lost}}
    tree = {"g_ema": kept, "g": theirs} | ({"latent_avg": torch.ones(7)} if averaged else {})
    with pytest.warns(UserWarning, match="no noise maps|3 of 5 noise maps"):
        first = build.from_tree(tree, recognition.recognise(tree))
    with pytest.warns(UserWarning):
        again = build.from_tree(tree, recognition.recognise(tree))
    assert network_hash(first) == network_hash(again)
    for i, conv in enumerate(first.synthesis.convs):
        assert torch.equal(conv.noise, network.synthesis.convs[i].noise) == (i not in lost)
    drawn = torch.cat([first.synthesis.convs[i].noise.flatten() for i in lost])
    assert 0.8 < drawn.std() < 1.2
    assert not torch.equal(first.synthesis.convs[1].noise, first.synthesis.convs[2].noise)


def test_noise_maps_of_another_size_are_named(small):
    tree = {"g_ema": small[1] | {"noises.noise_2": torch.zeros(1, 1, 5, 5)}}
    with pytest.raises(LGFAError, match=r"synthesis.convs.2.noise \[1, 1, 5, 5\] for \[8, 8\]"):
        build.from_tree(tree, recognition.recognise(tree))


@pytest.mark.parametrize("broken", [5, "weights", {}, {"style.1.weight": torch.zeros(1)}])
def test_broken_averaged_weights_are_never_replaced(small, broken):
    tree = {"g_ema": broken, "g": small[1]}
    with pytest.raises(LGFAError, match="g_ema, is broken"):
        build.from_tree(tree, recognition.recognise(tree))


@pytest.mark.parametrize(("extra", "words"), [
    ({"style.1000000000.weight": torch.zeros(1)}, "style.1000000000"),
    ({f"style.{i}.bias": torch.zeros(7) for i in range(1, 101)}, "more than 64"),
    ({f"to_rgbs.{i}.conv.weight": torch.zeros(1) for i in range(5000)}, "5001 levels of detail"),
    ({f"to_rgbs.{i}.conv.weight": torch.zeros(1) for i in range(9)}, "of 2048 px"),
    ({"convs.1000000000.conv.weight": torch.zeros(1)}, "left over: convs.1000000000"),
    ({"conv1.conv.weight": torch.zeros(())}, "conv1.conv.weight has the shape"),
    ({"conv1.conv.weight": 5}, "no tensor under conv1.conv.weight"),
    ({"style.1.weight": torch.zeros(7, 0)}, "style.1.weight has the shape"),
    ({"style.1.weight": torch.zeros(7, 7, dtype=torch.complex64)}, "type"),
    ({"style.1.weight": torch.zeros(7, 7, dtype=torch.int32)}, "type"),
    ({5: torch.zeros(1)}, "without a name"),
])
def test_rosinality_numbers_and_shapes_are_claims(small, extra, words):
    tree = {"g_ema": small[1] | extra}
    with pytest.raises(LGFAError, match=words):
        build.from_tree(tree, recognition.recognise(tree))


def test_missing_average_is_measured(small):
    network, theirs = small
    config, state = convert_rosinality(theirs)
    assert config.mapping_layers == 2 and is_rosinality(theirs)
    again = convert_rosinality({"g_ema": theirs})[1]
    measured = state["mapping.latent_avg"]
    assert torch.equal(measured, again["mapping.latent_avg"])
    with torch.no_grad():
        mean = network.mapping(torch.randn(20000, 7))[:, 0].mean(0)
    torch.testing.assert_close(measured, mean, atol=0.05, rtol=0)


def test_rosinality_errors_name_the_weights(small):
    theirs = small[1] | {"convs.0.extra": torch.zeros(2), "style.1.bias": torch.zeros(3)}
    del theirs["convs.1.activate.bias"]
    tree = {"g_ema": theirs, "latent_avg": torch.zeros(7)}
    with pytest.raises(LGFAError) as error:
        build.from_tree(tree, recognition.recognise(tree))
    text = str(error.value)
    assert "missing: synthesis.convs.2.bias" in text
    assert "left over: convs.0.extra" in text
    assert "unequal: mapping.layers.0.bias [3] for [7]" in text
    broken = small[1] | {"style.1.bias": torch.full((7,), torch.nan)}
    with pytest.raises(LGFAError, match="NaN"):
        build.from_tree({"g_ema": broken, "latent_avg": torch.zeros(7)},
                        recognition.recognise(tree))


def test_other_blur_is_refused(small):
    theirs = small[1] | {"convs.0.conv.blur.kernel": torch.ones(4, 4)}
    with pytest.raises(LGFAError, match=r"convs\.0\.conv\.blur\.kernel is not \[1, 3, 3, 1\]"):
        convert_rosinality({"g_ema": theirs})
