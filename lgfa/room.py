"""Whether something fits into memory, asked before it is allocated."""
from __future__ import annotations

from .errors import LGFAError

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
