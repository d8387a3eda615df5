"""A CLIP by its open_clip name: with a tag, a file of weights, or a folder that describes it."""
from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..config import ClipConfig
from ..embed.clip import CLIP, check_towers
from ..errors import LGFAError, reading, reason, warn
from ..optional import package
from . import tables
from .build import check_fit, copy_weights
from .kinds import check_stored
from .layouts import hf_clip
from .layouts.openai_clip import clip_weights, is_openai, trained
from .recognition import candidates, read
from .trees import summary

FOLDER = "local-dir:"           # open_clip's prefix of a folder with open_clip_config.json


def from_open_clip(
    name: str,                              # open_clip's model name: "RN50", "ViT-B-32", ..
    pretrained: str | None = None,          # weight file, a tag ("openai"), or None = random
    quick_gelu: bool | None = None,         # the weights' activation; None = by tag, file or name
) -> CLIP:
    """A CLIP by its open_clip name.

    With None nothing is loaded. A path to a weight file (open_clip's safetensors or state dict,
    OpenAI's archive) is read without running what it may hold. A tag is taken from open_clip's
    cache and downloaded where it is not there yet: naming it is asking for it.
    Raises LGFAError for a name, tag or file that does not fit.
    """
    file, preprocess, model_cfg = _describe(name, pretrained)
    weights, said = (None, None) if file is None else _weights_of(file)

    # The activation leaves no trace in the weights, yet wrong embeddings come of the wrong one.
    if quick_gelu is not None or said is not None:
        model_cfg["quick_gelu"] = quick_gelu if quick_gelu is not None else said
    elif preprocess.get("quick_gelu"):
        model_cfg["quick_gelu"] = True
    elif file is not None and pretrained is not None and not preprocess \
            and f"{name}-quickgelu" in names():
        warn(f"{file} does not say its activation; if these are OpenAI's weights, give the name "
             f"{name}-quickgelu.", stacklevel=2)

    with reading("" if pretrained else name, "its settings"):
        config = _config(model_cfg, preprocess)
        if name.startswith(FOLDER):
            check_stored(config)
    if weights is None:
        return CLIP(config)
    with reading(file, "its weights"):
        # Compared without memory first: a name may mean a network far larger than the file.
        with torch.device("meta"):
            sketch = CLIP(config)
        with torch.device("cpu"):
            weights = _fitted(sketch, weights)
        check_fit(sketch, weights, f"CLIP {name}")
        clip = CLIP(config)
        copy_weights(clip, weights)
        return clip.eval()


def _describe(name: str, pretrained: str | None) -> tuple[Path | None, dict, dict]:
    """Weight file, preprocessing and model_cfg for a name with a tag, a file or nothing."""
    open_clip = package("open_clip")

    if name.startswith(FOLDER):
        return _folder(Path(name.removeprefix(FOLDER)))
    model_cfg = open_clip.get_model_config(name) if name in names() else None
    if model_cfg is None:
        raise LGFAError(f"open_clip has no model {name!r}: see open_clip.list_models() for its "
                        "names, or give local-dir:FOLDER with its open_clip_config.json.")
    check_towers(model_cfg["vision_cfg"], model_cfg["text_cfg"])    # before anything is fetched
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
    path = folder / "open_clip_config.json"
    described = hf_clip.plain_json(path)
    model_cfg, preprocess = described.get("model_cfg"), described.get("preprocess_cfg") or {}
    if not isinstance(model_cfg, dict) or not isinstance(preprocess, dict):
        raise LGFAError(f"{path} describes no CLIP: it needs a table model_cfg.")
    files = [folder / f"{stem}.{suffix}" for suffix in ("safetensors", "bin", "pt")
             for stem in ("open_clip_model", "open_clip_pytorch_model")]
    return next((file for file in files if file.is_file()), None), preprocess, model_cfg


def _download(name: str, tag: str, described: Mapping[str, Any]) -> Path:
    """The file of a tag from open_clip's cache, or else from the network."""
    from open_clip.pretrained import download_pretrained

    try:
        return Path(download_pretrained(dict(described)))
    except Exception as error:              # any of three libraries' network errors
        raise LGFAError(f"the weights {name}/{tag} could not be downloaded ({reason(error)}): "
                        "fetch the file yourself and give its path instead of the tag.") from error


def _config(model_cfg: Mapping[str, Any], preprocess: Mapping[str, Any]) -> ClipConfig:
    """open_clip's description as ours; its default mean and std are ours too."""
    rest = {k: v for k, v in model_cfg.items() if k not in ("embed_dim", "vision_cfg", "text_cfg")}
    chosen = {k: tuple(preprocess[k]) for k in ("mean", "std") if preprocess.get(k)}
    return ClipConfig(model_cfg["embed_dim"], model_cfg["vision_cfg"], model_cfg["text_cfg"],
                      options=rest, **chosen)


def names() -> list[str]:
    open_clip = package("open_clip")

    return open_clip.list_models()


def _weights_of(file: Path) -> tuple[dict[str, torch.Tensor], bool | None]:
    """open_clip's weights in a file, and whether they need QuickGELU; None = it does not say."""
    tree = read(file)
    if hf_clip.is_whole(tree):
        return hf_clip.renamed(tree), hf_clip.said(tree).quick_gelu
    weights = clip_weights(tree)
    if not weights:
        refused = [form.refuse for form in candidates(tree) if form.refuse is not None]
        raise LGFAError(f"{file}: {refused[0]}" if refused else
                        f"{file} holds no CLIP weights; it holds {summary(tree)}.")
    return trained(weights), is_openai(tree) or None


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
    # other lengths are brought to ours; other widths stay, so that the comparison lists them
    wanted = network.state_dict()
    for key, resize in (("visual.positional_embedding", resize_pos_embed),
                        ("positional_embedding", resize_text_pos_embed),
                        ("text.positional_embedding", resize_text_pos_embed)):
        if key in wanted and tables.is_tensor(weights, key, 2) \
                and weights[key].shape[1] == wanted[key].shape[1]:
            resize(weights, network)
    return {f"model.{key}": value for key, value in weights.items()}
