"""Recurrent motion generator M: z(1) = z_t + z_v -> motion codes (paper III-C, eq. 3-5).

    c(i) = s(W1 z(i-1)) || h(i-1)
    z(i) = z(i-1) + r(i) s(W2 c(i))
    h(i) = h(i-1) + r(i) s(W3 c(i))          i = 2..T

s is a leaky ReLU.  The step sizes r(2..T) come from a schedule, a function in `SCHEDULES`.
"""
from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import MotionConfig, check_seed
from ..errors import LGFAError

PAPER_RATE = 0.2        # r1 = r2 in training, paper III-C
AUTHORS_RATE = 0.8      # divided by the number of frames in the published code


def paper_rates(frames: int, training: bool, path_length: float = 0.6) -> Tensor:
    """The paper's schedule, r(2..T) [T-1] in float64.

    Training: r = 0.2, total 0.2 (T-1): 0.6 at 4 frames.
    Inference: r(i) = 0.2 (T+1-i) / T, total 0.1 (T-1): 1.5 at 16 frames, 2.5 times the path of
    a 4-frame training clip; the total keeps growing with T.  `path_length` is not used.
    """
    if training:
        return torch.full((frames - 1,), PAPER_RATE, dtype=torch.float64)
    i = torch.arange(2, frames + 1, dtype=torch.float64)
    return PAPER_RATE * (frames + 1 - i) / frames


def authors_rates(frames: int, training: bool, path_length: float = 0.6) -> Tensor:
    """The published code's schedule, r(2..T) [T-1] in float64.

    Training: r = 0.8 / T, total 0.8 (T-1)/T: 0.6 at 4 frames.
    Inference: r at step t = 1..T-1 is 0.8/T (T-t)/T, total 0.4 (T-1)/T: 0.375 at 16 frames,
    0.4 for many, so that a clip covers about two thirds of a training clip's path, whatever T.
    `path_length` is not used.
    """
    constant = torch.full((frames - 1,), AUTHORS_RATE / frames, dtype=torch.float64)
    if training:
        return constant
    t = torch.arange(1, frames, dtype=torch.float64)
    return constant * (frames - t) / frames


def even_rates(frames: int, training: bool, path_length: float = 0.6) -> Tensor:
    """Our schedule, r(2..T) [T-1] in float64.

    Training and inference: r = path_length / (T-1), total path_length for every T.  The steps
    are Euler steps of one flow, so a clip of any length ends where a training clip ends; at 4
    frames and path_length 0.6 it is the paper's and the authors' training schedule.
    """
    return torch.full((frames - 1,), path_length / max(frames - 1, 1), dtype=torch.float64)


SCHEDULES: dict[str, Callable[[int, bool, float], Tensor]] = {
    "even": even_rates,
    "authors": authors_rates,
    "paper": paper_rates,
}


def draw_hidden(
    batch: int,                                 # clips
    width: int,                                 # hidden units
    std: float,                                 # standard deviation
    seed: int | None = None,                    # same seed, same h(1), on every device
    generator: torch.Generator | None = None,   # or a stream of the caller's
) -> Tensor:
    """h(1) ~ N(0, std^2) [B, hidden], float32.

    Numbers are drawn on the CPU (or on the generator's device), clip by clip, so that clip 1 of
    a seed does not depend on the device or on how many clips follow.  Without a seed and without
    a generator torch's global CPU stream is used.  Raises LGFAError for a seed that is none.
    """
    if seed is not None:
        generator = torch.Generator("cpu").manual_seed(check_seed(seed))
    device = generator.device if generator is not None else torch.device("cpu")
    rows = [torch.randn(width, generator=generator, device=device) for _ in range(batch)]
    return std * torch.stack(rows)


class RecurrentMotion(nn.Module):
    """M: z(1) [B, d] -> motion codes [B, T, d]; submodules are W1, W2 and W3 with their biases."""

    def __init__(
        self,
        config: MotionConfig,       # embed_dim, hidden, leaky_slope, bias, schedule, ..
    ) -> None:
        super().__init__()
        self.config = config
        d, hidden, bias = config.embed_dim, config.hidden, config.bias
        self.context = nn.Linear(d, hidden, bias=bias)                  # W1
        self.code_step = nn.Linear(2 * hidden, d, bias=bias)            # W2
        self.hidden_step = nn.Linear(2 * hidden, hidden, bias=bias)     # W3
        # Codes are small (1/sqrt(d) a number): biases that start at zero do not drown the words.
        for layer in (self.context, self.code_step, self.hidden_step):
            nn.init.kaiming_normal_(layer.weight, a=config.leaky_slope)
            if bias:
                nn.init.zeros_(layer.bias)

    def forward(
        self,
        z1: Tensor,                                 # z(1) [B, d]
        frames: int,                                # T, at least 1
        h1: Tensor | None = None,                   # h(1) [B, hidden]; None = drawn
        seed: int | None = None,                    # for drawing h(1); None = the global stream
        training: bool | None = None,               # which step sizes; None = self.training
    ) -> Tensor:
        """Motion codes [B, T, d] in z1's dtype: z(i) - z(1) when relative (frame 1 is exactly
        zero), else z(i).  Raises LGFAError for fewer than one frame or another embed length."""
        config = self.config
        if frames < 1:
            raise LGFAError(f"a clip needs at least 1 frame, not {frames}.")
        if z1.ndim != 2 or z1.shape[1] != config.embed_dim:
            raise LGFAError(f"the motion model reads embeddings [B, {config.embed_dim}], not "
                            f"{list(z1.shape)}: its CLIP is another one.")
        if h1 is None:
            h1 = draw_hidden(z1.shape[0], config.hidden, config.hidden_std, seed)
        weight = self.context.weight
        z, h = z1.to(weight), h1.to(weight)

        # One Euler step per frame; what is summed is z(i) - z(1), so that frame 1 is exactly 0.
        training = self.training if training is None else training
        rates = SCHEDULES[config.schedule](frames, training, config.path_length).tolist()
        moved = torch.zeros_like(z)
        codes = [moved]
        for rate in rates:
            c = torch.cat([self._act(self.context(z + moved)), h], dim=1)
            moved = moved + rate * self._act(self.code_step(c))
            h = h + rate * self._act(self.hidden_step(c))
            codes.append(moved)

        path = torch.stack(codes, dim=1)
        return (path if config.relative else path + z[:, None]).to(z1.dtype)

    def _act(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.config.leaky_slope)
