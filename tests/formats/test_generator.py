"""Generators from foreign files: golden outputs of the original code, and what is refused."""
from __future__ import annotations

import copy
import sys

import numpy as np
import pytest
import torch

from lgfa.config import GeneratorConfig
from lgfa.errors import LGFAError
from lgfa.formats import core
from lgfa.formats.generator import (
    convert_rosinality,
    is_rosinality,
    nvidia_names,
    rosinality_names,
)
from lgfa.frames.stylegan2 import Generator

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
    network = core.from_tree(tree, core.recognise(tree, "generator")).eval()
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
    network = core.load(case.folder / "ada_pkl_tiny.pkl", "generator")
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
    return core.read(shared / "reference" / "ada_pkl_tiny.pkl")


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
            core.from_tree(tree, core.recognise(tree, "generator"))
        return str(error.value)

    def change(key, value, *path):
        return lambda tree: part(tree, *path).__setitem__(key, value)

    assert "class-conditional" in refusal(change("c_dim", 10))
    block = ("synthesis", "b16")
    assert "orig or resnet" in refusal(change("architecture", "resnet", *block))
    assert "orig or resnet" in refusal(lambda t: part(t, *block)["_modules"].pop("torgb"))
    stylegan3 = {"L0_36_1024": {"class_name": "SynthesisLayer", "module_type": "class",
                                "state": {}}}
    assert "StyleGAN3" in refusal(change("_modules", stylegan3, "synthesis"))
    layer = (*block, "conv1")
    assert "activation 'relu'" in refusal(lambda t: part(t, "synthesis", "b64", "conv1")
                                          .__setitem__("activation", "relu"))
    assert "missing: synthesis.convs.4.bias" in refusal(
        lambda t: part(t, *layer)["_parameters"].pop("bias"))
    assert "left over: synthesis.b16.conv1.extra" in refusal(
        lambda t: part(t, *layer)["_parameters"].__setitem__("extra", torch.zeros(1)))
    assert "not [1, 3, 3, 1]" in refusal(
        lambda t: part(t, *layer)["_buffers"].__setitem__("resample_filter", torch.ones(4, 4)))


def test_nvidia_clamp_is_kept(pickled):
    tree = copy.deepcopy(pickled)
    part(tree, "synthesis", "b64", "conv1")["conv_clamp"] = 256
    assert core.from_tree(tree, core.recognise(tree, "generator")).config.conv_clamp == 256


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
def test_rosinality_variants(small, outer):
    network, theirs = small
    tree = outer(theirs)
    assert core.recognise(tree).name == "rosinality .pt"
    other = core.from_tree(tree, core.recognise(tree))
    assert torch.equal(other.latent_avg, torch.ones(7))
    w = torch.randn(1, 6, 7)
    assert torch.equal(other.synthesis(w), network.synthesis(w))


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
        core.from_tree(tree, core.recognise(tree))
    text = str(error.value)
    assert "missing: synthesis.convs.2.bias" in text
    assert "left over: convs.0.extra" in text
    assert "unequal: mapping.layers.0.bias [3] for [7]" in text
    broken = small[1] | {"style.1.bias": torch.full((7,), torch.nan)}
    with pytest.raises(LGFAError, match="NaN"):
        core.from_tree({"g_ema": broken, "latent_avg": torch.zeros(7)}, core.recognise(tree))


def test_other_blur_is_refused(small):
    theirs = small[1] | {"convs.0.conv.blur.kernel": torch.ones(4, 4)}
    with pytest.raises(LGFAError, match=r"convs\.0\.conv\.blur\.kernel is not \[1, 3, 3, 1\]"):
        convert_rosinality({"g_ema": theirs})
