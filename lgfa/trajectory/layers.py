"""Between two stills: which layers of the latents are mixed.

StyleGAN's layers go from coarse to fine (Karras et al. 2019, "A Style-Based Generator", 3.1):
pose and shape of the face are drawn at 4 and 8 px, features and hair at 16 and 32 px, colours and
texture above.
"""
from __future__ import annotations

import torch
from torch import Tensor

from ..config import check_number
from ..errors import LGFAError

LAYERS = {                                  # name -> first layer and the one after the last
    "all layers": (0, None),
    "coarse (pose, shape)": (0, 4),
    "middle (features, hair)": (4, 8),
    "fine (colour, texture)": (8, None),
}


def mix_layers(
    a: Tensor,                              # [N, L, w_dim]
    b: Tensor,                              # [M, L, w_dim]; N = M, or one of them is 1
    amount: float = 0.5,                    # 0 = a, 1 = b; beyond = further the same way
    layers: str = "all layers",             # a name in LAYERS; the others stay a's
) -> Tensor:
    """Codes [max(N, M), L, w_dim] on the way from a to b."""
    amount = check_number(amount, "the amount")
    if layers not in LAYERS:
        raise LGFAError(f"there are no layers {layers!r}: use one of {', '.join(LAYERS)}.")
    if a.ndim != 3 or b.ndim != 3 or a.shape[1:] != b.shape[1:]:
        raise LGFAError(f"latents of shape {list(a.shape)} and {list(b.shape)} belong to different "
                        f"generators and cannot be mixed.")
    if len(a) != len(b) and 1 not in (len(a), len(b)):
        raise LGFAError(f"{len(a)} latents cannot be mixed with {len(b)}: give as many, or one.")
    a, b = torch.broadcast_tensors(a, b.to(a))
    part = slice(*LAYERS[layers])
    out = a.clone()
    out[:, part] = torch.lerp(a[:, part], b[:, part], amount)
    return out
