"""OpenAI's CLIP archives, and the settings of a CLIP read off the shapes of its weights.

Their `.pt` files are TorchScript archives, whose code is never run here: only their tensors are
read, and the architecture follows from their shapes, as it does for Hugging Face's layout.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ...config import ClipConfig
from ...errors import LGFAError, warn
from .. import tables, trees
from ..recognition import Format
from ..unpickle import reader

# Beside its weights OpenAI's archive keeps these three numbers, by which it is recognised.
OPENAI_NUMBERS = ("input_resolution", "context_length", "vocab_size")

# Heads have 64 channels in every tower that OpenAI trained, and in others by their width.
HEAD_WIDTH = 64
HEAD_WIDTHS = {1280: 80, 1408: 88, 1664: 104}       # ViT-H/14, g/14 and bigG/14 of LAION
VOCABULARY = 2**20                      # words that a text tower may know

# (patch, image, width and layers of vision, of text, embedding) of what OpenAI published
OPENAI_SHAPES = {
    (32, 224, 768, 12, 512, 12, 512): "ViT-B-32",
    (16, 224, 768, 12, 512, 12, 512): "ViT-B-16",
    (14, 224, 1024, 24, 768, 12, 768): "ViT-L-14",
    (14, 336, 1024, 24, 768, 12, 768): "ViT-L-14-336",
}


# ---- weights

def clip_weights(tree: Any) -> dict[str, Any]:
    """The weights in a tree: a TorchScript archive, wrapped or bare; empty where there are none."""
    if reader.is_network(tree) and tree.get("module_type") == "torchscript":
        tree = reader.weights(tree)
    weights = tables.bare(tree)
    text = {"token_embedding.weight", "text.token_embedding.weight", "text.proj.weight"}
    known = not text.isdisjoint(weights) or any(k.startswith("text.transformer.") for k in weights)
    return weights if known else {}


def is_openai(tree: Any) -> bool:
    """OpenAI's archive, or the state dict that its loader makes of it."""
    return set(OPENAI_NUMBERS) <= set(clip_weights(tree))


def convert_openai(tree: Any) -> tuple[ClipConfig, dict[str, torch.Tensor]]:
    """Settings (from the shapes) and weights of an OpenAI CLIP."""
    weights = clip_weights(tree)
    if not weights:
        raise LGFAError(f"this is no CLIP by OpenAI's names: it holds {trees.summary(tree)}.")
    config = architecture(weights, quick_gelu=True)
    return config, {f"model.{key}": value for key, value in trained(weights).items()}


# ---- architecture

def architecture(
    weights: Mapping[str, Any],             # by OpenAI's names
    quick_gelu: bool | None = None,         # the activation; None = not known: guessed, said
    vision_heads: int | None = None,        # None = as published networks of this width have
    text_heads: int | None = None,
) -> ClipConfig:
    """The settings of a CLIP with a plain text tower, read off the shapes of its weights."""
    shape_of = tables.shape_of
    context, width = shape_of(weights, "positional_embedding", 2)
    text = {
        "context_length": context,
        "vocab_size": shape_of(weights, "token_embedding.weight", 2, VOCABULARY)[0],
        "width": width,
        "heads": _heads(width, text_heads, HEAD_WIDTH, "text"),
        "layers": tables.count_of(weights, "transformer.resblocks."),
        **_ratio(weights, "transformer.resblocks.0.mlp.c_fc.weight"),
    }
    vision = _resnet(weights) if "visual.attnpool.positional_embedding" in weights \
        else _transformer(weights, vision_heads)
    embed_dim = shape_of(weights, "text_projection", 2)[1]
    if quick_gelu is None:
        quick_gelu = _guessed_activation(embed_dim, vision, text)
    return ClipConfig(embed_dim, vision, text, options={"quick_gelu": quick_gelu})


def _transformer(weights: Mapping[str, Any], heads: int | None = None) -> dict[str, Any]:
    """vision_cfg of a ViT: the patches are the first convolution, one position is the class."""
    width, _, _, patch = tables.shape_of(weights, "visual.conv1.weight", 4)
    key = "visual.positional_embedding"
    side = tables.square(tables.shape_of(weights, key, 2)[0] - 1, key)
    size = width // _heads(width, heads, HEAD_WIDTHS.get(width, HEAD_WIDTH), "picture")
    return {"layers": tables.count_of(weights, "visual.transformer.resblocks."), "width": width,
            "patch_size": patch, "image_size": patch * side,
            **({} if size == HEAD_WIDTH else {"head_width": size}),
            **_ratio(weights, "visual.transformer.resblocks.0.mlp.c_fc.weight")}


def _resnet(weights: Mapping[str, Any]) -> dict[str, Any]:
    """vision_cfg of a ResNet: its attention pool sees a map 32 times smaller than the image."""
    key = "visual.attnpool.positional_embedding"
    side = tables.square(tables.shape_of(weights, key, 2)[0] - 1, key)
    return {"layers": [tables.count_of(weights, f"visual.layer{stage}.") for stage in (1, 2, 3, 4)],
            "width": tables.shape_of(weights, "visual.layer1.0.conv1.weight", 4)[0],
            "patch_size": None, "image_size": 32 * side}


def _heads(width: int, heads: int | None, size: int, tower: str) -> int:
    """How many heads a tower has: as many as are said, or of the usual size."""
    if heads is None:
        heads = width // size if width % size == 0 else 0
    if heads < 1 or width % heads:
        raise LGFAError(f"this CLIP's {tower} tower has {width} channels, which do not make "
                        f"{f'{heads} equal heads' if heads else f'heads of {size}'}: no CLIP known "
                        "here is like that.")
    return heads


def _ratio(weights: Mapping[str, Any], key: str) -> dict[str, float]:
    """mlp_ratio of a tower, where it is not the usual 4; its product with the width is cut off."""
    inner, width = tables.shape_of(weights, key, 2)
    return {} if inner == 4 * width else {"mlp_ratio": (inner + 0.5) / width}


def _guessed_activation(embed_dim: int, vision: Mapping[str, Any], text: Mapping[str, Any]) -> bool:
    """Whether QuickGELU is likelier; a warning says that it is a guess, and how to say better."""
    shape = (vision["patch_size"], vision["image_size"], vision["width"], vision["layers"],
             text["width"], text["layers"], embed_dim)
    name = OPENAI_SHAPES.get(shape)
    if name is not None:
        warn(
            f"the weights do not say their activation. They have the shapes of OpenAI's {name}, "
            f"so QuickGELU is taken; LAION's CLIPs of these shapes need GELU: for one of them put "
            f'its config.json beside the file, or give its name with it, as in "{name}:FILE".',
            stacklevel=3)
    else:
        warn(
            "the weights do not say their activation, so GELU is taken, as LAION's CLIPs have it: "
            "if theirs is QuickGELU, put their config.json beside the file.", stacklevel=3)
    return name is not None


def trained(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Without what is no weight: OpenAI's numbers, and the causal mask in older files."""
    return {key: value for key, value in weights.items()
            if key not in (*OPENAI_NUMBERS, "attn_mask", "text.attn_mask")}


FORMATS = [Format("OpenAI CLIP archive", "clip", is_openai, convert_openai)]
