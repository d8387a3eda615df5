"""StyleGAN2 generators of rosinality/stylegan2-pytorch: `.pt` files.

    {"g_ema": weights, "latent_avg": [512]}, {"g": weights, ..} or the bare weights

Public files differ in what they leave out (noise maps, latent_avg) and in what they put before
the names; stylegan2.py knows these habits.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ...config import GeneratorConfig
from ...errors import LGFAError
from .. import tables
from ..recognition import Format
from . import stylegan2

CONV = {                                # theirs -> ours, inside a styled convolution
    "conv.weight": "weight",
    "conv.modulation.weight": "affine.weight",
    "conv.modulation.bias": "affine.bias",
    "noise.weight": "noise_strength",
    "activate.bias": "bias",
}
RGB = {                                 # theirs -> ours, inside a ToRGB
    "conv.weight": "weight",
    "conv.modulation.weight": "affine.weight",
    "conv.modulation.bias": "affine.bias",
    "bias": "bias",
}
SIGN = {"style.1.weight", "input.input", "conv1.conv.weight"}


def rosinality_names(config: GeneratorConfig) -> dict[str, str]:
    """Every name of the rosinality layout with the one that it has here."""
    table = {"input.input": "synthesis.const"}
    for i in range(config.mapping_layers):              # style.0 is the norm, it has no weights
        for part in ("weight", "bias"):
            table[f"style.{i + 1}.{part}"] = f"mapping.layers.{i}.{part}"
    for i in range(config.num_layers - 1):              # conv1 at 4 px, then convs.0, convs.1, ..
        layer = "conv1" if i == 0 else f"convs.{i - 1}"
        table[f"noises.noise_{i}"] = f"synthesis.convs.{i}.noise"
        table |= {f"{layer}.{a}": f"synthesis.convs.{i}.{b}" for a, b in CONV.items()}
    for i in range(len(config.channels)):
        layer = "to_rgb1" if i == 0 else f"to_rgbs.{i - 1}"
        table |= {f"{layer}.{a}": f"synthesis.to_rgbs.{i}.{b}" for a, b in RGB.items()}
    return table


def rosinality_config(weights: Mapping[str, Tensor]) -> GeneratorConfig:
    """Settings of a rosinality state dict, read off its shapes."""
    levels = 1 + sum(1 for name in weights
                     if name.startswith("to_rgbs.") and name.endswith(".conv.weight"))
    stylegan2.check_levels(levels)
    stylegan2.check_colours(_outputs(weights, "to_rgb1.conv.weight"))
    convs = ["conv1"] + [f"convs.{2 * level}" for level in range(levels - 1)]
    return GeneratorConfig(
        resolution=2 ** (levels + 1),
        channels=tuple(_outputs(weights, f"{name}.conv.weight") for name in convs),
        z_dim=tables.shape_of(weights, "style.1.weight", 2)[1],
        w_dim=tables.shape_of(weights, "conv1.conv.modulation.weight", 2)[1],
        mapping_layers=tables.count_of(weights, "style.", first=1,
                                      most=GeneratorConfig.MOST_LAYERS),
    )


def _outputs(weights: Mapping[str, Tensor], name: str) -> int:
    """Outputs of a convolution: its weight is [1, O, I, k, k], in some files [O, I, k, k]."""
    axes = 4 if tables.is_tensor(weights, name, 4) else 5
    return tables.shape_of(weights, name, axes)[-4]


def _fits(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) >= SIGN


def is_rosinality(tree: Any) -> bool:
    """Whether a file holds a generator under rosinality's names."""
    return stylegan2.find(tree, _fits) is not None


def convert_rosinality(tree: Any) -> tuple[GeneratorConfig, dict[str, Tensor]]:
    """Settings and state dict of our Generator."""
    place = stylegan2.find(tree, _fits)
    if place is None:
        raise LGFAError("the generator in this file is not whole: it lacks one of "
                        f"{', '.join(sorted(SIGN))}.")
    found = stylegan2.chosen(place, _fits)
    weights = stylegan2.tensors({k: v for k, v in found.items() if k not in stylegan2.AVERAGES})
    config = rosinality_config(weights)
    table = rosinality_names(config)
    kernels = {name: value for name, value in weights.items() if name.endswith(".kernel")}
    for name, kernel in kernels.items():
        stylegan2.check_filter(name, kernel)            # the factor 4 of upsampling is in it
    state = tables.renamed({k: v for k, v in weights.items() if k not in kernels}, table)
    mean = stylegan2.average(tree, found, config)
    if mean is not None:
        state["mapping.latent_avg"] = mean
    return config, stylegan2.finish(config, state)


def convert_decoder(tree: Any) -> tuple[GeneratorConfig, dict[str, Tensor]]:
    """The generator that a checkpoint of another network carries along as its "decoder.". Its
    average latent, which lies beside the weights, may be repeated for every layer."""
    weights = tables.below(tables.state_dict(tree), "decoder.")
    return convert_rosinality({"g_ema": weights, "latent_avg": tree.get("latent_avg")})


FORMATS = [Format("rosinality .pt", "generator", is_rosinality, convert_rosinality)]
