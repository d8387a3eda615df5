"""Cutting a face out of a photograph as the generator's training images were cut out.

Points of a face: five pairs x, y in pixels of the photograph, pixel centres at whole numbers, in
the order eye, eye, tip of the nose, mouth corner, mouth corner, each pair left to right as seen
in an upright picture: the person's right eye comes first, as in YuNet's rows.

FFHQ: Karras et al., "A Style-Based Generator Architecture for GANs" (2019), appendix A, which
takes the centres of the eyes and of the mouth from 68 landmarks; here they are given. The toons
are framed by the places that their renderer puts eyes, nose and mouth at.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import FRAMINGS
from ..errors import LGFAError
from ..media.images import check_batch

MIN_EYES = 2.0              # pixels between the eyes, below which nothing of a face is left
MAX_REACH = 4.0             # photo sizes by which a crop may lie beside the photo

# Where the five points lie in a crop (0..1, y down).
TOON_POINTS = np.array([[0.369, 0.530], [0.631, 0.530], [0.500, 0.6225],
                        [0.3875, 0.7043], [0.6125, 0.7043]])
FFHQ_POINTS = np.array([[0.375, 0.472], [0.625, 0.472], [0.500, 0.615],
                        [0.405, 0.735], [0.595, 0.735]])
# Heights are alike in all toons, the distance of the eyes is not, and mouths move.
_TOON_X = np.array([0.3, 0.3, 0.3, 0.1, 0.1])
_TOON_Y = np.array([1.0, 1.0, 1.0, 0.5, 0.5])


@dataclass(frozen=True)
class Alignment:
    """Where N crops lie in their photographs."""

    matrix: np.ndarray          # [N,2,3]: (u, v, 1), 0..1 in the crop -> x, y, photo's corner = 0
    points: np.ndarray          # [N,5,2]: the points that led to it
    size: int                   # pixels a side of the crops
    photo: tuple[int, int]      # height and width of the photographs
    framing: str                # one of FRAMINGS

    def check(self, name: str = "the alignment") -> Alignment:
        """Itself; LGFAError, which begins with the name, when no crop can lie there."""
        count, whole = len(self.points), (self.size, *self.photo)
        shapes = np.shape(self.matrix) == (count, 2, 3) and np.shape(self.points) == (count, 5, 2)
        if not shapes or count == 0 or min(whole) < 1 or self.framing not in FRAMINGS:
            raise LGFAError(f"{name} is no alignment of a face: make it with Align Face.")
        sides = self.sides()
        if not (np.isfinite(self.points).all() and (sides > 0).all() and np.isfinite(sides).all()):
            raise LGFAError(f"{name} holds values that are not numbers, or a crop without any "
                            f"size: make it with Align Face.")
        return self

    def __len__(self) -> int:
        return len(self.matrix)

    def sides(self) -> np.ndarray:
        """Sides of the crops in pixels of the photographs, [N]."""
        return np.sqrt(np.abs(np.linalg.det(self.matrix[:, :, :2])))

    def corners(self) -> np.ndarray:
        """Corners of the crops, [N,4,2], clockwise from the top left."""
        unit = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], dtype=float)
        return np.einsum("nij,kj->nki", self.matrix, unit)

    def resized(self, height: int, width: int) -> Alignment:
        """The same for photographs of another size; LGFAError when the proportions differ."""
        if (height, width) == self.photo:
            return self
        factor = np.array([width / self.photo[1], height / self.photo[0]])
        if abs(factor[0] / factor[1] - 1) > 0.02:
            raise LGFAError(f"the face was aligned in a picture of {self.photo[1]} x "
                            f"{self.photo[0]} px and is pasted into one of {width} x {height} px: "
                            f"give the photo that went into the alignment.")
        return Alignment(self.matrix * factor[None, :, None],
                         (self.points + 0.5) * factor - 0.5, self.size, (height, width),
                         self.framing)


def check_points(points: np.ndarray) -> np.ndarray:
    """Five points as float64 [5,2]; LGFAError when they cannot be those of a face."""
    points = np.asarray(points, dtype=np.float64)
    if points.shape != (5, 2) or not np.isfinite(points).all():
        raise LGFAError("a face needs five points x, y: left eye, right eye, tip of the nose, "
                        "left and right corner of the mouth, as seen in the picture.")
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    if min(np.linalg.norm(points[1] - points[0]), np.linalg.norm(mouth - eyes)) < MIN_EYES:
        raise LGFAError("the five points of the face lie on top of each other: the eyes and the "
                        "mouth must be at least two pixels apart.")
    return points


def upright(points: np.ndarray) -> np.ndarray:
    """Unit vector from the face's left to its right, [2]: the FFHQ rule.

    Eyes and mouth have a say, so a turned head does not tilt the crop.
    """
    eye_to_eye = points[1] - points[0]
    eye_to_mouth = points[3:].mean(0) - points[:2].mean(0)
    x = eye_to_eye - np.array([-eye_to_mouth[1], eye_to_mouth[0]])
    length = np.linalg.norm(x)
    if length < 1e-6:
        raise LGFAError("the mouth lies above the eyes: the order of the points is left eye, "
                        "right eye, nose, left and right corner of the mouth.")
    return x / length


def crop_matrix(points: np.ndarray, framing: str = "FFHQ") -> np.ndarray:
    """Five points [5,2] -> [2,3] from the crop's u, v (0..1) to the photo's continuous x, y."""
    if framing not in FRAMINGS:
        raise LGFAError(f"there is no framing {framing!r}: choose {' or '.join(FRAMINGS)}.")
    points = check_points(points)
    x = upright(points)
    place = _ffhq if framing == "FFHQ" else _toon
    centre, half = place(points, x)
    y = np.array([-x[1], x[0]])
    corner = centre - half * (x + y) + 0.5              # pixel centres become continuous
    return np.stack([2 * half * x, 2 * half * y, corner], axis=1)


def _ffhq(points: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre and half side by the FFHQ recipe, with its factors 2.0, 1.8 and 0.1."""
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    half = max(2.0 * np.linalg.norm(points[1] - points[0]), 1.8 * np.linalg.norm(mouth - eyes))
    return eyes + 0.1 * (mouth - eyes), float(half)


def _toon(points: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre and half side that bring the points nearest to the toons' (least squares)."""
    turned = np.stack([points @ x, points @ np.array([-x[1], x[0]])], axis=1)
    weight = np.stack([_TOON_X, _TOON_Y], axis=1)
    mean_there = (weight * turned).sum(0) / weight.sum(0)
    mean_here = (weight * TOON_POINTS).sum(0) / weight.sum(0)
    here, there = TOON_POINTS - mean_here, turned - mean_there
    side = float((weight * here * there).sum() / (weight * here * here).sum())
    if side <= 0:
        raise LGFAError("the mouth lies above the eyes: the order of the points is left eye, "
                        "right eye, nose, left and right corner of the mouth.")
    u, v = mean_there + side * (0.5 - mean_here)
    return u * x + v * np.array([-x[1], x[0]]), side / 2


def align(
    images: Tensor,                     # [B,H,W,C], 0..1, 1 to 4 channels (images.check_batch)
    points: np.ndarray,                 # [B,5,2] or [5,2] for all of them
    size: int = 256,                    # side of the crops
    framing: str = "FFHQ",              # one of FRAMINGS
) -> tuple[Tensor, Alignment]:
    """Crops [B,size,size,3], 0..1, upright, and where they lie.

    Beyond the picture's edge it is mirrored, as the FFHQ recipe does. Pictures are shrunk with
    antialiasing before they are sampled, so nothing flickers when faces are large.
    """
    images = check_batch(images, "the photo")
    points = np.asarray(points, dtype=np.float64)
    points = np.stack([points] * len(images)) if points.ndim == 2 else points
    matrix = np.stack([crop_matrix(one, framing) for one in points])
    where = Alignment(matrix, points, size, tuple(images.shape[1:3]), framing)
    _check_reach(where)
    return cut(images, where), where


def cut(images: Tensor, where: Alignment) -> Tensor:
    """The crops [N,size,size,3] of the pictures [N,H,W,3] at an alignment."""
    height, width = images.shape[1:3]
    ticks = (torch.arange(where.size, dtype=torch.float64) + 0.5) / where.size
    v, u = torch.meshgrid(ticks, ticks, indexing="ij")
    unit = torch.stack([u, v, torch.ones_like(u)], dim=-1)                   # [S,S,3]
    out = []
    for image, matrix, side in zip(images, where.matrix, where.sides(), strict=True):
        x = shrink(image[None].movedim(-1, 1).float(), where.size / side)
        grid = unit @ torch.from_numpy(matrix).T                            # [S,S,2] in pixels
        grid = grid / torch.tensor([width, height]) * 2 - 1
        out.append(sample_at(x, grid.to(x)[None], "reflection"))
    return torch.cat(out).clamp(0, 1).movedim(1, -1).contiguous()


def _check_reach(where: Alignment) -> None:
    """Refuses crops that have next to nothing to do with the photograph."""
    height, width = where.photo
    limit = MAX_REACH * max(height, width)
    corners = where.corners()
    outside = (corners.max(1) < 0).any() or (corners.min(1) > [width, height]).any()
    if outside or not np.abs(corners).max() <= limit + max(height, width):     # NaN is not
        raise LGFAError(f"the points of the face lie beside the picture of {width} x {height} px: "
                        f"they are counted in pixels from its left and upper edge.")


def shrink(x: Tensor, factor: float) -> Tensor:
    """x [N,C,H,W] made smaller by the factor, antialiased; as it is when the factor is above 1."""
    if factor >= 0.95:
        return x
    size = [max(1, round(side * factor)) for side in x.shape[2:]]
    return F.interpolate(x, size, mode="bicubic", align_corners=False, antialias=True)


def sample_at(x: Tensor, grid: Tensor, padding: str = "border", mode: str = "bicubic") -> Tensor:
    """grid_sample, which knows bicubic only where pixels are whole at the edges."""
    return F.grid_sample(x, grid, mode=mode, padding_mode=padding, align_corners=False)


def points_text(points: np.ndarray) -> str:
    """[N,5,2] -> one line a face, as the points are typed by hand."""
    return "\n".join(" ".join(f"{x:.1f},{y:.1f}" for x, y in face) for face in points)


def angle(where: Alignment) -> np.ndarray:
    """Degrees by which the faces lean clockwise, [N]."""
    return np.degrees(np.arctan2(where.matrix[:, 1, 0], where.matrix[:, 0, 0]))


def inverse(matrix: np.ndarray) -> np.ndarray:
    """[2,3] from the photo's continuous x, y back to the crop's u, v."""
    back = np.linalg.inv(matrix[:, :2])
    return np.concatenate([back, -back @ matrix[:, 2:]], axis=1)


def box(matrix: np.ndarray, height: int, width: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the photo's pixels under a crop (right and bottom excluded)."""
    corners = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]]) @ matrix.T
    left, top = (max(0, math.floor(v)) for v in corners.min(0))
    right, bottom = (math.ceil(v) for v in corners.max(0))
    return left, top, max(left, min(right, width)), max(top, min(bottom, height))
