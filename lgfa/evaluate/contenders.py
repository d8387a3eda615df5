"""The methods that an evaluation compares, by name: the bundled model, its variants, baselines."""
from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from .. import formats
from ..errors import LGFAError
from ..files import remove_leftovers
from ..formats import names
from ..formats.safetensors_io import read_info
from ..hashes import file_hash, network_hash, text_hash
from ..methods.baselines import Parts, baseline
from ..methods.method import Embedded, Method, Prompt, as_method
from ..motion.understanding import Understanding
from ..registry import BASELINES
from ..training.toon.variants import VARIANTS, train_variant
from ..trajectory.chain import straight

OWN = "lgfa"                                # the bundled motion model
VARIANT = "lgfa:"                           # begins the name of a variant
STRAIGHT = "lgfa:straight"                  # its last frames, by linear interpolation
#: the bundled network with other step sizes; at the four frames of its training all take the same
SCHEDULES = {"lgfa:schedule-paper": "paper", "lgfa:schedule-authors": "authors"}
WAIT = 2.0                                  # seconds between looks at what another process makes


def known() -> list[str]:
    """Every name that can be asked for."""
    return [OWN, *BASELINES, STRAIGHT, *SCHEDULES, *(VARIANT + name for name in VARIANTS)]


def check(names: Sequence[str]) -> tuple[str, ...]:
    """The names, each once; LGFAError for one that does not exist."""
    for name in names:
        if name not in known():
            raise LGFAError(f"there is no method {name!r}: choose of {', '.join(known())}.")
    if not names:
        raise LGFAError("there is no method to evaluate: give --methods lgfa, for example.")
    return tuple(dict.fromkeys(names))


def label(name: str) -> str:
    """How a method is called in tables."""
    own = {OWN: "LGFA (bundled)", STRAIGHT: "LGFA's ends, straight"}
    return BASELINES[name].title if name in BASELINES else own.get(name, name)


def paper(name: str) -> str | None:
    """Where a method was published; None for ours."""
    return BASELINES[name].paper if name in BASELINES else None


def about(name: str) -> str:
    """A method in a few words."""
    if name == OWN:
        return "the bundled recurrent motion model, one for all texts"
    if name == STRAIGHT:
        return "a straight line to the bundled model's last code"
    if name in SCHEDULES:
        return f"the step sizes of the {SCHEDULES[name]}"
    if name.startswith(VARIANT):
        return VARIANTS[name.removeprefix(VARIANT)].what
    return BASELINES[name].what


@dataclasses.dataclass(frozen=True)
class Subject:
    """A method that is ready."""

    name: str
    method: Method
    stamp: str                              # equal for equal weights and settings only
    minutes: float                          # that its training took, as its files say


class Straight(Method):
    """The ends of another method's clips, and a straight line between them."""

    def __init__(self, method: Method) -> None:
        super().__init__(method)
        self.method, self.sees_still = method, method.sees_still

    def embed(self, still: Tensor | None, prompt: Prompt) -> Embedded:
        return self.method.embed(still, prompt)

    def understand(self, prompt: Prompt, embedded: Embedded | None = None) -> Understanding | None:
        return self.method.understand(prompt, embedded)

    def content(self, w_inv: Tensor, embedded: Embedded) -> Tensor:
        return self.method.content(w_inv, embedded)

    def __call__(self, w_s: Tensor, embedded: Embedded, frames: int, seed: int) -> Tensor:
        return straight(w_s, self.method(w_s, embedded, frames, seed)[:, -1], frames)


class Workshop:
    """Trains what is missing, once, into a folder; loads the rest."""

    def __init__(
        self,
        parts: Parts,                       # frozen networks of the domain
        folder: Path,                       # of trained networks and their checkpoints
        rank: int = 0,                      # this process of
        size: int = 1,                      # .. so many
        scale: float = 1.0,                 # multiplies the trainings' step numbers
        note: Callable[[str], None] = print,
    ) -> None:
        self.parts, self.folder = parts, folder
        self.rank, self.size, self.scale, self.note = rank, size, scale, note

    def prepare(self, wanted: Sequence[tuple[str, Sequence[str]]]) -> None:
        """Trains everything that methods need for their sentences, (name, texts) each, and that is
        not there, shared among the processes; returns when all of it is."""
        units = list(dict.fromkeys((name, unit) for name, texts in wanted
                                   for unit in self._units(name, texts)))
        for name, _ in units:
            (self.folder / _slug(name)).mkdir(parents=True, exist_ok=True)
        missing = [unit for unit in units if not self._file(*unit).is_file()]
        for name, unit in missing[self.rank::self.size]:
            self._train(name, unit)
        while not all(self._file(*unit).is_file() for unit in units):
            time.sleep(WAIT)

    def load(self, name: str, texts: Sequence[str]) -> Subject:
        """The method, ready for these sentences."""
        units = self._units(name, texts)
        files = [self._file(name, unit) for unit in units]
        if _is_bundled(name):
            return self._bundled(name)
        minutes = sum(_minutes(file) for file in files)
        stamp = "".join(file_hash(file) for file in files)
        if name.startswith(VARIANT):
            method = as_method(formats.load(files[0], "motion", self._device()), self.parts.clip)
        else:
            method = baseline(name).load(self.parts, self.folder / _slug(name), texts)
            stamp += repr(getattr(method, "settings", ""))
        return Subject(name, method, text_hash(name + stamp), minutes)

    # ---- inside

    def _bundled(self, name: str) -> Subject:
        """The bundled model, as it is or moved otherwise."""
        motion = formats.load(self.parts.domain, "motion", self._device())
        if name in SCHEDULES:
            motion.config = motion.rnn.config = dataclasses.replace(
                motion.config, schedule=SCHEDULES[name])
        method = as_method(motion, self.parts.clip)
        return Subject(name, Straight(method) if name == STRAIGHT else method,
                       network_hash(motion),
                       _minutes(names.resolve(self.parts.domain, "motion")))

    def _units(self, name: str, texts: Sequence[str]) -> list[str]:
        if _is_bundled(name):
            return []
        return ["motion"] if name.startswith(VARIANT) else baseline(name).units(texts)

    def _file(self, name: str, unit: str) -> Path:
        own = name.startswith(VARIANT)
        file = f"{unit}.safetensors" if own else baseline(name).file_name(unit)
        return self.folder / _slug(name) / file

    def _train(self, name: str, unit: str) -> None:
        file, begun = self._file(name, unit), time.monotonic()
        remove_leftovers(file.parent, file.name)    # each unit has one process
        self.note(f"training {name}, {unit} ..")
        if name.startswith(VARIANT):
            self._train_variant(name.removeprefix(VARIANT), file)
        else:
            baseline(name).train(unit, self.parts, file.parent, self.note, self.scale)
        self.note(f"trained {name}, {unit}: {(time.monotonic() - begun) / 60:.1f} min")

    def _train_variant(self, variant: str, file: Path) -> None:
        parts, full = self.parts, VARIANTS[variant].iterations
        steps = None if self.scale == 1 else max(int(full * self.scale), 4)
        trained = train_variant(variant, file.parent / "run", parts.generator, parts.clip,
                                parts.perceptual, parts.identity, steps)
        info = {"variant": variant, "minutes": round(trained.minutes, 1), **trained.info}
        formats.save(file, trained.network, info, torch.float16)

    def _device(self) -> torch.device:
        return self.parts.generator.latent_avg.device


def _is_bundled(name: str) -> bool:
    return name in (OWN, STRAIGHT, *SCHEDULES)


def _slug(name: str) -> str:
    return name.replace(":", os.path.sep)


def _minutes(file: Path) -> float:
    """Minutes of training that a file's header tells; 0 where it tells none."""
    minutes = (read_info(file) or {}).get("minutes")
    return float(minutes) if isinstance(minutes, (int, float)) and 0 <= minutes < 1e9 else 0.0
