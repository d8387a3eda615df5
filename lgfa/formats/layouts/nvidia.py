"""StyleGAN2 generators of NVIDIA's stylegan2-ada-pytorch: network pickles and plain state dicts.

    .pkl                {"G", "D", "G_ema", ..} of pickled networks, or one generator
    .pt, .safetensors   {"mapping.fc0.weight": .., "synthesis.b4.const": ..}, bare or below "G_ema"

A pickled network also holds the settings of each of its layers. All of them that change what the
network computes are compared with StyleGAN2's; a setting that is absent has its usual value.
"""
from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from ...config import GeneratorConfig
from ...errors import LGFAError, shown
from .. import tables
from ..recognition import Format
from ..unpickle import reader
from . import stylegan2

CONV = {                                # theirs -> ours, inside a styled convolution
    "weight": "weight",
    "bias": "bias",
    "affine.weight": "affine.weight",
    "affine.bias": "affine.bias",
    "noise_strength": "noise_strength",
    "noise_const": "noise",
}
RGB = {                                 # theirs -> ours, inside a ToRGB
    "weight": "weight",
    "bias": "bias",
    "affine.weight": "affine.weight",
    "affine.bias": "affine.bias",
}
LR_MULTIPLIER = 0.01                    # of the mapping network, where nothing else is said
SIDES = tuple(2**k for k in range(2, 11))       # of the blocks: b4, b8, .. b1024
DEPTH = 4                               # generator, synthesis, block, layer, affine


def nvidia_names(config: GeneratorConfig) -> dict[str, str]:
    """Every name of NVIDIA's layout with the one that it has here."""
    table = {"mapping.w_avg": "mapping.latent_avg", "synthesis.b4.const": "synthesis.const"}
    for i in range(config.mapping_layers):
        for part in ("weight", "bias"):
            table[f"mapping.fc{i}.{part}"] = f"mapping.layers.{i}.{part}"
    last = len(config.channels) - 1
    for level in range(last + 1):                       # conv0 doubles, so b4 has none
        block = f"synthesis.b{4 * 2**level}"
        layers = {"conv0": 2 * level - 1, "conv1": 2 * level} if level else {"conv1": 0}
        for layer, i in layers.items():
            table |= {f"{block}.{layer}.{a}": f"synthesis.convs.{i}.{b}" for a, b in CONV.items()}
        if config.architecture == "skip" or level == last:
            rgb = level if config.architecture == "skip" else 0
            table |= {f"{block}.torgb.{a}": f"synthesis.to_rgbs.{rgb}.{b}" for a, b in RGB.items()}
        if config.architecture == "resnet" and level:
            table[f"{block}.skip.weight"] = f"synthesis.shortcuts.{level - 1}.weight"
    return table


# --- from weights to ours

def converted(
    weights: Mapping[str, Tensor],              # NVIDIA's names
    lr_multiplier: float = LR_MULTIPLIER,       # of the mapping network
    conv_clamp: float | None = None,
) -> tuple[GeneratorConfig, dict[str, Tensor]]:
    """Settings and state dict of our Generator."""
    config = _config(weights, lr_multiplier, conv_clamp)
    table = nvidia_names(config)
    filters = {k: v for k, v in weights.items() if k.endswith("resample_filter")}
    for name, kernel in filters.items():
        stylegan2.check_filter(name, kernel * 4)        # stored with a sum of 1
    state = tables.renamed({k: v for k, v in weights.items() if k not in filters}, table)
    return config, stylegan2.finish(config, state)


def _config(weights: Mapping[str, Tensor], lr_multiplier: float,
            conv_clamp: float | None) -> GeneratorConfig:
    """Settings read off the shapes."""
    sides = _sides(weights)
    blocks = [f"synthesis.b{side}" for side in sides]
    stylegan2.check_colours(tables.shape_of(weights, f"{blocks[-1]}.torgb.weight", 4)[0])
    if not any(name.endswith(".noise_strength") for name in weights):
        raise LGFAError("this NVIDIA generator was made without noise inputs (use_noise): only "
                        "generators with noise are supported.")
    layers = tables.count_of(weights, "mapping.fc", most=GeneratorConfig.MOST_LAYERS)
    w_dim = tables.shape_of(weights, "synthesis.b4.conv1.affine.weight", 2)[1]
    for i in range(layers):
        rows = tables.shape_of(weights, f"mapping.fc{i}.weight", 2)[0]
        if rows != w_dim:
            raise LGFAError(f"this NVIDIA generator's mapping layer fc{i} has {rows} outputs "
                            f"(layer_features) and its codes have {w_dim} numbers: only mapping "
                            f"layers as wide as the codes are supported.")
    return GeneratorConfig(
        resolution=sides[-1],
        channels=tuple(tables.shape_of(weights, f"{b}.conv1.weight", 4)[0] for b in blocks),
        z_dim=tables.shape_of(weights, "mapping.fc0.weight", 2)[1],
        w_dim=w_dim,
        mapping_layers=layers,
        mapping_lr_multiplier=lr_multiplier,
        conv_clamp=conv_clamp,
        architecture=_architecture(weights, blocks),
    )


def _sides(weights: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Sides of the blocks that the names mention: 4, 8, .. up to the picture's."""
    found = {name.split(".")[1][1:] for name in weights
             if re.match(r"synthesis\.b\d+\.", name, re.ASCII)}
    wanted = SIDES[:len(found)]
    if len(found) > len(SIDES) or found != set(map(str, wanted)):
        raise LGFAError(f"this NVIDIA generator has the blocks "
                        f"{', '.join(sorted(f'b{side[:20]}' for side in found)[:12])}: StyleGAN2's "
                        f"are b4, b8, .. up to b1024 at most, without a gap.")
    stylegan2.check_levels(len(wanted))
    return wanted


def _architecture(weights: Mapping[str, Tensor], blocks: list[str]) -> str:
    """How the blocks are joined, by the layers that are there."""
    if any(f"{block}.skip.weight" in weights for block in blocks):
        return "resnet"
    inner = any(f"{block}.torgb.weight" in weights for block in blocks[:-1])
    return "skip" if inner else "orig"


# --- from a file to weights

def is_nvidia(tree: Any) -> bool:
    """{"G", "D", "G_ema", ..} of pickled networks or of state dicts, or one generator."""
    return stylegan2.find(tree, _fits) is not None or _is_broken(tree)


def _is_broken(tree: Any) -> bool:
    """Whether a pickle of NVIDIA's networks has an averaged generator that is none."""
    return isinstance(tree, Mapping) and "G_ema" in tree and any(
        reader.is_network(tree.get(key)) for key in ("G_ema", "G", "D"))


def convert_nvidia(tree: Any) -> tuple[GeneratorConfig, dict[str, Tensor]]:
    """Settings and weights of a generator without classes; refuses others by name."""
    place = stylegan2.find(tree, _fits) or stylegan2.Place("G_ema", tree["G_ema"])
    found = stylegan2.chosen(place, _fits)
    if not reader.is_network(found):
        return converted(stylegan2.tensors(found))
    weights = stylegan2.tensors(reader.weights(found))
    settings = dict(_settings(found))
    config, state = converted(weights, *_factors(settings))
    for path, own in settings.items():
        for name, wanted in _expected(path, config, weights).items():
            if name in own and not same(own[name], wanted):
                raise LGFAError(f"{_named(path, name)} is {shown(own[name])}: only {wanted!r} fits "
                                f"StyleGAN2's architecture and its weights here.")
    return config, state


def _named(path: str, name: str) -> str:
    return f"this NVIDIA generator's setting {f'{path}.' if path else ''}{name}"


def _settings(node: Mapping[str, Any], path: str = "", depth: int = 0
              ) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The attributes of each module with its name; unpickle.weights has bounded their number."""
    yield path, node["state"]
    for name, part in _parts(node).items():
        if depth < DEPTH and reader.is_network(part):
            yield from _settings(part, f"{path}.{name}" if path else str(name), depth + 1)


def _factors(settings: Mapping[str, Mapping[str, Any]]) -> tuple[float, float | None]:
    """The mapping's learning-rate multiplier and the clamp of the convolutions."""
    rate = settings.get("mapping.fc0", {}).get("bias_gain", LR_MULTIPLIER)
    clamp = settings.get("synthesis.b4.conv1", {}).get("conv_clamp")
    return (stylegan2.factor(rate, _named("mapping.fc0", "bias_gain")), None if clamp is None else
            stylegan2.factor(clamp, _named("synthesis.b4.conv1", "conv_clamp")))


def _expected(path: str, config: GeneratorConfig, weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """What each setting of a module must be: {attribute: value}."""
    *above, last = path.split(".")
    rate, codes = config.mapping_lr_multiplier, config.num_layers
    whole = {"z_dim": config.z_dim, "c_dim": 0, "w_dim": config.w_dim, "num_ws": codes,
             "img_resolution": config.resolution, "img_channels": 3}
    if path in ("", "synthesis"):
        return whole | {"block_resolutions": list(SIDES[:len(config.channels)]),
                        "architecture": config.architecture}
    if path == "mapping":
        return whole | {"num_layers": config.mapping_layers, "activation": "lrelu",
                        "lr_multiplier": rate, "normalize_2nd_moment": True}
    if above == ["mapping"] or last == "affine":
        fan_in = _fan_in(weights, path)
        rate, activation = (1, "linear") if last == "affine" else (rate, "lrelu")
        return {"activation": activation, "weight_gain": rate / fan_in**0.5, "bias_gain": rate,
                "lr_multiplier": rate}
    if above == ["synthesis"]:
        return _expected_block(last, config)
    return _expected_layer(above[-1], last, config, _fan_in(weights, path))


def _expected_block(block: str, config: GeneratorConfig) -> dict[str, Any]:
    """Of the module "b64", say."""
    side = int(block[1:]) if block[1:] in map(str, SIDES) else 0
    first, is_last = side == 4, side == config.resolution
    level = side.bit_length() - 3
    return {
        "resolution": side, "in_channels": 0 if first else config.channels[level - 1],
        "w_dim": config.w_dim, "img_channels": 3, "is_last": is_last, "num_conv": 1 if first else 2,
        "num_torgb": int(is_last or config.architecture == "skip"),
        "architecture": config.architecture, "resample_filter": [1, 3, 3, 1],
    } if side else {}


def _expected_layer(block: str, layer: str, config: GeneratorConfig, fan_in: int
                    ) -> dict[str, Any]:
    """Of a convolution, a ToRGB or a residual block's shortcut."""
    if layer in ("conv0", "conv1"):
        return {"activation": "lrelu", "up": 2 if layer == "conv0" else 1, "down": 1,
                "kernel_size": 3, "padding": 1, "use_noise": True, "act_gain": math.sqrt(2),
                "resolution": int(block[1:]) if block[1:].isascii() and block[1:].isdigit() else 0,
                "conv_clamp": config.conv_clamp, "demodulate": True, "w_dim": config.w_dim,
                "resample_filter": [1, 3, 3, 1]}
    common = {"activation": "linear", "down": 1, "kernel_size": 1, "padding": 0,
              "weight_gain": fan_in**-0.5}
    if layer == "torgb":
        return common | {"up": 1, "conv_clamp": config.conv_clamp, "demodulate": False}
    return common | {"up": 2, "act_gain": 1, "conv_clamp": None, "resample_filter": [1, 3, 3, 1]}


def _fan_in(weights: Mapping[str, Tensor], path: str) -> int:
    """Inputs of a layer, its kernel's places not counted."""
    weight = weights.get(f"{path}.weight")
    return weight.shape[1] if weight is not None and weight.ndim > 1 and weight.shape[1] else 1


def same(value: Any, wanted: Any) -> bool:
    """Whether a setting has the value that it must have; numbers may be rounded."""
    if isinstance(wanted, list):
        return isinstance(value, list | tuple) and len(value) == len(wanted) and all(
            map(same, value, wanted))
    if isinstance(wanted, bool) or wanted is None or isinstance(wanted, str):
        return type(value) is type(wanted) and value == wanted
    return (isinstance(value, int | float) and not isinstance(value, bool)
            and abs(value) < 1e9 and math.isclose(value, wanted, rel_tol=1e-5))


# --- what the file holds, by its parts

def _parts(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """The submodules of a pickled module by name; none where they are no table."""
    found = node["state"].get("_modules")
    return found if isinstance(found, Mapping) else {}


def _outline(value: Any) -> set[str]:
    """The first two parts of every name: "mapping.fc0", "synthesis.b4", .."""
    if reader.is_network(value):
        return {f"{a}.{b}" for a, part in _parts(value).items() if reader.is_network(part)
                for b in _parts(part)}
    if isinstance(value, Mapping):
        return {".".join(name.split(".", 2)[:2]) for name in value if isinstance(name, str)}
    return set()


def _fits(value: Any) -> bool:
    """Whether a value is a generator in NVIDIA's layout, StyleGAN3's included."""
    parts = _outline(value)
    return "mapping.fc0" in parts and any(part.startswith("synthesis.") for part in parts)


def _is_conditional(tree: Any) -> bool:
    place = stylegan2.find(tree, _fits)
    if place is None:
        return False
    pickled = reader.is_network(place.value)
    classes = place.value["state"].get("c_dim") if pickled else None
    return "mapping.embed" in _outline(place.value) or isinstance(classes, int) and classes > 0


def _is_stylegan3(tree: Any) -> bool:
    def fits(value: Any) -> bool:
        return any(part.startswith("synthesis.L0_") or part == "synthesis.input"
                   for part in _outline(value))
    return stylegan2.find(tree, fits) is not None


def _is_discriminator(tree: Any) -> bool:
    """Whether a file holds a discriminator and no generator."""
    if not isinstance(tree, Mapping) or "G" in tree or "G_ema" in tree:
        return False
    return any({"b4.conv", "b4.fc", "b4.out"} <= _outline(value)
               for value in (tree, *(tree.get(key) for key in ("D", *tables.WRAPPERS))))


FORMATS = [
    Format("NVIDIA StyleGAN3", "generator", _is_stylegan3,
           refuse="this is an NVIDIA StyleGAN3 generator: only StyleGAN2 networks can be used."),
    Format("NVIDIA class-conditional", "generator", _is_conditional,
           refuse="this NVIDIA generator is class-conditional: use one trained without labels."),
    Format("NVIDIA discriminator", "generator", _is_discriminator,
           refuse="this is an NVIDIA discriminator without its generator: use the file of the "
                  "generator (G_ema)."),
    Format("NVIDIA stylegan2-ada .pkl", "generator", is_nvidia, convert_nvidia),
]
