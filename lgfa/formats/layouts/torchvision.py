"""Trunks for the perceptual distance: torchvision's ImageNet classifiers, and whole LPIPS models.

torchvision numbers the layers of `features`; the lpips package keeps the numbers and groups the
layers between its taps into slices. The classifier behind the features is not needed. Files of
trunks come in many wrappings (tables.bare), with `features.`, `features.module.` or no prefix.

The package's own small files (lpips' alex.pth, ..) hold the linear part alone, which the package
brings anyway; they are refused with the name of the trunk to give.
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ...config import PerceptualConfig
from ...embed.perceptual import Perceptual
from ..recognition import Format, refused
from ..tables import PREFIXES, bare, below, is_tensor

INPUT_SIZE = 224        # side at which the authors of LGFA compare frames


@dataclass(frozen=True)
class Trunk:
    """One network that LPIPS knows."""

    name: str                       # torchvision's
    file: str                       # .. and of its weights
    ends: tuple[int, ...]           # number behind each slice's last layer
    layers: frozenset[str]          # the layers of `features` that have weights
    kernel: tuple[int, ...]         # shape of the first one
    taps: tuple[int, ...]           # channels at each tap

    def slice_of(self, layer: str) -> str:
        """The lpips package's name of a layer, by its number."""
        return f"slice{1 + sum(int(layer) >= end for end in self.ends)}.{layer}"


def _numbers(*numbers: int) -> frozenset[str]:
    return frozenset(map(str, numbers))


TRUNKS = {                              # net of PerceptualConfig -> trunk
    "alex": Trunk("AlexNet", "alexnet-owt-7be5be79.pth", (2, 5, 8, 10, 12),
                  _numbers(0, 3, 6, 8, 10), (64, 3, 11, 11), (64, 192, 384, 256, 256)),
    "vgg": Trunk("VGG-16", "vgg16-397923af.pth", (4, 9, 16, 23, 30),
                 _numbers(0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28), (64, 3, 3, 3),
                 (64, 128, 256, 512, 512)),
    "squeeze": Trunk("SqueezeNet 1.1", "squeezenet1_1-b8a52dc0.pth", (2, 5, 8, 10, 11, 12, 13),
                     _numbers(0, 3, 4, 6, 7, 9, 10, 11, 12), (64, 3, 3, 3),
                     (64, 128, 256, 384, 384, 512, 512)),
}
_SLICE = re.compile(r"net\.slice[0-9]\.([0-9]{1,2})\.(.+)")
_LINEAR = re.compile(r"lin(?:s\.)?([0-9])\.model\.1\.weight")     # held under both names


# ---- torchvision

def layers_of(tree: Any) -> dict[str, Any]:
    """{"<number>.<rest>": weight} of a classifier's `features`; empty for anything else."""
    state = bare(tree)
    layers = below(state, "features.module.") or below(state, "features.")
    if not layers and all(re.match(r"[0-9]{1,2}\.", key) for key in state):
        # Numbers alone say little, so the first layer must look like a trunk's.
        fits = is_tensor(state, "0.weight", 4) and tuple(state["0.weight"].shape) in {
            trunk.kernel for trunk in TRUNKS.values()}
        layers = state if fits else {}
    return layers


def _has_layers(layers: Mapping[str, Any], net: str) -> bool:
    return {key.split(".", 1)[0] for key in layers} == TRUNKS[net].layers


def is_other_classifier(tree: Any) -> bool:
    """A classifier of torchvision that is none of the trunks."""
    state = bare(tree)
    return any(re.match(r"features\.[0-9]", key) for key in state) \
        and any(key.startswith("classifier.") for key in state) \
        and not any(_has_layers(layers_of(tree), net) for net in TRUNKS)


# ---- lpips

def _lpips(tree: Any) -> dict[str, Any]:
    """The state dict of an lpips model, or of its linear part; empty for anything else."""
    state = bare(tree, (*PREFIXES, "lpips."))
    return state if any(_SLICE.fullmatch(key) or _LINEAR.fullmatch(key) for key in state) else {}


def _is_whole(tree: Any, net: str) -> bool:
    found = [_SLICE.fullmatch(key) for key in _lpips(tree)]
    return {m[1] for m in found if m} == TRUNKS[net].layers


def _taps(tree: Any) -> tuple[int, ...]:
    """Channels of the linear part's weights, where a tree holds it and no trunk."""
    state = _lpips(tree)
    if not all(_LINEAR.fullmatch(key) for key in state):
        return ()
    rows = {_LINEAR.fullmatch(key)[1]: value.shape[1] for key, value in state.items()
            if is_tensor(state, key, 4)}
    return tuple(rows[number] for number in sorted(rows))


# ---- formats

def _settled(net: str, given: dict[str, torch.Tensor], weighted: bool) -> Any:
    """Settings and weights; what the file does not hold is the package's own."""
    config = PerceptualConfig(net, weighted=weighted, input_size=INPUT_SIZE)
    own = Perceptual(config).state_dict()
    return config, {**{k: v for k, v in own.items() if not k.startswith("lpips.net.")}, **given}


def _torchvision(net: str) -> Format:
    trunk = TRUNKS[net]

    def convert(tree: Any) -> tuple[PerceptualConfig, dict[str, torch.Tensor]]:
        given = {}
        for key, value in layers_of(tree).items():
            number, _, rest = key.partition(".")
            given[f"lpips.net.{trunk.slice_of(number)}.{rest}"] = value
        # The package's channel weights were fitted to just these trunks.
        return _settled(net, given, weighted=True)

    return Format(f"torchvision {trunk.name}", "perceptual",
                  lambda tree: _has_layers(layers_of(tree), net), convert)


def _whole(net: str) -> Format:
    def convert(tree: Any) -> tuple[PerceptualConfig, dict[str, torch.Tensor]]:
        state = _lpips(tree)
        linear = {key: m[1] for key in state if (m := _LINEAR.fullmatch(key))}
        given = {f"lpips.{key}": value for key, value in state.items() if key not in linear}
        for key in sorted(linear, reverse=True):        # "lin0.." after "lins.0..": it counts
            given[f"lpips.lin{linear[key]}.model.1.weight"] = state[key]
        return _settled(net, given, weighted=bool(linear))

    return Format(f"LPIPS model ({TRUNKS[net].name})", "perceptual",
                  lambda tree: _is_whole(tree, net), convert)


def _linear(net: str) -> Format:
    trunk = TRUNKS[net]
    return refused(
        f"the linear part of LPIPS for {trunk.name}", "perceptual",
        lambda tree: _taps(tree) == trunk.taps,
        f"the lpips package brings it along, and what is needed is the trunk. Give torchvision's "
        f"weights of {trunk.name} ({trunk.file}).")


_FILES = ", ".join(f"{trunk.name} ({trunk.file})" for trunk in TRUNKS.values())

FORMATS = [
    *(_torchvision(net) for net in TRUNKS),
    *(_whole(net) for net in TRUNKS),
    *(_linear(net) for net in TRUNKS),
    refused("the linear part of LPIPS for a trunk that is not known here", "perceptual",
            lambda tree: bool(_taps(tree)), f"give the weights of a trunk: {_FILES}."),
    refused("a classifier of torchvision that LPIPS has no weights for", "perceptual",
            is_other_classifier, f"give one of its trunks: {_FILES}."),
]
