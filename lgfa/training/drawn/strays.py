"""Pictures of a drawn domain's generator, good ones and such as a motion model could stray to."""
from __future__ import annotations

import torch
from torch import Tensor

from ...drawn.world import World
from ...frames.stylegan2 import Generator
from ...nn.covariance import covariance

SAMPLES = 4096                              # faces whose codes measure W's cloud
WAYS = (0.5, 0.2, 0.15, 0.15)               # shares of what `bad` makes, in its order


class Pictures:
    """Codes on the CPU, as all random numbers are; pictures on the generator's device."""

    def __init__(
        self,
        world: World,
        generator: Generator,
        rng: torch.Generator,               # moves on with every draw
    ) -> None:
        self.world, self.generator, self.rng = world, generator, rng
        codes = self.codes(world.faces(SAMPLES, rng))
        values, vectors = torch.linalg.eigh(covariance(codes))
        live = values > 1e-6 * values.max()
        self.axes = (vectors[:, live] * values[live].sqrt()).T.float()      # [axes, w_dim]

    def codes(self, params: Tensor) -> Tensor:
        """Codes w [B, w_dim] of faces [B, K]."""
        z = self.world.z_from_params(params, self.rng).to(self.generator.latent_avg.device)
        return self.generator.mapping(z)[:, 0].cpu()

    def draw(self, w: Tensor) -> Tensor:
        """Pictures [B, 3, R, R], about -1..1, of codes [B, w_dim] on the generator's device."""
        return self.generator.synthesis(w[:, None].expand(-1, self.generator.num_layers, -1))

    def uniform(self, n: int, low: float, high: float) -> Tensor:
        """[n, 1]"""
        return low + (high - low) * torch.rand(n, 1, generator=self.rng)

    def bad(self, n: int) -> Tensor:
        """Codes of no face: strayed off W's cloud, expressions turned round, overdone, too weak.
        [n, w_dim]"""
        people = self.world.people(n, self.rng)
        which = torch.randint(1, self.world.count, (n,), generator=self.rng)
        calm = self.codes(people)
        full = self.codes(self.world.with_expression(people, which))
        strayed = torch.randn(n, len(self.axes), generator=self.rng) @ self.axes
        strayed = self.uniform(n, 0.3, 0.9) * strayed
        strayed = torch.lerp(calm, full, self.uniform(n, 0, 1)) + strayed
        ways = [
            strayed,
            calm + self.uniform(n, -1.2, -0.3) * (full - calm),
            calm + self.uniform(n, 1.7, 2.6) * (full - calm),
            calm + self.uniform(n, 0.1, 0.35) * (full - calm),
        ]
        pick = torch.multinomial(torch.tensor(WAYS), n, True, generator=self.rng)
        return torch.stack(ways)[pick, torch.arange(n)]
