"""Where the faces of a photograph are: five points each, from whatever can tell.

The points and their order are those of `align`: left eye, right eye, tip of the nose, left and
right corner of the mouth as seen in an upright picture, in pixels. They come from YuNet, where
some OpenCV is installed; from a mask; from boxes or landmarks that another node found; or typed.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from ..config import ORDERS
from ..errors import LGFAError, reading
from ..media.images import to_uint8
from .align import FFHQ_POINTS, TOON_POINTS, Alignment, check_points, crop_matrix, cut

SIDES = (640, 1280)                         # longer side at which YuNet looks, one after the other
LOOKS, CLOSE_UP = 2, (160, 1.3)             # closer looks at each face: pixels, FFHQ crops
SCORE = 0.6                                 # of a face; YuNet's own examples take 0.6 to 0.9
SPECK = 0.02                                # share of the largest, below which a part is dirt
MOST_FACES = 1000                           # that a mask may show
THIN = 8                                    # pixels, below which a part of a mask is no face

THREE_WAYS = ("connect a mask over the face, connect the landmarks or boxes of ComfyUI's own face "
              "detection, or type the five points by hand")
FOUR_WAYS = ("install an OpenCV (such as opencv-python-headless) and choose YuNet, "
             f"{THREE_WAYS}")

# What a mask or box shows (forehead to chin, ear to ear): its frame in the crop, 0..1.
_FRAME = {"toon": (0.20, 0.20, 0.80, 0.857), "FFHQ": (0.19, 0.24, 0.81, 0.93)}
_POINTS = {"toon": TOON_POINTS, "FFHQ": FFHQ_POINTS}

# MediaPipe's face mesh: corners and lids of the eyes, tip of the nose, corners of the mouth.
_MESH = ((33, 133, 159, 145), (362, 263, 386, 374), (1,), (61,), (291,))


# ---------------------------------------------------------------- typed
def parse_points(text: str) -> np.ndarray:
    """"x,y x,y x,y x,y x,y", one face after another -> [N,5,2]; LGFAError says what is wrong."""
    rest = re.sub(r"[-+]?\d*\.?\d+", " ", text)
    if re.sub(r"[\s,;:()\[\]]", "", rest):
        raise LGFAError(f'the points "{text.strip()[:60]}" are not understood: write five pairs '
                        f'like "170,285 242,279 208,307 180,332 241,326", a line for each face.')
    numbers = [float(one) for one in re.findall(r"[-+]?\d*\.?\d+", text)]
    if not numbers or len(numbers) % 10:
        raise LGFAError(f"{len(numbers)} numbers were given: a face needs ten, five pairs x,y: "
                        f"left eye, right eye, tip of the nose, left and right corner of the "
                        f"mouth, in pixels.")
    return np.stack([check_points(one) for one in np.reshape(numbers, (-1, 5, 2))])


# ---------------------------------------------------------------- a frame around the face
def points_in_frame(frame: np.ndarray, framing: str) -> np.ndarray:
    """Usual points of a face in its frame [2,3] (u, v, 1), 0..1 -> x, y: [5,2]."""
    left, top, right, bottom = _FRAME[framing]
    unit = (_POINTS[framing] - [left, top]) / [right - left, bottom - top]
    return np.concatenate([unit, np.ones((5, 1))], axis=1) @ frame.T


def from_box(box: Any, framing: str) -> np.ndarray:
    """One box, a mapping with x, y, width, height or four such numbers, -> points [5,2]."""
    try:
        if isinstance(box, Mapping):
            x, y, width, height = (float(box[key]) for key in ("x", "y", "width", "height"))
        else:
            x, y, width, height = (float(value) for value in list(box)[:4])
    except (KeyError, TypeError, ValueError) as error:
        raise LGFAError("a box of a face is not understood: it has x, y, width and height in "
                        "pixels.") from error
    if not (width > 0 and height > 0):
        raise LGFAError(f"the box of a face is empty ({width:g} x {height:g} px).")
    frame = np.array([[width, 0, x - 0.5], [0, height, y - 0.5]])
    return check_points(points_in_frame(frame, framing))


def from_mask(mask: Tensor, framing: str) -> np.ndarray:
    """Mask [H,W] of N separate faces -> points [N,5,2], by the ellipse of equal moments.

    A face that leans by less than 45 degrees is found upright. An empty mask gives N = 0.
    """
    from scipy import ndimage

    solid = (mask.detach().cpu().numpy() > 0.5)
    labels, count = ndimage.label(solid)
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    large = np.flatnonzero(areas >= max(25, SPECK * areas.max(initial=0)))
    if len(large) > MOST_FACES:
        raise LGFAError(f"the mask has {len(large)} separate parts: paint over the faces alone.")
    places, out = ndimage.find_objects(labels), []
    for number in large:
        rows, columns = places[number]
        y, x = np.nonzero(labels[rows, columns] == number + 1)
        y, x = y + rows.start, x + columns.start
        if min(np.ptp(x), np.ptp(y)) < THIN:
            raise LGFAError(f"a part of the mask is {np.ptp(x) + 1} x {np.ptp(y) + 1} px, which is "
                            f"no face: paint over the whole face, from forehead to chin.")
        out.append(points_in_frame(_ellipse(x, y), framing))
    return np.stack([check_points(one) for one in out]) if out else np.zeros((0, 5, 2))


def _ellipse(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pixels of one shape -> its leaning frame [2,3], the long side up."""
    centre = np.array([x.mean(), y.mean()])
    spread = np.cov(np.stack([x, y]))
    values, vectors = np.linalg.eigh(spread)                # ascending
    down = vectors[:, 1] if values[1] > 1.15 * values[0] else np.array([0.0, 1.0])
    if abs(down[0]) > abs(down[1]):                         # wider than tall: not a lean
        down = vectors[:, 0]
    down = down * np.sign(down[1])
    right = np.array([down[1], -down[0]])
    half = [2 * np.sqrt(max(v @ spread @ v, 1e-9)) for v in (right, down)]
    corner = centre - half[0] * right - half[1] * down
    return np.stack([2 * half[0] * right, 2 * half[1] * down, corner], axis=1)


# ---------------------------------------------------------------- what other nodes found
def from_detections(found: Any, framing: str, number: int = 0) -> np.ndarray:
    """Landmarks or boxes as ComfyUI's nodes hand them on -> points [N,5,2] of one picture.

    Landmarks: {"frames": [[{"landmarks_xy": [468 or more, 2]}]]}, MediaPipe's mesh, in pixels.
    Boxes: one, a list for all pictures, or a list of lists, each {x, y, width, height} or four
    such numbers. `number` is the picture's place in its batch.
    """
    with reading("what another node found", "landmarks or boxes of faces"):
        if isinstance(found, Mapping) and "frames" in found:
            faces = _of_picture(list(found["frames"]), number)
            return _stack(_from_mesh(face) for face in faces)
        if isinstance(found, Mapping) or _is_numbers(found):
            return from_box(found, framing)[None]
        boxes = list(found)
        if boxes and not isinstance(boxes[0], Mapping) and not _is_numbers(boxes[0]):
            boxes = _of_picture(boxes, number)
        return _stack(from_box(one, framing) for one in boxes)


def _of_picture(lists: list, number: int) -> list:
    """What was found in one picture of a batch; the last list serves the pictures beyond."""
    return list(lists[min(number, len(lists) - 1)]) if lists else []


def _from_mesh(face: Mapping[str, Any]) -> np.ndarray:
    """One face of MediaPipe's mesh -> points [5,2]."""
    mesh = np.asarray(face.get("landmarks_xy", ()), dtype=np.float64)
    if mesh.ndim != 2 or len(mesh) < 468:
        raise LGFAError("the landmarks of a face are not understood: connect the output of "
                        "ComfyUI's own face landmarks, boxes, or a mask.")
    return check_points(np.stack([mesh[list(places), :2].mean(0) for places in _MESH]))


def _is_numbers(value: Any) -> bool:
    """Whether a value is one row of numbers."""
    if isinstance(value, (np.ndarray, Tensor)):
        return value.ndim == 1 and len(value) >= 4
    return (isinstance(value, Sequence) and len(value) >= 4
            and all(isinstance(one, (int, float, np.number)) for one in value))


def _stack(faces: Iterable[np.ndarray]) -> np.ndarray:
    faces = list(faces)
    return np.stack(faces) if faces else np.zeros((0, 5, 2))


class YuNet:
    """The face detector of Yu et al., "YuNet: A Tiny Millisecond-level Face Detector" (2023)."""

    def __init__(self, model: str | Path, score: float = SCORE) -> None:
        cv2 = opencv()
        try:
            self.network = cv2.FaceDetectorYN.create(str(model), "", (320, 320), score)
        except cv2.error as error:
            raise LGFAError(f"{Path(model).name} cannot be used as YuNet's model by OpenCV "
                            f"{cv2.__version__}: remove it and download it anew.") from error

    def __call__(self, image: Tensor) -> np.ndarray:
        """Picture [H,W,3], 0..1 -> points [N,5,2] of its faces."""
        for side in SIDES:
            scale = min(1.0, side / max(image.shape[:2]))
            found = self._look(image, scale)
            if len(found) or scale == 1:
                break
        return _stack(self._closer(image, face) for face in found)

    def _closer(self, image: Tensor, face: np.ndarray) -> np.ndarray:
        """The points [5,2] of a face, looked at again upright and in one size.

        YuNet was trained on upright faces: at a lean of 25 degrees it sees half of the lean, and
        its points move with the face's size. A second look from close up mends both.
        """
        side, wide = CLOSE_UP
        for _ in range(LOOKS):
            matrix = crop_matrix(face, "FFHQ")
            corner = matrix @ [0.5, 0.5, 1] - wide * matrix[:, :2] @ [0.5, 0.5]
            matrix = np.concatenate([wide * matrix[:, :2], corner[:, None]], axis=1)
            where = Alignment(matrix[None], face[None], side, tuple(image.shape[:2]), "FFHQ")
            found = self._look(cut(image[None], where)[0], 1.0)
            if len(found) == 0:
                break
            nearest = found[np.abs(found.mean(1) - side / 2).sum(1).argmin()]
            face = np.concatenate([(nearest + 0.5) / side, np.ones((5, 1))], 1) @ matrix.T - 0.5
        return face

    def _look(self, image: Tensor, scale: float) -> np.ndarray:
        x = image[None, ..., :3].movedim(-1, 1).float().cpu()
        height, width = image.shape[:2]
        size = [max(16, round(height * scale)), max(16, round(width * scale))]
        if scale < 1:
            x = F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)
        pixels = to_uint8(x[0].movedim(0, -1))
        self.network.setInputSize((pixels.shape[1], pixels.shape[0]))
        _, rows = self.network.detect(np.ascontiguousarray(pixels[..., ::-1]))
        if rows is None:
            return np.zeros((0, 5, 2))
        points = np.asarray(rows, dtype=np.float64)[:, 4:14].reshape(-1, 5, 2)
        return (points + 0.5) * [width / pixels.shape[1], height / pixels.shape[0]] - 0.5


def opencv() -> Any:
    """The cv2 module, if some OpenCV with YuNet is installed."""
    try:
        import cv2
    except ImportError as error:
        raise LGFAError(f"YuNet needs OpenCV, which is not installed: {FOUR_WAYS}.") from error
    if not hasattr(cv2, "FaceDetectorYN"):
        raise LGFAError(f"OpenCV {cv2.__version__} is too old for YuNet, which came with 4.5.4: "
                        f"{FOUR_WAYS}.")
    return cv2


# ---------------------------------------------------------------- which face
def sort(faces: np.ndarray, order: str = ORDERS[0]) -> np.ndarray:
    """Faces [N,5,2] in one of ORDERS."""
    if order not in ORDERS:
        raise LGFAError(f"there is no order {order!r}: choose {' or '.join(ORDERS)}.")
    if order == ORDERS[0]:
        return faces[np.argsort(faces[..., 0].mean(1), kind="stable")]
    size = np.ptp(faces, axis=1).prod(1) if len(faces) else np.zeros(0)
    return faces[np.argsort(-size, kind="stable")]


def pick(faces: np.ndarray, index: int) -> np.ndarray:
    """One face [5,2] of [N,5,2]; LGFAError when there are not so many."""
    if len(faces) == 0:
        raise LGFAError(f"no face was found: {FOUR_WAYS}.")
    if not 0 <= index < len(faces):
        raise LGFAError(f"there is no face {index}: {len(faces)} were found, "
                        f"counted from 0 to {len(faces) - 1}.")
    return faces[index]


# ---------------------------------------------------------------- all ways together
def find(
    image: Tensor,                          # [H,W,C], 0..1
    framing: str,                           # of the crop to come; where masks and boxes have eyes
    typed: str = "",                        # points by hand
    found: Any = None,                      # landmarks or boxes of other nodes
    mask: Tensor | None = None,             # [H',W'] over the faces; empty = none
    detector: Callable[[Tensor], np.ndarray] | None = None,     # such as a YuNet
    order: str = ORDERS[0],                 # of faces that were found; typed ones keep theirs
    number: int = 0,                        # the picture's place in its batch
) -> np.ndarray:
    """Points [N,5,2] by the first way that was given: typed, found, mask, detector.

    Raises LGFAError, naming all ways, when none was.
    """
    if typed.strip():
        return parse_points(typed)
    if found is not None:
        return sort(from_detections(found, framing, number), order)
    if mask is not None and bool((mask > 0.5).any()):
        return sort(from_mask(_fit(mask, image), framing), order)
    try:
        faces = (detector or _nothing)(image)
        if len(faces) == 0:
            raise LGFAError(f"YuNet found no face in the picture: {THREE_WAYS}.")
    except LGFAError as error:
        raise (error if mask is None else LGFAError(f"the mask is empty, and {error}")) from None
    return sort(faces, order)


def _nothing(image: Tensor) -> np.ndarray:
    """The detector that is none."""
    raise LGFAError(f"nothing tells where the face is: {FOUR_WAYS}.")


def _fit(mask: Tensor, image: Tensor) -> Tensor:
    """The mask in the picture's size."""
    if mask.shape == image.shape[:2]:
        return mask
    return F.interpolate(mask[None, None].float(), tuple(image.shape[:2]), mode="nearest")[0, 0]
