"""CLIP weights: OpenAI's archives, open_clip's files, and open_clip's tags.

OpenAI's `.pt` files are TorchScript archives, whose code is never run here: only their tensors
are read, and the architecture follows from their shapes. open_clip's files hold bare weights, so
that its name of the architecture must be given with them.
"""
from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from .. import unpickle
from ..config import ClipConfig
from ..embed.clip import CLIP
from ..errors import LGFAError
from ..packages import package
from . import core
from .core import Format

# Beside its weights OpenAI's archive keeps these three numbers, by which it is recognised.
OPENAI_NUMBERS = ("input_resolution", "context_length", "vocab_size")

# Heads have 64 channels in every tower that OpenAI trained.
HEAD_WIDTH = 64


# ---- loading

def load_clip(
    spec: str | os.PathLike[str],           # file, domain, "NAME/TAG" or "NAME:FILE"
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> CLIP:
    """A CLIP in eval mode by one word, as a command line has it.

    Our own file, OpenAI's archive or a domain ("toon"); open_clip's name and tag
    ("RN50/openai"), which is downloaded where open_clip's cache lacks it; or open_clip's name
    and a file of weights ("ViT-B-32:weights.safetensors").
    """
    text = os.fspath(spec)
    for separator in ("/", ":"):
        name, found, rest = text.partition(separator)
        if found and rest and not os.path.exists(text) and name in _names():
            return load_open_clip(name, rest).to(device, dtype).eval()
    return core.load(spec, "clip", device, dtype)


def load_open_clip(
    name: str,
    pretrained: str | None = None,
    quick_gelu: bool | None = None,
) -> CLIP:
    """See embed.clip.from_open_clip."""
    file, preprocess, model_cfg = _describe(name, pretrained)
    weights, openai = (None, False) if file is None else _weights_of(file)

    # The activation leaves no trace in the weights, yet wrong embeddings come of the wrong one.
    if quick_gelu is not None:
        model_cfg["quick_gelu"] = quick_gelu
    elif openai or preprocess.get("quick_gelu"):
        model_cfg["quick_gelu"] = True
    elif file is not None and pretrained is not None and not preprocess \
            and f"{name}-quickgelu" in _names():
        warnings.warn(f"{file} does not say its activation; if these are OpenAI's weights, "
                      f"give the name {name}-quickgelu.", stacklevel=3)

    clip = CLIP(_config(model_cfg, preprocess))
    if weights is None:
        return clip
    try:
        return core.copy_strict(clip, _fitted(clip, weights), f"CLIP {name}").eval()
    except LGFAError as error:
        raise core.naming(error, file) from error


def _describe(name: str, pretrained: str | None) -> tuple[Path | None, dict, dict]:
    """Weight file, preprocessing and model_cfg for a name with a tag, a file or nothing."""
    open_clip = package("open_clip")

    if name.startswith("local-dir:"):
        return _folder(Path(name.removeprefix("local-dir:")))
    model_cfg = open_clip.get_model_config(name) if name in _names() else None
    if model_cfg is None:
        raise LGFAError(f"open_clip has no model {name!r}: see open_clip.list_models() for its "
                        "names, or give local-dir:FOLDER with its open_clip_config.json.")
    if pretrained is None:
        return None, {}, model_cfg
    if os.path.exists(pretrained):
        return Path(pretrained), {}, model_cfg
    tag = open_clip.get_pretrained_cfg(name, pretrained)
    if not tag:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
        raise LGFAError(f"{pretrained!r} is neither a file nor a tag of {name} (tags: {tags}).")
    return _download(name, pretrained, tag), dict(tag), model_cfg


def _folder(folder: Path) -> tuple[Path | None, dict, dict]:
    """The same for a folder with open_clip_config.json, as on the Hugging Face hub."""
    try:
        described = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))
        model_cfg, preprocess = described["model_cfg"], described.get("preprocess_cfg", {})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LGFAError(f"{folder} holds no readable open_clip_config.json with a "
                        "model_cfg.") from error
    files = [folder / f"{stem}.{suffix}" for suffix in ("safetensors", "bin", "pt")
             for stem in ("open_clip_model", "open_clip_pytorch_model")]
    return next((file for file in files if file.is_file()), None), preprocess, model_cfg


def _download(name: str, tag: str, described: Mapping[str, Any]) -> Path:
    """The file of a tag from open_clip's cache, or else from the network."""
    from open_clip.pretrained import download_pretrained

    try:
        return Path(download_pretrained(dict(described)))
    except Exception as error:              # any of three libraries' network errors
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise LGFAError(f"the weights {name}/{tag} could not be downloaded ({reason}): fetch the "
                        "file yourself and give its path instead of the tag.") from error


def _config(model_cfg: Mapping[str, Any], preprocess: Mapping[str, Any]) -> ClipConfig:
    """open_clip's description as ours; its default mean and std are ours too."""
    rest = {k: v for k, v in model_cfg.items() if k not in ("embed_dim", "vision_cfg", "text_cfg")}
    chosen = {k: tuple(preprocess[k]) for k in ("mean", "std") if preprocess.get(k)}
    return ClipConfig(model_cfg["embed_dim"], model_cfg["vision_cfg"], model_cfg["text_cfg"],
                      options=rest, **chosen)


def _names() -> list[str]:
    open_clip = package("open_clip")

    return open_clip.list_models()


# ---- weights

def _weights_of(file: Path) -> tuple[dict[str, torch.Tensor], bool]:
    """open_clip's weights in a file, and whether the file is OpenAI's."""
    tree = core.read(file)
    weights = clip_weights(tree)
    if weights is None:
        raise LGFAError(f"{file} holds no CLIP weights; it holds {core.summary(tree)}.")
    return _bare(weights), is_openai(tree)


def clip_weights(tree: Any) -> Mapping[str, torch.Tensor] | None:
    """The weights in a tree: a TorchScript archive, {"state_dict": ..} or bare; None if none."""
    if unpickle.is_network(tree) and tree.get("module_type") == "torchscript":
        tree = unpickle.weights(tree)
    if not isinstance(tree, Mapping) or core.is_own(tree):
        return None
    if isinstance(tree.get("state_dict"), Mapping):
        tree = tree["state_dict"]
    if tree and all(str(key).startswith("module.") for key in tree):
        tree = {key.removeprefix("module."): value for key, value in tree.items()}
    keys = set(map(str, tree))
    text = {"token_embedding.weight", "text.token_embedding.weight", "text.proj.weight"}
    return tree if keys & text or any(k.startswith("text.transformer.") for k in keys) else None


def is_openai(tree: Any) -> bool:
    """OpenAI's archive, or the state dict that its loader makes of it."""
    weights = clip_weights(tree)
    return weights is not None and set(OPENAI_NUMBERS) <= set(weights)


def is_open_clip(tree: Any) -> bool:
    """A state dict of open_clip's CLIP, without its architecture's name."""
    weights = clip_weights(tree)
    return weights is not None and any(str(key).startswith("visual.") for key in weights)


def convert_openai(tree: Any) -> tuple[ClipConfig, dict[str, torch.Tensor]]:
    """Settings (from the shapes) and weights of an OpenAI CLIP."""
    weights = clip_weights(tree)
    text_width = weights["ln_final.weight"].shape[0]
    config = ClipConfig(
        embed_dim=weights["text_projection"].shape[1],
        vision_cfg=_transformer(weights) if "visual.proj" in weights else _resnet(weights),
        text_cfg={
            "context_length": weights["positional_embedding"].shape[0],
            "vocab_size": weights["token_embedding.weight"].shape[0],
            "width": text_width,
            "heads": text_width // HEAD_WIDTH,
            "layers": _count(weights, "transformer.resblocks."),
        },
        options={"quick_gelu": True},
    )
    return config, {f"model.{key}": value for key, value in _bare(weights).items()}


def _transformer(weights: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """vision_cfg of a ViT: the patches are the first convolution, one position is the class."""
    width, _, patch, _ = weights["visual.conv1.weight"].shape
    side = round((weights["visual.positional_embedding"].shape[0] - 1) ** 0.5)
    return {"layers": _count(weights, "visual.transformer.resblocks."), "width": width,
            "patch_size": patch, "image_size": patch * side}


def _resnet(weights: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """vision_cfg of a ResNet: its attention pool sees a map 32 times smaller than the image."""
    side = round((weights["visual.attnpool.positional_embedding"].shape[0] - 1) ** 0.5)
    return {"layers": [_count(weights, f"visual.layer{stage}.") for stage in (1, 2, 3, 4)],
            "width": weights["visual.layer1.0.conv1.weight"].shape[0],
            "patch_size": None, "image_size": 32 * side}


def _count(weights: Mapping[str, torch.Tensor], prefix: str) -> int:
    """How many different numbers follow a prefix."""
    return len({key[len(prefix):].split(".")[0] for key in weights if key.startswith(prefix)})


def _bare(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Without what is no weight: OpenAI's numbers, and the causal mask in older files."""
    return {key: value for key, value in weights.items()
            if key not in (*OPENAI_NUMBERS, "attn_mask", "text.attn_mask")}


def _fitted(clip: CLIP, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights as this architecture names and shapes them, through open_clip's own rules."""
    from open_clip.factory import convert_state_dict, convert_to_custom_text_state_dict
    from open_clip.model import resize_pos_embed, resize_text_pos_embed

    network = clip.model
    weights = convert_state_dict(network, dict(weights))
    if "positional_embedding" in weights and not hasattr(network, "positional_embedding"):
        weights = convert_to_custom_text_state_dict(weights)
    for key in ("logit_scale", "logit_bias"):           # a number in some files, a row in others
        own = getattr(network, key, None)
        if own is not None and key in weights and weights[key].numel() == own.numel():
            weights[key] = weights[key].reshape(own.shape)
    weights.pop("text.transformer.embeddings.position_ids", None)
    resize_pos_embed(weights, network)
    resize_text_pos_embed(weights, network)
    return {f"model.{key}": value for key, value in weights.items()}


FORMATS = [
    Format("OpenAI CLIP archive", "clip", is_openai, convert_openai),
    Format("open_clip weights", "clip", is_open_clip,
           refuse="these are open_clip weights, which do not say their architecture: give its "
                  'name with the file, as in "ViT-B-32:weights.safetensors" or '
                  "from_open_clip(name, file), or once for all: "
                  "`python -m lgfa convert ViT-B-32:weights.safetensors clip.safetensors`."),
]
