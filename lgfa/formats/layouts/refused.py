"""Files that people are likely to try, and that hold nothing to use here: refused by name."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ...errors import article
from ..recognition import Format, refused
from ..trees import is_own
from . import hf_clip
from .open_clip import is_open_clip
from .openai_clip import clip_weights


def _table(tree: Any, name: str | None = None) -> Mapping[Any, Any]:
    """The tree, or the table under a name of it, when it is one; empty otherwise."""
    node = tree if name is None else tree.get(name) if isinstance(tree, Mapping) else None
    return node if isinstance(node, Mapping) and not is_own(tree) else {}


def _has(table: Mapping[Any, Any], *prefixes: str) -> bool:
    """Whether every prefix begins some key."""
    return all(any(str(key).startswith(prefix) for key in table) for prefix in prefixes)


def is_training(tree: Any) -> bool:
    """A checkpoint of our own trainer."""
    return "lgfa_training" in _table(tree)


def is_discriminator(tree: Any) -> bool:
    """A rosinality discriminator without its generator."""
    return _has(_table(tree), "final_conv.", "final_linear.", "convs.")


def is_restorer(tree: Any) -> bool:
    """GFPGAN and its kin: {"params_ema": {"stylegan_decoder.."}}."""
    return any(_has(_table(tree, name), "stylegan_decoder.") for name in ("params_ema", "params"))


def is_diffusion(tree: Any) -> bool:
    """A Stable Diffusion checkpoint."""
    return _has(_table(tree), "model.diffusion_model.") \
        or _has(_table(tree, "state_dict"), "model.diffusion_model.")


def is_lora(tree: Any) -> bool:
    """Small changes of another network, as kohya, diffusers or peft name them."""
    return any(part in str(key) for key in list(_table(tree))[:64]
               for part in (".lora_down.", ".lora_up.", ".lora_A.", ".lora_B.", ".hada_w1_a"))


def is_latents(tree: Any) -> bool:
    """W+ codes [.., L, 512] of images: a table of equal rows, or one tensor."""
    values = list(tree.values()) if isinstance(tree, Mapping) else [tree]
    return bool(values) and all(isinstance(v, torch.Tensor) and v.ndim in (2, 3)
                                and 4 <= v.shape[-2] <= 18 and v.shape[-1] == 512
                                and v.shape == values[0].shape for v in values[:64])


def is_text_half(tree: Any) -> bool:
    """The text tower alone, in open_clip's names or Hugging Face's."""
    return hf_clip.is_text_half(tree) or bool(clip_weights(tree)) and not is_open_clip(tree)


def _half(name: str, there: str, lost: str, matches: Any) -> Format:
    return Format(name, "clip", matches, refuse=(
        f"this is {article(name)}: it holds the {there} and lacks the {lost}, and both are "
        "needed here. Give a whole CLIP: model.safetensors or pytorch_model.bin as Hugging Face "
        "has it (openai/clip-vit-large-patch14 for one), OpenAI's .pt, or a name of open_clip."))


# The kind is the one that a user most likely took the file for.
FORMATS = [
    _half("CLIP text encoder", "text half", "picture half (vision_model)", is_text_half),
    _half("CLIP vision encoder", "picture half", "text half (text_model)",
          hf_clip.is_vision_half),
    Format("SigLIP", "clip", hf_clip.is_siglip,
           refuse="this is a SigLIP in Hugging Face's layout, which is no CLIP: give a CLIP, or "
                  "the SigLIP's own files by the name that open_clip has for it."),
    refused("a training checkpoint of this project", "motion", is_training,
            "go on with it by `train --resume`; the finished network is the .safetensors file "
             "in the training's folder."),
    refused("a StyleGAN2 discriminator", "generator", is_discriminator,
            "give the file that holds the generator (g_ema)."),
    refused("a face restoration network (GFPGAN)", "generator", is_restorer,
            "give a plain StyleGAN2 generator."),
    refused("a Stable Diffusion checkpoint", "generator", is_diffusion,
            "it serves diffusion models, and nothing here can use it."),
    refused("a LoRA", "generator", is_lora,
            "it changes a diffusion model, and nothing here can use it."),
    refused("a file of latent codes", "generator", is_latents,
            "it holds no network; give the network that made them."),
]
