"""Every loss of the training, paper III-E: tensors in, scalar out; and TERMS, one row for each.

A new term is a function and a row here, and its weight in config.py: the objective, the help of
`train`, the plots, the node Loss Weights and the checks for missing networks read them.

The paper writes sums; like the authors' code these are MEANS over clips, frames, layers and
channels, so that weights of about 1 balance them and do not depend on T or on the generator.
All are differentiable twice, except where a network given to them is not.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from ..errors import LGFAError
from .config import TrainConfig

TAU = 0.07              # temperature of the contrastive loss, paper III-E


def measured(
    off: Tensor,                    # offsets in W [.., w_dim]
    unit: Tensor | None,            # spread of each number [w_dim], a matrix that whitens W
    #                                 [w_dim, w_dim], or None
) -> Tensor:
    """Offsets in units of W's spread [.., w_dim]: as they are, divided, or whitened."""
    if unit is None:
        return off
    return off / unit if unit.ndim == 1 else off @ unit.to(off)


def w_reg(
    w: Tensor,                      # frames' codes [B, T, L, w_dim] (or [T, L, w_dim])
    w_s: Tensor,                    # content codes [B, L, w_dim] (or [L, w_dim])
    unit: Tensor | None = None,     # W's spread, see `measured`; None = raw units
) -> Tensor:
    """Mean over clips, frames, layers and channels of ((w(i) - w_s) / unit)^2, which is eq. 9 over
    B T L w_dim."""
    return measured(w - w_s.unsqueeze(-3), unit).square().mean()


def path_reg(
    w: Tensor,                      # frames' codes [B, T, L, w_dim] (or [T, L, w_dim])
    order: int = 2,                 # 2 = the paper's; 1 and 0 = its ablations
    unit: Tensor | None = None,     # W's spread, see `measured`; None = raw units
) -> Tensor:
    """Mean over clips, steps, layers and channels of the squared difference of that order.

    2: ((w(i+2) - w(i+1)) - (w(i+1) - w(i)))^2, eq. 10 / (B (T-2) L w_dim), any straight even path
    is free; 1: (w(i+1) - w(i))^2, all motion is charged; 0: nothing.  Zero, with a gradient of
    zero, where a clip is too short for a difference.
    """
    if order not in (0, 1, 2):
        raise LGFAError(f"the path regulariser has order 2, 1 or 0, not {order}.")
    if order == 0 or w.shape[-3] <= order:
        return 0.0 * w.sum()
    return measured(w.diff(n=order, dim=-3), unit).square().mean()


def contrastive(
    v: Tensor,                      # image embeddings of the last frames [n, d], unit vectors
    t: Tensor,                      # embeddings of their sentences [n, d], unit vectors
    tau: float = TAU,               # temperature
    gather: bool = False,           # pairs of all ranks of torch.distributed
) -> Tensor:
    """Mean over pairs k of -log softmax_j(v_k . t_j / tau)[k]; eq. 11 / n.

    The sentences must all differ in meaning: a repeated one counts as wrong against itself.

    With `gather` the n pairs of every rank (the same n) form one softmax, and the value is the
    same on all ranks.  Only this rank's rows carry a gradient, times the number of ranks: the
    MEAN of all ranks' gradients is then the gradient of one process that holds all pairs.
    """
    ranks = dist.get_world_size() if gather and dist.is_initialized() else 1
    if ranks > 1:
        v, t = _all_rows(v), _all_rows(t)
    logits = v @ t.transpose(0, 1) / tau
    loss = F.cross_entropy(logits, torch.arange(len(v), device=v.device))
    return loss if ranks == 1 else loss.detach() + ranks * (loss - loss.detach())


def pairwise(
    v: Tensor,                      # image embeddings [n, d], unit vectors
    t: Tensor,                      # embeddings of their sentences [n, d], unit vectors
) -> Tensor:
    """Mean over pairs of 1 - v_k . t_k, 0 to 2: the non-contrastive ablation (III-E), which pulls
    each pair together alone and collapses to an average face."""
    return (1 - (v * t).sum(dim=-1)).mean()


def perceptual(
    frames: Tensor,                                 # rendered frames [B, F, 3, H, W], -1..1
    source: Tensor,                                 # their stills [B, 3, H, W], -1..1
    metric: Callable[[Tensor, Tensor], Tensor],     # (images, images) [N, ..] -> distances [N]
) -> Tensor:
    """Mean over clips and the F given frames of the distance to the still (LPIPS, eq. 12)."""
    still = source.unsqueeze(1).expand_as(frames)
    return metric(frames.flatten(0, 1), still.flatten(0, 1)).mean()


def identity(
    frames: Tensor,                                 # rendered frames [B, F, 3, H, W], -1..1
    source: Tensor,                                 # their stills [B, 3, H, W], -1..1
    network: Callable[[Tensor], Tensor],            # faces [N, 3, H, W] -> unit vectors [N, e]
) -> Tensor:
    """Mean over clips and frames of 1 - cosine between the embeddings of a frame and of its still,
    0 to 2 (optional; StyleCLIP's identity loss).  The still carries no gradient."""
    with torch.no_grad():
        person = network(source)
    faces = network(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
    return (1 - (faces * person.unsqueeze(1)).sum(dim=-1)).mean()


def _all_rows(x: Tensor) -> Tensor:
    """The rows of every rank, in rank order; this rank's keep their gradient."""
    parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, x.detach().contiguous())
    parts[dist.get_rank()] = x
    return torch.cat(parts)


# ---- the terms of the total

@dataclass(frozen=True)
class Seen:
    """What a term sees of a batch of B clips with T frames."""

    config: TrainConfig
    w: Tensor                               # frames' codes [B, T, L, w_dim]
    w_s: Tensor                             # content codes [B, L, w_dim]
    unit: Tensor | None                     # W's spread, see `measured`
    still: Tensor | None = None             # the stills [B, 3, R, R], -1..1, if a row asks for them
    gather: bool = False                    # pairs of all ranks belong together
    # .. and what its own row names:
    frames: Tensor | None = None            # the pictures that it looks at [B, F, 3, R, R], -1..1
    network: Callable[..., Tensor] | None = None    # the frozen network that it needs
    v: Tensor | None = None                 # with "clip": its one frame's embeddings [B, d] and ..
    t: Tensor | None = None                 # .. those of the sentences [B, d], unit vectors


@dataclass(frozen=True)
class Term:
    """All that is known of a term but its weight, which is the field of its name in TrainConfig."""

    name: str
    value: Callable[[Seen], Tensor]         # the scalar, before its weight
    colour: tuple[int, int, int]            # of its line in pictures of a training's losses
    widget: float                           # what Loss Weights begins with; 0 for new terms, since
    #                                         stored workflows do not know them
    tooltip: str                            # of that widget, for artists
    frames: str | tuple[str, ...] = ()      # whose pictures it looks at: of "first", "last" and
    #                                         "random", or the setting that says so; () = of none
    still: bool = False                     # does it compare them with the still?
    network: str = ""                       # "clip", "perceptual", "identity" or none


def agreement(seen: Seen) -> Tensor:
    """Whether last frames look like their sentences: contrastive, or the ablation."""
    if seen.config.cont_form == "pairwise":
        return pairwise(seen.v, seen.t)
    return contrastive(seen.v, seen.t, seen.config.tau, seen.gather)


#: in the order of equation 12; the colours are told apart by people who see no red or no green
TERMS = (
    Term("w_reg", lambda seen: w_reg(seen.w, seen.w_s, seen.unit), (0, 114, 178), 4.0,
         "Keeps frames near the still: higher = smaller and cleaner motion. Paper: 1, in raw "
         "units."),
    Term("path_reg", lambda seen: path_reg(seen.w, seen.config.path_order, seen.unit),
         (86, 180, 233), 10.0, "Keeps the path smooth. Paper: 1."),
    Term("cont", agreement, (213, 94, 0), 2.0,
         "Agreement of the last frame with its sentence, as CLIP sees it. Paper: 0.5.",
         frames=("last",), network="clip"),
    Term("lpips", lambda seen: perceptual(seen.frames, seen.still, seen.network), (0, 158, 115),
         0.1, "Keeps frames looking like the still; needs a perceptual network. Paper: 1.",
         frames="lpips_frames", still=True, network="perceptual"),
    Term("identity", lambda seen: identity(seen.frames, seen.still, seen.network),
         (204, 121, 167), 1.0,
         "Keeps the last frame the same person; needs an identity network. Paper: 0.",
         frames=("last",), still=True, network="identity"),
)


def terms_of(config: TrainConfig) -> list[Term]:
    """The terms that a training's settings do not leave out, in the order of TERMS."""
    return [term for term in TERMS if config.counts(term.name)]
