"""CLIP in the layout of Hugging Face's transformers: names, halves, and the config.json beside.

    text_model.embeddings.*, text_model.encoder.layers.<n>.*, text_projection.weight
    vision_model.embeddings.*, vision_model.encoder.layers.<n>.*, visual_projection.weight

The files are called model.safetensors or pytorch_model.bin. Those of ComfyUI's folders
text_encoders and clip_vision hold one half each. Activation and number of heads leave no trace in
the weights: a config.json of the same folder says them.
"""
from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...config import ClipConfig
from ...errors import LGFAError, reading, shown
from .. import build
from ..recognition import Format
from ..tables import MOST, PREFIXES, bare, shape_of
from .openai_clip import architecture

SAID = "lgfa_clip_config"               # where `with_config` puts a Said, which no file can hold
CONFIG, CONFIG_LIMIT = "config.json", 2**20         # bytes; real ones have some 5,000
HEADS = {"text": 8, "vision": 12}       # where a config.json leaves them out (ViT-B/32)

TEXT_SIGN = "text_model.encoder.layers.0.self_attn.q_proj.weight"
VISION_SIGN = "vision_model.encoder.layers.0.self_attn.q_proj.weight"

NAMES = {                               # theirs -> open_clip's
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm.weight": "visual.ln_pre.weight",         # their spelling
    "vision_model.pre_layrnorm.bias": "visual.ln_pre.bias",
    "vision_model.post_layernorm.weight": "visual.ln_post.weight",
    "vision_model.post_layernorm.bias": "visual.ln_post.bias",
}
TRANSPOSED = {                          # theirs [out, in], open_clip's multiply from the right
    "text_projection.weight": "text_projection",
    "visual_projection.weight": "visual.proj",
}
LAYER = re.compile(r"(text|vision)_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
IN_LAYER = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc",
            "mlp.fc2": "mlp.c_proj", "self_attn.out_proj": "attn.out_proj"}
JOINED = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")   # attn.in_proj_*
TOWERS = {"text": "transformer.resblocks", "vision": "visual.transformer.resblocks"}
BUFFERS = ("text_model.embeddings.position_ids", "vision_model.embeddings.position_ids")


@dataclass(frozen=True)
class Said:
    """What config.json says; None = nothing."""

    quick_gelu: bool | None = None
    text_heads: int | None = None
    vision_heads: int | None = None


# ---- recognising

def state_of(tree: Any) -> dict[str, Any]:
    """The weights of a tree in this layout, a whole CLIP's or one half's; empty for any other."""
    state = bare(tree, (*PREFIXES, "transformer."))
    return state if TEXT_SIGN in state or VISION_SIGN in state else {}


def _has(state: Mapping[str, Any], *prefixes: str) -> bool:
    return any(key.startswith(prefixes) for key in state)


def is_siglip(tree: Any) -> bool:
    """SigLIP, which has the same towers and another end."""
    return _has(state_of(tree), "vision_model.head.", "text_model.head.", "logit_bias")


def is_whole(tree: Any) -> bool:
    """A CLIP with both halves."""
    state = state_of(tree)
    return TEXT_SIGN in state and VISION_SIGN in state and not is_siglip(tree)


def is_text_half(tree: Any) -> bool:
    """A text encoder without pictures, as diffusion models take it."""
    return not is_siglip(tree) and _has(state_of(tree), "text_model.") \
        and not _has(state_of(tree), "vision_model.")


def is_vision_half(tree: Any) -> bool:
    """A picture encoder without text, as picture prompts of diffusion models take it."""
    return not is_siglip(tree) and _has(state_of(tree), "vision_model.") \
        and not _has(state_of(tree), "text_model.")


# ---- weights

def renamed(tree: Any) -> dict[str, torch.Tensor]:
    """The weights as open_clip names and joins them; a name without a rule keeps its own, so that
    the strict comparison lists it as left over."""
    out: dict[str, torch.Tensor] = {}
    parts: dict[str, dict[str, torch.Tensor]] = {}
    state = state_of(tree)
    build.check_growth({k: v for k, v in state.items() if isinstance(v, torch.Tensor)})
    for key, value in state.items():
        found = LAYER.fullmatch(key)
        at = f"{TOWERS[found[1]]}.{found[2]}" if found else ""
        if key in BUFFERS:
            continue
        if key in TRANSPOSED and isinstance(value, torch.Tensor) and value.ndim == 2:
            out[TRANSPOSED[key]] = value.t()
        elif found and found[3] in IN_LAYER:
            out[f"{at}.{IN_LAYER[found[3]]}.{found[4]}"] = value
        elif found and found[3] in JOINED:
            parts.setdefault(f"{at}.attn.in_proj_{found[4]}", {})[key] = value
        else:
            out[NAMES.get(key, key)] = value
    return out | {name: _joined(name, found) for name, found in parts.items()}


def _joined(name: str, found: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Query, key and value as one weight [3 width, width] or bias [3 width]."""
    first = next(iter(found))
    keys = [re.sub(r"[qkv]_proj", f"{letter}_proj", first) for letter in "qkv"]
    shapes = {shape_of(found, key, 2 if name.endswith("weight") else 1) for key in keys}
    if len(shapes) > 1:
        raise LGFAError(f"the file's {keys[0]} and its key and value differ in shape: it is "
                        "damaged.")
    return torch.cat([found[key] for key in keys])


# ---- config.json

def with_config(tree: Any, file: Path) -> Any:
    """The tree with what a config.json beside the file says of this very network; else as it is."""
    path = file.parent / CONFIG
    state = state_of(tree)
    if not path.is_file():
        return tree
    described = plain_json(path)
    if described.get("model_type") != "clip" or not _describes(described, state):
        return tree
    with reading(path):
        return {"state_dict": state, SAID: _said(described)}


def plain_json(path: Path) -> dict[str, Any]:
    """The table in a small JSON file; LGFAError that names the file for any other."""
    with reading(path):
        with open(path, "rb") as file:
            data = file.read(CONFIG_LIMIT + 1)
        if len(data) > CONFIG_LIMIT:
            raise LGFAError(f"{path} has more than {CONFIG_LIMIT:,} bytes: no description of a "
                            "network is so long.")
        found = json.loads(data.decode("utf-8-sig"))
        if not isinstance(found, dict):
            raise LGFAError(f"{path} holds no table of settings.")
    return found


def _section(described: Mapping[str, Any], tower: str) -> Mapping[str, Any]:
    found = described.get(f"{tower}_config")
    return found if isinstance(found, Mapping) else {}


def _describes(described: Mapping[str, Any], state: Mapping[str, Any]) -> bool:
    """Whether the sizes that it names are those of the weights: one folder may hold many files."""
    claims = [(described.get("projection_dim"), "text_projection.weight", 2),
              (_section(described, "text").get("hidden_size"), TEXT_SIGN, 2),
              (_section(described, "vision").get("hidden_size"), VISION_SIGN, 2)]
    return all(claim is None or shape_of(state, key, ndim)[0] == claim
               for claim, key, ndim in claims)


def _said(described: Mapping[str, Any]) -> Said:
    """The activation and both towers' numbers of heads; what is left out is as ViT-B/32 has it."""
    words = [_section(described, tower).get("hidden_act", "quick_gelu") for tower in HEADS]
    if words[0] != words[1] or words[0] not in ("quick_gelu", "gelu"):
        raise LGFAError(f"it names the activations {' and '.join(sorted(map(shown, words)))}: a "
                        "CLIP has quick_gelu or gelu in both halves.")
    return Said(words[0] == "quick_gelu", _heads(described, "text"), _heads(described, "vision"))


def _heads(described: Mapping[str, Any], tower: str) -> int:
    """The number of heads of a tower; LGFAError for settings that no CLIP known here has."""
    section = _section(described, tower)
    heads = section.get("num_attention_heads", HEADS[tower])
    if type(heads) is not int or not 1 <= heads <= MOST:
        raise LGFAError(f"it says num_attention_heads {shown(heads)}, where a whole number from 1 "
                        f"to {MOST} stands.")
    if section.get("layer_norm_eps", 1e-5) != 1e-5:
        raise LGFAError(f"it says layer_norm_eps {shown(section['layer_norm_eps'])}, and the CLIPs "
                        "known here have 1e-05.")
    return heads


def said(tree: Any) -> Said:
    """What is known of a tree beside its weights."""
    found = tree.get(SAID)
    return found if isinstance(found, Said) else Said()


def convert_hf(tree: Any) -> tuple[ClipConfig, dict[str, torch.Tensor]]:
    """Settings and weights of a whole CLIP in Hugging Face's layout."""
    weights = renamed(tree)
    known = said(tree)
    config = architecture(weights, known.quick_gelu, known.vision_heads, known.text_heads)
    return config, {f"model.{key}": value for key, value in weights.items()}


FORMATS = [Format("Hugging Face CLIP", "clip", is_whole, convert_hf, beside=with_config)]
