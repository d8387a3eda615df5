"""Checkpoints of the LGFA authors' training code: Iter_XXXXXX.pth.

    {"iter", "arch", "state_dict": {"module.rnn.*", "module.mapper.*", "module.encoder.*"}, ..}

"module." is what parallel training puts in front; it may be missing.  "encoder" is OpenAI's CLIP
with OpenAI's names and is optional; so is "v_mapper", which a training on sampled stills lacks.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ...config import MotionConfig
from ...errors import LGFAError
from ..recognition import Format
from ..tables import below, count_of, renamed, shape_of, side_of, state_dict
from . import openai_clip

W_DIM = 512                             # of every generator that the authors used

RNN = {                                 # authors' name -> ours
    "rnn.fc1": "rnn.context",           # W1
    "rnn.fc2": "rnn.code_step",         # W2
    "rnn.fc3": "rnn.hidden_step",       # W3
}
MAPPERS = {                             # their layer 0 is the pixel norm, which has no weights
    "mapper.v_mapper": "v_mapper",
    "mapper.t_mapper": "t_mapper",
}
MAPPER = "mapper.t_mapper."


def motion_table(depth: int, visual_mapper: bool) -> dict[str, str]:
    """{original key: our key} of the motion generator and of mappers with `depth` layers."""
    modules = dict(RNN)
    for theirs, ours in MAPPERS.items():
        if ours == "t_mapper" or visual_mapper:
            modules |= {f"{theirs}.{i + 1}": f"{ours}.layers.{i}" for i in range(depth)}
    return {f"{theirs}.{part}": f"{ours}.{part}"
            for theirs, ours in modules.items() for part in ("weight", "bias")}


def _matches(tree: Any) -> bool:
    return {"rnn.fc1.weight", f"{MAPPER}1.weight"} <= set(state_dict(tree))


def _config(weights: Mapping[str, Any]) -> MotionConfig:
    """The sizes, read off the shapes of the weights."""
    hidden, embed_dim = shape_of(weights, "rnn.fc1.weight", 2)
    depth = count_of(weights, MAPPER, first=1)
    outputs = shape_of(weights, f"{MAPPER}{depth}.weight", 2)[0]
    layers, rest = divmod(outputs, W_DIM)
    if rest:
        raise LGFAError(f"the motion mapper gives {outputs} numbers, which are no style codes of "
                        f"{W_DIM} for a generator; only the authors' layout is known.")
    inner = shape_of(weights, f"{MAPPER}1.weight", 2)[0]
    seen = "mapper.v_mapper.1.weight" in weights
    return MotionConfig.authors(
        embed_dim=embed_dim, num_layers=layers, w_dim=W_DIM, hidden=hidden, mapper_depth=depth,
        mapper_hidden=inner if depth > 1 else 1024, visual=seen, visual_mapper=seen,
        resolution=side_of(layers, "the motion mapper"),
    )


def _convert(tree: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    weights = state_dict(tree)
    config = _config(weights)
    table = motion_table(config.mapper_depth, config.visual_mapper)

    encoder = below(weights, "encoder.")
    out = renamed({name: tensor for name, tensor in weights.items()
                   if not name.startswith("encoder.")}, table)
    out["latent_scale"] = torch.eye(config.w_dim)       # their mappers speak in W units already
    if not encoder:
        return config, out
    clip_config, clip_weights = openai_clip.convert_openai(encoder)
    out |= {f"encoder.{name}": tensor for name, tensor in clip_weights.items()}
    return (config, clip_config), out


FORMATS = [Format("LGFA authors' checkpoint", "motion", _matches, _convert)]
