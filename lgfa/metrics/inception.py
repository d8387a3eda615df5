"""Extractors of others, which users have or do not: Inception of FID, I3D of FVD.

Nothing is downloaded. Inception goes through the package clean-fid, which the paper measured with
and which runs its file as a TorchScript program: only the one published file is handed to it, known
by its check sum. I3D is handed over as a loaded module.
"""
from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import LGFAError
from ..hashes import file_hash
from ..media.images import levels, to_unit

INCEPTION_FILE = "inception-2015-12-05.pt"
# .. of the published file
INCEPTION_SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"
INCEPTION_SIDE, I3D_SIDE = 299, 224
I3D_FRAMES = 10                             # fewer leave its deepest maps empty


class Inception(nn.Module):
    """Pictures to the 2048 features of FID, resized as clean-fid does (Parmar et al. 2022)."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers                # 0..255 at 299 px -> [B, 2048]

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] in -1..1 -> [B, 2048]. Pictures are rounded to bytes first, as files are;
        then bicubic and antialiased, unrounded, as Pillow resizes single channels."""
        x = levels(to_unit(x))
        if x.shape[-2:] != (INCEPTION_SIDE, INCEPTION_SIDE):
            x = F.interpolate(x, (INCEPTION_SIDE, INCEPTION_SIDE), mode="bicubic",
                              align_corners=False, antialias=True).clamp(0, 255)
        return self.layers(x).flatten(1)


def load_inception(file: str | Path) -> Inception:
    """Inception from clean-fid's file, by clean-fid; LGFAError says how to get what is missing."""
    file = Path(file)
    if importlib.util.find_spec("cleanfid") is None:
        raise LGFAError("FID with Inception needs the package clean-fid: run "
                        "`python -m pip install clean-fid`, or measure without fid_inception.")
    if not file.is_file() or file.name != INCEPTION_FILE:
        raise LGFAError(f"{file} is no {INCEPTION_FILE}: fetch it from https://nvlabs-fi-cdn."
                        f"nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/{INCEPTION_FILE} "
                        f"and keep its name.")
    if file_hash(file) != INCEPTION_SHA256:
        raise LGFAError(f"{file} is not the published {INCEPTION_FILE}: it is damaged or another "
                        "program, and programs in files are not run here; fetch it again.")
    from cleanfid.inception_torchscript import InceptionV3W

    return Inception(InceptionV3W(str(file.parent), download=False, resize_inside=False))


@torch.no_grad()
def i3d_features(network: nn.Module, frames: Tensor) -> Tensor:
    """One clip [T, 3, H, W] in -1..1 -> I3D's 400 logits [1, 400], the protocol of StyleGAN-V.

    `network` is the TorchScript module of that protocol (`i3d_torchscript.pt`), which reads
    [B, 3, T, 224, 224] in -1..1.
    """
    if len(frames) < I3D_FRAMES:
        raise LGFAError(f"FVD by I3D needs clips of at least {I3D_FRAMES} frames, "
                        f"not {len(frames)}.")
    x = F.interpolate(frames, (I3D_SIDE, I3D_SIDE), mode="bilinear", align_corners=False)
    clip = x.permute(1, 0, 2, 3)[None]
    return network(clip, rescale=False, resize=False, return_features=True).flatten(1)
