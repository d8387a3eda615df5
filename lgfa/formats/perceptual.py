"""Trunks for the perceptual distance: torchvision's ImageNet classifiers.

torchvision numbers the layers of `features`; the lpips package keeps the numbers and groups the
layers between its taps into slices.  The classifier behind the features is not needed.
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from ..config import PerceptualConfig
from ..embed.perceptual import Perceptual
from .core import Format

INPUT_SIZE = 224        # side at which the authors of LGFA compare frames

# net -> torchvision's name of the network, number behind each slice's last layer, the layers of
# `features` that have weights
TRUNKS = {
    "alex": ("AlexNet", (2, 5, 8, 10, 12), {0, 3, 6, 8, 10}),
    "vgg": ("VGG-16", (4, 9, 16, 23, 30), {0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28}),
    "squeeze": ("SqueezeNet 1.1", (2, 5, 8, 10, 11, 12, 13), {0, 3, 4, 6, 7, 9, 10, 11, 12}),
}


def rename(tree: Mapping[str, torch.Tensor], net: str) -> dict[str, torch.Tensor]:
    """torchvision's features.<number>.<rest> -> lpips.net.slice<s>.<number>.<rest>."""
    out = {}
    for name, tensor in tree.items():
        found = re.fullmatch(r"features\.(\d+)\.(.+)", name)
        if found:
            slice_number = 1 + sum(int(found[1]) >= end for end in TRUNKS[net][1])
            out[f"lpips.net.slice{slice_number}.{found[1]}.{found[2]}"] = tensor
    return out


def _layers(tree: Any) -> set[int]:
    """The numbers of the `features` layers in a tree; empty for anything else."""
    if not isinstance(tree, Mapping):
        return set()
    names = [re.match(r"features\.(\d+)\.", str(name)) for name in tree]
    return {int(found[1]) for found in names if found}


def _format(net: str) -> Format:
    def matches(tree: Any) -> bool:
        return _layers(tree) == TRUNKS[net][2]

    def convert(tree: Any) -> tuple[PerceptualConfig, dict[str, torch.Tensor]]:
        # The package's channel weights were fitted to just these trunks; it carries them itself.
        config = PerceptualConfig(net, weighted=True, input_size=INPUT_SIZE)
        own = Perceptual(config).state_dict()
        rest = {name: own[name] for name in own if not name.startswith("lpips.net.")}
        return config, {**rest, **rename(tree, net)}

    return Format(f"torchvision {TRUNKS[net][0]}", "perceptual", matches, convert)


FORMATS = [_format(net) for net in TRUNKS]
