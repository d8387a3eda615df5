"""One file per clip: what was measured, and its latents. An evaluation goes on from these."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import LGFAError, reading
from ..files import remove_leftovers
from ..formats.safetensors_io import write_tensors
from ..hashes import text_hash
from .plan import Job

KEY, SUM = "lgfa_evaluation", "sum"         # of a file's metadata


@dataclass(frozen=True)
class Record:
    """A clip's figures."""

    metrics: dict[str, float]                       # name -> value
    seen: list[int] = field(default_factory=list)   # expression that each sentence's end shows
    curves: dict[str, list[float]] = field(default_factory=dict)    # name -> a value a frame
    read: dict[str, int] = field(default_factory=dict)      # beyond expression: class that is seen
    seconds: float = 0.0                            # that the method took
    tensors: dict[str, Tensor] = field(default_factory=dict)    # features of sets, latents
    understood: list[dict[str, Any]] = field(default_factory=list)  # what each sentence was taken
    #                                         for; empty of methods that do not say


class Store:
    """The records of one method in one suite, in a folder of their own."""

    def __init__(
        self,
        folder: Path,
        stamp: str,                         # of the method and settings: records of another one
        #                                     are made again
    ) -> None:
        self.folder, self.stamp = folder, stamp
        self._whole: dict[int, tuple] = {}  # job -> time, size and mark of a file that was read

    def path(self, job: Job) -> Path:
        """Where a job's record lies."""
        return self.folder / f"{job.index:05d}.safetensors"

    def has(self, job: Job) -> bool:
        """Whether the job has been done, with these settings, and its record is whole."""
        path = self.path(job)
        try:
            stat = path.stat()
        except OSError:
            return False
        seen = (stat.st_mtime_ns, stat.st_size, self._mark(job))
        if self._whole.get(job.index) != seen:
            header, _ = load(path) or ({}, {})
            if header.get("mark") != seen[2]:
                return False
            self._whole[job.index] = seen       # a file that is as it was is not read again
        return True

    def write(self, job: Job, record: Record) -> None:
        """Keeps a record; a reader never sees half of it."""
        plain = {name: value for name, value in asdict(_without(record)).items()}
        header = {"mark": self._mark(job), "job": asdict(job), "record": plain}
        save(self.path(job), record.tensors, header, tidy=False)

    def read(self, job: Job) -> Record:
        """The record of a job that has been done."""
        path = self.path(job)
        header, tensors = load(path) or ({}, {})
        if header.get("mark") != self._mark(job):
            raise LGFAError(f"{path} is missing or damaged: run the evaluation again.")
        return Record(**header["record"] | {"tensors": tensors})

    def tidy(self) -> None:
        """Removes what killed runs left of unfinished files."""
        remove_leftovers(self.folder, "*.safetensors", wildcards=True)

    def _mark(self, job: Job) -> str:
        return text_hash(self.stamp + json.dumps(asdict(job)))[:20]


def _without(record: Record) -> Record:
    return Record(**{**record.__dict__, "tensors": {}})


# ---------------------------------------------------------------- files that prove to be whole

def save(
    path: Path,
    tensors: Mapping[str, Tensor],
    header: Mapping[str, Any],              # whatever JSON can hold
    tidy: bool = True,                      # as for atomic_path
) -> None:
    """Writes both as one safetensors file with a sum over everything."""
    text = json.dumps(header)
    write_tensors(path, tensors, {KEY: text, SUM: _sum(tensors, text)}, tidy)


def load(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """What `save` wrote, (header, tensors); None where there is no such file, or it is no longer
    what was written: it is then to be made again."""
    from safetensors import safe_open

    try:
        with reading(path), safe_open(path, "pt") as file:
            noted = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            if noted[SUM] == _sum(tensors, noted[KEY]):
                return json.loads(noted[KEY]), tensors
    except LGFAError:
        pass
    return None


def _sum(tensors: Mapping[str, Tensor], text: str) -> str:
    """A hash of a header and of tensors, their names and shapes."""
    whole = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        one = tensors[name].detach().cpu().contiguous()
        whole.update(f"{name} {one.dtype} {list(one.shape)}".encode())
        whole.update(one.reshape(-1).view(torch.uint8).numpy())
    return whole.hexdigest()
