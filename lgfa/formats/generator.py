"""StyleGAN2 generators in foreign files: rosinality `.pt` and NVIDIA's ada `.pkl`.

All settings are read off the weights' shapes; each layout has its table of names. A name without
a rule is handed on as it is, so that the strict comparison lists it as left over.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .. import unpickle
from ..config import GeneratorConfig
from ..errors import LGFAError
from ..frames import stylegan2
from ..ops import fir_kernel
from .core import Format, copy_strict

# --- rosinality/stylegan2-pytorch -----------------------------------------------------------

_ROSINALITY_CONV = {                    # theirs -> ours, inside a styled convolution
    "conv.weight": "weight",
    "conv.modulation.weight": "affine.weight",
    "conv.modulation.bias": "affine.bias",
    "noise.weight": "noise_strength",
    "activate.bias": "bias",
}
_ROSINALITY_RGB = {                     # theirs -> ours, inside a ToRGB
    "conv.weight": "weight",
    "conv.modulation.weight": "affine.weight",
    "conv.modulation.bias": "affine.bias",
    "bias": "bias",
}


def rosinality_names(config: GeneratorConfig) -> dict[str, str]:
    """Every name of the rosinality layout with the one that it has here."""
    names = {"input.input": "synthesis.const"}
    for i in range(config.mapping_layers):              # style.0 is the norm, it has no weights
        for part in ("weight", "bias"):
            names[f"style.{i + 1}.{part}"] = f"mapping.layers.{i}.{part}"
    for i in range(config.num_layers - 1):              # conv1 at 4 px, then convs.0, convs.1, ..
        layer = "conv1" if i == 0 else f"convs.{i - 1}"
        names[f"noises.noise_{i}"] = f"synthesis.convs.{i}.noise"
        names |= {f"{layer}.{a}": f"synthesis.convs.{i}.{b}" for a, b in _ROSINALITY_CONV.items()}
    for i in range(len(config.channels)):
        layer = "to_rgb1" if i == 0 else f"to_rgbs.{i - 1}"
        names |= {f"{layer}.{a}": f"synthesis.to_rgbs.{i}.{b}" for a, b in _ROSINALITY_RGB.items()}
    return names


def rosinality_config(weights: Mapping[str, Tensor]) -> GeneratorConfig:
    """Settings of a rosinality state dict, read off its shapes."""
    levels = 1 + sum(1 for name in weights
                     if name.startswith("to_rgbs.") and name.endswith(".conv.weight"))
    convs = ["conv1"] + [f"convs.{2 * level}" for level in range(levels - 1)]
    return GeneratorConfig(
        resolution=2 ** (levels + 1),
        channels=tuple(weights[f"{name}.conv.weight"].shape[1] for name in convs),
        z_dim=weights["style.1.weight"].shape[1],
        w_dim=weights["conv1.conv.modulation.weight"].shape[1],
        mapping_layers=sum(1 for name in weights
                           if name.startswith("style.") and name.endswith(".weight")),
    )


def rosinality_weights(tree: Any) -> Mapping[str, Tensor] | None:
    """The generator's state dict in a rosinality file, the averaged one if there are two."""
    if not isinstance(tree, Mapping):
        return None
    for weights in (tree.get("g_ema"), tree.get("g"), tree):
        if not isinstance(weights, Mapping):
            continue
        if weights and all(str(name).startswith("module.") for name in weights):
            weights = {name[len("module."):]: value for name, value in weights.items()}
        if {"style.1.weight", "input.input", "conv1.conv.weight"} <= set(weights):
            return weights
    return None


def is_rosinality(tree: Any) -> bool:
    """{"g_ema": weights, "latent_avg": [512]}, {"g": weights} or the bare weights."""
    return rosinality_weights(tree) is not None


def convert_rosinality(tree: Any) -> tuple[GeneratorConfig, dict[str, Tensor]]:
    """Settings and state dict of our Generator. Used for the decoder in an e4e file too."""
    weights = rosinality_weights(tree)
    config = rosinality_config(weights)
    names = rosinality_names(config)
    kernels = {name: value for name, value in weights.items() if name.endswith(".kernel")}
    for name, kernel in kernels.items():
        _check_filter(name, kernel)                     # the factor 4 of upsampling is in it
    state = {names.get(k, k): v for k, v in weights.items() if k not in kernels}
    if isinstance(tree.get("latent_avg"), Tensor):      # [w_dim]; some tools repeat it per layer
        state["mapping.latent_avg"] = tree["latent_avg"].reshape(-1, config.w_dim)[0]
    return config, _finish(config, state)


# --- NVIDIA stylegan2-ada-pytorch -----------------------------------------------------------

_NVIDIA_CONV = {                        # theirs -> ours, inside a styled convolution
    "weight": "weight",
    "bias": "bias",
    "affine.weight": "affine.weight",
    "affine.bias": "affine.bias",
    "noise_strength": "noise_strength",
    "noise_const": "noise",
}
_NVIDIA_RGB = {                         # theirs -> ours, inside a ToRGB
    "weight": "weight",
    "bias": "bias",
    "affine.weight": "affine.weight",
    "affine.bias": "affine.bias",
}


def nvidia_names(config: GeneratorConfig) -> dict[str, str]:
    """Every name of NVIDIA's layout with the one that it has here."""
    names = {"mapping.w_avg": "mapping.latent_avg", "synthesis.b4.const": "synthesis.const"}
    for i in range(config.mapping_layers):
        for part in ("weight", "bias"):
            names[f"mapping.fc{i}.{part}"] = f"mapping.layers.{i}.{part}"
    for level in range(len(config.channels)):           # conv0 doubles, so b4 has none
        block = f"synthesis.b{4 * 2**level}"
        layers = {"conv0": 2 * level - 1, "conv1": 2 * level} if level else {"conv1": 0}
        for layer, i in layers.items():
            names |= {f"{block}.{layer}.{a}": f"synthesis.convs.{i}.{b}"
                      for a, b in _NVIDIA_CONV.items()}
        names |= {f"{block}.torgb.{a}": f"synthesis.to_rgbs.{level}.{b}"
                  for a, b in _NVIDIA_RGB.items()}
    return names


def nvidia_generator(tree: Any) -> Mapping[str, Any] | None:
    """The generator of a network pickle, the averaged one if there are two; None if no such."""
    for node in (tree.get("G_ema"), tree.get("G"), tree) if isinstance(tree, Mapping) else ():
        if unpickle.is_network(node) and {"mapping", "synthesis"} <= set(_parts(node)):
            return node
    return None


def is_nvidia(tree: Any) -> bool:
    """{"G", "D", "G_ema", ..} of persistent objects, or one generator."""
    return nvidia_generator(tree) is not None


def convert_nvidia(tree: Any) -> tuple[GeneratorConfig, dict[str, Tensor]]:
    """Settings and weights of a skip generator without classes; refuses others by name."""
    node = nvidia_generator(tree)
    synthesis = _parts(node)["synthesis"]
    weights = unpickle.weights(node)
    first, blocks = _parts(_parts(node)["mapping"])["fc0"], _parts(synthesis)
    sides = sorted(int(name[1:]) for name in blocks if name[1:].isdigit())
    layer = _parts(blocks[f"b{sides[-1]}"])["conv1"]["state"]
    _check_nvidia(layer)

    config = GeneratorConfig(
        resolution=sides[-1],
        channels=tuple(weights[f"synthesis.b{side}.conv1.weight"].shape[0] for side in sides),
        z_dim=weights["mapping.fc0.weight"].shape[1],
        w_dim=weights["synthesis.b4.conv1.affine.weight"].shape[1],
        mapping_layers=sum(1 for name in weights
                           if name.startswith("mapping.fc") and name.endswith(".weight")),
        mapping_lr_multiplier=float(first["state"].get("bias_gain", 0.01)),
        conv_clamp=None if layer.get("conv_clamp") is None else float(layer["conv_clamp"]),
    )
    names = nvidia_names(config)
    filters = {k: v for k, v in weights.items() if k.endswith("resample_filter")}
    for name, kernel in filters.items():
        _check_filter(name, kernel * 4)                 # stored with a sum of 1
    state = {names.get(k, k): v for k, v in weights.items() if k not in filters}
    return config, _finish(config, state)


def _parts(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """The submodules of a pickled module by name."""
    return node["state"].get("_modules", {})


def _check_nvidia(layer: Mapping[str, Any]) -> None:
    """Refuses convolution layers that are not StyleGAN2's."""
    if layer.get("activation", "lrelu") != "lrelu":
        raise LGFAError(f"this NVIDIA generator uses the activation {layer['activation']!r}: "
                        f"only lrelu is supported.")
    if not layer.get("use_noise", True):
        raise LGFAError("this NVIDIA generator was made without noise inputs: "
                        "only generators with noise are supported.")


def _conditional(tree: Any) -> bool:
    node = nvidia_generator(tree)
    return node is not None and int(node["state"].get("c_dim") or 0) > 0


def _other_architecture(tree: Any) -> bool:
    """Whether the blocks are chained by `orig` or `resnet`: no or only the last ToRGB."""
    node = nvidia_generator(tree)
    blocks = _parts(_parts(node)["synthesis"]) if node is not None else {}
    return any(block["state"].get("architecture", "skip") != "skip"
               or "skip" in _parts(block) or "torgb" not in _parts(block)
               for name, block in blocks.items() if name[:1] == "b" and name[1:].isdigit())


def _stylegan3(tree: Any) -> bool:
    node = nvidia_generator(tree)
    return node is not None and any(name.startswith("L0_")
                                    for name in _parts(_parts(node)["synthesis"]))


# --- both -----------------------------------------------------------------------------------


def _finish(config: GeneratorConfig, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Drops axes of length 1 that we do not have, and measures latent_avg when it is missing."""
    with torch.device("meta"):
        wanted = stylegan2.Generator(config).state_dict()
    for name, tensor in state.items():
        shape = wanted[name].shape if name in wanted else tensor.shape
        if [n for n in tensor.shape if n != 1] == [n for n in shape if n != 1]:
            state[name] = tensor.reshape(shape)
    if "mapping.latent_avg" not in state:
        state["mapping.latent_avg"] = mean_latent(config, state)
    return state


def mean_latent(
    config: GeneratorConfig,
    state: Mapping[str, Tensor],        # our names; only the mapping's are looked at
    samples: int = 4096,                # of z
    seed: int = 0,
) -> Tensor:
    """Mean of w over sampled z, for files that do not hold it. -> [w_dim]"""
    with torch.random.fork_rng(devices=[]):
        network = stylegan2.Mapping(config)
    weights = {name[len("mapping."):]: value for name, value in state.items()
               if name.startswith("mapping.")}
    copy_strict(network, weights | {"latent_avg": network.latent_avg}, "mapping network")
    z = torch.randn(samples, config.z_dim, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return network(z)[:, 0].mean(0)


def _check_filter(name: str, kernel: Tensor) -> None:
    """Refuses resampling filters other than [1, 3, 3, 1]."""
    if kernel.shape != (4, 4) or not torch.allclose(kernel.float(), fir_kernel(kernel.float()),
                                                    atol=1e-5):
        raise LGFAError(f"the generator's resampling filter {name} is not [1, 3, 3, 1]: "
                        f"only StyleGAN2's own filter is supported.")


FORMATS = [
    Format("rosinality .pt", "generator", is_rosinality, convert_rosinality),
    Format("NVIDIA StyleGAN3 .pkl", "generator", _stylegan3,
           refuse="this is an NVIDIA StyleGAN3 generator: only StyleGAN2 networks can be used."),
    Format("NVIDIA class-conditional .pkl", "generator", _conditional,
           refuse="this NVIDIA generator is class-conditional: use one trained without labels."),
    Format("NVIDIA orig or resnet .pkl", "generator", _other_architecture,
           refuse="this NVIDIA generator has the orig or resnet architecture: "
                  "use one of the skip architecture."),
    Format("NVIDIA stylegan2-ada .pkl", "generator", is_nvidia, convert_nvidia),
]
