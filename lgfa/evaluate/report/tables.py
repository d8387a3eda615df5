"""The paper's tables from an evaluation's results, as plain data: what is run and what is shown.

A cell is a text, a number or [value, low, high] with the bootstrap's 95% interval.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...metrics import registry
from ...toon.parameters import BACKDROP, EXPRESSION_NAMES, HAIR
from ..contenders import OWN, VARIANT, about, label
from ..plan import CHAINS
from ..summary import Interval, Result, set_intervals

Key = tuple[str, str]                       # (suite, method)
Results = Mapping[Key, Result]
Cell = Any                                  # str, float, [value, low, high] or None


@dataclass(frozen=True)
class Figures:
    """Everything that tables look at."""

    results: Results
    reference: Mapping[str, Any]            # features of renderer drawings and videos
    real: Mapping[str, Interval]            # metrics of renderer videos
    methods: tuple[str, ...]                # of the main comparison
    draws: int                              # of the bootstrap of sets
    found: dict[Key, dict[str, Interval]]   # distances of sets, filled when asked for

    def sets(self, key: Key) -> dict[str, Interval]:
        """Distances of a result's whole set of pictures."""
        if key not in self.found:
            self.found[key] = set_intervals(self.results[key], self.reference, self.draws)
        return self.found[key]

    def interval(self, key: Key, metric: str) -> Interval | None:
        """A metric of a result, of single clips or of its whole set."""
        if key not in self.results:
            return None
        if metric not in registry.SET_METRICS:
            return self.results[key].interval(metric)
        return self.sets(key).get(metric)


@dataclass(frozen=True)
class Column:
    """A metric in a table."""

    title: str
    metric: str

    @property
    def better(self) -> str | None:
        """Which way is better."""
        name = self.metric.rstrip("_123456789") if self.metric[-1].isdigit() else self.metric
        metric = (registry.CLIP_METRICS | registry.SET_METRICS).get(name)
        return None if metric is None or metric.better == "none" else metric.better


def table(
    name: str,
    title: str,
    caption: str,
    columns: Sequence[Column],
    rows: Sequence[tuple[str, Sequence[Cell]]],
    first: str = "method",
) -> dict[str, Any]:
    """One entry of report.json's tables."""
    return {"name": name, "title": title, "caption": caption,
            "columns": [first, *(column.title for column in columns)],
            "better": [None, *(column.better for column in columns)],
            "rows": [[label, *cells] for label, cells in rows]}


def _rows(
    figures: Figures,
    keys: Sequence[tuple[str, Key]],        # (label, which result)
    columns: Sequence[Column],
) -> list[tuple[str, list[Cell]]]:
    return [(label, [figures.interval(key, column.metric) for column in columns])
            for label, key in keys if key in figures.results]


def _main_keys(figures: Figures) -> list[tuple[str, Key]]:
    return [(label(name), ("main", name)) for name in figures.methods]


# ---------------------------------------------------------------- the tables

QUALITY = (Column("FD (toon)", "fd_toon"), Column("recognised", "recognised"),
           Column("direction", "direction"), Column("progress", "progress"),
           Column("CLIP score", "clip_score_last"), Column("identity", "identity_last"))


def table_one(figures: Figures) -> list[dict[str, Any]]:
    """Table I: frame quality and agreement with the text."""
    return [table(
        "table-1", "Table I: frame quality and agreement with the sentence",
        "The paper compares FID and what people prefer. Here FD is taken over the features of the "
        "independent attribute network, and instead of preferences that network says whether the "
        "last frame shows the asked expression, how far the face went towards it and in which "
        "direction. CLIP score is measured by the CLIP that the losses used, so it favours "
        "whoever optimised it hardest.",
        QUALITY, _rows(figures, _main_keys(figures), QUALITY))]


CONSISTENCY = (Column("ACD", "acd_toon"), Column("identity", "identity_last"),
               Column("FVD (toon)", "fvd_toon"), Column("jerk, pixels", "jerk_pixels"),
               Column("step, pixels", "step_pixels"), Column("jerk, W+", "jerk_w"),
               Column("frame 1 - still", "still_error"))


def table_acd(figures: Figures) -> list[dict[str, Any]]:
    """Section IV-C: consistency over time."""
    rows = _rows(figures, _main_keys(figures), CONSISTENCY)
    rows.append(("drawn videos (real)", [figures.real.get(c.metric) for c in CONSISTENCY]))
    return [table(
        "section-4c", "Section IV-C: consistency over time",
        "ACD: mean distance of identity embeddings within a clip, by an identity network that no "
        "training used. Jerk: mean second difference of the frames in 1/255, and of the codes. A "
        "linear interpolation has no second difference in W+ by construction; in the pictures it "
        "has. The last row measures videos of the renderer itself.",
        CONSISTENCY, rows)]


LEAKS = (Column("hair", "leak_hair"), Column("skin", "leak_skin"),
         Column("glasses", "leak_glasses"), Column("backdrop", "leak_backdrop"))


def table_leaks(figures: Figures) -> list[dict[str, Any]]:
    """What moved that should not have."""
    return [table(
        "leakage", "What moved beside the expression",
        "Change between first and last frame, 1 = the difference of two people drawn at random.",
        LEAKS, _rows(figures, _main_keys(figures), LEAKS))]


def table_cost(figures: Figures) -> list[dict[str, Any]]:
    """What a clip costs."""
    rows = []
    for name in figures.methods:
        result = figures.results.get(("main", name))
        if result:
            rows.append((label(name), [about(name), round(result.minutes, 1),
                                       round(result.seconds(), 3)]))
    columns = (Column("what it is", "none"), Column("training, minutes", "none"),
               Column("trajectory, seconds a clip", "none"))
    return [table("cost", "What it costs", "On the machine of this run, without rendering; the "
                  "mapper's minutes are those of all its texts together.", columns, rows)]


def table_paraphrases(figures: Figures) -> list[dict[str, Any]]:
    """Sentences that no training saw."""
    columns = QUALITY[1:5]
    keys = [(f"{label(name)}, {what}", (suite, name)) for name in figures.methods
            for what, suite in (("trained words", "main"), ("unseen paraphrases", "paraphrase"))
            if ("paraphrase", name) in figures.results]
    return [table("paraphrases", "Sentences never seen in training",
                  "Plain English: each clip another of the phrases that CLIP's and the motion "
                  "model's training left out (every fifth), each person all thirteen expressions.",
                  columns, _rows(figures, keys, columns))]


def table_stills(figures: Figures) -> list[dict[str, Any]]:
    """Sampled stills against inverted drawings."""
    columns = (*QUALITY[:4], Column("ACD", "acd_toon"), Column("identity", "identity_last"),
               Column("frame 1 - still", "still_error"))
    keys = [("sampled Z", ("main", OWN)), ("drawings, inverted by the encoder", ("drawn", OWN))]
    return [table("stills", "Sampled stills and inverted pictures",
                  "Drawings stand for photographs: the encoder inverts them, and frame 1 is their "
                  "reconstruction.", columns, _rows(figures, keys, columns), "still")]


def table_longer(figures: Figures) -> list[dict[str, Any]]:
    """Section IV-E2: 32 frames with a change of expression."""
    result = figures.results.get(("chain", OWN))
    if result is None:
        return []
    rows: list[tuple[str, list[Cell]]] = []
    for pair in CHAINS:
        among = [i for i, job in enumerate(result.jobs)
                 if job.targets == tuple(map(EXPRESSION_NAMES.index, pair))]
        if among:
            rows.append((" to ".join(pair), [result.interval(c.metric, among) for c in LONGER]))
    rows += _rows(figures, [("all", ("chain", OWN)), ("all, offsets added", ("added", OWN))],
                  LONGER)
    return [table("longer", "Section IV-E2: 32 frames with a change of expression",
                  "The second expression starts from the last latent of the first, whose offset "
                  "fades meanwhile; in the last row it stays and the second is added. Recognised: "
                  "at the end of either.", LONGER, rows, "expressions")]


LONGER = (Column("first recognised", "recognised_1"), Column("second recognised", "recognised_2"),
          Column("identity at the end", "identity_last"), Column("ACD", "acd_toon"),
          Column("jerk, pixels", "jerk_pixels"))


def table_beyond(figures: Figures) -> list[dict[str, Any]]:
    """Section IV-E3: hair colour, age, backdrop."""
    key = ("beyond", VARIANT + "beyond")
    result = figures.results.get(key)
    if result is None:
        return []
    rows: list[tuple[str, list[Cell]]] = []
    for attribute in ("hair", "age", "backdrop"):
        jobs = [i for i, job in enumerate(result.jobs) if job.wanted and job.wanted[0] == attribute]
        for value in sorted({result.jobs[i].wanted[1] for i in jobs}):
            among = [i for i in jobs if result.jobs[i].wanted[1] == value]
            rows.append((f"{attribute}: {_class_name(attribute, value)}", [
                _share([result.records[i].read[attribute] == value for i in among]),
                result.interval("identity_last", among), len(among)]))
        if jobs:
            rows.append((f"{attribute}, all", [
                _share([result.records[i].read[attribute] == result.jobs[i].wanted[1]
                        for i in jobs]), result.interval("identity_last", jobs), len(jobs)]))
    columns = (Column("seen at the end", "recognised"), Column("identity", "identity_last"),
               Column("clips", "none"))
    return [table("beyond", "Section IV-E3: beyond expression",
                  "One model trained on sentences about hair, age and backdrop. The bundled "
                  "generator hardly draws marks of age, so that no method can show it; an "
                  "identity of 1 is another person, and hair is a part of it.", columns, rows,
                  "asked for")]


def _class_name(attribute: str, value: int) -> str:
    if attribute == "hair":
        return HAIR[value][0]
    if attribute == "age":
        return ("young", "adult", "old")[value]
    return BACKDROP[value][0]


def _share(hits: Sequence[bool]) -> Interval:
    import torch

    from ...metrics.statistics import bootstrap

    return list(bootstrap(torch.tensor(hits, dtype=torch.float64)))


def table_prompts(figures: Figures) -> list[dict[str, Any]]:
    """Section IV-F3: the effect of the prompt."""
    names = ((OWN, "bundled model"), (VARIANT + "prompt", 'trained on "The person is .."'),
             (VARIANT + "no-prompt", "trained on bare words"))
    keys = [(f"{what}; asked {how}", (suite, name)) for name, what in names
            for how, suite in (('"The person is .."', "main"), ("bare words", "bare"))]
    return [table("prompts", "Section IV-F3: with a prompt and without",
                  "The bundled model knows both forms of its words.", QUALITY[1:5],
                  _rows(figures, keys, QUALITY[1:5]), "model; sentences")]


ABLATION = (Column("recognised", "recognised"), Column("direction", "direction"),
            Column("progress", "progress"), Column("FD (toon)", "fd_toon"),
            Column("ACD", "acd_toon"), Column("jerk, W+", "jerk_w"),
            Column("largest/mean step", "peak_ratio"), Column("frame 1 - still", "still_error"))
LOSSES = ("non-contrastive", "batch-2", "batch-4", "batch-8", "path-none", "path-first")
CODES = ("absolute", "schedule-paper", "schedule-authors")


def table_ablations(figures: Figures) -> list[dict[str, Any]]:
    """Section IV-D and the open choices of the method."""
    own = [("bundled: contrastive, batch 14, second order", ("main", OWN))]
    losses = own + [(about(VARIANT + name), ("main", VARIANT + name)) for name in LOSSES]
    own = [("bundled: relative code, even step sizes", ("main", OWN))]
    codes = own + [(about(VARIANT + name), ("main", VARIANT + name)) for name in CODES]
    return [
        table("ablation-losses", "Section IV-D: the losses",
              "Each row is the bundled model's training with one thing changed, offsets enlarged "
              "in the same way.", ABLATION, _rows(figures, losses, ABLATION), "training"),
        table("ablation-codes", "Motion code and step sizes",
              "The paper's absolute code, a training of its own, against the authors' relative "
              "one. Step sizes: at the four frames of the training all three take the same, so "
              "the bundled network is shown with each; at 16 frames the paper's go 2.5 times as "
              "far as in training and the authors' two thirds as far.", ABLATION,
              _rows(figures, codes, ABLATION), "training")]


@dataclass(frozen=True)
class Topic:
    """A part of the report: what must be run for it, and its tables."""

    what: str
    runs: Callable[[Sequence[str]], list[Key]]      # methods of the main comparison -> runs
    tables: Callable[[Figures], list[dict[str, Any]]]


def _everything_main(figures: Figures) -> list[dict[str, Any]]:
    return [*table_one(figures), *table_acd(figures), *table_leaks(figures), *table_cost(figures)]


def _any_text(methods: Sequence[str]) -> list[str]:
    """Those that take any sentence at once."""
    return [name for name in methods if name in (OWN, "styleclip-global")]


TOPICS: dict[str, Topic] = {
    "main": Topic("Table I, section IV-C, leakage, cost",
                  lambda methods: [("main", name) for name in methods], _everything_main),
    "paraphrases": Topic("sentences never seen in training",
                         lambda methods: [("paraphrase", name) for name in _any_text(methods)],
                         table_paraphrases),
    "stills": Topic("inverted pictures", lambda methods: [("main", OWN), ("drawn", OWN)],
                    table_stills),
    "longer": Topic("32 frames with change", lambda methods: [("chain", OWN), ("added", OWN)],
                    table_longer),
    "beyond": Topic("hair colour, age, backdrop",
                    lambda methods: [("beyond", VARIANT + "beyond")], table_beyond),
    "prompts": Topic("prompt against no prompt", lambda methods: [
        (suite, name) for name in (OWN, VARIANT + "prompt", VARIANT + "no-prompt")
        for suite in ("main", "bare")], table_prompts),
    "ablations": Topic("losses, batch, path, code, step sizes", lambda methods: [
        ("main", OWN), *(("main", VARIANT + name) for name in (*LOSSES, *CODES))],
        table_ablations),
}
