"""From records to figures: means with intervals, answers, curves over time, paths in a plane."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..metrics import registry
from ..metrics.statistics import bootstrap, bootstrap_set
from ..toon.parameters import EXPRESSION_NAMES
from .plan import EXPRESSIONS, Job
from .records import Record

DRAWS = 100                                 # of the bootstrap of set metrics, which are slow
Interval = list[float]                      # [value, low, high], 95%


@dataclass(frozen=True)
class Result:
    """One method in one suite."""

    method: str
    suite: str
    jobs: Sequence[Job]
    records: Sequence[Record]
    minutes: float                          # of its training

    def values(self, metric: str, among: Sequence[int] | None = None) -> Tensor:
        """One value a clip [n], of those clips that have the metric."""
        chosen = range(len(self.records)) if among is None else among
        return torch.tensor([self.records[i].metrics[metric] for i in chosen
                             if metric in self.records[i].metrics], dtype=torch.float64)

    def interval(self, metric: str, among: Sequence[int] | None = None) -> Interval | None:
        """Mean over clips with its bootstrap interval; None where no clip has the metric."""
        values = self.values(metric, among)
        return None if not len(values) else list(bootstrap(values))

    def asked(self, expression: int) -> list[int]:
        """Clips whose last sentence asks for an expression."""
        return [i for i, job in enumerate(self.jobs) if job.targets[-1] == expression]

    def seconds(self) -> float:
        """Mean seconds that a clip's trajectory took."""
        return sum(record.seconds for record in self.records) / len(self.records)


def set_intervals(
    result: Result,
    reference: Mapping[str, Tensor],        # name of a set metric -> features [M, d]
    draws: int = DRAWS,
) -> dict[str, Interval]:
    """Distances of whole sets of pictures, with the intervals of drawing clips again."""
    found = {}
    for name, metric in registry.SET_METRICS.items():
        if name not in reference or f"set.{name}" not in result.records[0].tensors:
            continue
        clips = [record.tensors[f"set.{name}"].double() for record in result.records]
        if sum(map(len, clips)) < 2:        # one video is no distribution
            continue
        found[name] = list(bootstrap_set(clips, reference[name], metric.measure, draws))
    return found


def summarise(
    result: Result,
    sets: Mapping[str, Interval],           # of set_intervals
) -> dict[str, Any]:
    """The entry of report.json for one method in the main suite."""
    names = dict.fromkeys(name for record in result.records for name in record.metrics)
    metrics = {name: result.interval(name) for name in names}
    metrics |= sets
    return {
        "clips": len(result.records),
        "seconds_a_clip": result.seconds(),
        "training_minutes": result.minutes,
        "metrics": metrics,
        "accuracy": {name: float(values.mean()) for name in EXPRESSIONS
                     if len(values := result.values("recognised", result.asked(_index(name))))},
        "seen_as": seen_as(result),
        "curves": curves(result),
    }


def seen_as(result: Result) -> list[list[int]]:
    """Rows: expressions asked for, in table order; columns: expressions seen; clips counted."""
    counts = [[0] * len(EXPRESSION_NAMES) for _ in EXPRESSION_NAMES]
    for job, record in zip(result.jobs, result.records, strict=True):
        if job.targets[-1] is not None:
            counts[job.targets[-1]][record.seen[-1]] += 1
    return counts


def understood(results: Sequence[Result]) -> list[dict[str, Any]]:
    """What each sentence was taken for, once for each method and suite that says it."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for result in results:
        for record in result.records:
            for one in record.understood:
                found.setdefault((result.method, result.suite, one["text"]),
                                 {"method": result.method, "suite": result.suite, **one})
    return list(found.values())


def curves(result: Result) -> dict[str, dict[str, list[float]]]:
    """Mean over clips of every per-frame figure, with the interval of the mean."""
    found = {}
    for name in result.records[0].curves:
        rows = torch.tensor([record.curves[name] for record in result.records
                             if name in record.curves], dtype=torch.float64)
        mean, error = rows.mean(0), rows.std(0, unbiased=len(rows) > 1) / len(rows) ** 0.5
        found[name] = {"mean": mean.tolist(), "low": (mean - 1.96 * error).tolist(),
                       "high": (mean + 1.96 * error).tolist()}
    return found


def paths(
    results: Sequence[Result],
    people: int = 3,                        # clips drawn of each expression
) -> dict[str, dict[str, list[list[list[float]]]]]:
    """W+ paths in one plane: method -> expression -> clips -> T points (x, y).

    The plane is that of the two widest principal directions of all methods' offsets from the
    still, each method's scaled to the same weight.
    """
    offsets = {}
    for result in results:
        held = {i: record.tensors["latents"].double() for i, record in enumerate(result.records)
                if "latents" in record.tensors}
        offsets[result.method] = {i: (w - w[:1]).flatten(1) for i, w in held.items()}
    rows = [torch.cat(list(each.values())) for each in offsets.values() if each]
    if not rows:
        return {}
    even = torch.cat([r / r.square().sum(1).mean().sqrt().clamp(min=1e-9) for r in rows])
    plane = torch.linalg.svd(_thin(even), full_matrices=False)[2][:2].T

    drawn: dict[str, dict[str, list[list[list[float]]]]] = {}
    for result in results:
        each = offsets[result.method]
        drawn[result.method] = {
            name: [(each[i] @ plane).tolist() for i in result.asked(_index(name))[:people]
                   if i in each]
            for name in EXPRESSIONS}
    return drawn


def _thin(rows: Tensor, most: int = 1500) -> Tensor:
    """Evenly chosen rows: principal directions need no more."""
    return rows[::max(1, -(-len(rows) // most))]


def _index(name: str) -> int:
    return EXPRESSION_NAMES.index(name)
