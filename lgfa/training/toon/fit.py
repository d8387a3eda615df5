"""The one training loop of the toon networks: seeded, logged, resumable, with averaged weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ...errors import LGFAError, reading
from ...formats.unpickle import reader
from .. import checkpoints, resume


def fit(
    name: str,  # of the training, for the log and the checkpoint's file name
    network: nn.Module,  # what is trained and averaged
    loss: Callable[[int], tuple[Tensor, dict[str, float]]],  # step -> loss, figures to log
    steps: int,  # optimiser steps
    rate: float,  # peak learning rate; cosine decay to a twentieth of it
    folder: Path,  # checkpoints go here; an existing one is resumed
    rng: torch.Generator,  # the training's random numbers; saved with the checkpoint
    groups: list[dict] | None = None,  # optimiser groups, by default one with all parameters
    betas: tuple[float, float] = (0.9, 0.99),
    weight_decay: float = 0.0,
    ema: float = 0.998,  # decay of the averaged weights; short at the start
    warmup: int = 100,  # steps of linear warm-up
    log_every: int = 50,
    save_every: int = 250,
) -> nn.Module:
    """Train `network` and return it with averaged weights, in eval mode.

    Stopped at any moment, it goes on from the last checkpoint in `folder`.
    """
    optimizer = torch.optim.AdamW(
        groups or [{"params": [p for p in network.parameters() if p.requires_grad]}],
        lr=rate, betas=betas, weight_decay=weight_decay,
    )  # fmt: skip
    peaks = [group["lr"] for group in optimizer.param_groups]
    average = {k: v.detach().clone() for k, v in network.state_dict().items()}
    path, start, spent = Path(folder) / f"{name}.ckpt", 0, 0.0
    if path.exists():
        average, start, spent = _take_up(path, network, optimizer, average, rng)
    network.train()
    begun, figures = time.time(), {}

    for step in range(start, steps):
        # set the rate
        progress = step / steps
        scale = min(1.0, (step + 1) / warmup) * (0.525 + 0.475 * math.cos(math.pi * progress))
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * scale

        # one step
        value, log = loss(step)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()
        _average(average, network, min(ema, (step + 1) / (step + 10)))

        # log and save
        for key, number in {"loss": float(value.detach()), **log}.items():
            figures[key] = number if key not in figures else 0.95 * figures[key] + 0.05 * number
        if (step + 1) % log_every == 0 or step + 1 == steps:
            seconds = spent + time.time() - begun
            text = " ".join(f"{k} {v:.4g}" for k, v in figures.items())
            print(f"{name} {step + 1}/{steps} {seconds / 60:.1f} min {text}", flush=True)
        if (step + 1) % save_every == 0 or step + 1 == steps:
            checkpoints.save(path, {
                "network": network.state_dict(), "optimizer": optimizer.state_dict(),
                "average": average, "rng": rng.get_state(), "step": step + 1,
                "seconds": spent + time.time() - begun})  # fmt: skip
    network.load_state_dict(average)
    network.minutes = (spent + time.time() - begun) / 60
    return network.eval()


def _take_up(
    path: Path,  # checkpoint
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor],  # as it would begin
    rng: torch.Generator,
) -> tuple[dict[str, Tensor], int, float]:
    """Everything from a checkpoint: averaged weights, step, seconds spent. LGFAError, and nothing
    is changed, unless it is this training's."""
    try:
        with reading(path):
            state = reader.read(path)
            step, spent = int(state["step"]), float(state["seconds"])
            resume.check_tensors(state["network"], network.state_dict(), "network")
            resume.check_tensors(state["average"], average, "average")
            resume.check_optimizer(state["optimizer"], optimizer, step)
            torch.Generator().set_state(state["rng"])
    except LGFAError as error:
        raise LGFAError(f"{error} Remove it to begin this training again.") from error
    network.load_state_dict(state["network"])
    resume.load_optimizer(optimizer, state["optimizer"])
    rng.set_state(state["rng"])
    return state["average"], step, spent


@torch.no_grad()
def _average(average: dict[str, Tensor], network: nn.Module, decay: float) -> None:
    for key, value in network.state_dict().items():
        if value.is_floating_point():
            average[key].lerp_(value, 1 - decay)
        else:
            average[key].copy_(value)
