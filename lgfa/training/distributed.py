"""Several processes that train one model together (torchrun), over torch.distributed.

Every random number of a training is drawn for the whole batch by every rank, from equal
generators, and each rank computes its own rows: the same command gives the same training, up to
rounding, on any number of ranks. With one rank every function here returns its input.
"""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from ..devices import pick_device
from ..errors import LGFAError


@dataclass(frozen=True)
class Ranks:
    """This process among its fellows."""

    rank: int = 0                           # 0 writes files and speaks
    size: int = 1                           # processes in all
    device: torch.device = torch.device("cpu")      # where this one computes

    @property
    def first(self) -> bool:
        """Is this the one that writes?"""
        return self.rank == 0

    def rows(self, count: int) -> slice:
        """The rows of a batch of `count` that are this rank's."""
        if count % self.size:
            raise LGFAError(f"a batch of {count} cannot be shared by {self.size} ranks: "
                            "choose a multiple.")
        share = count // self.size
        return slice(self.rank * share, (self.rank + 1) * share)

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """Mean over ranks, detached, same shape."""
        value = value.detach().clone()
        if self.size > 1:
            dist.all_reduce(value)
        return value / self.size

    def mean_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replaces every gradient by its mean over ranks, in one message."""
        if self.size == 1:
            return
        grads = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([grad.flatten() for grad in grads])
        dist.all_reduce(flat)
        flat /= self.size
        for grad, part in zip(grads, flat.split([grad.numel() for grad in grads]), strict=True):
            grad.copy_(part.view_as(grad))

    def share(self, tensors: Iterable[torch.Tensor]) -> None:
        """Gives every rank the first one's values."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor.data, 0)

    def any(self, flag: bool) -> bool:
        """True on every rank as soon as it is true on one."""
        if self.size == 1:
            return flag
        total = torch.tensor(float(flag), device=self.device)
        dist.all_reduce(total)
        return bool(total > 0)

    def on_first(self, job: Callable[[], Any]) -> Any:
        """What `job` gives on the first rank, None on the others. When it fails there, all ranks
        end with a sentence, and none waits for another for ever."""
        result = failure = None
        if self.first:
            try:
                result = job()
            except Exception as error:      # goes on below, when the others know
                failure = error
        if self.any(failure is not None):
            raise failure or LGFAError("the training ends, as the first rank says above.")
        return result

    def wait(self) -> None:
        """Returns when every rank is here."""
        if self.size > 1:
            dist.barrier()


def start(
    device: str | torch.device | None = None,   # None: an accelerator if there is one, else CPU
) -> Ranks:
    """Joins the process group that torchrun's environment describes; alone without torchrun."""
    size = _number("WORLD_SIZE", 1)
    if size == 1:
        return Ranks(device=pick_device(device))
    rank, local = _number("RANK"), _number("LOCAL_RANK", 0)
    device = pick_device(device, local)
    if device.type != "cpu":
        torch.get_device_module(device).set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Ranks(rank, size, device)


def lost(error: Exception, here: Ranks) -> Exception:
    """A sentence where a rank ended and took the others' connection away, else the error."""
    text = str(error).lower()
    if here.size > 1 and any(sign in text for sign in (
            "connection closed by peer", "connection reset by peer", "broken pipe",
            "remote process exited", "socket")):
        return LGFAError("the training ends, since another rank has ended: its last lines say "
                         "why.")
    return error


def _number(name: str, default: int | None = None) -> int:
    """A number that torchrun puts into the environment."""
    text = os.environ.get(name, "" if default is None else str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise LGFAError(f"the environment has {name}={text!r}, which torchrun would not set: "
                        "start several processes with torchrun, or unset WORLD_SIZE.")
    return int(text)


def stop() -> None:
    """Leaves the process group, if there is one."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
