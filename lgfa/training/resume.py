"""What a checkpoint must hold before anything of it is taken up: a wrong one changes nothing."""
from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import LGFAError, reading
from .checkpoints import Unlike

MOMENTS = {"step", "exp_avg", "exp_avg_sq"}     # what Adam keeps of a parameter
#: of an optimiser's group: set anew at each step, or ways to compute the same
OWN_WAY = ("lr", "foreach", "fused", "capturable", "differentiable")


def check_tensors(
    stored: Any,
    like: Mapping[str, Tensor],             # what is there now, by the same names
    what: str,                              # the part of the checkpoint, for the sentence
) -> None:
    """LGFAError unless the same tensors are there, of the same shapes and types, all finite."""
    if not isinstance(stored, Mapping) or stored.keys() != like.keys():
        raise LGFAError(f"its {what} has not the parts that this training has.")
    for name, value in stored.items():
        wanted = like[name]
        if not isinstance(value, Tensor) or value.shape != wanted.shape or \
                value.dtype != wanted.dtype:
            raise LGFAError(f"its {what} has no {name} of the right shape and type.")
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise LGFAError(f"its {what} holds NaN or infinite numbers in {name}.")


def is_same_scale(
    stored: Tensor,                         # [w_dim, w_dim], latent_scale of a checkpoint
    fresh: Tensor,                          # that of the model which is to go on
) -> bool:
    """Whether offsets are in the same units. Nothing trains the scale: it differs by rounding
    from one machine to the next, and by far more between two choices."""
    fresh = fresh.detach().to(stored.device)
    return float((stored - fresh).abs().max()) <= 0.01 * float(fresh.abs().max())


def check_average(stored: Any, average: Sequence[Tensor]) -> None:
    """LGFAError unless there is an average for each of these tensors."""
    if not isinstance(stored, list):
        raise LGFAError("its average is no list of tensors.")
    check_tensors(_numbered(stored), _numbered(average), "average")


def check_optimizer(
    stored: Any,
    optimizer: torch.optim.Optimizer,       # Adam
    step: int,                              # of the checkpoint
    skips: bool = False,                    # may it have left out all of them, as in fp16?
) -> None:
    """LGFAError unless it is the same optimiser's state, with numbers that it can have."""
    own = optimizer.state_dict()["param_groups"]
    groups = stored.get("param_groups") if isinstance(stored, dict) else None
    if not isinstance(groups, list) or len(groups) != len(own) or \
            not all(map(_is_group_like, groups, own)):
        raise LGFAError("its optimizer is not this training's.")
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    moments = stored.get("state")
    if not isinstance(moments, dict) or not all(
            type(key) is int and 0 <= key < len(parameters) for key in moments):
        raise LGFAError("its optimizer has a state of other parameters.")
    if step and not moments and not skips:
        raise LGFAError("its optimizer has no state.")
    for key, state in moments.items():
        size = parameters[key]
        check_tensors(state, {name: torch.empty((), dtype=torch.float32) if name == "step"
                              else size for name in MOMENTS}, f"optimizer state {key}")
        if not 0 <= float(state["step"]) <= step or bool((state["exp_avg_sq"] < 0).any()):
            raise LGFAError(f"its optimizer state {key} holds impossible numbers.")


def check_scaler(stored: Any, scaler: torch.amp.GradScaler) -> None:
    """LGFAError unless a scaler can have these numbers."""
    if not isinstance(stored, dict) or stored.keys() != scaler.state_dict().keys() or not all(
            isinstance(value, int | float) and 0 <= value < float("inf")
            for value in stored.values()):
        raise LGFAError("its scaler is not this training's.")


def check_values(stored: Any) -> None:
    """LGFAError unless they are a step's losses by name."""
    if not isinstance(stored, dict) or not all(
            isinstance(name, str) and isinstance(value, float) and abs(value) < float("inf")
            for name, value in stored.items()):
        raise LGFAError("its losses are no finite numbers.")


def load_optimizer(
    optimizer: torch.optim.Optimizer,       # changed
    stored: Mapping[str, Any],              # checked
) -> None:
    """Takes an optimiser's state as copies, which share no memory with each other."""
    optimizer.load_state_dict({
        "state": {key: {name: value.clone() for name, value in state.items()}
                  for key, state in stored["state"].items()},
        "param_groups": optimizer.state_dict()["param_groups"]})


def _is_group_like(stored: Any, own: Mapping[str, Any]) -> bool:
    """Whether an optimiser's group has this one's parameters and settings."""
    needed = {"params", "betas", "name", "rate"} & own.keys()   # others are newer torches'
    if not isinstance(stored, dict) or not needed <= stored.keys():
        return False
    return all(_equal(stored[name], value) for name, value in own.items()
               if name in stored and name not in OWN_WAY)


def _equal(one: Any, two: Any) -> bool:
    """Whether plain values, or lists of them, are equal and of one type; tensors never are."""
    if isinstance(one, list | tuple) and type(one) is type(two):
        return len(one) == len(two) and all(map(_equal, one, two))
    return type(one) is type(two) and not isinstance(one, Tensor) and bool(one == two)


def _numbered(tensors: Sequence[Any]) -> dict[str, Any]:
    return {str(index): tensor for index, tensor in enumerate(tensors)}


# ---- a training's parts, by the names that its checkpoints give them

class Clock:
    """The seconds that a training has taken, over all its runs."""

    def __init__(self) -> None:
        self._before, self._begun = 0.0, time.monotonic()

    @property
    def seconds(self) -> float:
        return self._before + time.monotonic() - self._begun

    def state_dict(self) -> float:
        return self.seconds

    def check(self, stored: Any, name: str = "time") -> None:
        """LGFAError unless it is a time."""
        if not isinstance(stored, int | float) or not 0 <= stored < float("inf"):
            raise LGFAError(f"its {name} are no time.")

    def load_state_dict(self, stored: float) -> None:
        self._before, self._begun = float(stored), time.monotonic()


class RandomStates:
    """The state of a training's own random numbers, and of torch's on the CPU and on its device."""

    def __init__(self, generator: torch.Generator, device: torch.device) -> None:
        self.generator, self.device = generator, device

    def state_dict(self) -> dict[str, Tensor | None]:
        return {"training": self.generator.get_state(), "torch": torch.get_rng_state(),
                "device": None if self.device.type == "cpu"
                          else torch.get_device_module(self.device).get_rng_state()}

    def check(self, stored: Any, name: str = "random") -> None:
        """LGFAError unless random generators can be set to these states."""
        if not isinstance(stored, dict) or not {"training", "torch", "device"} <= stored.keys():
            raise LGFAError(f"its {name} states are not all there.")
        with reading(part=f"its {name} state"):
            for which in ("training", "torch"):
                torch.Generator().set_state(stored[which])
        device = stored["device"]
        if device is not None and not (isinstance(device, Tensor) and device.dtype == torch.uint8
                                       and device.ndim == 1):
            raise LGFAError(f"its {name} state of the device is none.")

    def load_state_dict(self, stored: Mapping[str, Any]) -> None:
        """Takes them over; the device's where it has one of that size: another kind of device has
        another, and all that a training draws is drawn on the CPU."""
        self.generator.set_state(stored["training"])
        torch.set_rng_state(stored["torch"])
        if stored["device"] is None or self.device.type == "cpu":
            return
        module = torch.get_device_module(self.device)
        if stored["device"].shape == module.get_rng_state().shape:
            module.set_rng_state(stored["device"])


class Same:
    """Settings, which must be those of a training that goes on."""

    def __init__(
        self,
        settings: Mapping[str, Any],        # plain, as a file gives them back: lists, no tuples
        free: Sequence[str],                # names of those that may differ
        folder: Path,                       # of the training, for the sentence
    ) -> None:
        self.settings, self.free, self.folder = dict(settings), free, folder

    def state_dict(self) -> dict[str, Any]:
        return self.settings

    def check(self, stored: Any, name: str = "settings") -> None:
        """Unlike when one of them differs."""
        if {**stored, **{name: self.settings[name] for name in self.free}} != self.settings:
            raise Unlike(f"{self.folder} holds a training with other {name}: finish it with "
                         f"those, or remove it.")

    def load_state_dict(self, stored: Any) -> None:
        """They are these already."""


class Parts:
    """All that a training holds between two steps: networks, optimisers (Adam), random generators,
    and whatever else has `state_dict`, `check` and `load_state_dict`, as averages and clocks do."""

    def __init__(
        self,
        parts: Mapping[str, Any],           # by their names in checkpoints
        updates: int = 1,                   # most updates of an optimiser in one step
        late: Sequence[str] = (),           # optimisers that need not have learned yet
    ) -> None:
        self.parts, self.updates, self.late = dict(parts), updates, late

    def state_dict(self) -> dict[str, Any]:
        """The state of every part, by its name."""
        return {name: part.get_state() if isinstance(part, torch.Generator) else part.state_dict()
                for name, part in self.parts.items()}

    def check(
        self,
        stored: Mapping[str, Any],          # a checkpoint's state, with its "step"
    ) -> None:
        """LGFAError unless the state of every part can be taken up; changes nothing."""
        with reading(part="its state"):
            for name, part in self.parts.items():
                if isinstance(part, nn.Module):
                    check_tensors(stored[name], part.state_dict(), name)
                elif isinstance(part, torch.optim.Optimizer):
                    check_optimizer(stored[name], part, self.updates * stored["step"],
                                    skips=name in self.late)
                elif isinstance(part, torch.Generator):
                    torch.Generator().set_state(stored[name])
                else:
                    part.check(stored[name], name)

    def load_state_dict(self, stored: Mapping[str, Any]) -> None:
        """Takes up what `check` has found to be right."""
        for name, part in self.parts.items():
            if isinstance(part, torch.optim.Optimizer):
                load_optimizer(part, stored[name])
            elif isinstance(part, torch.Generator):
                part.set_state(stored[name])
            else:
                part.load_state_dict(stored[name])
