"""Loading one network: a domain ("toon"), a path to any known format, or a public model's name."""
from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from .embed.clip import CLIP
    from .embed.e4e import Encoder
    from .embed.identity import Identity
    from .frames.stylegan2 import Generator
    from .motion.model import MotionModel

Device = str | torch.device


def load_generator(
    name: str | PathLike[str], device: Device = "cpu", dtype: torch.dtype = torch.float32,
) -> Generator:
    """StyleGAN2: z -> w -> image; rosinality .pt, NVIDIA .pkl, e4e .pt, our .safetensors."""
    return _load(name, "generator", device, dtype)


def load_encoder(
    name: str | PathLike[str], device: Device = "cpu", dtype: torch.dtype = torch.float32,
) -> Encoder:
    """e4e: image [B,3,H,W], -1..1 -> W+ [B,L,w_dim]."""
    return _load(name, "encoder", device, dtype)


def load_clip(
    name: str | PathLike[str], device: Device = "cpu", dtype: torch.dtype = torch.float32,
) -> CLIP:
    """CLIP; also by open_clip's names: "RN50/openai" (fetched if missing), "RN50:weights.pt"."""
    from .formats.clip import load_clip as load

    return load(name, device, dtype)


def load_identity(
    name: str | PathLike[str], device: Device = "cpu", dtype: torch.dtype = torch.float32,
) -> Identity:
    """Face recognition: face [B,3,H,W], -1..1 -> unit vectors [B,d]."""
    return _load(name, "identity", device, dtype)


def load_motion(
    name: str | PathLike[str], device: Device = "cpu", dtype: torch.dtype = torch.float32,
) -> MotionModel:
    """The motion model: our .safetensors, or the LGFA authors' .pth."""
    return _load(name, "motion", device, dtype)


def _load(
    name: str | PathLike[str], kind: str, device: Device, dtype: torch.dtype,
) -> torch.nn.Module:
    from . import formats

    return formats.load(name, kind, device, dtype)
