"""Which device, and whether something fits into its memory, asked before it is allocated."""
from __future__ import annotations

import torch

from .errors import LGFAError, is_out_of_memory, reason

FLOAT = 4               # bytes of a float32


def check_room(
    needed: int,        # bytes
    free: int,          # bytes that the device has left
    what: str,          # "100 frames of 1024 x 1024 px": the beginning of the sentence
    advice: str,        # "render fewer frames": its end
) -> None:
    """Refuses what cannot fit, saying how much is missing."""
    if needed > free:
        raise LGFAError(f"{what} need {size(needed)} of memory, and {size(free)} are free: "
                        f"{advice}.")


def path_bytes(clips: int, frames: int, layers: int, w_dim: int) -> int:
    """Memory in which trajectories [N, T, L, w_dim] are made: themselves, and what easing and
    strength make of them on the way."""
    return 4 * FLOAT * clips * frames * layers * w_dim


def size(count: int) -> str:
    """Bytes in words: "3.2 GB"."""
    if count < 1e9:
        return f"{count / 1e6:.0f} MB"
    return f"{count / 1e9:.1f} GB" if count < 1e12 else f"{count / 1e12:.1f} TB"


def pick_device(
    device: str | torch.device | None = None,   # None: the accelerator of this machine, or the CPU
    index: int | None = None,               # which of several accelerators; None = as `device` says
) -> torch.device:
    """The device asked for, if it can be used; LGFAError otherwise."""
    accelerator = getattr(torch, "accelerator", None)
    if device is not None:
        try:
            picked = torch.device(device)
        except RuntimeError as error:
            raise LGFAError(f"there is no device {device!r}: use cpu, cuda or mps.") from error
    elif accelerator is not None and accelerator.is_available():
        picked = accelerator.current_accelerator()
    else:
        picked = torch.device("cpu")
    if index is not None and picked.type != "cpu":
        picked = torch.device(picked.type, index)
    try:
        float(torch.zeros((), device=picked))
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        if is_out_of_memory(error):
            raise
        raise LGFAError(f"the device {str(picked)!r} cannot be used here ({reason(error)}): use "
                        f"another one.") from error
    return picked


def no_memory(
    error: Exception,
    advice: str,                            # what to do, the end of the sentence
) -> Exception:
    """A sentence where the memory did not suffice, else the error itself."""
    if not is_out_of_memory(error):
        return error
    return LGFAError(f"there is not enough memory for this training: {advice}.")
