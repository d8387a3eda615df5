"""One file per clip: what was measured, and its latents. An evaluation goes on from these."""
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import LGFAError
from ..files import atomic_path, remove_leftovers
from ..hashes import text_hash
from .plan import Job


@dataclass(frozen=True)
class Record:
    """A clip's figures."""

    metrics: dict[str, float]                       # name -> value
    seen: list[int] = field(default_factory=list)   # expression that each sentence's end shows
    curves: dict[str, list[float]] = field(default_factory=dict)    # name -> a value a frame
    read: dict[str, int] = field(default_factory=dict)      # beyond expression: class that is seen
    seconds: float = 0.0                            # that the method took
    tensors: dict[str, Tensor] = field(default_factory=dict)    # features of sets, latents


class Store:
    """The records of one method in one suite, in a folder of their own."""

    def __init__(
        self,
        folder: Path,
        stamp: str,                         # of the method and settings: records of another one
        #                                     are made again
    ) -> None:
        self.folder, self.stamp = folder, stamp
        self.folder.mkdir(parents=True, exist_ok=True)

    def path(self, job: Job) -> Path:
        """Where a job's record lies."""
        return self.folder / f"{job.index:05d}.safetensors"

    def has(self, job: Job) -> bool:
        """Whether the job has been done, with these settings."""
        header = _header(self.path(job))
        return header is not None and header.get("mark") == self._mark(job)

    def write(self, job: Job, record: Record) -> None:
        """Keeps a record; a reader never sees half of it."""
        from safetensors.torch import save_file

        plain = {name: value for name, value in asdict(_without(record)).items()}
        header = {"mark": self._mark(job), "job": asdict(job), "record": plain}
        tensors = {name: value.contiguous() for name, value in record.tensors.items()}
        with atomic_path(self.path(job)) as path:
            save_file(tensors or {"none": torch.zeros(1)}, path,
                      {"lgfa_evaluation": json.dumps(header)})

    def read(self, job: Job) -> Record:
        """The record of a job that has been done."""
        from safetensors import safe_open

        path = self.path(job)
        header = _header(path)
        if header is None:
            raise LGFAError(f"{path} is missing or damaged: run the evaluation again.")
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        return Record(**header["record"] | {"tensors": tensors})

    def tidy(self) -> None:
        """Removes what killed runs left of unfinished files."""
        remove_leftovers(self.folder, "*.safetensors", wildcards=True)

    def _mark(self, job: Job) -> str:
        return text_hash(self.stamp + json.dumps(asdict(job)))[:20]


def _without(record: Record) -> Record:
    return Record(**{**record.__dict__, "tensors": {}})


def _header(path: Path) -> Mapping[str, Any] | None:
    """What a record's file says of itself; None where there is no whole one."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return json.loads((file.metadata() or {})["lgfa_evaluation"])
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
