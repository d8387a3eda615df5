"""CLIP weights: OpenAI's archives, Hugging Face's and open_clip's files, and open_clip's tags.

OpenAI's `.pt` files are TorchScript archives, whose code is never run here: only their tensors
are read, and the architecture follows from their shapes, as it does for Hugging Face's layout
(hf_clip.py). open_clip's files hold bare weights of any architecture, so that its name must be
given with them.
"""
from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from .. import unpickle
from ..config import ClipConfig
from ..embed.clip import CLIP, check_towers
from ..errors import LGFAError, reading, reason
from ..optional import package
from . import core, hf_clip, names
from .core import Format

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

FOLDER = "local-dir:"           # open_clip's prefix of a folder with open_clip_config.json


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
    weights, said = (None, None) if file is None else _weights_of(file)

    # The activation leaves no trace in the weights, yet wrong embeddings come of the wrong one.
    if quick_gelu is not None or said is not None:
        model_cfg["quick_gelu"] = quick_gelu if quick_gelu is not None else said
    elif preprocess.get("quick_gelu"):
        model_cfg["quick_gelu"] = True
    elif file is not None and pretrained is not None and not preprocess \
            and f"{name}-quickgelu" in _names():
        warnings.warn(f"{file} does not say its activation; if these are OpenAI's weights, "
                      f"give the name {name}-quickgelu.", stacklevel=3)

    with reading("" if pretrained else name, "its settings"):
        config = _config(model_cfg, preprocess)
        if name.startswith(FOLDER):
            config.check_stored()
    if weights is None:
        return CLIP(config)
    with reading(file, "its weights"):
        # Compared without memory first: a name may mean a network far larger than the file.
        with torch.device("meta"):
            sketch = CLIP(config)
        with torch.device("cpu"):
            weights = _fitted(sketch, weights)
        core.check_fit(sketch, weights, f"CLIP {name}")
        clip = CLIP(config)
        core.copy_weights(clip, weights)
        return clip.eval()


def _describe(name: str, pretrained: str | None) -> tuple[Path | None, dict, dict]:
    """Weight file, preprocessing and model_cfg for a name with a tag, a file or nothing."""
    open_clip = package("open_clip")

    if name.startswith(FOLDER):
        return _folder(Path(name.removeprefix(FOLDER)))
    model_cfg = open_clip.get_model_config(name) if name in _names() else None
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


def _names() -> list[str]:
    open_clip = package("open_clip")

    return open_clip.list_models()


# ---- weights

def _weights_of(file: Path) -> tuple[dict[str, torch.Tensor], bool | None]:
    """open_clip's weights in a file, and whether they need QuickGELU; None = it does not say."""
    tree = core.read(file)
    if hf_clip.is_whole(tree):
        return hf_clip.renamed(tree), hf_clip.said(tree).quick_gelu
    weights = clip_weights(tree)
    if weights is None:
        refused = [form.refuse for form in core.candidates(tree) if form.refuse is not None]
        raise LGFAError(f"{file}: {refused[0]}" if refused else
                        f"{file} holds no CLIP weights; it holds {core.summary(tree)}.")
    return _trained(weights), is_openai(tree) or None


def clip_weights(tree: Any) -> dict[str, Any] | None:
    """The weights in a tree: a TorchScript archive, wrapped or bare; None where there are none."""
    if unpickle.is_network(tree) and tree.get("module_type") == "torchscript":
        tree = unpickle.weights(tree)
    weights = names.bare(tree)
    if weights is None:
        return None
    text = {"token_embedding.weight", "text.token_embedding.weight", "text.proj.weight"}
    known = not text.isdisjoint(weights) or any(k.startswith("text.transformer.") for k in weights)
    return weights if known else None


def is_openai(tree: Any) -> bool:
    """OpenAI's archive, or the state dict that its loader makes of it."""
    weights = clip_weights(tree)
    return weights is not None and set(OPENAI_NUMBERS) <= set(weights)


def is_open_clip(tree: Any) -> bool:
    """A state dict of open_clip's CLIP, without its architecture's name."""
    weights = clip_weights(tree)
    return weights is not None and any(key.startswith("visual.") for key in weights)


def is_text_half(tree: Any) -> bool:
    """The text tower alone, in open_clip's names or Hugging Face's."""
    return hf_clip.is_text_half(tree) or clip_weights(tree) is not None and not is_open_clip(tree)


def convert_openai(tree: Any) -> tuple[ClipConfig, dict[str, torch.Tensor]]:
    """Settings (from the shapes) and weights of an OpenAI CLIP."""
    weights = clip_weights(tree)
    if weights is None:
        raise LGFAError(f"this is no CLIP by OpenAI's names: it holds {core.summary(tree)}.")
    config = architecture(weights, quick_gelu=True)
    return config, {f"model.{key}": value for key, value in _trained(weights).items()}


def convert_hf(tree: Any) -> tuple[ClipConfig, dict[str, torch.Tensor]]:
    """Settings and weights of a whole CLIP in Hugging Face's layout."""
    weights = hf_clip.renamed(tree)
    said = hf_clip.said(tree)
    config = architecture(weights, said.quick_gelu, said.vision_heads, said.text_heads)
    return config, {f"model.{key}": value for key, value in weights.items()}


# ---- architecture

def architecture(
    weights: Mapping[str, Any],             # by OpenAI's names
    quick_gelu: bool | None = None,         # the activation; None = not known: guessed, said
    vision_heads: int | None = None,        # None = as published networks of this width have
    text_heads: int | None = None,
) -> ClipConfig:
    """The settings of a CLIP with a plain text tower, read off the shapes of its weights."""
    shape_of = names.shape_of
    context, width = shape_of(weights, "positional_embedding", 2)
    text = {
        "context_length": context,
        "vocab_size": shape_of(weights, "token_embedding.weight", 2, VOCABULARY)[0],
        "width": width,
        "heads": _heads(width, text_heads, HEAD_WIDTH, "text"),
        "layers": names.count_of(weights, "transformer.resblocks."),
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
    width, _, _, patch = names.shape_of(weights, "visual.conv1.weight", 4)
    key = "visual.positional_embedding"
    side = names.square(names.shape_of(weights, key, 2)[0] - 1, key)
    size = width // _heads(width, heads, HEAD_WIDTHS.get(width, HEAD_WIDTH), "picture")
    return {"layers": names.count_of(weights, "visual.transformer.resblocks."), "width": width,
            "patch_size": patch, "image_size": patch * side,
            **({} if size == HEAD_WIDTH else {"head_width": size}),
            **_ratio(weights, "visual.transformer.resblocks.0.mlp.c_fc.weight")}


def _resnet(weights: Mapping[str, Any]) -> dict[str, Any]:
    """vision_cfg of a ResNet: its attention pool sees a map 32 times smaller than the image."""
    key = "visual.attnpool.positional_embedding"
    side = names.square(names.shape_of(weights, key, 2)[0] - 1, key)
    return {"layers": [names.count_of(weights, f"visual.layer{stage}.") for stage in (1, 2, 3, 4)],
            "width": names.shape_of(weights, "visual.layer1.0.conv1.weight", 4)[0],
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
    inner, width = names.shape_of(weights, key, 2)
    return {} if inner == 4 * width else {"mlp_ratio": (inner + 0.5) / width}


def _guessed_activation(embed_dim: int, vision: Mapping[str, Any], text: Mapping[str, Any]) -> bool:
    """Whether QuickGELU is likelier; a warning says that it is a guess, and how to say better."""
    shape = (vision["patch_size"], vision["image_size"], vision["width"], vision["layers"],
             text["width"], text["layers"], embed_dim)
    name = OPENAI_SHAPES.get(shape)
    if name is not None:
        warnings.warn(
            f"the weights do not say their activation. They have the shapes of OpenAI's {name}, "
            f"so QuickGELU is taken; LAION's CLIPs of these shapes need GELU: for one of them put "
            f'its config.json beside the file, or give its name with it, as in "{name}:FILE".',
            stacklevel=3)
    else:
        warnings.warn(
            "the weights do not say their activation, so GELU is taken, as LAION's CLIPs have it: "
            "if theirs is QuickGELU, put their config.json beside the file.", stacklevel=3)
    return name is not None


def _trained(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
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
    # other lengths are brought to ours; other widths stay, so that the comparison lists them
    wanted = network.state_dict()
    for key, resize in (("visual.positional_embedding", resize_pos_embed),
                        ("positional_embedding", resize_text_pos_embed),
                        ("text.positional_embedding", resize_text_pos_embed)):
        if key in wanted and names.is_tensor(weights, key, 2) \
                and weights[key].shape[1] == wanted[key].shape[1]:
            resize(weights, network)
    return {f"model.{key}": value for key, value in weights.items()}


def _half(name: str, there: str, lost: str, matches: Any) -> Format:
    return Format(name, "clip", matches, refuse=(
        f"this is {core.article(name)}: it holds the {there} and lacks the {lost}, and both are "
        "needed here. Give a whole CLIP: model.safetensors or pytorch_model.bin as Hugging Face "
        "has it (openai/clip-vit-large-patch14 for one), OpenAI's .pt, or a name of open_clip."))


FORMATS = [
    Format("OpenAI CLIP archive", "clip", is_openai, convert_openai),
    Format("Hugging Face CLIP", "clip", hf_clip.is_whole, convert_hf, beside=hf_clip.with_config),
    Format("open_clip weights", "clip", is_open_clip,
           refuse="these are open_clip weights, which do not say their architecture: give its "
                  'name with the file, as in "ViT-B-32:weights.safetensors" or '
                  "from_open_clip(name, file), or once for all: "
                  "`python -m lgfa convert ViT-B-32:weights.safetensors clip.safetensors`."),
    _half("CLIP text encoder", "text half", "picture half (vision_model)", is_text_half),
    _half("CLIP vision encoder", "picture half", "text half (text_model)",
          hf_clip.is_vision_half),
    Format("SigLIP", "clip", hf_clip.is_siglip,
           refuse="this is a SigLIP in Hugging Face's layout, which is no CLIP: give a CLIP, or "
                  "the SigLIP's own files by the name that open_clip has for it."),
]
