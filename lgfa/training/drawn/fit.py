"""The loop of a drawn domain's trainings: AdamW, a cosine of rates, averaged weights, one file."""
from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from .. import checkpoints, loop, resume
from ..average import Average, warming
from ..loop import Trained


def fit(
    name: str,                              # of the training, for its lines and its file
    network: nn.Module,                     # learns in place
    loss: Callable[[int], tuple[Tensor, dict[str, float]]],     # step -> loss, figures to print
    steps: int,                             # optimiser steps
    rate: float,                            # peak learning rate; cosine decay to a twentieth of it
    folder: Path,                           # of FOLDER/NAME.ckpt; an existing one is resumed
    rng: torch.Generator,                   # the training's random numbers; saved with it
    groups: list[dict] | None = None,       # optimiser groups, by default one with all parameters
    betas: tuple[float, float] = (0.9, 0.99),
    weight_decay: float = 0.0,
    ema: float = 0.998,                     # decay of the averaged weights; short at the start
    warmup: int = 100,                      # steps of linear warm-up
    log_every: int = 50,
    save_every: int = 250,
) -> Trained:
    """The network as it is after its training; it goes on where it was stopped.

    Raises LGFAError when the checkpoint is not this training's, and when a figure is no number
    any more.
    """
    groups = groups or [{"params": [p for p in network.parameters() if p.requires_grad]}]
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=betas, weight_decay=weight_decay)
    average, rates = Average(network, warming(ema)), loop.Rates(optimizer)
    clock = resume.Clock()
    state = resume.Parts({"network": network, "optimizer": optimizer, "average": average,
                          "rng": rng, "seconds": clock})

    def step(number: int) -> dict[str, float]:
        rise = min(1.0, (number + 1) / warmup)
        rates.set(rise * (0.525 + 0.475 * math.cos(math.pi * (number / steps))))
        value, figures = loss(number)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()
        average.update(number)
        return {"loss": float(value.detach()), **figures}

    network.train()
    say = partial(print, flush=True)
    loop.run(step, steps, state, checkpoints.Single(Path(folder) / f"{name}.ckpt"),
             save_every=save_every, name=f"the training {name}",
             log=loop.Lines(name, steps, log_every, say, clock))
    average.install()
    return Trained(network.eval(), clock.seconds / 60)
