"""NVIDIA's TensorFlow pickles: pictures of NVIDIA's own conversion, and what is refused."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow_network as stored
import torch

from lgfa.errors import LGFAError
from lgfa.formats import loading

GOLDENS = Path(__file__).with_name("stylegan2_goldens.npz")
WORST = 2e-4                        # max |difference| / rms that float32 may have on the CPU


def load(tmp_path, value, protocol=4):
    return loading.load(stored.write(tmp_path / "x.pkl", value, protocol), "generator")


@torch.no_grad()
def pictures(network):
    """Every second pixel of two pictures, as the golden ones were made."""
    z = torch.from_numpy(np.random.RandomState(9).randn(2, stored.Z).astype(np.float32))
    return network(z, truncation=0.7)[:, :, ::2, ::2].numpy()


@pytest.mark.parametrize(("name", "architecture", "options"), [
    ("skip", "skip", {}), ("orig", "orig", {}), ("resnet", "resnet", {}),
    ("resnet_0.8", "resnet", {"conv_clamp": 0.8}),
])
def test_pictures_are_those_of_the_original_conversion(tmp_path, name, architecture, options):
    network = load(tmp_path, stored.generator(architecture, options=options))
    assert network.config.architecture == architecture
    gold = np.load(GOLDENS)[name]
    error = np.abs(pictures(network) - gold).max() / np.sqrt((gold**2).mean())
    print(f"{name}: max/rms {error:.1e}")
    assert error <= WORST


@pytest.mark.parametrize("protocol", range(5))
def test_the_averaged_network_of_three_is_taken(tmp_path, protocol):
    averaged, other = stored.generator(), stored.generator(seed=1)
    discriminator = stored.network("D_stylegan2", {}, {})
    wanted = pictures(load(tmp_path, averaged))
    found = load(tmp_path, (other, discriminator, averaged), protocol)
    assert np.array_equal(pictures(found), wanted)
    for broken in (discriminator, 5, None, {}):
        with pytest.raises(LGFAError, match="Gs, is no StyleGAN2 generator"):
            load(tmp_path, (other, discriminator, broken))


def test_a_grown_network_uses_its_last_colours(tmp_path):
    """The orig architecture under the names that growing networks have."""
    value = stored.generator(growing=True)
    network = load(tmp_path, value)
    assert network.config.architecture == "orig"
    synthesis = dict(value.components["synthesis"].variables)
    rgb = torch.from_numpy(synthesis["ToRGB_lod0/weight"]).permute(3, 2, 0, 1)
    assert torch.equal(network.synthesis.to_rgbs[0].weight, rgb)
    value.variables[0] = ("lod", np.float32(1.5))
    with pytest.raises(LGFAError, match="lod is not 0"):
        load(tmp_path, value)


@pytest.mark.parametrize(("options", "words"), [
    ({"label_size": 10}, "class-conditional"), ({"num_channels": 1}, "one colour channel"),
    ({"nonlinearity": "relu"}, "option nonlinearity"),
    ({"mapping_nonlinearity": "relu"}, "option mapping_nonlinearity"),
    ({"normalize_latents": False}, "option normalize_latents"),
    ({"use_noise": False}, "option use_noise"), ({"dtype": "int8"}, "option dtype"),
    ({"resample_kernel": [1, 2, 1]}, "option resample_kernel"),
    ({"resample_kernel": None}, "option resample_kernel"),
    ({"mapping_func": "G_other"}, "option mapping_func"),
    ({"synthesis_func": "G_other"}, "option synthesis_func"),
    ({"architecture": "resnet"}, "option architecture"),
    ({"resolution": 32}, "option resolution"), ({"mapping_layers": 3}, "option mapping_layers"),
    ({"mapping_lrmul": float("nan")}, "option mapping_lrmul"),
    ({"mapping_lrmul": "0.01"}, "option mapping_lrmul"), ({"conv_clamp": 0}, "option conv_clamp"),
    ({"spectral_norm": True}, "unknown option 'spectral_norm'"),
])
@pytest.mark.parametrize("place", ["", "mapping", "synthesis"])
def test_options_that_change_the_network_are_refused(tmp_path, options, words, place):
    value = stored.generator()
    table = (value.components[place] if place else value).static_kwargs
    table |= options
    with pytest.raises(LGFAError, match=words):
        load(tmp_path, value)


@pytest.mark.parametrize("options", [
    {"truncation_psi": 1.0, "truncation_cutoff": None, "style_mixing_prob": 0.9},
    {"randomize_noise": True, "fused_modconv": False, "num_fp16_res": 4, "structure": "fixed"},
    {"mapping_func": "training.networks_stylegan2.G_mapping", "resample_kernel": [1, 3, 3, 1]},
])
def test_options_that_change_nothing_are_taken(tmp_path, options):
    wanted = pictures(load(tmp_path, stored.generator()))
    assert np.array_equal(pictures(load(tmp_path, stored.generator(options=options))), wanted)


@pytest.mark.parametrize(("change", "words"), [
    (lambda v: v.__dict__.update(version=3), "version 3"),
    (lambda v: v.__dict__.update(build_func_name="G_style"), "built by 'G_style'"),
    (lambda v: v.__dict__.update(static_kwargs=5), "static_kwargs"),
    (lambda v: v.__dict__.update(variables=None), "no variables"),
    (lambda v: v.__dict__.update(variables=[("dlatent_avg",)]), "no name"),
    (lambda v: v.__dict__.update(components={}), "no StyleGAN2 generator"),
    (lambda v: v.components.update(extra=v.components["mapping"]), "part 'extra'"),
    (lambda v: v.components["mapping"].__dict__.update(components=v.components), "broken"),
    (lambda v: v.components["synthesis"].variables.pop(), "lacks|missing"),
    (lambda v: v.variables.append(("odd", np.zeros(3, np.float32))), "left over: odd"),
    (lambda v: v.variables.append(("odd", "text")), "no tensor under odd"),
    (lambda v: v.components["synthesis"].variables.append(
        ("noise99", np.zeros((1, 1, 4, 4), np.float32))), "blocks"),
    (lambda v: v.components["mapping"].variables.append(
        ("Dense999999999/bias", np.zeros(3, np.float32))), "without a gap"),
])
def test_broken_networks_are_refused(tmp_path, change, words):
    value = stored.generator()
    change(value)
    with pytest.raises(LGFAError, match=words):
        load(tmp_path, value)


def test_one_array_cannot_stand_for_many_weights(tmp_path):
    value = stored.generator()
    array = np.zeros((3, 3, 128, 512), np.float32)
    value.components["synthesis"].variables += [
        (f"{side}x{side}/Conv0_up/weight", array) for side in range(100, 300)]
    with pytest.raises(LGFAError, match="same numbers"):
        load(tmp_path, value)
