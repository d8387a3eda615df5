"""Putting animated faces back into the photograph that they were cut out of.

The photograph stays itself wherever it can: outside of a feathered mask nothing is touched, and
when the inversion's reconstruction of the still is known, only what moved is taken from the
frames, the rest keeps the photograph's pixels, with the detail that the generator cannot draw.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import REGIONS
from ..errors import LGFAError
from ..media.images import check_batch
from .align import Alignment, box, cut, inverse, sample_at, shrink

FACE = {                                    # ellipses in the crop: centre u, v, half axes
    "toon": (0.500, 0.530, 0.290, 0.335),
    "FFHQ": (0.500, 0.590, 0.305, 0.375),
}
GAINS = (0.6, 1.6)                          # contrast is not matched beyond
STILL, MOVED = 0.030, 0.130                 # differences (0..1) that are none, and that are whole
CALM = 0.012                                # differences below are drift of the generator's tint


@dataclass(frozen=True)
class Style:
    """How frames are put into the photograph."""

    feather: float = 0.08       # width of the soft edge, of the crop's side
    region: str = "face"        # one of REGIONS
    colour: float = 1.0         # colour match, 0 = none, 1 = whole
    detail: float = 1.0         # how much of the photo's own detail is carried, 0..1

    def __post_init__(self) -> None:
        if self.region not in REGIONS:
            raise LGFAError(f"there is no region {self.region!r}: choose {' or '.join(REGIONS)}.")


def paste(
    photos: Tensor,                     # [P,H,W,C], 0..1, as all three: see images.check_batch
    frames: Tensor,                     # [T,S,S,C], 0..1
    where: Alignment,                   # of N crops
    style: Style = Style(),             # noqa: B008 - frozen
    reconstruction: Tensor | None = None,   # [1 or N,S',S',C], 0..1: the inverted stills
) -> Iterator[Tensor]:
    """Yields the T pictures [1,H,W,3] one after another; `masks` gives their masks.

    With one crop, P is 1, or T to paste into the frames of a film. With N crops the frames are
    those of N clips, one after another, and P is N, or T.
    """
    photos = check_batch(photos, "the photo")
    frames = check_batch(frames, "the batch of frames")
    where = where.resized(*photos.shape[1:3])
    if frames.shape[1] != frames.shape[2]:
        raise LGFAError(f"the frames are {frames.shape[2]} x {frames.shape[1]} px and should be "
                        f"square, one face each: render them in the layout one after another.")
    clip = check_counts(len(photos), len(frames), len(where))
    if reconstruction is not None:
        reconstruction = check_batch(reconstruction, "the reconstruction")
        reconstruction = _like(reconstruction, frames, len(where))

    place, at = None, -1
    for number in range(len(frames)):
        part = number // clip
        photo = photos[number if len(photos) == len(frames) else part]
        if part != at:                  # a new clip: another crop, other colours
            still = reconstruction[part:part + 1] if reconstruction is not None else None
            place, at = _Place(photo, where, part, style, frames[number:number + 1], still), part
        yield place.paste(photo, frames[number:number + 1])


def check_counts(photos: int, frames: int, crops: int) -> int:
    """Frames of one clip; LGFAError when the numbers do not fit each other."""
    if frames % crops:
        raise LGFAError(f"{frames} frames cannot be shared among {crops} aligned faces: render "
                        f"the clips of all faces, one after another.")
    if photos not in {frames, crops}:
        raise LGFAError(f"{photos} photos do not fit {crops} aligned face(s) and {frames} frames: "
                        f"give the photo(s) that were aligned, or as many as there are frames.")
    return frames // crops


def mask(where: Alignment, number: int, style: Style) -> Tensor:
    """The blending mask [H,W], 0..1, of one crop in its photograph."""
    left, top, right, bottom = box(where.matrix[number], *where.photo)
    out = torch.zeros(where.photo)
    out[top:bottom, left:right] = _weight(_coordinates(where, number), where.framing, style)
    return out


def _coordinates(where: Alignment, number: int) -> Tensor:
    """u, v of the photo's pixels under a crop's box, [h,w,2], float32."""
    left, top, right, bottom = box(where.matrix[number], *where.photo)
    x = torch.arange(left, right, dtype=torch.float64) + 0.5
    y = torch.arange(top, bottom, dtype=torch.float64) + 0.5
    y, x = torch.meshgrid(y, x, indexing="ij")
    back = torch.from_numpy(inverse(where.matrix[number]))
    return (torch.stack([x, y, torch.ones_like(x)], dim=-1) @ back.T).float()


def _weight(uv: Tensor, framing: str, style: Style) -> Tensor:
    """u, v [...,2] -> weight of the frames, 0 on the crop's edge and beyond, [...]."""
    soft = max(style.feather, 1e-4)
    u, v = uv.unbind(-1)
    edge = torch.minimum(torch.minimum(u, 1 - u), torch.minimum(v, 1 - v))
    if style.region == "whole crop":
        return _smooth(edge / soft)
    cu, cv, a, b = FACE[framing]
    far = (((u - cu) / a) ** 2 + ((v - cv) / b) ** 2).sqrt()
    inside = (1 - far) * min(a, b) + soft / 2           # half of the feather lies outside
    return _smooth(inside / soft) * _smooth(edge / min(soft, 0.05))


def _smooth(x: Tensor) -> Tensor:
    """Softly from 0 at 0 to 1 at 1."""
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)


class _Place:
    """One crop in its photograph: what is alike for all frames of a clip."""

    def __init__(
        self,
        photo: Tensor,                  # [H,W,3]
        where: Alignment,               # fitting the photo's size
        number: int,                    # of the crop
        style: Style,
        first: Tensor,                  # [1,S,S,3], the clip's first frame, which is the still
        still: Tensor | None,           # [1,S,S,3], its reconstruction
    ) -> None:
        self.style, self.still = style, still
        self.left, self.top, self.right, self.bottom = box(where.matrix[number], *where.photo)
        uv = _coordinates(where, number)
        self.mask = _weight(uv, where.framing, style).to(photo)[..., None]      # [h,w,1]
        self.grid = (uv * 2 - 1).to(photo)[None]
        self.factor = float(where.sides()[number]) / first.shape[1]

        size = first.shape[1]
        one = Alignment(where.matrix[number:number + 1], where.points[number:number + 1], size,
                        where.photo, where.framing)
        aligned = cut(photo[None], one)
        self.gain, self.offset = match_colours(
            first if still is None else still, aligned, where.framing, style.colour)

    def paste(self, photo: Tensor, frame: Tensor) -> Tensor:
        """[H,W,3], [1,S,S,3] -> the finished picture [1,H,W,3]."""
        out = photo.clone()
        if self.grid.numel() == 0:
            return out[None]
        under = photo[self.top:self.bottom, self.left:self.right]
        face = self._warp(frame * self.gain + self.offset)
        change = face - under
        if self.still is not None and self.style.detail > 0:
            moved = frame - self.still
            own = self._warp(_calm(moved) * self.gain)          # what moved, on the photo itself
            keep = self._warp(1 - self.style.detail * (1 - _moved(moved)), "bilinear")
            change = torch.lerp(own, change, keep.clamp(0, 1))
        out[self.top:self.bottom, self.left:self.right] = (under + self.mask * change).clamp(0, 1)
        return out[None]

    def _warp(self, crop: Tensor, mode: str = "bicubic") -> Tensor:
        """[1,S,S,C] of the crop -> [h,w,C] under the photo's pixels."""
        x = shrink(crop.movedim(-1, 1), self.factor)
        return sample_at(x, self.grid, "border", mode)[0].movedim(0, -1)


def _calm(moved: Tensor) -> Tensor:
    """Differences without the small ones, which are drift and not motion, [1,S,S,3]."""
    size = moved.abs().amax(-1, keepdim=True)
    return moved * _smooth(size / CALM - 1)


def _moved(moved: Tensor) -> Tensor:
    """Differences [1,S,S,3] -> where the face is another one now, 0..1, [1,S,S,1].

    Grown by a 32nd of the side and blurred as much: the photo's own line of a mouth must go
    with the mouth, and so must its shadow.
    """
    x = moved.abs().amax(-1)[:, None]
    reach = max(1, round(x.shape[-1] / 32))
    x = F.max_pool2d(x, 2 * reach + 1, 1, reach)
    x = F.avg_pool2d(x, 2 * reach + 1, 1, reach, count_include_pad=False)
    return _smooth((x - STILL) / (MOVED - STILL)).movedim(1, -1)


def match_colours(
    still: Tensor,                      # [1,S,S,3]: what the generator made of the aligned photo
    aligned: Tensor,                    # [1,S,S,3]: the aligned photo
    framing: str,
    strength: float = 1.0,              # 0 = gain 1 and offset 0
) -> tuple[Tensor, Tensor]:
    """Gain and offset a channel, [3] each, that give the still the photo's mean and contrast.

    Measured inside of the face alone, where both show the same.
    """
    ticks = (torch.arange(still.shape[1]) + 0.5) / still.shape[1]
    v, u = torch.meshgrid(ticks, ticks, indexing="ij")
    weight = _weight(torch.stack([u, v], -1), framing, Style(0.05, "face")).to(still)[..., None]
    weight = weight / weight.sum()

    def figures(x: Tensor) -> tuple[Tensor, Tensor]:
        mean = (x[0] * weight).sum((0, 1))
        return mean, ((x[0] - mean).square() * weight).sum((0, 1)).sqrt()

    (mean_here, contrast_here), (mean_there, contrast_there) = figures(still), figures(aligned)
    gain = (contrast_there / contrast_here.clamp(min=1e-4)).clamp(*GAINS)
    gain = 1 + strength * (gain - 1)
    offset = strength * (mean_there - mean_here) + (1 - gain) * mean_here
    return gain, offset


def _like(x: Tensor, frames: Tensor, crops: int) -> Tensor:
    """The reconstructions [N,S,S,3] in the frames' size."""
    if len(x) not in {1, crops}:
        raise LGFAError(f"{len(x)} reconstructions do not fit {crops} aligned face(s): connect "
                        f"the reconstruction of the same inversion.")
    if x.shape[1:3] != frames.shape[1:3]:
        x = F.interpolate(x.movedim(-1, 1), tuple(frames.shape[1:3]), mode="bicubic",
                          align_corners=False, antialias=True).clamp(0, 1).movedim(1, -1)
    return x.expand(crops, -1, -1, -1).to(frames)


def frames_bytes(photos: Tensor, frames: Tensor) -> int:
    """Bytes of the finished pictures."""
    return int(np.prod(photos.shape[1:3])) * 3 * 4 * len(frames)
