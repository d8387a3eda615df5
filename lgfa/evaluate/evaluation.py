"""An evaluation from beginning to end: train what is missing, make clips, measure, report."""
from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .. import formats
from ..errors import LGFAError
from ..files import atomic_path
from ..methods.baselines import Parts
from ..methods.method import Prompt
from ..metrics import registry
from ..metrics.registry import Eyes, Shown
from ..metrics.toon_truth import RESOLUTION
from ..motion.understanding import refuse_unknown
from ..version import __version__
from . import contenders, plan, records
from .contenders import OWN, Workshop, label
from .measure import Maker, run
from .records import Store
from .report.findings import bars, findings
from .report.tables import TOPICS, Figures, Key
from .summary import Interval, Result, paths, summarise, understood

CHAINED, CHAIN_FRAMES = ("chain", "added"), 32      # section IV-E2
REAL_CLIPS, REAL_SEED = 104, 79_500         # videos of the renderer, measured beside the methods
OF_PICTURES = ("acd_toon", "identity_last", "step_pixels", "jerk_pixels", "jerk_ratio")
STRIPS = (("winking", 0), ("crying", 1), ("surprised", 2), ("disgusted", 3))   # expression, person
MOST_PAIRS = 52                             # of the page for people: half an hour's patience
FORMAT = 1


@dataclass(frozen=True)
class Options:
    """What is asked for."""

    methods: tuple[str, ...] = (OWN,)       # names of contenders.known()
    topics: tuple[str, ...] = ("main",)     # names of TOPICS
    clips: int = 208                        # per method and suite
    frames: int = 16                        # T
    seed: int = 0                           # another seed, other people
    out: Path = Path("report")              # report.json, report.md, pictures
    work: Path | None = None                # trained networks and clips; None = out/work
    domain: str = "toon"
    scale: float = 1.0                      # multiplies the step numbers of trainings
    drawings: int = 2000                    # and videos of the renderer that sets are compared with
    draws: int = 100                        # of the bootstrap of distances of sets
    command: str = ""                       # noted in the report
    strict: bool = False                    # refuse sentences that a method does not know

    def __post_init__(self) -> None:
        object.__setattr__(self, "methods", contenders.check(self.methods))
        for topic in self.topics:
            if topic not in TOPICS:
                raise LGFAError(f"there is no table {topic!r}: choose of {', '.join(TOPICS)}.")
        if self.domain != "toon":
            raise LGFAError(f"the truth is known for the domain toon only, not {self.domain!r}: "
                            f"evaluate --domain toon.")
        if isinstance(self.frames, bool) or not 3 <= self.frames <= 1000:
            raise LGFAError(f"an evaluated clip needs 3 to 1000 frames, not {self.frames!r}.")
        if not 0 < self.scale <= 100:
            raise LGFAError(f"the scale of trainings must be above 0 and at most 100, not "
                            f"{self.scale}.")
        plan.jobs("main", self.clips, self.seed)


class Evaluation:
    """Runs what the topics need, then sums it up. Repeated, it goes on where it was."""

    def __init__(
        self,
        options: Options,
        rank: int = 0,                      # this process of
        size: int = 1,                      # .. so many, which share a disk
        device: torch.device | str = "cpu",
        note: Callable[[str], None] = print,
    ) -> None:
        self.options, self.rank, self.size, self.note = options, rank, size, note
        self.work = options.work or options.out / "work"
        self.device = torch.device(device)
        kinds = ("generator", "clip", "identity", "perceptual", "encoder", "attributes")
        networks = {kind: formats.load(options.domain, kind, self.device).requires_grad_(False)
                    for kind in kinds}
        self.parts = Parts(*(networks[kind] for kind in kinds[:4]), options.domain)
        self.eyes = Eyes(attributes=networks["attributes"], clip=networks["clip"])
        self.maker = Maker(networks["generator"], networks["encoder"], self.eyes, options.domain)
        self.workshop = Workshop(self.parts, self.work / "networks", rank, size, options.scale,
                                 note)

    def run(self) -> dict[str, Any] | None:
        """The report's data, of which the first process writes report.json; None in the others."""
        from .report import plots

        plots.ready()                       # before hours of work, not after them
        begun, keys = time.monotonic(), self.keys()
        self.workshop.prepare([(name, self._texts(suite)) for suite, name in keys])
        if self.options.strict:
            self._refuse_unknown(keys)
        results = {key: self._result(key) for key in keys}
        if self.rank:
            return None
        report = self._report(results, (time.monotonic() - begun) / 60)
        self._write(report)
        return report

    def write_ab(self, one: str, other: str) -> Path:
        """The page on which people compare two methods' clips of the main suite; its path."""
        from .report import ab_page

        a, b = (self._result(("main", name)) for name in (one, other))
        pairs = [ab_page.Pair(job.texts[0], self._frames(a, i, None), self._frames(b, i, None),
                         f"clip-{i:03d}")
                 for i, job in enumerate(a.jobs[:MOST_PAIRS])]
        return ab_page.write(self.options.out, pairs, one, other, self.options.seed)

    def keys(self) -> list[Key]:
        """What is run, (suite, method), each once; cheap methods first."""
        wanted = [key for topic in self.options.topics
                  for key in TOPICS[topic].runs(self.options.methods)]
        return list(dict.fromkeys(wanted))

    def jobs(self, suite: str) -> list[plan.Job]:
        """A suite's clips."""
        return plan.jobs(suite, self.options.clips, self.options.seed)

    # ---- inside

    def _texts(self, suite: str) -> list[str]:
        """Every sentence that a suite asks for, each once."""
        return list(dict.fromkeys(text for job in self.jobs(suite) for text in job.texts))

    def _refuse_unknown(self, keys: Sequence[Key]) -> None:
        """LGFAError for the first sentence that its method does not know, before any clip."""
        for suite, name in keys:
            texts = self._texts(suite)
            method = self.workshop.load(name, texts).method
            refuse_unknown((method.understand(Prompt(text)) for text in texts),
                           f"{label(name)} cannot show it (--strict)")

    def _result(self, key: Key) -> Result:
        suite, name = key
        jobs = self.jobs(suite)
        subject = self.workshop.load(name, self._texts(suite))
        frames = CHAIN_FRAMES if suite in CHAINED else self.options.frames
        keep = suite == "main" and name in self.options.methods
        made: Store = run(self.maker, subject, jobs, frames, self._folder(key), keep,
                           suite == "added", self.rank, self.size,
                           lambda done, total, seconds: self._tell(key, done, total, seconds))
        records = [] if self.rank else [made.read(job) for job in jobs]
        return Result(name, suite, jobs, records, subject.minutes)

    def _folder(self, key: Key) -> Path:
        return self.work / "clips" / key[0] / key[1].replace(":", "-")

    def _tell(self, key: Key, done: int, total: int, seconds: float) -> None:
        if self.rank == 0 and (done == total or done % max(total // 8, 1) == 0):
            self.note(f"{' '.join(key)}: {done} of {total} clips, {seconds:.2f} s each, "
                      f"{seconds * (total - done) / 60:.1f} min left")

    def _report(self, results: dict[Key, Result], minutes: float) -> dict[str, Any]:
        options = self.options
        reference, real = self._reference(), self._real()
        figures = Figures(results, reference, real, options.methods, options.draws, {})
        main = [results[("main", name)] for name in options.methods if ("main", name) in results]
        drawn = paths(main)
        methods = {result.method: {
            "what": contenders.about(result.method), "paper": contenders.paper(result.method),
            **summarise(result, figures.sets(("main", result.method))),
            "paths": drawn.get(result.method, {}),
        } for result in main}
        return {
            "format": FORMAT, "command": options.command, "domain": options.domain,
            "seed": options.seed, "clips": options.clips, "frames": options.frames,
            "processes": self.size, "device": str(self.device), "minutes_of_this_run": minutes,
            "minutes": {result.method: result.minutes for result in main},
            "versions": {"lgfa": __version__, "torch": torch.__version__,
                         "python": platform.python_version()},
            "main": list(methods), "metrics": self._definitions(results), "methods": methods,
            "real": real,
            "tables": [one for topic in options.topics for one in TOPICS[topic].tables(figures)
                       if one["rows"]],
            "bars": bars(figures), "findings": findings(figures),
            "understood": understood(list(results.values())),
            "strips": self._strips(main), "notes": [],
        }

    def _strips(self, results: Sequence[Result]) -> list[dict[str, str]]:
        """Pictures of all methods' clips of one still and sentence."""
        from .report import strips

        written = []
        for name, person in STRIPS:
            index = plan.EXPRESSIONS.index(name) + person * len(plan.EXPRESSIONS)
            rows = {label(result.method): self._frames(result, index, strips.COLUMNS)
                    for result in results if index < len(result.records)}
            if rows:
                file = f"strips/{name}.webp"
                title = results[0].jobs[index].texts[0]
                strips.compare(self.options.out / file, rows, title)
                written.append({"file": file, "title": title})
        return written

    def _frames(self, result: Result, index: int, columns: int | None) -> torch.Tensor:
        """Frames [T', H, W, 3], 0..1, of a clip whose latents were kept."""
        from .report import strips

        latents = result.records[index].tensors["latents"].float()
        return strips.frames_of(self.parts.generator, latents, columns)

    def _definitions(self, results: dict[Key, Result]) -> dict[str, dict[str, str]]:
        """What the metrics of this run are."""
        every = registry.CLIP_METRICS | registry.SET_METRICS
        used = {name for result in results.values() for record in result.records[:1]
                for name in (*record.metrics, *(n.removeprefix("set.") for n in record.tensors))}
        return {name: {"what": metric.what, "better": metric.better, "unit": metric.unit}
                for name, metric in every.items() if name in used}

    def _reference(self) -> dict[str, torch.Tensor]:
        """Features of the renderer's drawings and videos of unseen people; drawn once."""
        file = self.work / f"reference-{self.options.drawings}-{RESOLUTION}px.safetensors"
        found = records.load(file)
        if found is not None:
            return found[1]
        features = registry.reference_features(self.eyes, self.options.drawings)
        records.save(file, features, {"drawings": self.options.drawings})
        return features

    def _real(self) -> dict[str, Interval]:
        """What the metrics of pictures say of the renderer's own videos of unseen people."""
        from ..metrics.statistics import bootstrap
        from ..toon import videos

        random = torch.Generator().manual_seed(REAL_SEED)
        count, size = min(REAL_CLIPS, self.options.drawings), self.parts.generator.resolution
        clips = videos.videos(count, self.options.frames, size, random)
        nothing = torch.zeros(self.options.frames, 1, 1)
        figures = [registry.measure_clip(Shown(clip, nothing, "", None, clip[0]), self.eyes,
                                         OF_PICTURES) for clip in clips]
        return {name: list(bootstrap([one[name] for one in figures])) for name in OF_PICTURES}

    def _write(self, report: dict[str, Any]) -> None:
        from .report import markdown, plots

        with atomic_path(self.options.out / "report.json") as path:
            path.write_text(json.dumps(report, indent=1, allow_nan=False), encoding="utf-8")
        plots.write_all(report, self.options.out)
        markdown.write(report, self.options.out)
        sys.stdout.flush()
