"""Names for contents: the SHA-256 of a file and of a network."""
from __future__ import annotations

import hashlib
import json
from dataclasses import is_dataclass
from pathlib import Path

import torch

from .config import plain


def file_hash(
    path: str | Path,
) -> str:
    """SHA-256 of a file's bytes, 64 hex digits; raises OSError like open()."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def text_hash(
    text: str,
) -> str:
    """SHA-256 of a text's UTF-8 bytes, 64 hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def tensor_hash(
    value: torch.Tensor,
) -> str:
    """SHA-256 of a tensor's bytes in row order, 64 hex digits."""
    return hashlib.sha256(_bytes(value)).hexdigest()


def network_hash(
    network: torch.nn.Module,
) -> str:
    """SHA-256 of a network's class, settings and weights, 64 hex digits; equal on every device."""
    digest = hashlib.sha256(type(network).__name__.encode())
    config = getattr(network, "config", None)
    if is_dataclass(config):
        digest.update(json.dumps(plain(config), sort_keys=True, default=str).encode())
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(_bytes(value))
    return digest.hexdigest()


def _bytes(value: torch.Tensor) -> memoryview:
    """A tensor's own bytes, in row order."""
    flat = value.detach().cpu().contiguous().flatten()
    return memoryview(flat.view(torch.uint8).numpy())
