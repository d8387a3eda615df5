"""Trajectories on disk: a safetensors file with one tensor "latents" [T, L, w_dim]."""
from __future__ import annotations

import json
from collections.abc import Mapping
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
    from . import read
    from .safetensors_io import is_safetensors, read_header
    from .trees import summary

    tree = read(path)
    latents = tree.get("latents") if isinstance(tree, dict) else None
    if not isinstance(latents, Tensor) or latents.ndim not in (2, 3) or 0 in latents.shape:
        raise LGFAError(f"{path} holds no latents [T, L, w_dim], but {summary(tree)}: "
                        f"use a file that Save Latents or --save-latents wrote.")
    latents = latents.float()
    if not bool(torch.isfinite(latents).all()):
        raise LGFAError(f"{path} holds NaN or infinite latents: it is damaged.")

    info: dict[str, Any] = {}
    with open(path, "rb") as file:
        if is_safetensors(file.read(16)):
            text = (read_header(Path(path)).get("__metadata__") or {}).get(KEY, "{}")
            info = _plain(text)
    return latents if latents.ndim == 3 else latents[None], info


def _plain(text: Any) -> dict[str, Any]:
    """The description as a dict; a strange one is as good as none."""
    try:
        info = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return info if isinstance(info, dict) else {}
