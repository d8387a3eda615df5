"""MoCoGAN-HD's motion: an LSTM that walks along the principal axes of W, driven by noise.

Source: Tian et al., "A Good Image Generator Is What You Need for High-Resolution Video Synthesis"
(ICLR 2021), section 3.1; constants of its published code (snap-research/MoCoGAN-HD). It knows no
sentences: what a clip shows is chosen by the seed. Its training is in training.py.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...config import Frozen
from ...errors import LGFAError
from ..method import Embedded, Method, Prompt


@dataclass(frozen=True)
class MocoganConfig(Frozen):
    """MoCoGAN-HD's motion generator ; the defaults are its authors'."""

    w_dim: int = 512                        # length of a style code, and of the noise of a step
    hidden: int = 384                       # width of the LSTM's state
    components: int = 384                   # P, principal components of W that it moves along
    residual: float = 0.2                   # largest step along one, in its standard deviations
    num_layers: int | None = None           # L of its generator; None = any, all move alike
    resolution: int | None = None           # side of its generator's images; None = any

    def _check(self) -> None:
        sizes = (self.w_dim, self.hidden, self.components)
        if not all(isinstance(n, int) and n >= 1 for n in sizes) or self.components > self.w_dim:
            raise LGFAError("MoCoGAN-HD's motion needs w_dim, hidden and components from 1, and "
                            "no more components than w_dim.")


class MotionGenerator(nn.Module):
    """Content code and noise -> offsets from the content code, one a frame, equal in all layers.

        h(1), c(1) = LSTM_0(w)
        h(i), c(i) = LSTM(noise(i), (h(i-1), c(i-1)))                       i = 2..T
        w(i)       = w(i-1) + r * V diag(s) tanh(A h(i) + b)

    V and s are the principal components of W and their standard deviations; r = `residual`.
    """

    def __init__(self, config: MocoganConfig) -> None:
        super().__init__()
        self.config = config
        width, hidden, count = config.w_dim, config.hidden, config.components
        self.initial = nn.LSTMCell(width, hidden)           # LSTM_0
        self.cell = nn.LSTMCell(width, hidden)              # LSTM
        self.coefficients = nn.Linear(hidden, count)        # A, b
        self.guess_hidden = nn.Linear(2 * hidden, width)    # state -> noise, in training only
        self.guess_noise = nn.Linear(width, width)
        self.register_buffer("components", torch.zeros(count, width))
        self.register_buffer("deviations", torch.ones(count))
        self._start()

    @torch.no_grad()
    def _start(self) -> None:
        """Orthogonal recurrent and guessing weights, small steps, no biases (published code)."""
        for cell in (self.initial, self.cell):
            for weight in (cell.weight_ih, cell.weight_hh):
                for gate in weight.chunk(4):
                    nn.init.orthogonal_(gate)
            cell.bias_ih.zero_()
            cell.bias_hh.zero_()
        for layer in (self.guess_hidden, self.guess_noise):
            nn.init.orthogonal_(layer.weight)
        nn.init.normal_(self.coefficients.weight, std=0.02)
        self.coefficients.bias.zero_()

    def forward(
        self,
        w: Tensor,                          # content codes [B, w_dim]
        noise: Tensor,                      # [B, T-1, w_dim], standard normal
    ) -> tuple[Tensor, Tensor]:
        """Offsets [B, T, w_dim], the first one zero, and states (h, c) [B, T-1, 2 hidden]."""
        self._check(w, noise)
        h, c = self.initial(w)
        axes = self.components * self.deviations[:, None]
        offsets, states = [torch.zeros_like(w)], []
        for one in noise.unbind(1):
            h, c = self.cell(one, (h, c))
            step = torch.tanh(self.coefficients(h)) @ axes
            offsets.append(offsets[-1] + self.config.residual * step)
            states.append(torch.cat([h, c], dim=1))
        empty = w.new_zeros(len(w), 0, 2 * self.config.hidden)
        return torch.stack(offsets, 1), torch.stack(states, 1) if states else empty

    def guess(self, states: Tensor) -> Tensor:
        """The noise [.., w_dim] that led to states [.., 2 hidden]: the mutual-information term."""
        return self.guess_noise(F.relu(self.guess_hidden(states)))

    def _check(self, w: Tensor, noise: Tensor) -> None:
        width = self.config.w_dim
        if w.ndim != 2 or noise.ndim != 3 or w.shape[1] != width or noise.shape[2] != width \
                or len(noise) != len(w):
            raise LGFAError(f"MoCoGAN-HD's motion takes codes [B, {width}] and noise [B, T-1, "
                            f"{width}], not {list(w.shape)} and {list(noise.shape)}.")


class Mocogan(Method):
    """The motion generator as a Method. It reads no sentence and looks at no picture."""

    carries_on = True                       # a later motion begins from what it sees

    def __init__(self, motion: MotionGenerator) -> None:
        super().__init__(motion.config)
        self.motion = motion

    def embed(self, still: Tensor | None, prompt: Prompt) -> Embedded:
        """Nothing of either: (None, zero [1, 1])."""
        return Embedded(None, torch.zeros(1, 1, device=self.motion.deviations.device))

    @torch.no_grad()
    def __call__(self, w_s: Tensor, embedded: Embedded, frames: int, seed: int) -> Tensor:
        """Trajectory [1, T, L, w_dim] that begins at w_s exactly. The LSTM starts from the mean of
        its L codes, which are equal for a sampled still; a longer clip goes on where a shorter one
        of the same seed ends."""
        if w_s.ndim != 3 or w_s.shape[::2] != (1, self.w_dim):
            raise LGFAError(f"MoCoGAN-HD moves one code [1, L, {self.w_dim}] at a time, "
                            f"not {list(w_s.shape)}.")
        weight = self.motion.deviations
        noise = draw_noise(1, frames, self.w_dim, torch.Generator().manual_seed(seed))
        offsets, _ = self.motion(w_s.to(weight).mean(1), noise.to(weight))
        return w_s[:, None] + offsets[:, :, None].to(w_s)


def draw_noise(
    batch: int,
    frames: int,                            # T
    width: int,                             # w_dim
    generator: torch.Generator,             # on the CPU
) -> Tensor:
    """Noise of T-1 steps [B, T-1, width], drawn step by step: its beginning does not depend on T.
    """
    if frames < 2:
        return torch.zeros(batch, 0, width)
    return torch.stack([torch.randn(batch, width, generator=generator)
                        for _ in range(frames - 1)], dim=1)

