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

from ..config import MapperConfig
from ..errors import LGFAError
from . import generator
from .core import Format, is_own

PARTS = {"course_mapping": "coarse", "medium_mapping": "medium", "fine_mapping": "fine",
         "mapping": "all"}              # theirs -> ours
_LAYER = re.compile(r"mapper\.(\w+)\.mapping\.(\d+)\.(weight|bias)")
_STYLE = re.compile(r"mapper\.mapper_\d+\.mapping\.")      # a mapper of style space


def _state(tree: Any) -> Mapping[str, torch.Tensor]:
    state = tree.get("state_dict") if isinstance(tree, Mapping) and not is_own(tree) else None
    return state if isinstance(state, Mapping) else {}


def _options(tree: Mapping[str, Any]) -> Mapping[str, Any]:
    """The training's options: a table, or a namespace in forks."""
    opts = tree.get("opts") or {}
    return opts if isinstance(opts, Mapping) else vars(opts)


def is_mapper(tree: Any) -> bool:
    """Whether a state dict has a linear layer of one of the mappers in W+."""
    found = (_LAYER.fullmatch(str(name)) for name in _state(tree))
    return any(m is not None and m[1] in PARTS for m in found)


def is_style_mapper(tree: Any) -> bool:
    """Whether a state dict has a mapper of style space."""
    return any(_STYLE.match(str(name)) for name in _state(tree))


def has_decoder(tree: Any) -> bool:
    """Whether a mapper's file brings its generator along."""
    return is_mapper(tree) and any(str(name).startswith("decoder.conv1.") for name in _state(tree))


def convert_mapper(tree: Any) -> tuple[MapperConfig, dict[str, torch.Tensor]]:
    """Settings and weights; a name without a rule is handed on, and so listed as left over."""
    state = {name: tensor for name, tensor in _state(tree).items()
             if not name.startswith(("decoder.", "face_pool."))}
    weights, parts, depth = {}, set(), 0
    for name, tensor in state.items():
        found = _LAYER.fullmatch(name)
        if found is None or found[1] not in PARTS:
            weights[name] = tensor
            continue
        part, number = PARTS[found[1]], int(found[2])
        weights[f"parts.{part}.layers.{number - 1}.{found[3]}"] = tensor
        parts.add(part)
        depth = max(depth, number)
    opts, layers = _options(tree), _layers(tree)
    config = MapperConfig(
        text=str(opts.get("description") or ""),
        num_layers=layers,
        w_dim=next(iter(w.shape[-1] for name, w in weights.items() if name.endswith("weight"))),
        parts=tuple(p for p in ("coarse", "medium", "fine", "all") if p in parts),
        depth=depth,
        resolution=2 ** (layers // 2 + 1),
    )
    return config, weights


def convert_decoder(tree: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    """The generator that a mapper's file carries along, through the rosinality table."""
    state = {name.removeprefix("decoder."): tensor for name, tensor in _state(tree).items()
             if name.startswith("decoder.")}
    found = {"g_ema": state}
    if tree.get("latent_avg") is not None:
        found["latent_avg"] = tree["latent_avg"]
    return generator.convert_rosinality(found)


def _layers(tree: Any) -> int:
    """L of the generator: of the decoder in the file, else of the options, else of 1024 px."""
    noises = [name for name in _state(tree) if re.fullmatch(r"decoder\.noises\.noise_\d+", name)]
    if noises:
        return len(noises) + 1
    side = _options(tree).get("stylegan_size", 1024)
    if not isinstance(side, int) or side < 8 or side & (side - 1):
        raise LGFAError(f"the StyleCLIP mapper says that its generator makes images of {side!r} "
                        "px, and there is no such generator.")
    return 2 * (side.bit_length() - 1) - 2


FORMATS = [
    Format("StyleCLIP checkpoint", "mapper", is_mapper, convert_mapper),
    Format("StyleCLIP checkpoint", "generator", has_decoder, convert_decoder),
    Format("StyleCLIP mapper of style space", "mapper", is_style_mapper,
           refuse="this is a StyleCLIP mapper that was trained with --work_in_stylespace: only "
                  "mappers in W+ can animate."),
]
