"""Settings of a kind of network: out as plain data, in again with checks."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from ..config import ClipConfig, has_type
from ..config import plain as as_plain
from ..errors import LGFAError
from ..registry import KINDS, named, stands_for

LIMIT = 1_000_000           # no number in a network's settings comes near it
LIMIT_LENGTH = 64           # .. no list is longer, unless its settings say so (LONGEST)
LIMIT_TEXT = 10_000         # .. and no text

# What a file may say of a CLIP, and the type of each; an allow-list (check_stored).
TOWER_SETTINGS: dict[str, Any] = {
    "width": int, "mlp_ratio": float, "ls_init_value": float | None, "final_ln_after_pool": bool,
    "pool_type": str, "output_tokens": bool, "block_type": str | None, "qk_norm": bool,
    "scaled_cosine_attn": bool, "scale_heads": bool, "scale_attn_inner": bool,
    "scale_attn": bool, "scale_fc": bool, "act_kwargs": dict | None, "norm_kwargs": dict | None,
}
INNER_SETTINGS = {"approximate": str, "eps": float}        # of act_kwargs and norm_kwargs
VISION_SETTINGS = TOWER_SETTINGS | {
    "layers": int | tuple[int, ...], "head_width": int, "image_size": int | tuple[int, ...],
    "patch_size": int | None, "patch_dropout": float, "attentional_pool": bool,
    "attn_pooler_queries": int, "attn_pooler_heads": int, "no_ln_pre": bool,
    "pos_embed_type": str,
}
TEXT_SETTINGS = TOWER_SETTINGS | {
    "layers": int, "heads": int, "context_length": int, "vocab_size": int, "embed_cls": bool,
    "pad_id": int, "eos_id": int, "no_causal_mask": bool, "proj_bias": bool, "proj_type": str,
}
CLIP_OPTIONS: dict[str, Any] = {
    "quick_gelu": bool, "custom_text": bool, "init_logit_scale": float,
    "init_logit_bias": float | None, "nonscalar_logit_scale": bool,
}
SIZES = ("width", "layers", "head_width", "image_size", "patch_size", "heads", "context_length",
          "vocab_size", "attn_pooler_queries", "attn_pooler_heads")
DEEPEST = 100                              # blocks of a tower or stage; the deepest known has 64


def kind_of(network: torch.nn.Module) -> str:
    """The kind whose class a network has; LGFAError for a class that no kind has."""
    for kind, entry in KINDS.items():
        if stands_for(entry.network, type(network)):
            return kind
    raise LGFAError(f"{type(network).__name__} is none of the networks that can be saved "
                    f"({', '.join(KINDS)}).")


def settings(network: torch.nn.Module) -> dict[str, Any]:
    """A network's settings as plain data: {"config": {..}, ..}, ready for JSON."""
    out = {}
    for attribute, _ in KINDS[kind_of(network)].configs:
        config = getattr(network, attribute, None)
        if config is not None:
            check_stored(config)
            out[attribute] = as_plain(config)
    return out


def configs(kind: str, plain: Mapping[str, Any]) -> tuple[Any, ...]:
    """Frozen settings from plain data, one for each argument of the network's constructor; None
    for parts that the network does not have, but not at the end."""
    if kind not in KINDS:
        raise LGFAError(f"the file holds a network of the unknown kind {kind!r}; "
                        f"known are {', '.join(KINDS)}: a newer version may read it.")
    out = []
    for attribute, reference in KINDS[kind].configs:
        values = plain.get(attribute)
        if values is None and out:          # a motion model without a CLIP of its own, or words
            out.append(None)
            continue
        cls = named(reference)
        known = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(values, Mapping):
            raise LGFAError(f"the {KINDS[kind].what}'s settings ({attribute}) are missing, or no "
                            f"table: the file is damaged.")
        _check_plain(values, kind, getattr(cls, "LONGEST", LIMIT_LENGTH))
        strange = sorted(set(values) - known)
        if strange:
            raise LGFAError(f"the {KINDS[kind].what}'s settings hold the unknown "
                            f"{', '.join(strange)}: a newer version may read the file.")
        lacking = [field.name for field in dataclasses.fields(cls) if field.name not in values
                   and field.default is field.default_factory is dataclasses.MISSING]
        if lacking:
            raise LGFAError(f"the {KINDS[kind].what}'s settings lack {', '.join(lacking)}: the "
                            f"file is damaged.")
        out.append(cls(**values))
        check_stored(out[-1])
    while out[-1] is None:
        out.pop()
    return tuple(out)


def check_stored(config: Any) -> None:
    """LGFAError unless settings are ones that a file may bring: of a CLIP, open_clip's own towers
    by their sizes. Whatever names a model of another library, a tokenizer, a hub or a folder
    could make reading a file go to the network, or run code that is not ours."""
    if not isinstance(config, ClipConfig):
        return
    for name, known in (("vision_cfg", VISION_SETTINGS), ("text_cfg", TEXT_SETTINGS),
                        ("options", CLIP_OPTIONS)):
        strange = [key for key in getattr(config, name) if key not in known]
        if strange:
            raise LGFAError(f"the CLIP's settings hold {name}.{str(strange[0])[:60]}, which a "
                            f"file must not say: only CLIPs whose towers are open_clip's own, "
                            f"described by their sizes, can be stored and read.")
        for key, value in getattr(config, name).items():
            _check_setting(f"{name}.{key}", value, known[key])


def _check_setting(name: str, value: Any, hint: Any) -> None:
    """LGFAError unless a stored setting has its type, and a size is one."""
    value = tuple(value) if isinstance(value, list) else value
    key = name.rpartition(".")[2]
    numbers = [one for one in (value if isinstance(value, tuple) else (value,)) if one is not None]
    if not has_type(value, hint) or key in SIZES and not all(one >= 1 for one in numbers) \
            or key == "layers" and max(numbers, default=1) > DEEPEST \
            or isinstance(value, dict) and not all(
                has_type(one, INNER_SETTINGS.get(inner, ())) for inner, one in value.items()):
        raise LGFAError(f"the CLIP's setting {name} is {repr(value)[:60]}, which no CLIP has: the "
                        f"file is damaged or was made to do harm.")


def _check_plain(value: Any, kind: str, longest: int, depth: int = 0) -> None:
    """Refuses settings that are no plain numbers and words, or larger than any network's."""
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, str):
        fine = len(value) <= LIMIT_TEXT
    elif isinstance(value, int | float):
        fine = abs(value) <= LIMIT              # not of NaN
    else:
        fine = isinstance(value, Mapping | list) and len(value) <= longest and depth < 4
    if not fine:
        raise LGFAError(f"the {KINDS[kind].what}'s settings hold something that no network has: "
                        f"the file is broken or made to do harm.")
    if isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            _check_plain(item, kind, longest, depth + 1)
