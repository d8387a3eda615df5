"""Checkpoints of MoCoGAN-HD's published code: modelR_epoch_N.pth, a bare state dict.

    {"w", "b", "enc_cell.*", "cell.*", "fc1.*", "fc2.*"}

The principal axes of W are not in it: they lie in pca_comp.npy [n, w_dim] and pca_stdev.npy [n],
of which training used the first rows. Both files are looked for beside the checkpoint. The
generator's size is in neither; the motion fits any with codes of this length.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...errors import LGFAError
from ...formats import npy
from ...formats.recognition import Format
from ...formats.tables import bare, is_tensor, shape_of
from .motion import MocoganConfig

AXES, DEVIATIONS = "pca_comp.npy", "pca_stdev.npy"
PCA = "lgfa_pca"                        # where `with_axes` puts an Axes, which no file can hold
MODULES = {                             # authors' name -> ours
    "enc_cell": "initial", "cell": "cell", "fc1": "guess_hidden", "fc2": "guess_noise",
}
TRANSPOSED = {"w": "coefficients.weight"}       # stored [hidden, P], to be multiplied from the left
SAME = {"b": "coefficients.bias"}


@dataclass(frozen=True)
class Axes:
    """What the two files hold."""

    components: torch.Tensor            # [n, w_dim]
    deviations: torch.Tensor            # [n]


def _weights(tree: Any) -> dict[str, Any]:
    """The state dict without the "module." of parallel training; empty for anything else."""
    plain = {k: v for k, v in tree.items() if k != PCA} if isinstance(tree, Mapping) else None
    return bare(plain)


def is_motion(tree: Any) -> bool:
    """The motion generator's own names; the two LSTM cells tell it from everything else."""
    weights = _weights(tree)
    return all(is_tensor(weights, key, 2) for key in (
        "w", "enc_cell.weight_ih", "cell.weight_ih", "fc1.weight")) and "b" in weights


def is_video_critic(tree: Any) -> bool:
    """modelD_3d_epoch_N.pth"""
    return any(key.startswith("netD.scale0_layer0.") for key in _weights(tree))


def is_image_critic(tree: Any) -> bool:
    """modelD_img_epoch_N.pth"""
    return {"q_real", "q_fake", "q_ptr"} <= set(_weights(tree))


def with_axes(tree: Any, file: Path) -> Any:
    """The tree with the principal axes that lie beside the file; without them if there are none."""
    paths = [file.parent / name for name in (AXES, DEVIATIONS)]
    if not all(path.is_file() for path in paths):
        return tree
    return {**_weights(tree), PCA: Axes(npy.read(paths[0], 2), npy.read(paths[1], 1))}


def convert_motion(tree: Any) -> tuple[MocoganConfig, dict[str, torch.Tensor]]:
    """Settings, read off the shapes, and renamed weights with the axes that they belong to."""
    weights = _weights(tree)
    if not isinstance(tree.get(PCA), Axes):
        raise LGFAError(f"this MoCoGAN-HD motion generator walks along principal axes that are in "
                        f"files of their own: put its {AXES} and {DEVIATIONS} beside it.")
    hidden, count = shape_of(weights, "w", 2)
    width = shape_of(weights, "cell.weight_ih", 2)[1]
    axes, deviations = _checked(tree[PCA], count, width)
    out = {"components": axes[:count], "deviations": deviations[:count]}
    for name, tensor in weights.items():
        module, _, rest = name.partition(".")
        if name in TRANSPOSED:
            out[TRANSPOSED[name]] = tensor.t()
        else:                           # what no rule knows keeps its name, to be listed
            out[SAME.get(name, f"{MODULES[module]}.{rest}" if module in MODULES else name)] = tensor
    return MocoganConfig(w_dim=width, hidden=hidden, components=count), out


def _checked(pair: Axes, count: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The axes [n, width] and deviations [n], n >= count; LGFAError when they are others."""
    axes, deviations = pair.components, pair.deviations
    if axes.shape[1] != width or min(len(axes), len(deviations)) < count:
        raise LGFAError(f"{AXES} of shape {list(axes.shape)} and {DEVIATIONS} of "
                        f"{list(deviations.shape)} do not belong to this motion generator, which "
                        f"walks along {count} axes of {width} numbers: take its own.")
    return axes, deviations


def _refused(what: str, matches: Callable[[Any], bool]) -> Format:
    return Format(f"MoCoGAN-HD's {what}", "mocogan", matches, refuse=(
        f"this is MoCoGAN-HD's {what}, which only its training used: give modelR_epoch_N.pth."))


FORMATS = [
    Format("MoCoGAN-HD checkpoint", "mocogan", is_motion, convert_motion, beside=with_axes),
    _refused("video critic", is_video_critic),
    _refused("picture critic", is_image_critic),
]
