"""The bundled example pictures and the five points of the faces in them."""
from __future__ import annotations

from pathlib import Path

from torch import Tensor

from ..errors import LGFAError
from .images import read_image, to_pictures

FOLDER = Path(__file__).resolve().parents[2] / "workflows" / "examples"


def names() -> list[str]:
    """Names of the bundled pictures, the face by itself first."""
    found = sorted(path.stem for path in FOLDER.glob("*.png"))
    return sorted(found, key=lambda name: "face" not in name)


def load(name: str) -> tuple[Tensor, str]:
    """A bundled picture [1,H,W,3], 0..1, and its faces' points, one line a face."""
    if name not in names():                     # only names of the list: never a path
        raise LGFAError(f"there is no example picture {name!r}: choose "
                        f"{' or '.join(names()) or 'none, the folder is empty'}.")
    points = FOLDER / f"{name}.txt"
    text = points.read_text(encoding="utf-8").strip() if points.is_file() else ""
    return to_pictures(read_image(FOLDER / f"{name}.png")), text
