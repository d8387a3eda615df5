"""From a name to a network, and from a network to a file.

A name is a domain ("toon"), a path to any known format, or a public model's name.
"""
from __future__ import annotations

import os
from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import torch

from ..errors import reading
from . import safetensors_io
from .build import from_tree
from .kinds import kind_of, settings
from .names import resolve
from .open_clip import from_open_clip, names
from .recognition import read, recognise

if TYPE_CHECKING:
    from ..embed.clip import CLIP
    from ..embed.e4e import Encoder
    from ..embed.identity import Identity
    from ..frames.stylegan2 import Generator
    from ..motion.model import MotionModel

Device = str | torch.device


def load_generator(
    name: str | PathLike[str], device: Device = "cpu", dtype: torch.dtype = torch.float32,
) -> Generator:
    """StyleGAN2: z -> w -> image; rosinality .pt, NVIDIA .pkl, e4e .pt, our .safetensors."""
    return load(name, "generator", device, dtype)


def load_encoder(
    name: str | PathLike[str], device: Device = "cpu", dtype: torch.dtype = torch.float32,
) -> Encoder:
    """e4e: image [B,3,H,W], -1..1 -> W+ [B,L,w_dim]."""
    return load(name, "encoder", device, dtype)


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
        if found and rest and not os.path.exists(text) and name in names():
            return from_open_clip(name, rest).to(device, dtype).eval()
    return load(spec, "clip", device, dtype)


def load_identity(
    name: str | PathLike[str], device: Device = "cpu", dtype: torch.dtype = torch.float32,
) -> Identity:
    """Face recognition: face [B,3,H,W], -1..1 -> unit vectors [B,d]."""
    return load(name, "identity", device, dtype)


def load_motion(
    name: str | PathLike[str], device: Device = "cpu", dtype: torch.dtype = torch.float32,
) -> MotionModel:
    """The motion model: our .safetensors, or the LGFA authors' .pth."""
    return load(name, "motion", device, dtype)


def load(
    path: str | os.PathLike[str],           # a file, a domain ("toon") or a known model's name
    kind: str | Sequence[str] | None = None,    # the kind of network wanted, or several that serve,
    #                                         a domain's being the first; None = what is there
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> torch.nn.Module:
    """The network of a file, in eval mode.

    Raises LGFAError that names the file and says what is wrong with it.
    """
    file = resolve(path, kind if kind is None or isinstance(kind, str) else kind[0])
    with reading(file):
        tree = read(file)
        network = from_tree(tree, recognise(tree, kind))
    return network.to(device=device, dtype=dtype).eval()


def save(
    path: str | os.PathLike[str],           # .. .safetensors
    network: torch.nn.Module,               # one of the kinds in registry.KINDS
    info: dict[str, Any] | None = None,     # whatever a reader may want to know, as JSON
    dtype: torch.dtype | None = None,       # store floating point as this; None = as they are
) -> None:
    """Writes a network as our safetensors: its settings are in the header, so it rebuilds alone."""
    kind = kind_of(network)
    header = {"version": 1, "kind": kind, **settings(network), "info": info or {}}
    safetensors_io.write(path, network.state_dict(), header, dtype)
