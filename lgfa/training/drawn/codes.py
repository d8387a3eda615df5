"""The fixed codes of a drawn domain's faces, from which its generator learns to draw."""
from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from ...drawn.world import World

CENTRE = 4.0                                # what the finished mapping adds to every number of a
#                                             code, which has unit variance
FACES = 8192                                # that features are standardised over


class Describes(Protocol):
    """params [B, K] -> features [B, n] that drawing needs: the live parameters first, in the order
    of World.live, then colours, shares of categories, products."""

    def __call__(self, params: Tensor) -> Tensor: ...


class Features(nn.Module):
    """The fixed code of a face: params [B, K] -> w [B, w_dim], of about unit variance.

    A domain's features, standardised, through a fixed random matrix with orthogonal columns.
    """

    def __init__(
        self,
        world: World,
        describe: Describes,
        derived: slice,                     # its columns beyond the parameters that are functions
        #                                     of what the face does
        seed: int,                          # of the faces and of the matrix
        w_dim: int = 512,
    ) -> None:
        super().__init__()
        self.world, self.describe, self.derived = world, describe, derived
        rng = torch.Generator().manual_seed(seed)
        raw = describe(world.faces(FACES, rng))
        self.register_buffer("mean", raw.mean(0))
        self.register_buffer("std", raw.std(0).clamp(min=0.02))
        mix = torch.linalg.qr(torch.randn(w_dim, raw.shape[1], generator=rng))[0].t()
        self.register_buffer("mix", mix * (w_dim / raw.shape[1]) ** 0.5)

    def standardised(self, params: Tensor) -> Tensor:
        """Features [B, n] of params [B, K], of mean 0 and deviation 1 over the domain."""
        return (self.describe(params) - self.mean) / self.std

    def forward(self, params: Tensor) -> Tensor:
        """Codes that the drawing is learned from, [B, w_dim]."""
        return self.standardised(params) @ self.mix

    def codes(self, params: Tensor) -> Tensor:
        """What the finished mapping network gives for these faces, see `recentre`. [B, w_dim]"""
        return self(params) + CENTRE


def lines(
    n: int,
    features: Features,
    rng: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Faces on straight lines of W between two expressions of one person: w [n, w_dim], params."""
    world = features.world
    ends = world.faces(n, rng)
    other = world.faces(n, rng)
    other[:, :world.who] = ends[:, :world.who]
    share = torch.rand(n, 1, generator=rng)
    return torch.lerp(features(ends), features(other), share), torch.lerp(ends, other, share)


def strays(
    n: int,
    features: Features,
    rng: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Codes beyond the domain, and the faces that they should show: w [n, w_dim], params.

    What a code says of the expression is moved at random, each feature by itself; the face is the
    nearest that exists (every parameter at the end of its range when it is overdone). A motion
    model's path may then stray without leaving the drawn world: no tears less than none.
    """
    world = features.world
    params = world.faces(n, rng)
    code = features.standardised(params)
    moved = [k for k, i in enumerate(world.live) if i >= world.who]
    size = 1.5 * torch.rand(n, 1, generator=rng)
    code[:, moved] += size * torch.randn(n, len(moved), generator=rng)
    code[:, features.derived] += 0.7 * size * torch.randn(
        code[:, features.derived].shape, generator=rng)
    low = torch.tensor([world.parameters[world.live[k]].low for k in moved])
    high = torch.tensor([world.parameters[world.live[k]].high for k in moved])
    said = code[:, moved] * features.std[moved] + features.mean[moved]
    params[:, [world.live[k] for k in moved]] = said.clamp(low, high)
    return code @ features.mix, params


def examples(
    n: int,
    features: Features,
    rng: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """z [n, z_dim], half random and half of faces to train on, and their codes [n, w_dim]."""
    world = features.world
    z = torch.randn(n // 2, world.z_dim, generator=rng)
    z = torch.cat([z, world.z_from_params(world.faces(n - n // 2, rng), rng)])
    return z, features.codes(world.params_from_z(z))
