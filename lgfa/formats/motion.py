"""Checkpoints of the LGFA authors' training code: Iter_XXXXXX.pth.

    {"iter", "arch", "state_dict": {"module.rnn.*", "module.mapper.*", "module.encoder.*"}, ..}

"module." is what parallel training puts in front; it may be missing.  "encoder" is OpenAI's CLIP
with OpenAI's names and is optional; so is "v_mapper", which a training on sampled stills lacks.
"""
from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import torch

from ..config import ClipConfig, MotionConfig
from ..errors import LGFAError
from .core import Format

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
CLIP_ATTRIBUTES = ("input_resolution", "context_length", "vocab_size")    # in OpenAI's archives


def motion_table(depth: int, visual_mapper: bool) -> dict[str, str]:
    """{original key: our key} of the motion generator and of mappers with `depth` layers."""
    modules = dict(RNN)
    for theirs, ours in MAPPERS.items():
        if ours == "t_mapper" or visual_mapper:
            modules |= {f"{theirs}.{i + 1}": f"{ours}.layers.{i}" for i in range(depth)}
    return {f"{theirs}.{part}": f"{ours}.{part}"
            for theirs, ours in modules.items() for part in ("weight", "bias")}


def openai_clip_config(weights: Mapping[str, torch.Tensor]) -> ClipConfig:
    """The architecture of an OpenAI CLIP, read off the shapes of its weights."""
    def count(pattern: str) -> int:
        return len({m[0] for m in (re.match(pattern, name) for name in weights) if m})

    context, width = weights["positional_embedding"].shape
    text = {"context_length": context, "vocab_size": weights["token_embedding.weight"].shape[0],
            "width": width, "heads": width // 64, "layers": count(r"transformer\.resblocks\.\d+\.")}

    if "visual.proj" in weights:
        width, _, _, patch = weights["visual.conv1.weight"].shape
        grid = math.isqrt(weights["visual.positional_embedding"].shape[0] - 1)
        vision: dict[str, Any] = {"image_size": grid * patch, "patch_size": patch, "width": width,
                                  "layers": count(r"visual\.transformer\.resblocks\.\d+\.")}
    else:
        grid = math.isqrt(weights["visual.attnpool.positional_embedding"].shape[0] - 1)
        vision = {"image_size": grid * 32, "patch_size": None,
                  "width": weights["visual.layer1.0.conv1.weight"].shape[0],
                  "layers": [count(rf"visual\.layer{k}\.\d+\.") for k in (1, 2, 3, 4)]}
    embed_dim = weights["text_projection"].shape[1]
    return ClipConfig(embed_dim, vision, text, options={"quick_gelu": True})


def _weights(tree: Any) -> dict[str, torch.Tensor]:
    """The state dict without the "module." of parallel training."""
    return {name.removeprefix("module."): tensor for name, tensor in tree["state_dict"].items()}


def _matches(tree: Any) -> bool:
    return {"rnn.fc1.weight", "mapper.t_mapper.1.weight"} <= set(_weights(tree))


def _config(weights: Mapping[str, torch.Tensor]) -> MotionConfig:
    """The sizes, read off the shapes of the weights."""
    hidden, embed_dim = weights["rnn.fc1.weight"].shape
    depth = sum(bool(re.fullmatch(r"mapper\.t_mapper\.\d+\.weight", name)) for name in weights)
    outputs = weights[f"mapper.t_mapper.{depth}.weight"].shape[0]
    layers, rest = divmod(outputs, W_DIM)
    if rest or layers < 4 or layers % 2:
        raise LGFAError(f"the motion mapper gives {outputs} numbers, which are no style codes of "
                        f"{W_DIM} for a generator; only the authors' layout is known.")
    seen = "mapper.v_mapper.1.weight" in weights
    return MotionConfig.authors(
        embed_dim=embed_dim, num_layers=layers, w_dim=W_DIM, hidden=hidden, mapper_depth=depth,
        mapper_hidden=weights["mapper.t_mapper.1.weight"].shape[0] if depth > 1 else 1024,
        visual=seen, visual_mapper=seen, resolution=2 ** (layers // 2 + 1),
    )


def _convert(tree: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    weights = _weights(tree)
    config = _config(weights)
    table = motion_table(config.mapper_depth, config.visual_mapper)

    # What no rule knows keeps its name, so that the strict comparison lists it as left over.
    clip = {name.removeprefix("encoder."): tensor for name, tensor in weights.items()
            if name.startswith("encoder.")}
    out = {table.get(name, name): tensor for name, tensor in weights.items()
           if not name.startswith("encoder.")}
    out["latent_scale"] = torch.eye(config.w_dim)       # their mappers speak in W units already
    if not clip:
        return config, out
    out |= {f"encoder.model.{name}": tensor for name, tensor in clip.items()
            if name not in CLIP_ATTRIBUTES}
    return (config, openai_clip_config(clip)), out


FORMATS = [Format("LGFA authors' checkpoint", "motion", _matches, _convert)]
