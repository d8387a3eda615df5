"""StyleCLIP's mappers: {"state_dict": {"mapper.*", "decoder.*"}, "opts": {..}, "latent_avg"}.

    mapper.course_mapping.mapping.<1..4>.weight     coarse (sic); medium_mapping and fine_mapping
                                                    alike; any of the three may be missing
    mapper.mapping.mapping.<1..4>.weight            one mapper for all codes ("SingleMapper")
    decoder.*                                       the generator of its training, rosinality names

Layer 0 is the pixel norm, which has no weights. The sentence is opts["description"].
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from ...errors import LGFAError, shown
from ...formats.layouts import rosinality
from ...formats.recognition import Format
from ...formats.tables import count_of, options, shape_of, side_of, state_dict
from .mapper import MapperConfig

PARTS = {"course_mapping": "coarse", "medium_mapping": "medium", "fine_mapping": "fine",
         "mapping": "all"}              # theirs -> ours
NOISE = "decoder.noises.noise_"         # + 0, 1, ..: one for each style code but the first
SIDES = [2**k for k in range(3, 11)]    # px, of StyleGAN2's images
SENTENCE = 1000                         # characters of the longest description
_LAYER = re.compile(r"mapper\.(\w+)\.mapping\.([0-9]+)\.(weight|bias)")
_STYLE = re.compile(r"mapper\.mapper_\d+\.mapping\.")      # a mapper of style space


def is_mapper(tree: Any) -> bool:
    """Whether a state dict has a linear layer of one of the mappers in W+."""
    found = (_LAYER.fullmatch(name) for name in state_dict(tree))
    return any(m is not None and m[1] in PARTS for m in found)


def is_style_mapper(tree: Any) -> bool:
    """Whether a state dict has a mapper of style space."""
    return any(_STYLE.match(name) for name in state_dict(tree))


def has_decoder(tree: Any) -> bool:
    """Whether a mapper's file brings its generator along."""
    return is_mapper(tree) and any(name.startswith("decoder.conv1.") for name in state_dict(tree))


def convert_mapper(tree: Any) -> tuple[MapperConfig, dict[str, torch.Tensor]]:
    """Settings and weights; a name without a rule is handed on, and so listed as left over."""
    state = {name: tensor for name, tensor in state_dict(tree).items()
             if not name.startswith(("decoder.", "face_pool."))}
    found = {name: m for name in state if (m := _LAYER.fullmatch(name)) and m[1] in PARTS}
    prefixes = {PARTS[m[1]]: f"mapper.{m[1]}.mapping." for m in found.values()}
    depths = [count_of(state, prefix, first=1) for prefix in prefixes.values()]
    weights = {name: tensor for name, tensor in state.items() if name not in found}
    for name, m in found.items():           # their numbers are 1, 2, .. as counted; ours begin at 0
        weights[f"parts.{PARTS[m[1]]}.layers.{int(m[2]) - 1}.{m[3]}"] = state[name]
    layers = _layers(tree)
    config = MapperConfig(
        text=_sentence(tree),
        num_layers=layers,
        w_dim=shape_of(state, f"{next(iter(prefixes.values()))}1.weight", 2)[1],
        parts=tuple(part for part in PARTS.values() if part in prefixes),
        depth=max(depths),
        resolution=side_of(layers, "the StyleCLIP mapper"),
    )
    return config, weights


def _sentence(tree: Mapping[str, Any]) -> str:
    """What the mapper shows; "" where the options do not say."""
    text = options(tree).get("description") or ""
    if not isinstance(text, str) or len(text) > SENTENCE:
        raise LGFAError(f"the StyleCLIP mapper's description is {shown(text)}, and it should be a "
                        "sentence.")
    return text


def _layers(tree: Any) -> int:
    """L of the generator: of the decoder in the file, else of the options, else of 1024 px."""
    state = state_dict(tree)
    if any(name.startswith(NOISE) for name in state):
        return count_of(state, NOISE) + 1
    side = options(tree).get("stylegan_size", 1024)
    if type(side) is not int or side not in SIDES:
        raise LGFAError(f"the StyleCLIP mapper says that its generator makes images of "
                        f"{shown(side)} px, and there is no such generator.")
    return 2 * (side.bit_length() - 1) - 2


FORMATS = [
    Format("StyleCLIP checkpoint", "mapper", is_mapper, convert_mapper),
    Format("StyleCLIP checkpoint", "generator", has_decoder, rosinality.convert_decoder),
    Format("StyleCLIP mapper of style space", "mapper", is_style_mapper,
           refuse="this is a StyleCLIP mapper that was trained with --work_in_stylespace: only "
                  "mappers in W+ can animate."),
]
