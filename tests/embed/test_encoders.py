"""e4e and IR-SE50 against stored outputs of the original code; small variants; refusals."""
from __future__ import annotations

import argparse
import importlib.util
import sys

import numpy as np
import pytest
import torch

from lgfa import formats
from lgfa.config import EncoderConfig, IdentityConfig
from lgfa.embed.e4e import Encoder
from lgfa.embed.identity import Identity
from lgfa.errors import LGFAError
from lgfa.formats import build, recognition
from lgfa.formats.layouts import e4e as e4e_layout

TOLERANCE = 2e-4            # max |difference| over the rms of the stored array

SMALL = {"widths": (8, 8, 16, 16, 24), "units": (1, 1, 2, 1)}


@pytest.fixture(scope="session")
def recipe(shared):
    """The module that fills checkpoints by their manifests."""
    spec = importlib.util.spec_from_file_location("recipe", shared / "reference" / "recipe.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Case:
    """One reference case: its checkpoint, inputs and stored outputs."""

    def __init__(self, shared, recipe, name: str) -> None:
        self.name, self.recipe = name, recipe
        self.manifest = recipe.load_manifest(shared / "reference" / f"{name}.manifest.json")
        self.gold = np.load(shared / "reference" / f"{name}.golden.npz")
        self.tree = recipe.build_checkpoint(self.manifest)

    def input(self, name: str) -> torch.Tensor:
        entry = self.manifest["golden"]["inputs"][name]
        return torch.from_numpy(self.recipe.inputs(
            self.manifest["salt"], name, entry["shape"], entry["kind"]))

    def check(self, name: str, value: torch.Tensor | np.ndarray) -> None:
        wanted = self.gold[name].astype(np.float64)
        gap = np.abs(np.asarray(value, np.float64) - wanted).max() / np.sqrt((wanted**2).mean())
        print(f"{self.name} {name}: max/rms {gap:.2e}", file=sys.stderr)
        assert gap <= TOLERANCE


@pytest.fixture(scope="module")
def e4e(shared, recipe) -> Case:
    return Case(shared, recipe, "e4e_ffhq")


@pytest.fixture(scope="module")
def arcface(shared, recipe) -> Case:
    return Case(shared, recipe, "ir_se50")


# ---- parity

@torch.no_grad()
def test_identity_parity(arcface: Case, tmp_path) -> None:
    """Through a file, as a user has it."""
    path = tmp_path / "model_ir_se50.pth"
    torch.save(arcface.tree, path)
    network = formats.load(path)
    assert network.config == IdentityConfig()
    arcface.check("embedding", network(arcface.input("x112")))
    arcface.check("embedding_raw", network.embed_raw(arcface.input("x112")))
    arcface.check("embedding_256", network(arcface.input("x256")))


@torch.no_grad()
def test_e4e_codes_parity(e4e: Case) -> None:
    network = build.from_tree(e4e.tree, recognition.recognise(e4e.tree, "encoder")).eval()
    assert network.config == EncoderConfig(num_layers=18, resolution=1024)
    codes = network.codes(e4e.input("x"))
    e4e.check("codes_no_avg", codes)
    e4e.check("codes", codes + network.latent_avg)


@torch.no_grad()
def test_e4e_decoder_parity(e4e: Case) -> None:
    """The 1024 px image of the decoder for the stored codes."""
    network = build.from_tree(e4e.tree, recognition.recognise(e4e.tree, "generator")).eval()
    images = [network.synthesis(w[None], noise="const").numpy()
              for w in torch.from_numpy(e4e.gold["codes"])]
    for name, value in e4e.recipe.pack_image(np.concatenate(images)).items():
        e4e.check(name, value)


# ---- what files may look like

def small_e4e() -> dict:
    """An e4e file of the right architecture with cheap weights: zeros, which share one block."""
    config = EncoderConfig(num_layers=4, resolution=8)
    with torch.device("meta"):
        shapes = {k: v.shape for k, v in Encoder(config).state_dict().items()}
    block = torch.zeros(15_000_000)
    state = {f"encoder.{old}": block[:shapes[new].numel()].view(shapes[new])
             for old, new in e4e_layout.encoder_table(config).items()}
    return {"state_dict": state, "latent_avg": torch.ones(4, 512),
            "opts": {"encoder_type": "Encoder4Editing", "start_from_latent_avg": True,
                     "device": "cuda:0"}}


def test_layers_and_resolution_follow_from_the_heads() -> None:
    config, weights = e4e_layout.convert_e4e(small_e4e())
    assert (config.num_layers, config.resolution) == (4, 8)
    assert weights["latent_avg"].shape == (4, 512)


@pytest.mark.parametrize("shape", [(512,), (1, 4, 512), (4, 512)])
def test_forms_of_the_average_latent(shape: tuple[int, ...]) -> None:
    tree = small_e4e() | {"latent_avg": torch.full(shape, 2.0)}
    assert torch.equal(e4e_layout.convert_e4e(tree)[1]["latent_avg"], torch.full((4, 512), 2.0))


def test_options_as_a_namespace_and_without_average() -> None:
    tree = small_e4e()
    tree["opts"] = argparse.Namespace(start_from_latent_avg=False)
    del tree["latent_avg"]
    config, weights = e4e_layout.convert_e4e(tree)
    assert not config.start_from_latent_avg and not weights["latent_avg"].any()


def test_missing_counters_are_filled() -> None:
    tree = small_e4e()
    tree["state_dict"] = {k: v for k, v in tree["state_dict"].items()
                          if not k.endswith("num_batches_tracked")}
    config, weights = e4e_layout.convert_e4e(tree)
    with torch.device("meta"):
        wanted = Encoder(config).state_dict()
    assert set(weights) == set(wanted)


def test_damaged_files_are_refused() -> None:
    tree = small_e4e()
    del tree["state_dict"]["encoder.body.7.res_layer.1.weight"]
    with pytest.raises(LGFAError, match=r"lacks body\.7\.res_layer\.1\.weight"):
        e4e_layout.convert_e4e(tree)
    tree = small_e4e()
    tree["state_dict"]["encoder.styles.2.extra"] = torch.zeros(3)
    with pytest.raises(LGFAError, match=r"left over: .*styles\.2\.extra"):
        build.from_tree(tree, recognition.recognise(tree, "encoder"))
    tree = small_e4e()
    tree["state_dict"]["encoder.latlayer1.bias"] = torch.zeros(3)
    with pytest.raises(LGFAError, match=r"unequal: lateral_middle\.bias \[3\] for \[512\]"):
        build.from_tree(tree, recognition.recognise(tree, "encoder"))
    tree = small_e4e()
    tree["opts"]["encoder_type"] = "GradualStyleEncoder"
    with pytest.raises(LGFAError, match="GradualStyleEncoder"):
        e4e_layout.convert_e4e(tree)
    tree = small_e4e()
    tree["latent_avg"] = None
    with pytest.raises(LGFAError, match="latent_avg"):
        e4e_layout.convert_e4e(tree)


# ---- small variants

@pytest.mark.parametrize("heads", ["conv", "linear"])
@pytest.mark.parametrize("stem_stride", [1, 2])
def test_small_encoder_trains_and_round_trips(heads: str, stem_stride: int, tmp_path) -> None:
    torch.manual_seed(0)
    config = EncoderConfig(num_layers=12, resolution=128, input_size=64, w_dim=32, heads=heads,
                           head_width=8, stem_stride=stem_stride, **SMALL)
    network = Encoder(config)
    network.latent_avg.normal_()
    x = torch.rand(2, 3, 128, 128) * 2 - 1
    w = network(x)
    assert w.shape == (2, 12, 32)
    w.square().mean().backward()
    assert all(p.grad is not None for p in network.parameters())

    network.eval()
    formats.save(tmp_path / "encoder.safetensors", network)
    again = formats.load(tmp_path / "encoder.safetensors", "encoder")
    assert again.config == config
    assert torch.equal(again(x), network(x))


def test_channels_last_gives_the_same() -> None:
    torch.manual_seed(0)
    network = Encoder(EncoderConfig(12, 128, 64, w_dim=32, heads="linear", **SMALL)).eval()
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        plain = network(x)
        network.to(memory_format=torch.channels_last)
        other = network(x.contiguous(memory_format=torch.channels_last))
    assert torch.allclose(plain, other, atol=1e-5)


def test_every_layer_is_the_first_plus_its_offset() -> None:
    """With its own head at zero, a layer repeats layer 0; and it reads the map of its level."""
    torch.manual_seed(0)
    network = Encoder(EncoderConfig(12, 128, 64, w_dim=32, **SMALL)).eval()
    for parameter in network.heads[5].linear.parameters():
        torch.nn.init.zeros_(parameter)
    w = network.codes(torch.rand(1, 3, 64, 64))
    assert torch.equal(w[:, 5], w[:, 0]) and not torch.equal(w[:, 6], w[:, 0])
    assert [len(head.convs) for head in network.heads] == [2] * 3 + [3] * 4 + [4] * 5


def test_small_identity(tmp_path) -> None:
    torch.manual_seed(0)
    config = IdentityConfig(input_size=32, embed_dim=16, crop=None, **SMALL)
    network = Identity(config).eval()
    x = (torch.rand(2, 3, 128, 128) * 2 - 1).requires_grad_()
    out = network(x)
    assert torch.allclose(out.norm(dim=1), torch.ones(2), atol=1e-6)
    out[0, 0].backward()
    assert x.grad[0].abs().max() > 0 and x.grad[1].abs().max() == 0
    formats.save(tmp_path / "identity.safetensors", network)
    again = formats.load(tmp_path / "identity.safetensors", "identity")
    assert again.config == config and torch.equal(again(x), out)


def test_identity_crop() -> None:
    """A 256 px image is cropped to rows 35:223 and columns 32:220, smaller ones alike."""
    network = Identity(IdentityConfig(**SMALL))
    x = torch.zeros(1, 3, 256, 256)
    x[:, :, 35:223, 32:220] = 1
    assert torch.equal(network.prepare(x), torch.ones(1, 3, 112, 112))
    assert network.prepare(x[:, :, ::2, ::2]).shape == (1, 3, 112, 112)
    ready = torch.rand(1, 3, 112, 112)
    assert network.prepare(ready) is ready


def test_impossible_settings_and_shapes_are_refused() -> None:
    with pytest.raises(LGFAError, match="multiple of 16"):
        EncoderConfig(12, 128, input_size=100)
    with pytest.raises(LGFAError, match="stages"):
        EncoderConfig(12, 128, widths=(8, 8), units=(1,))
    with pytest.raises(LGFAError, match="power of two"):
        EncoderConfig(12, 128, input_size=96)
    with pytest.raises(LGFAError, match="do not exist"):
        EncoderConfig(12, 128, heads="square")
    with pytest.raises(LGFAError, match=r"\[B, 3, H, W\]"):
        Encoder(EncoderConfig(2, 8, 32, heads="linear", **SMALL))(torch.zeros(1, 1, 32, 32))
