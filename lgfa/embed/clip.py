"""CLIP by open_clip: images and sentences to unit vectors of one space.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (2021).
The networks are open_clip's own classes; this wrapper adds what an animation needs around them:
images in -1..1 at any size with gradients, sentences with a warning where they are cut, and a
configuration that rebuilds the network without its file.
"""
from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ..config import ClipConfig
from ..errors import LGFAError, reason, warn
from ..optional import package
from .sentences import check_text


class CLIP(nn.Module):
    """Image and text embeddings; `.model` is the open_clip network, `copy.deepcopy` copies all."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.config = config
        self.model = _build(config)
        self.embed_dim = config.embed_dim
        self.image_size = _pair(self.model.visual.image_size)
        self.context_length = int(self.model.context_length)

        # Batch statistics of four images are worse than those of the training of CLIP itself:
        # fine-tuned copies keep the latter (see trainable_copy).
        self.fixed_statistics = False

        # Parts of the configuration, so not parts of the stored weights.
        self.register_buffer("mean", torch.tensor(config.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(1, 3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> CLIP:
        super().train(mode)
        if mode and self.fixed_statistics:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def trainable_copy(self) -> CLIP:
        """An independent copy whose weights take gradients; batch norms keep their statistics."""
        twin = copy.deepcopy(self).requires_grad_(True)
        twin.fixed_statistics = True
        return twin

    # ---- images

    def encode_image(self, x: torch.Tensor) -> torch.Tensor:
        """[B, 3, H, W] in -1..1, any size -> [B, d] of length 1; differentiable.

        Values beyond -1..1 are not clamped, so that they keep a gradient.
        """
        return _unit(self.model.encode_image(self.prepare_image(x)))

    def prepare_image(self, x: torch.Tensor) -> torch.Tensor:
        """[B, 3, H, W] in -1..1 -> [B, 3, h, w] as the network expects: its size, mean and std."""
        if x.ndim != 4 or x.shape[1] != 3:
            raise LGFAError(f"CLIP reads images of shape [B, 3, H, W], not {list(x.shape)}.")

        # Bicubic as in CLIP's own preprocessing, in float32: half precision rings.
        x = x.to(self.mean.device)
        if tuple(x.shape[-2:]) != self.image_size:
            x = F.interpolate(x.float(), self.image_size, mode="bicubic",
                              align_corners=False, antialias=True)
        return ((x * 0.5 + 0.5 - self.mean) / self.std).to(self._dtype())

    # ---- text

    def encode_text(self, texts: Sequence[str]) -> torch.Tensor:
        """Sentences -> [B, d] of length 1."""
        return self.encode_tokens(self.tokenize(texts))

    def encode_tokens(self, tokens: torch.Tensor) -> torch.Tensor:
        """[B, context_length] token numbers -> [B, d] of length 1."""
        self._check_vocabulary(tokens)
        return _unit(self.model.encode_text(tokens.to(self.mean.device)))

    def _check_vocabulary(self, tokens: torch.Tensor) -> None:
        """LGFAError where a text tower was made for a tokeniser with fewer words than ours."""
        table = getattr(getattr(self.model, "text", self.model), "token_embedding", None)
        if isinstance(table, nn.Embedding) and int(tokens.max()) >= table.num_embeddings:
            raise LGFAError(f"this CLIP knows {table.num_embeddings:,} tokens and CLIP's tokeniser "
                            f"gives numbers up to {int(tokens.max()):,}: it was made for another "
                            "tokeniser, so it cannot read sentences here; give another CLIP.")

    def tokenize(
        self,
        texts: Sequence[str],
        quiet: bool = False,                # no warning
    ) -> torch.Tensor:
        """Sentences -> [B, context_length] token numbers (int64, on the CPU).

        Lower-cases, joins white space, reads any script byte by byte. A sentence that is too
        long is cut with a warning that says after which words; an empty one is an LGFAError.
        """
        texts = [texts] if isinstance(texts, str) else list(texts)
        if not texts:
            raise LGFAError("there is no text to encode: give at least one sentence.")
        for text in texts:
            if not isinstance(text, str):
                raise LGFAError(f"a text must be a string, not {type(text).__name__}.")
            check_text(text)

        # Other tokenisers than CLIP's own (a few open_clip models) cut silently.
        tokenizer = self._tokenizer()
        if hasattr(tokenizer, "sot_token_id") and not quiet:
            for text in texts:
                self._check_length(text, tokenizer)
        return tokenizer(texts, context_length=self.context_length)

    def _check_length(self, text: str, tokenizer: Any) -> None:
        """Warns where the sentence will be cut; refuses one of which nothing is left."""
        tokens = tokenizer.encode(text)
        if not tokens:
            raise LGFAError("the text holds no readable character: write a sentence in words.")
        room = self.context_length - 2                  # start and end take a place each
        if len(tokens) > room:
            kept = tokenizer.decode(tokens[:room]).replace("\ufffd", "").strip()
            lost = tokenizer.decode(tokens[room:]).replace("\ufffd", "").strip()
            warn(f"the text has {len(tokens)} tokens and CLIP reads {room}: it is cut after "
                 f"\"{_tail(kept)}\", so \"{_head(lost)}\" is not read.", stacklevel=4)

    def _tokenizer(self) -> Any:
        # Shared by all copies, so it is not an attribute that deepcopy would copy.
        text_cfg = self.config.text_cfg
        extra = tuple(sorted((text_cfg.get("tokenizer_kwargs") or {}).items()))
        return _tokenizer(text_cfg.get("hf_tokenizer_name"), self.context_length, extra)

    def _dtype(self) -> torch.dtype:
        return next(self.model.visual.parameters()).dtype


# ---- building

def check_towers(vision: Mapping[str, Any], text: Mapping[str, Any]) -> None:
    """LGFAError for towers that are models of another library which it would fetch and run.

    timm builds by a plain name what it has itself; transformers always asks its hub.
    """
    timm, hub = vision.get("timm_model_name"), text.get("hf_model_name")
    if hub is not None or set(str(timm)) & set(":/\\"):
        raise LGFAError(f"this CLIP has the model {timm if hub is None else hub!r} of another "
                        f"library as a tower, which would be fetched and run: only towers that "
                        f"open_clip and timm bring themselves can be used.")


def _build(config: ClipConfig) -> nn.Module:
    """open_clip's network for a configuration, with random weights; never goes to the network."""
    open_clip = package("open_clip")

    options = dict(config.options)
    vision, text = dict(config.vision_cfg), dict(config.text_cfg)
    custom = options.pop("custom_text", False)

    check_towers(vision, text)
    if "timm_model_name" in vision:
        vision["timm_model_pretrained"] = False

    kind = open_clip.CLIP
    if custom:
        kind = open_clip.CoCa if "multimodal_cfg" in options else open_clip.CustomTextCLIP
    try:
        return kind(embed_dim=config.embed_dim, vision_cfg=vision, text_cfg=text, **options)
    except (TypeError, ValueError, RuntimeError, AssertionError, ImportError, OSError) as error:
        raise LGFAError(f"open_clip cannot build this CLIP: {reason(error)}.") from error


@lru_cache(maxsize=4)
def _tokenizer(name: str | None, context_length: int, extra: tuple = ()) -> Any:
    """CLIP's own byte-pair tokeniser, or the named one of Hugging Face where it is installed."""
    from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

    if name is None:
        return SimpleTokenizer(context_length=context_length, **dict(extra))
    try:
        return HFTokenizer(name, context_length=context_length, local_files_only=True,
                           **dict(extra))
    except (ImportError, OSError, ValueError) as error:
        raise LGFAError(f"this CLIP needs the tokeniser {name} of Hugging Face: install the "
                        "package transformers and fetch the tokeniser with it first.") from error


def _unit(features: torch.Tensor) -> torch.Tensor:
    """Rows of length 1, in float32 at least."""
    half = features.dtype in (torch.float16, torch.bfloat16)
    return F.normalize(features.float() if half else features, dim=-1)


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)


def _tail(text: str, words: int = 4) -> str:
    parts = text.split()
    return ("... " if len(parts) > words else "") + " ".join(parts[-words:])


def _head(text: str, words: int = 4) -> str:
    parts = text.split()
    return " ".join(parts[:words]) + (" ..." if len(parts) > words else "")
