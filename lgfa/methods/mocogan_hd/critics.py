"""Critics of pictures and of videos, and the losses of adversarial baselines.

The networks score and describe; every loss is a function of what they say, tensors in, scalar out.
Terms follow Tian et al., "A Good Image Generator Is What You Need for High-Resolution Video
Synthesis" (ICLR 2021), section 3; where a function departs from it, it says so.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...training import augment

SLOPE = 0.2                             # of the leaky ReLUs
VIEWS = ("shift", "crop", "colour")     # of a picture, besides flips and cut-outs


class ImageCritic(nn.Module):
    """Strided convolutions. [B, 3, R, R] -> score [B], projection [B, P].

    The projection is the description that the contrastive and the matching term compare.
    """

    def __init__(
        self,
        resolution: int,                        # R, a power of two from 8
        widths: Sequence[int] = (32, 64, 96, 128),  # channels, a halving each; the last ones serve
        #                                         small pictures, which are halved down to 4 px
        projection: int = 128,                  # P
    ) -> None:
        super().__init__()
        depth = min(len(widths), max(1, resolution.bit_length() - 3))
        sizes = [3, *widths[-depth:]]
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 4, stride=2, padding=1)
            for a, b in zip(sizes[:-1], sizes[1:], strict=True))
        features = sizes[-1] * (resolution // 2**depth) ** 2
        self.score = nn.Linear(features, 1)
        self.project = nn.Sequential(nn.Linear(features, projection), nn.ReLU(),
                                     nn.Linear(projection, projection))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for conv in self.convs:
            x = F.leaky_relu(conv(x), SLOPE)
        x = x.flatten(1)
        return self.score(x)[:, 0], self.project(x)


class VideoCritic(nn.Module):
    """Patches in space and time, at full and at half size.

    It sees how each frame differs from the clip's first one: neither who moves matters then, nor
    that videos are drawn by another hand than the generator's pictures.

    [B, T, 3, R, R], first frames [B, 3, R, R] -> scores [B, t, r, r], one tensor a scale. Without
    normalisation layers: a gradient penalty holds it in check. Clips 1 and 2, 3 and 4, .. show the
    same person, and the last layer is told how they differ: two performances of one person are
    judged together, so that a person who always does the same is found out (packing, Lin et al.
    2018, "PacGAN").
    """

    def __init__(
        self,
        widths: Sequence[int] = (24, 48, 96),   # channels; each halves the side, and all but the
        #                                         first halve the time too
        scales: int = 2,                        # each sees pictures half as large as the one before
    ) -> None:
        super().__init__()
        self.scales = nn.ModuleList(_video_layers(widths) for _ in range(scales))
        self.heads = nn.ModuleList(nn.Conv3d(2 * widths[-1], 1, 3, padding=1)
                                   for _ in range(scales))

    def forward(self, x: Tensor, first: Tensor) -> list[Tensor]:
        x = (x - first[:, None]).transpose(1, 2)            # [B, 3, T, R, R]
        scores = []
        for number, (layers, head) in enumerate(zip(self.scales, self.heads, strict=True)):
            if number:
                x = F.avg_pool3d(x, (1, 2, 2))
            seen = layers(x)
            scores.append(head(torch.cat([seen, pair_difference(seen)], 1))[:, 0])
        return scores


def _video_layers(widths: Sequence[int]) -> nn.Sequential:
    """[B, 3, T, R, R] -> [B, C, t, r, r]"""
    layers: list[nn.Module] = []
    before = 3
    for number, width in enumerate(widths):
        depth, stride = (4, 2) if number else (3, 1)
        layers += [nn.Conv3d(before, width, (depth, 4, 4), (stride, 2, 2), padding=1),
                   nn.LeakyReLU(SLOPE)]
        before = width
    return nn.Sequential(*layers)


def pair_difference(x: Tensor) -> Tensor:
    """|a - b| for both of each pair of neighbours (a, b) in the batch. [B, ..] -> same, B even"""
    return (x[0::2] - x[1::2]).abs().repeat_interleave(2, 0)


class Memory(nn.Module):
    """A ring of the projections of former pictures: further negatives of the contrastive term."""

    def __init__(self, size: int, length: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(size, length))
        self.register_buffer("written", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def add(self, projections: Tensor) -> None:
        """Takes up rows [B, P]; the oldest ones go."""
        size = len(self.rows)
        places = (int(self.written) + torch.arange(len(projections))) % size
        self.rows[places.to(self.rows.device)] = projections.to(self.rows)
        self.written += len(projections)

    def kept(self) -> Tensor:
        """The rows written so far, [M, P]."""
        return self.rows[:min(int(self.written), len(self.rows))]


def view(x: Tensor, rng: torch.Generator) -> Tensor:
    """Pictures [B, 3, r, r] seen anew: flipped, shifted, cropped, tinted, a square missing."""
    flip = torch.rand(len(x), 1, 1, 1, generator=rng).to(x.device) < 0.5
    x = augment.apply(torch.where(flip, x.flip(-1), x), augment.draw(VIEWS, len(x), rng))
    side = x.shape[-1]
    corner = (torch.rand(len(x), 2, generator=rng) * side * 0.8).to(x.device)
    row, column = (corner[:, i, None] for i in (0, 1))
    ticks = torch.arange(side, device=x.device)
    inside_y = (ticks >= row) & (ticks < row + side * 0.2)
    inside_x = (ticks >= column) & (ticks < column + side * 0.2)
    return x.masked_fill((inside_y[:, :, None] & inside_x[:, None, :])[:, None], 0.0)


# ---------------------------------------------------------------- losses

def hinge_critic(real: Tensor, made: Tensor) -> Tensor:
    """The picture critic's loss on scores [B]: real above 1, made below -1."""
    return F.relu(1 - real).mean() + F.relu(1 + made).mean()


def hinge_maker(made: Tensor) -> Tensor:
    """What the maker of pictures lowers: the negative mean score."""
    return -made.mean()


def relativistic(above: Sequence[Tensor], below: Sequence[Tensor]) -> Tensor:
    """Relativistic average least squares: `above` shall score 1 more than the mean of `below`,
    and `below` 0 more than the mean of `above`; half the sum, added over scales.

    The critic calls it with (real, made), the maker with (made, real).
    """
    total = torch.zeros((), device=above[0].device)
    for up, down in zip(above, below, strict=True):
        total = total + (up - down.mean() - 1).square().mean() + (down - up.mean()).square().mean()
    return total / 2


def contrastive(
    one: Tensor,                            # projections of a view of each of B pictures [B, P]
    other: Tensor,                          # of another view of the same pictures [B, P]
    memory: Tensor | None = None,           # of other pictures [M, P]; no gradient reaches them
    tau: float = 0.07,                      # temperature
) -> Tensor:
    """Each view finds its partner among all views and the memory, by cosine (InfoNCE).

    A view is left out of its own denominator; the published code sets that term to exp(0) instead.
    """
    count = len(one)
    views = F.normalize(torch.cat([one, other]), dim=1)
    known = views if memory is None else torch.cat([views, F.normalize(memory.detach(), dim=1)])
    logits = views @ known.t() / tau
    itself = torch.eye(2 * count, len(known), dtype=torch.bool, device=logits.device)
    partner = (torch.arange(2 * count, device=logits.device) + count) % (2 * count)
    return F.cross_entropy(logits.masked_fill(itself, -torch.inf), partner)


def matching(later: Tensor, first: Tensor) -> Tensor:
    """Feature matching: minus the mean cosine of a later frame's projection and the first's."""
    return -F.cosine_similarity(later, first, dim=-1).mean()


def mutual(guess: Tensor, noise: Tensor) -> Tensor:
    """Mutual information of noise and motion: minus the mean cosine of the noise and what a
    network guesses of it from the motion's state. [.., D] each"""
    return -F.cosine_similarity(guess, noise.detach(), dim=-1).mean()


def slope_penalty(score: Callable[[Tensor], Tensor | list[Tensor]], x: Tensor) -> Tensor:
    """R1 (Mescheder et al. 2018): mean over samples of the squared gradient of their mean scores.

    `score` maps x to scores [B, ..] or to a list of them, one a scale, which are added. It takes
    the place of the published code's pull of the gradient's length towards 1, which unbalances
    small batches.
    """
    x = x.detach().requires_grad_(True)
    said = score(x)
    scales = said if isinstance(said, list) else [said]
    total = sum(part.flatten(1).mean(1).sum() for part in scales)
    slope, = torch.autograd.grad(total, x, create_graph=True)
    return slope.flatten(1).square().sum(1).mean()
