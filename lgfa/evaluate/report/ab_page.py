"""The A/B sheet: a page on which people choose between two methods' clips, and what they chose.

As in the paper's user study (IV-B): two clips of one still and sentence side by side in random
order, three forced choices. The page is one file that loads nothing and sends nothing.
"""
from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ...errors import LGFAError, reading, short
from ...files import atomic_path
from ...media.images import to_uint8

FORMAT, VERSION = "ab-choices", 1           # of the files that the page hands out
PAGE = Path(__file__).with_name("ab.html")
SIDE = 512                                  # px; larger frames are made this small
QUALITY = 95                                # of WebP: both methods' frames suffer alike
DIMENSIONS = {                              # name -> (question, hint)
    "quality": ("Which clip has the better pictures?",
                "frame quality: every single frame sharp, clean and natural"),
    "consistency": ("Which clip holds together better over time?",
                    "temporal consistency: smooth motion, the same person throughout"),
    "alignment": ("Which clip fits the sentence better?",
                  "alignment of video and text"),
}


@dataclass(frozen=True)
class Pair:
    """Two methods' clips of one still and one sentence."""

    text: str
    a: Any                                  # frames [T,H,W,3], 0..1 or uint8, of the first method
    b: Any                                  # of the second, equally many and large
    key: str = ""                           # says which job it was; must not name a method


# ---------------------------------------------------------------- the page

def write(
    folder: str | Path,
    pairs: Sequence[Pair],
    name_a: str,                            # of the method that made every pair's `a`
    name_b: str,
    seed: int = 0,                          # of the hidden order here, and of the page's orders
    title: str = "Which clip is better?",   # seen by raters
    fps: float = 10.0,
) -> Path:
    """Writes ab-XXXXXXXX.html, whose name, title and readable text name no method.

    Every rater gets an order of pairs and sides of their own, drawn out of the seed and a random
    token, with either method on the left in half of the pairs.
    """
    if not pairs or name_a == name_b:
        raise LGFAError("an A/B sheet needs pairs of clips of two different methods.")
    told = next((name for name in (name_a, name_b) for text in (title, *(p.key for p in pairs))
                 if name.lower() in text.lower()), None)
    if told is not None:
        raise LGFAError(f"the title or a key of the A/B sheet names the method {told}: raters "
                        f"must not know it.")
    draw = torch.Generator().manual_seed(seed)
    swapped = torch.randint(2, (len(pairs),), generator=draw).tolist()
    body = {"format": FORMAT, "version": VERSION, "seed": seed, "title": title, "fps": fps,
            "questions": DIMENSIONS,
            "pairs": [_pair(pair, swap) for pair, swap in zip(pairs, swapped, strict=True)]}
    secret = json.dumps({"names": [name_a, name_b], "swapped": swapped})
    sheet = hashlib.sha256((json.dumps(body) + secret).encode()).hexdigest()[:16]
    body |= {"sheet": sheet, "hidden": _hidden(secret, sheet)}
    data = json.dumps(body).replace("<", r"\u003c")     # nothing may end the script element
    page = PAGE.read_text(encoding="utf-8")
    filled = {"TITLE": html.escape(title), "DATA": data}
    page = re.sub("@(TITLE|DATA)@", lambda found: filled[found[1]], page)
    path = Path(folder) / f"ab-{sheet[:8]}.html"
    with atomic_path(path) as target:
        target.write_text(page, encoding="utf-8", newline="\n")
    return path


def _pair(pair: Pair, swap: int) -> dict[str, Any]:
    """What the page needs of one pair; `swap` puts the second method's clip first."""
    a, b = _frames(pair.a), _frames(pair.b)
    if a.shape != b.shape:
        raise LGFAError(f"the clips of an A/B pair must be alike in frames and size, not "
                        f"{list(a.shape)} and {list(b.shape)}.")
    count, height, width = a.shape[:3]
    columns = math.ceil(math.sqrt(count))
    clips = [_sheet(clip, columns) for clip in ((b, a) if swap else (a, b))]
    return {"key": pair.key, "text": pair.text, "frames": count, "width": width,
            "height": height, "columns": columns,
            "clips": [base64.b64encode(clip).decode() for clip in clips]}


def _frames(clip: Any) -> np.ndarray:
    """uint8 [T,H,W,3], neither side above SIDE."""
    frames = torch.as_tensor(getattr(clip, "frames", clip))
    if frames.ndim != 4 or frames.shape[-1] != 3 or len(frames) == 0:
        raise LGFAError(f"a clip must be [T,H,W,3], not {list(frames.shape)}.")
    whole = to_uint8(frames)
    scale = SIDE / max(whole.shape[1:3])
    if scale >= 1:
        return whole
    size = tuple(max(1, round(side * scale)) for side in whole.shape[2:0:-1])
    return np.stack([np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS))
                     for frame in whole])


def _sheet(frames: np.ndarray, columns: int) -> bytes:
    """All frames in one picture, row by row: the page can then show two clips in step."""
    count, height, width, _ = frames.shape
    rows = -(-count // columns)
    paper = np.zeros((rows * columns, height, width, 3), np.uint8)
    paper[:count] = frames
    paper = paper.reshape(rows, columns, height, width, 3).swapaxes(1, 2)
    memory = io.BytesIO()
    Image.fromarray(paper.reshape(rows * height, columns * width, 3)).save(
        memory, "WEBP", quality=QUALITY, use_sharp_yuv=True)
    return memory.getvalue()


def _hidden(text: str, key: str) -> str:
    """Not a cipher: it keeps a reader of the page's source from seeing which clip is whose."""
    mask = key.encode()
    return base64.b64encode(bytes(byte ^ mask[i % len(mask)]
                                  for i, byte in enumerate(text.encode()))).decode()


# ---------------------------------------------------------------- what people chose

def summarise(paths: Sequence[str | Path]) -> dict[str, Any]:
    """Preferences out of the files that raters downloaded from one sheet.

    Shares are of all votes, with Wilson's 95% interval, which treats votes as independent. Of
    several files of one sitting the newest counts. LGFAError for files of different sheets.
    """
    if not paths:
        raise LGFAError("name at least one file of choices.")
    sittings: dict[str, dict[str, Any]] = {}
    first: dict[str, Any] | None = None
    for path in paths:
        found = _read(Path(path))
        first = first or found
        if found["sheet"] != first["sheet"]:
            raise LGFAError(f"{path} belongs to another sheet ({found['sheet'][:8]}, not "
                            f"{first['sheet'][:8]}): summarise each sheet apart.")
        before = sittings.get(found["token"])
        if before is None or found["saved"] >= before["saved"]:
            sittings[found["token"]] = found
    answers = [answer for found in sittings.values() for answer in found["answers"]]
    votes = {name: [answer["choices"][name] for answer in answers
                    if answer["choices"].get(name) is not None] for name in DIMENSIONS}
    left = [chosen == answer["left"] for answer in answers
            for chosen in answer["choices"].values() if chosen is not None]
    return {
        "sheet": first["sheet"], "title": first["title"], "seed": first["seed"],
        "methods": first["methods"], "raters": len({f["rater"] for f in sittings.values()}),
        "sittings": len(sittings), "pairs": first["pairs"],
        "pairs_judged": len({answer["pair"] for answer in answers}),
        "votes": sum(map(len, votes.values())), "left": wilson(sum(left), len(left)),
        "dimensions": {name: {
            "question": DIMENSIONS[name][0], "votes": len(chosen),
            "preferred": {method: wilson(chosen.count(method), len(chosen))
                          for method in first["methods"]}} for name, chosen in votes.items()},
    }


def wilson(hits: int, count: int, z: float = 1.959964) -> list[float] | None:
    """[share, low, high] of `hits` among `count`, 95%; None without any.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference (1927).
    """
    if count == 0:
        return None
    share = hits / count
    middle = share + z * z / (2 * count)
    reach = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return [share, max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)]


def _read(path: Path) -> dict[str, Any]:
    """One file of choices; LGFAError for anything else."""
    with reading(path):
        text = path.read_bytes()
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, Mapping) or found.get("format") != FORMAT:
        raise LGFAError(f"{path} is not a file of choices that an A/B sheet hands out.")
    if found.get("version") != VERSION:
        raise LGFAError(f"{path} is of version {short(found.get('version'))}, this program reads "
                        f"{VERSION}: use the program that made the sheet.")
    if not _is_whole(found):
        raise LGFAError(f"{path} is damaged: download the answers from the sheet again.")
    return dict(found)


def _is_whole(found: Mapping[str, Any]) -> bool:
    """Has it everything that is read, with no vote for an unknown method?"""
    names, answers = found.get("methods"), found.get("answers")
    if not all(isinstance(found.get(key), str) for key in ("sheet", "token", "rater", "saved",
                                                           "title")):
        return False
    if not isinstance(names, list) or len(names) != 2 or not isinstance(answers, list):
        return False
    if not all(isinstance(name, str) for name in names) or names[0] == names[1]:
        return False
    return isinstance(found.get("pairs"), int) and isinstance(found.get("seed"), int) and all(
        isinstance(answer, Mapping) and answer.get("left") in names
        and isinstance(answer.get("pair"), int)
        and isinstance(answer.get("choices"), Mapping) and set(answer["choices"]) <= set(DIMENSIONS)
        and all(chosen is None or chosen in names for chosen in answer["choices"].values())
        for answer in answers)
