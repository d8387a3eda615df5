"""Codes of images on the disk, so that each image is encoded once, whatever its name.

One small safetensors file an image, named by its SHA-256, in a folder named by the encoder's; and
an index of the images that were seen, which saves reading them again.
"""
from __future__ import annotations

import json
import os
import re
from pathlib import Path

import torch
from safetensors.torch import load_file, save

from ..errors import LGFAError, reading
from ..files import atomic_path, remove_leftovers
from ..hashes import file_hash, network_hash
from ..media.images import read_image

SHA256 = re.compile(r"[0-9a-f]{64}")
INDEX_LIMIT = 256 * 2**20       # bytes of a store's index; a million images need less


class Store:
    """FolderSource's files: codes by hash, and an index that saves hashing unchanged images."""

    def __init__(
        self,
        root: Path,
        encoder: torch.nn.Module,           # Encoder; encodes on its device
    ) -> None:
        self.encoder, self.encoder_hash = encoder, network_hash(encoder)
        self.folder = root / self.encoder_hash[:16]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LGFAError(f"the folder {root} for encoded images cannot be made "
                            f"({error.strerror}): name another one (--cache).") from error
        remove_leftovers(self.folder, "*.safetensors", wildcards=True)
        self.index_file = root / "index.json"
        self.index = self._read_index()
        self.used: dict[str, list] = {}

    def digest(self, path: Path) -> str:
        """SHA-256 of an image; from the index while its size and time are the same."""
        key, stat = str(path.resolve()), path.stat()
        known = self.index.get(key)
        mark = [stat.st_size, stat.st_mtime_ns]
        if known is None or known[:2] != mark:
            known = [*mark, file_hash(path)]
        self.used[key] = known
        return known[2]

    def missing(self, path: Path, digest: str) -> torch.Tensor | None:
        """The image to encode; None where the store has its code."""
        if _code_is_fine(self._file(digest), self.encoder.config):
            return None
        return read_still(path, self.encoder.config.input_size)

    @torch.no_grad()
    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """An image's code [L, w_dim]."""
        like = next(self.encoder.parameters())
        w = self.encoder(image[None].to(like))[0].float().cpu()
        if not torch.isfinite(w).all():
            raise LGFAError("the encoder gives no finite code for it.")
        return w

    def keep(self, digest: str, code: torch.Tensor | None) -> Path:
        """The file of a code, written now unless it is None. LGFAError when it cannot be: what the
        store has by then stays."""
        file = self._file(digest)
        if code is not None:
            with atomic_path(file, tidy=False) as tmp:
                tmp.write_bytes(save({"w": code.contiguous()}))
        return file

    def _file(self, digest: str) -> Path:
        return self.folder / f"{digest}.safetensors"

    def close(self) -> None:
        """Writes the index."""
        if self.used != {key: self.index.get(key) for key in self.used}:
            with atomic_path(self.index_file) as tmp:
                tmp.write_text(json.dumps({**self.index, **self.used}), encoding="utf-8")

    def _read_index(self) -> dict[str, list]:
        """Path -> [bytes, time, SHA-256]; entries that are none are left out, and so is an index
        that cannot be read: it only saves time."""
        try:
            with reading(self.index_file):
                if not self.index_file.is_file() or self.index_file.stat().st_size > INDEX_LIMIT:
                    return {}
                index = json.loads(self.index_file.read_text(encoding="utf-8"))
        except LGFAError:
            return {}
        return {path: entry for path, entry in index.items() if _is_entry(entry)} \
            if isinstance(index, dict) else {}


def _is_entry(entry: object) -> bool:
    """Whether an index's entry is one: it names a file in the store."""
    return isinstance(entry, list) and len(entry) == 3 and isinstance(entry[2], str) and \
        SHA256.fullmatch(entry[2]) is not None


def read_still(path: Path, size: int) -> torch.Tensor:
    """A picture [3, size, size], -1..1; the centre square of images that are not square."""
    return read_image(path, size)[0]


def read_code(file: Path) -> torch.Tensor:
    """A code [L, w_dim] of the store."""
    with reading(file):
        return load_file(file)["w"]


def _code_is_fine(file: Path, config: object) -> bool:
    """Does the file hold a code of the encoder's shape?"""
    try:
        code = read_code(file) if os.path.isfile(file) else torch.empty(0)
    except LGFAError:                       # it is written again
        return False
    return tuple(code.shape) == (config.num_layers, config.w_dim) and \
        code.dtype == torch.float32 and bool(torch.isfinite(code).all())
