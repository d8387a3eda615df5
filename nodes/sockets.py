"""Socket types of the pack, named once, and what travels over them.

Outputs of nodes are cached and shared, so nothing here is ever changed in place: all are frozen,
and a node that changes a tensor makes a new one. Tensors stay on the compute device.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from comfy_api.latest import io
from torch import Tensor

Generator = io.Custom("LGFA_GENERATOR")         # memory.Network of kind "generator"
Encoder = io.Custom("LGFA_ENCODER")             # memory.Network of kind "encoder"
Clip = io.Custom("LGFA_CLIP")                   # memory.Network of kind "clip"
Motion = io.Custom("LGFA_MOTION")               # memory.Network of kind "motion", CLIP taken out
TextCode = io.Custom("LGFA_TEXT")               # Words
ImageCode = io.Custom("LGFA_IMAGE_CODE")        # Look
Latent = io.Custom("LGFA_LATENT")               # Still
MotionCode = io.Custom("LGFA_MOTION_CODE")      # Codes
Trajectory = io.Custom("LGFA_TRAJECTORY")       # Path
Alignment = io.Custom("LGFA_ALIGNMENT")         # lgfa.photo.align.Alignment
Source = io.Custom("LGFA_SOURCE")               # train_stills.Stills
Losses = io.Custom("LGFA_LOSSES")               # train_losses.Losses


@dataclass(frozen=True)
class Words:
    """Sentences and their embeddings."""

    z: Tensor                               # z_t [N, d], unit vectors
    texts: tuple[str, ...]                  # the N sentences
    clip: str                               # Network.name of the CLIP that read them
    understood: tuple[Any, ...] = ()        # Understanding of each, where Encode Text has told it


@dataclass(frozen=True)
class Look:
    """What CLIP sees in stills."""

    z: Tensor                               # z_v [N, d], unit vectors
    clip: str                               # Network.name of the CLIP that saw them


@dataclass(frozen=True)
class Still:
    """Codes of stills."""

    w: Tensor                               # [N, L, w_dim], float32
    is_image: bool = False                  # from a picture (e4e), not sampled
    info: dict[str, Any] = field(default_factory=dict)      # what a file said beside them


@dataclass(frozen=True)
class Codes:
    """Motion codes of the recurrent motion generator."""

    z: Tensor                               # z(i) [N, T, d], relative to z(1) if the model says so
    texts: tuple[str, ...]                  # sentences, one a row


@dataclass(frozen=True)
class Path:
    """Trajectories: codes of the frames of N clips of equal length."""

    w: Tensor                               # [N, T, L, w_dim], float32; frame 1 is the still
    texts: tuple[str, ...] = ()             # sentences of the N clips
