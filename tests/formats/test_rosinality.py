"""rosinality's generators: golden outputs of the original code, forms of files, what is refused.

What all layouts of StyleGAN2 share (layouts/stylegan2.py) is tested here too: averages, noise maps
and means of w that files leave out.
"""
from __future__ import annotations

import math

import pytest
import torch
from golden import Case

from lgfa.config import GeneratorConfig
from lgfa.errors import LGFAError
from lgfa.formats import build, recognition
from lgfa.formats.layouts.rosinality import convert_rosinality, is_rosinality, rosinality_names
from lgfa.frames.stylegan2 import Generator
from lgfa.hashes import network_hash


@pytest.mark.parametrize("name", ["rosinality_512", "rosinality_ffhq1024"])
@torch.no_grad()
def test_rosinality_gives_the_original_numbers(shared, name):
    case = Case(shared, name)
    tree = case.checkpoint()
    network = build.from_tree(tree, recognition.recognise(tree, "generator")).eval()
    assert network.config == GeneratorConfig.rosinality(case.manifest["network"]["size"])
    del tree
    w, near = network.mapping(case["z"]), network.mapping(case["z"], truncation=0.7)
    case.check("w", w[:, 0])
    case.check("w_trunc", near[:, 0])
    case.check_image("image", network.synthesis(case["wplus"]))
    case.check_image("image_z", network.synthesis(near[:1]))


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


def test_the_name_table_covers_every_weight(small):
    ours = [*rosinality_names(small[0].config).values(), "mapping.latent_avg"]
    assert set(ours) == set(small[0].state_dict())


@pytest.mark.parametrize(("count", "words"), [(1, "one colour"), (4, "four colour")])
def test_other_colours_are_named(small, count, words):
    tree = dict(small[1])
    for name, value in tree.items():
        if "to_rgb" in name and name.endswith("weight") and "modulation" not in name:
            tree[name] = value.narrow(1, 0, 1).repeat_interleave(count, 1)
    with pytest.raises(LGFAError, match=f"{words} channel"):
        build.from_tree(tree, recognition.recognise(tree))
