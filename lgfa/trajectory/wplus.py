"""Trajectories in W+ and what can be done to them before they are rendered.

A trajectory is a plain tensor of frames' codes, [T, L, w_dim] or [B, T, L, w_dim], frame 1 being
the still.  Every function gives a new tensor (or the same one when nothing changes) and keeps
dtype, device and gradients.  Bad input raises LGFAError with one sentence.
"""
from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..config import EASINGS, check_number
from ..errors import LGFAError, short

TIME = -3               # the axis of frames
BLOCK = 256             # frames whose changes are looked at together

# ---- checks


def check_path(path: Tensor) -> Tensor:
    """The same tensor, if it is a trajectory."""
    if not isinstance(path, Tensor) or path.ndim not in (3, 4) or not path.is_floating_point():
        shape = list(path.shape) if isinstance(path, Tensor) else type(path).__name__
        raise LGFAError(f"a trajectory is a tensor [frames, layers, w_dim], not {shape}.")
    if 0 in path.shape:
        raise LGFAError(f"the trajectory is empty ({list(path.shape)}).")
    return path


def check_frames(frames: int) -> int:
    """The number of frames as an int, at least 1."""
    try:
        count = operator.index(frames)
    except TypeError:
        raise LGFAError(f"the number of frames must be a whole number, "
                        f"not {short(frames)!r}.") from None
    if count < 1 or isinstance(frames, bool):
        raise LGFAError(f"a clip needs at least 1 frame, not {short(frames)}.")
    return count


# ---- size of the motion


def strength(path: Tensor, amount: float) -> Tensor:
    """Motion times `amount`: 0 = every frame is the still, 1 = unchanged, 2 = twice as far,
    negative = the opposite way.  Frame 1 never changes."""
    path, amount = check_path(path), check_number(amount, "the strength")
    if amount == 1:
        return path
    still = path.narrow(TIME, 0, 1)
    return still + amount * (path - still)


def blend(a: Tensor, b: Tensor, amount: float | Tensor) -> Tensor:
    """Between two trajectories: 0 = a, 1 = b; a tensor [T] fades from one to the other.

    Unequal frame counts: the shorter one is resampled to the longer one's.
    """
    a, b = _same_length([a, b])
    if isinstance(amount, Tensor):
        if amount.ndim > 1 or (amount.ndim == 1 and len(amount) != a.shape[TIME]):
            raise LGFAError(f"a blend of {a.shape[TIME]} frames needs one amount or "
                            f"{a.shape[TIME]}, not {list(amount.shape)}.")
        if not bool(torch.isfinite(amount).all()):
            raise LGFAError("the blend amounts must be finite numbers.")
        amount = amount.to(a).reshape(-1, 1, 1)
    else:
        amount = a.new_tensor(check_number(amount, "the blend amount"))
    return torch.lerp(a, b, amount)


def mix(paths: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Several motions of one still at once: still + sum of weight * (path - its frame 1).

    The still is the first trajectory's frame 1; unequal frame counts as in `blend`.
    """
    if not paths or len(paths) != len(weights):
        raise LGFAError(f"a mix needs as many weights as trajectories, not {len(weights)} for "
                        f"{len(paths)}.")
    paths = _same_length(paths)
    total = paths[0].narrow(TIME, 0, 1)
    for path, weight in zip(paths, weights, strict=True):
        total = total + check_number(weight, "a weight") * (path - path.narrow(TIME, 0, 1))
    return total


# ---- timing


def sample(path: Tensor, positions: Tensor) -> Tensor:
    """Codes at fractional frame positions 0..T-1 [N] or [B, N], linear between frames.

    Positions outside lie on the line from the first frame to the last, continued: half a path
    beyond the end is one and a half times the whole motion.
    """
    path = check_path(path)
    last = path.shape[TIME] - 1

    # Positions are counted on the CPU in float64, which some accelerators lack.
    positions = positions.cpu().double()
    inside = positions.clamp(0, last)
    index = inside.floor().long().clamp(max=max(last - 1, 0))
    start, end = _take(path, index), _take(path, (index + 1).clamp(max=last))
    out = torch.lerp(start, end, _frames_of(inside - index, path))

    beyond = positions - inside
    if not bool(beyond.any()):
        return out
    whole = path.narrow(TIME, last, 1) - path.narrow(TIME, 0, 1)
    return out + _frames_of(beyond / max(last, 1), path) * whole


def resample(path: Tensor, frames: int) -> Tensor:
    """Exactly `frames` frames, evenly spaced in the path's time, first and last frame kept.

    One frame: the still.  Same count: unchanged.
    """
    path, frames = check_path(path), check_frames(frames)
    if frames == path.shape[TIME]:
        return path
    return sample(path, _unit(frames) * (path.shape[TIME] - 1))


def _back(u: Tensor) -> Tensor:
    """Ease-out that passes the goal by a tenth and comes back, without a spring's swinging."""
    c = 1.70158
    return 1 + (c + 1) * (u - 1) ** 3 + c * (u - 1) ** 2


CURVES: dict[str, Callable[[Tensor], Tensor] | None] = {    # one for each of EASINGS
    # share of the time 0..1 -> share of the path; all go from 0 to 1
    "none": None,                                           # the timing that the model gave
    "linear": lambda u: u,                                  # constant speed along the path
    "ease-in": lambda u: u**2,
    "ease-out": lambda u: 1 - (1 - u) ** 2,
    "ease-in-out": lambda u: u**2 * (3 - 2 * u),
    "ease-in-cubic": lambda u: u**3,
    "ease-out-cubic": lambda u: 1 - (1 - u) ** 3,
    "ease-in-out-cubic": lambda u: u**3 * (10 - 15 * u + 6 * u**2),
    "overshoot": _back,                                     # beyond the end, then back to it
    "anticipate": lambda u: 1 - _back(1 - u),               # a little the other way first
}


def check_easing(easing: str) -> str:
    """The same name, if there is such an easing."""
    if easing not in EASINGS:
        raise LGFAError(f"there is no easing {easing!r}: use one of {', '.join(EASINGS)}.")
    return easing


def ease(
    path: Tensor,               # trajectory
    easing: str = "linear",     # one of EASINGS
    frames: int | None = None,  # exact frame count; None = as many as the path has
) -> Tensor:
    """Re-times a trajectory by its arc length: at a share u of the time, a share easing(u) of
    the way has been gone.  The frames lie on the path that the model gave; the first and the
    last are kept.  "none" keeps the model's own timing."""
    path = check_path(path)
    frames = path.shape[TIME] if frames is None else check_frames(frames)
    curve = CURVES[check_easing(easing)]
    if curve is None or path.shape[TIME] == 1:
        return resample(path, frames)
    share = curve(_unit(frames))
    share[0] = 0.0                          # rounding must not move the still
    if frames > 1:
        share[-1] = 1.0
    return sample(path, _arc_positions(path, share))


def arc_lengths(path: Tensor) -> Tensor:
    """Distance gone until each frame, the sum of |w(i+1) - w(i)|: [T] or [B, T], float64, CPU."""
    arc, largest = _arc(path)
    return arc * largest


def _arc(path: Tensor) -> tuple[Tensor, Tensor]:
    """The same in units of the path's largest change of one number, which it also gives, [..,1]:
    squares of these overflow nowhere. A path that stands still has the unit 0 and the arc 0."""
    path = check_path(path).detach()
    blocks = []
    for start in range(0, path.shape[TIME] - 1, BLOCK):     # a few frames at a time in float64
        part = path.narrow(TIME, start, min(BLOCK + 1, path.shape[TIME] - start))
        steps = part.cpu().double().diff(dim=TIME).flatten(-2)
        peak = steps.abs().amax(dim=-1)
        unit = peak.where(peak > 0, 1.0)
        blocks.append((peak, (steps / unit[..., None]).norm(dim=-1)))
    if not blocks:
        nothing = torch.zeros(*path.shape[:TIME], 1, dtype=torch.float64)
        return nothing, nothing
    peaks, sizes = (torch.cat(parts, dim=-1) for parts in zip(*blocks, strict=True))
    largest = peaks.amax(dim=-1, keepdim=True)
    arc = (peaks / largest.where(largest > 0, 1.0) * sizes).cumsum(-1)
    return torch.cat([torch.zeros_like(largest), arc], dim=-1), largest


# ---- order of the frames


def hold(path: Tensor, start: int = 0, end: int = 0) -> Tensor:
    """Repeats the first frame `start` times more and the last frame `end` times more."""
    path = check_path(path)
    for count in (start, end):
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise LGFAError(f"frames to hold must be a whole number from 0, not {count!r}.")
    index = [0] * start + list(range(path.shape[TIME])) + [path.shape[TIME] - 1] * end
    return _pick(path, index)


def reverse(path: Tensor) -> Tensor:
    """Last frame first: from the expression back to the still."""
    return check_path(path).flip(TIME)


def ping_pong(path: Tensor) -> Tensor:
    """There and back at the path's own timing, 2T - 2 frames that repeat without a doubled frame:
    1, 2, .., T, T-1, .., 2."""
    last = check_path(path).shape[TIME] - 1
    return _pick(path, list(range(last + 1)) + list(range(last - 1, 0, -1)))


def loop(path: Tensor, frames: int | None = None) -> Tensor:
    """Starts at the still, reaches the end half-way and comes back softly (cosine timing by arc
    length), so that the clip repeats without a seam: the frame after the last would be the first.

    `frames` is exact; None = 2T - 2.  An even count meets the end exactly.
    """
    path = check_path(path)
    frames = max(2 * path.shape[TIME] - 2, 1) if frames is None else check_frames(frames)
    if path.shape[TIME] == 1:
        return resample(path, frames)
    k = torch.arange(frames, dtype=torch.float64)
    return sample(path, _arc_positions(path, 0.5 - 0.5 * torch.cos(2 * math.pi * k / frames)))


def concatenate(*paths: Tensor) -> Tensor:
    """One after another; where a trajectory starts with the frame on which the one before it
    ended, that frame comes once, not twice."""
    if not paths:
        raise LGFAError("there is no trajectory to concatenate.")
    parts = [check_path(paths[0])]
    for path in paths[1:]:
        _check_same_kind(parts[0], check_path(path))
        end, begin = parts[-1].narrow(TIME, -1, 1), path.narrow(TIME, 0, 1)
        seam = torch.allclose(begin, end, rtol=1e-5, atol=1e-6)
        rest = path.narrow(TIME, 1, path.shape[TIME] - 1) if seam else path
        if rest.shape[TIME]:
            parts.append(rest)
    return torch.cat(parts, dim=TIME)


def join(a: Tensor, b: Tensor, overlap: int = 0) -> Tensor:
    """One after another; the last `overlap` frames of the first fade into the first ones of the
    second, so that a jump becomes a movement. 0 = as `concatenate`."""
    _check_same_kind(check_path(a), check_path(b))
    if isinstance(overlap, bool) or not isinstance(overlap, int) or overlap < 0:
        raise LGFAError(f"the overlap must be a whole number of frames from 0, not {overlap!r}.")
    if overlap == 0:
        return concatenate(a, b)
    first, second = a.shape[TIME], b.shape[TIME]
    if overlap > min(first, second):
        raise LGFAError(f"{overlap} frames cannot overlap where the trajectories have {first} and "
                        f"{second}: ask for at most {min(first, second)}.")
    fade = torch.arange(1, overlap + 1, dtype=torch.float64) / (overlap + 1)
    seam = blend(a.narrow(TIME, first - overlap, overlap), b.narrow(TIME, 0, overlap), fade)
    return torch.cat([a.narrow(TIME, 0, first - overlap), seam,
                      b.narrow(TIME, overlap, second - overlap)], dim=TIME)


def let_go(
    path: Tensor,               # of a motion that begins away from the still
    still: Tensor,              # [.., L, w_dim], where the offset that is to go was counted from
) -> Tensor:
    """The same start, but what it was away from the still fades as the path goes on (by its arc
    length), so that the last frame holds this path's motion alone."""
    arc = _arc(path)[0]
    total = arc[..., -1:]
    even = _unit(path.shape[TIME]).expand_as(arc)
    share = torch.where(total > 0, arc / total.clamp(min=1e-300), even)
    before = path.narrow(TIME, 0, 1) - still.unsqueeze(TIME)
    return path - _frames_of(share, path) * before


# ---- inside


def _unit(frames: int) -> Tensor:
    """`frames` shares of the time from 0 to 1, float64 on the CPU; one frame is at 0."""
    return torch.linspace(0, 1, frames, dtype=torch.float64)


def _frames_of(numbers: Tensor, path: Tensor) -> Tensor:
    """One number per frame [N] or [B, N] -> [.., N, 1, 1] beside the path."""
    return numbers.to(path.dtype).to(path.device)[..., None, None]


def _arc_positions(path: Tensor, share: Tensor) -> Tensor:
    """Frame positions at which shares of the path's length [N] have been gone, [N] or [B, N]."""
    arc = _arc(path)[0]
    last = path.shape[TIME] - 1
    total = arc[..., -1:]
    goal = (share.clamp(0, 1) * total).contiguous()
    index = torch.searchsorted(arc.contiguous(), goal, right=True).sub(1).clamp(0, last - 1)
    before, after = arc.gather(-1, index), arc.gather(-1, index + 1)
    inside = index + ((goal - before) / (after - before).clamp(min=1e-300)).clamp(0, 1)

    # The ends are exact, a path that stands still has no arc, and shares beyond 0..1 stay there.
    inside = torch.where(share >= 1, float(last), torch.where(share <= 0, 0.0, inside))
    inside = torch.where(total > 0, inside, share.clamp(0, 1) * last)
    return inside + (share - share.clamp(0, 1)) * last


def _take(path: Tensor, index: Tensor) -> Tensor:
    """Frames by index [N] or, each clip its own, [B, N]."""
    index = index.to(path.device)
    if index.ndim == 1:
        return path.index_select(TIME, index)
    rows = torch.arange(len(path), device=path.device)[:, None]
    return path[rows, index]


def _pick(path: Tensor, index: list[int]) -> Tensor:
    return path.index_select(TIME, torch.tensor(index, device=path.device))


def _same_length(paths: Sequence[Tensor]) -> list[Tensor]:
    """The same trajectories, all as long as the longest."""
    for path in paths:
        _check_same_kind(paths[0], check_path(path))
    longest = max(path.shape[TIME] for path in paths)
    return [resample(path, longest) for path in paths]


def _check_same_kind(a: Tensor, b: Tensor) -> None:
    """Only trajectories of one generator and one batch size belong together."""
    if a.shape[:TIME] != b.shape[:TIME] or a.shape[TIME + 1:] != b.shape[TIME + 1:]:
        raise LGFAError(f"the trajectories {list(a.shape)} and {list(b.shape)} belong to "
                        "different generators or batches.")
