"""e4e's files: encoder and decoder against stored outputs of the original code; forms; refusals."""
from __future__ import annotations

import argparse

import numpy as np
import pytest
import torch
from golden import Case

from lgfa.config import EncoderConfig
from lgfa.embed.e4e import Encoder
from lgfa.errors import LGFAError
from lgfa.formats import build, recognition
from lgfa.formats.layouts import e4e as e4e_layout


@pytest.fixture(scope="module")
def e4e(shared) -> Case:
    case = Case(shared, "e4e_ffhq")
    case.tree = case.checkpoint()
    return case


@torch.no_grad()
def test_e4e_codes_parity(e4e: Case) -> None:
    network = build.from_tree(e4e.tree, recognition.recognise(e4e.tree, "encoder")).eval()
    assert network.config == EncoderConfig(num_layers=18, resolution=1024)
    codes = network.codes(e4e["x"])
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
