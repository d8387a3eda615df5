"""Foreign trees with anything anywhere: one sentence, whatever stands under whichever name."""
from __future__ import annotations

import argparse
import random
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

from lgfa.config import (
    ClipConfig,
    EncoderConfig,
    IdentityConfig,
    InceptionResNetConfig,
    MotionConfig,
)
from lgfa.embed.clip import CLIP
from lgfa.embed.e4e import Encoder
from lgfa.embed.identity import Identity
from lgfa.embed.inception_resnet import InceptionResNet
from lgfa.errors import LGFAError
from lgfa.formats import build, recognition
from lgfa.formats.layouts import e4e as e4e_layout
from lgfa.formats.layouts import facenet as facenet_layout
from lgfa.formats.layouts import ir_se50
from lgfa.formats.layouts.lgfa_authors import motion_table
from lgfa.methods.mocogan_hd.format import PCA, Axes
from lgfa.methods.mocogan_hd.motion import MocoganConfig, MotionGenerator
from lgfa.motion.model import MotionModel

BLOCK = torch.zeros(16_000_000)


def cheap(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Zeros of these shapes, which share one block of memory; without counters of batches."""
    return {name: BLOCK[:torch.Size(shape).numel()].view(shape) for name, shape in shapes.items()
            if not name.endswith("num_batches_tracked")}


def sketch(cls: type, config: Any) -> dict[str, torch.Size]:
    """Names and shapes of a network's weights."""
    with torch.device("meta"):
        return {k: v.shape for k, v in cls(config).state_dict().items()}


def openai_clip() -> dict[str, Any]:
    config = ClipConfig(24, {"layers": 2, "width": 64, "patch_size": 16, "image_size": 32},
                        {"context_length": 16, "width": 64, "heads": 1, "layers": 2})
    out = cheap({k.removeprefix("model."): v for k, v in sketch(CLIP, config).items()})
    return out | {name: torch.tensor(7) for name in
                  ("input_resolution", "context_length", "vocab_size")}


def hf_clip() -> dict[str, Any]:
    from test_hf_clip import state

    return state()


def e4e() -> dict[str, Any]:
    shapes = sketch(Encoder, EncoderConfig(num_layers=4, resolution=8))
    table = e4e_layout.encoder_table(EncoderConfig(num_layers=4, resolution=8))
    return {"state_dict": cheap({f"encoder.{old}": shapes[new] for old, new in table.items()}),
            "latent_avg": torch.ones(4, 512), "opts": {"encoder_type": "Encoder4Editing"}}


def identity() -> dict[str, Any]:
    shapes = sketch(Identity, IdentityConfig())
    table = ir_se50.identity_table(IdentityConfig())
    return cheap({old: shapes[new] for old, new in table.items()})


def facenet() -> dict[str, Any]:
    shapes = sketch(InceptionResNet, InceptionResNetConfig())
    return cheap({old: shapes[new] for old, new in facenet_layout.table().items()})


def mocogan() -> dict[str, Any]:
    own = MotionGenerator(MocoganConfig(24, 7, 4)).state_dict()
    out = {"w": own["coefficients.weight"].t(), "b": own["coefficients.bias"]}
    for theirs, ours in (("enc_cell", "initial"), ("cell", "cell"), ("fc1", "guess_hidden"),
                         ("fc2", "guess_noise")):
        out |= {k.replace(ours, theirs): v for k, v in own.items() if k.startswith(f"{ours}.")}
    return {**out, PCA: Axes(torch.zeros(4, 24), torch.ones(4))}


def mapper() -> dict[str, Any]:
    state = {f"mapper.{part}_mapping.mapping.{n}.{kind}": torch.zeros(shape)
             for part in ("course", "medium", "fine") for n in (1, 2, 3, 4)
             for kind, shape in (("weight", (24, 24)), ("bias", (24,)))}
    return {"state_dict": state, "opts": {"description": "smiling", "stylegan_size": 64}}


def motion() -> dict[str, Any]:
    config = MotionConfig.authors(embed_dim=24, num_layers=4, hidden=12, mapper_hidden=24)
    own = MotionModel(config).state_dict()
    state = {old: own[new] for old, new in motion_table(3, True).items()}
    return {"iter": 7, "state_dict": state | {f"encoder.{k}": v for k, v in openai_clip().items()}}


def trunk() -> dict[str, Any]:
    import torchvision

    with torch.device("meta"):
        state = torchvision.models.squeezenet1_1(weights=None).state_dict()
    return cheap({k: v.shape for k, v in state.items()})


TREES: dict[str, tuple[str, Callable[[], dict[str, Any]]]] = {
    "OpenAI's CLIP": ("clip", openai_clip), "Hugging Face's CLIP": ("clip", hf_clip),
    "e4e": ("encoder", e4e), "IR-SE50": ("identity", identity),
    "facenet": ("inception_resnet", facenet), "MoCoGAN-HD": ("mocogan", mocogan),
    "StyleCLIP": ("mapper", mapper), "LGFA": ("motion", motion), "trunk": ("perceptual", trunk),
}


ODD = [None, 5, -1, 2**60, 10**400, float("nan"), True, "text", "", b"bytes", [], [1, [2]], {},
       {"a": {}}, (), {1}, torch.float32, torch.tensor(1.0), torch.zeros(0), torch.zeros(0, 3),
       torch.zeros(3), torch.zeros(1, 1), torch.zeros(2, 3, 4), torch.zeros(1, 1, 1, 1),
       torch.zeros(1, 1, 1, 1, 1), torch.zeros(()).expand(60_000, 60_000),
       torch.zeros(()).expand(1, 2**40), torch.ones(3, 3, dtype=torch.bool),
       torch.ones(2, dtype=torch.complex64), torch.tensor(torch.inf), argparse.Namespace(a=1)]


NUMBERS = ("1000000000", "00", "-1", "1" * 5000, "\u0661", "1e3", "", "x")


def changed(tree: dict[str, Any], rng: random.Random) -> Any:
    """The tree with one odd thing in it."""
    inner = tree["state_dict"] if "state_dict" in tree and rng.random() < 0.8 else tree
    key = rng.choice(list(inner))
    kind = rng.randrange(6)
    if kind in (0, 1):
        inner[key] = rng.choice(ODD)
    elif kind == 2:                         # another number in a name
        parts = key.split(".")
        at = [i for i, part in enumerate(parts) if part.isdigit()]
        if at:
            parts[rng.choice(at)] = rng.choice(NUMBERS)
        inner[".".join(parts)] = inner[key] if rng.random() < 0.5 else inner.pop(key)
    elif kind == 3:
        del inner[key]
    elif kind == 4:
        inner[rng.choice([3, None, ("a",), b"b", 1.5, "", ".", "lgfa", "opts", "latent_avg",
                          "state_dict", "module.", "logit_bias"])] = rng.choice(ODD)
    elif isinstance(inner[key], torch.Tensor) and inner[key].ndim:
        inner[key] = rng.choice([inner[key][:-1], inner[key][None], inner[key].long(),
                                 inner[key].flatten(), inner[key].to(torch.complex64),
                                 inner[key] + torch.nan, inner[key].expand_as(inner[key]).bool()])
    return tree


LARGE = ("encoder", "identity", "inception_resnet")     # every number of these takes seconds


def look(tree: Any, kind: str | None, whole: bool = False) -> bool:
    """Whether a tree is accepted; any exception but LGFAError passes through."""
    step = build.examine if whole or kind not in LARGE else build.convert
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            step(tree, recognition.recognise(tree, kind))
            return True
        except LGFAError as error:
            assert 20 < len(str(error)) < 3000
            return False


@pytest.mark.parametrize("name", TREES)
def test_whole_trees_are_read(name: str) -> None:
    kind, build = TREES[name]
    assert look(build(), kind, whole=True)


@pytest.mark.parametrize("name", TREES)
def test_one_odd_thing(name: str) -> None:
    kind, build = TREES[name]
    whole = build()
    found = []
    for seed in range(30):
        tree = {k: dict(v) if isinstance(v, dict) else v for k, v in whole.items()}
        found.append(look(changed(tree, random.Random(seed)), kind))
    assert not all(found)


@pytest.mark.parametrize("value", ODD, ids=lambda v: type(v).__name__)
def test_options_and_averages_of_any_type(value: Any) -> None:
    for made, kind, keys in ((e4e, "encoder", ("opts", "latent_avg")),
                              (mapper, "mapper", ("opts", "latent_avg"))):
        for key in keys:
            look(made() | {key: value}, kind)
        for option in ("encoder_type", "start_from_latent_avg", "description", "stylegan_size"):
            look(made() | {"opts": {option: value}}, kind)


@pytest.mark.parametrize("tree", ODD, ids=lambda v: type(v).__name__)
def test_trees_that_are_none(tree: Any) -> None:
    for one in (tree, {"state_dict": tree}, {"g_ema": tree}, {"model": {"state_dict": tree}}):
        assert not look(one, None)


def test_sizes_that_no_generator_has() -> None:
    for side in (2**60, 2048, 4, 0, -8, 100, True, 64.0, "64"):
        tree = mapper()
        tree["opts"]["stylegan_size"] = side
        with pytest.raises(LGFAError, match="there is no such generator"):
            build.convert(tree, recognition.recognise(tree, "mapper"))


@pytest.mark.parametrize("name, key, match", [
    ("e4e", "encoder.styles.1000000000.linear.weight", "styles.1000000000"),
    ("IR-SE50", "body.1000000000.res_layer.1.weight", "body.1000000000"),
    ("StyleCLIP", "mapper.fine_mapping.mapping.1000000000.weight", "mapping.1000000000"),
    ("LGFA", "mapper.t_mapper.1000000000.weight", "t_mapper.1000000000"),
    ("OpenAI's CLIP", "transformer.resblocks.1000000000.ln_1.weight", "resblocks.1000000000"),
    ("OpenAI's CLIP", "visual.transformer.resblocks.400.ln_1.weight", "resblocks.400"),
])
def test_a_huge_number_in_a_name(name: str, key: str, match: str) -> None:
    kind, made = TREES[name]
    tree = made()
    tree.get("state_dict", tree)[key] = torch.zeros(3)
    with pytest.raises(LGFAError, match=match):
        build.examine(tree, recognition.recognise(tree, kind))
