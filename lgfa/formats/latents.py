"""Latents on disk: trajectories, as a safetensors file with one tensor "latents" [T, L, w_dim], and
codes of stills to train on, in whatever file they lie."""
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import LGFAError

KEY = "lgfa_clip"                           # of the metadata


def save_latents(
    path: str | Path,                       # .safetensors
    latents: Tensor,                        # [T, L, w_dim]
    metadata: Mapping[str, str] | None = None,      # entries of the file's header beside ours
    **info: Any,                            # fps, texts, seed, .. : whatever JSON can hold
) -> Path:
    """Writes a trajectory, atomically; refuses another suffix and numbers that are none."""
    from .safetensors_io import write_tensors

    path = check_latents_target(path)
    if latents.ndim != 3:
        raise LGFAError(f"latents to save must be [T, L, w_dim], not {list(latents.shape)}.")
    if not bool(torch.isfinite(latents).all()):
        raise LGFAError(f"the latents for {path} hold NaN or infinite numbers: not written.")
    write_tensors(path, {"latents": latents},
                  {**(metadata or {}), KEY: json.dumps(info, ensure_ascii=True)})
    return path


def check_latents_target(path: str | Path) -> Path:
    """The path, if latents can be written under it."""
    path = Path(path)
    if path.suffix.lower() != ".safetensors":
        raise LGFAError(f"latents are saved as .safetensors, not as {path.name!r}.")
    return path


def load_latents(path: str | Path) -> tuple[Tensor, dict[str, Any]]:
    """(latents [T, L, w_dim] float32, what was stored beside them); LGFAError for other files."""
    from .trees import described, summary

    tree, metadata = described(path)
    latents = tree.get("latents") if isinstance(tree, dict) else None
    if not isinstance(latents, Tensor) or latents.ndim not in (2, 3) or 0 in latents.shape:
        raise LGFAError(f"{path} holds no latents [T, L, w_dim], but {summary(tree)}: "
                        f"use a file that Save Latents or --save-latents wrote.")
    return _finite([latents], path), _plain(metadata.get(KEY, "{}"))


def load_codes(path: str | Path) -> Tensor:
    """Codes of stills [N, L, w_dim] float32, of a .pt or .safetensors file that holds one such
    tensor or many of [L, w_dim] or [1, L, w_dim]; LGFAError for other files."""
    from .trees import tree_of

    tree = tree_of(path)
    values = tree.values() if isinstance(tree, dict) else \
        tree if isinstance(tree, list | tuple) else [tree]
    parts = [part for part in values if isinstance(part, Tensor) and part.ndim in (2, 3)]
    if len({part.shape[-2:] for part in parts}) != 1 or not all(parts[0].shape[-2:]) or \
            not any(map(len, parts)):
        raise LGFAError(f"{path} holds no latents: it must hold codes of shape [N, L, 512].")
    odd = {str(part.dtype).removeprefix("torch.") for part in parts
           if not part.is_floating_point()}
    if odd:
        raise LGFAError(f"{path} holds {', '.join(sorted(odd))} numbers, which are no latents: "
                        "save them as floating point.")
    return _finite(parts, path)


def _finite(parts: Sequence[Tensor], path: str | Path) -> Tensor:
    """[L, w_dim] and [n, L, w_dim], each a row or rows of one [N, L, w_dim], float32."""
    latents = torch.cat([(part if part.ndim == 3 else part[None]).float() for part in parts])
    if not bool(torch.isfinite(latents).all()):
        raise LGFAError(f"{path} holds NaN or infinite latents: it is damaged.")
    return latents


def _plain(text: Any) -> dict[str, Any]:
    """The description as a dict; a strange one is as good as none."""
    try:
        info = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return info if isinstance(info, dict) else {}
