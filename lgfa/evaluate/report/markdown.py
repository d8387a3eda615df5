"""report.md out of report.json: bars, tables, plots, strips, findings, definitions."""
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ...files import atomic_path
from ...motion.understanding import VERDICTS
from . import plots

Lines = Iterator[str]


def write(
    report: Mapping[str, Any],              # what report.json holds; any part may be missing
    folder: str | Path,                     # where its plots and strips lie
) -> Path:
    """Writes report.md. Pictures are linked only where they exist, and relative to it."""
    folder = Path(folder)
    path = folder / "report.md"
    parts = [f"# {report.get('title') or 'Evaluation'}", *_what_was_run(report), *_bars(report),
             *_tables(report), *_understood(report), *_findings(report), *_plots(folder),
             *_strips(report, folder), *_definitions(report), *_notes(report)]
    with atomic_path(path) as target:
        target.write_text("\n\n".join(parts) + "\n", encoding="utf-8", newline="\n")
    return path


# ---------------------------------------------------------------- numbers

def number(value: Any) -> str:
    """Three to four digits, "-" for what is no number; texts and truths in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or isinstance(value, float) and not math.isfinite(value):
        return "-"
    if isinstance(value, int) or not isinstance(value, float):
        return _plain(value)
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 1000:
        return f"{value:.0f}"
    if size < 0.0005:
        return f"{value:.1e}"
    return f"{value:.{1 if size >= 100 else 2 if size >= 10 else 3 if size >= 0.1 else 4}f}"


def cell(value: Any) -> str:
    """A number, a text, or `value (low-high)`."""
    if not isinstance(value, (list, tuple)):
        return number(value)
    if len(value) < 3 or value[1] is None or value[2] is None:
        return number(value[0] if value else None)
    low, high = number(value[1]), number(value[2])
    dash = " to " if low.startswith("-") or high.startswith("-") else "-"
    return f"{number(value[0])} ({low}{dash}{high})"


def _plain(text: Any) -> str:
    """Text that neither breaks a table nor becomes markup."""
    return " ".join(str(text).split()).replace("|", r"\|").replace("<", "&lt;")


def _value(cell: Any) -> float | None:
    """The number to compare a cell by."""
    value = cell[0] if isinstance(cell, (list, tuple)) and cell else cell
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if number and math.isfinite(value) else None


def grid(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    better: Sequence[str | None] = (),      # "higher" or "lower": the best of a column is bold
) -> str:
    """A Markdown table; numbers to the right."""
    better = [*better, *[None] * (len(columns) - len(better))]
    rows = [[*row, *[""] * (len(columns) - len(row))] for row in rows]
    best = []
    for column, way in enumerate(better[:len(columns)]):
        values = [v for row in rows if (v := _value(row[column])) is not None]
        pick = {"higher": max, "lower": min}.get(way or "")
        best.append(pick(values) if pick and len(values) > 1 else None)
    numeric = [any(_value(row[i]) is not None for row in rows) for i in range(len(columns))]
    lines = [[_plain(name) for name in columns],
             ["---:" if right else "---" for right in numeric]]
    for row in rows:
        lines.append([f"**{cell(v)}**" if best[i] is not None and _value(v) == best[i] else cell(v)
                      for i, v in enumerate(row[:len(columns)])])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _link(path: str) -> str:
    """A relative address for Markdown."""
    return quote(path.replace("\\", "/"))


# ---------------------------------------------------------------- sections

def _what_was_run(report: Mapping[str, Any]) -> Lines:
    facts = []
    for key, what in (("domain", "domain"), ("clips", "clips of each method"),
                      ("frames", "frames of each clip"), ("seed", "seed")):
        if report.get(key) is not None:
            facts.append(f"{what}: {number(report[key])}")
    minutes = report.get("minutes") or {}
    if minutes:
        facts.append("minutes: " + ", ".join(f"{_plain(name)} {number(float(m))}"
                                             for name, m in minutes.items()))
    if report.get("versions"):
        facts.append("versions: " + ", ".join(f"{_plain(name)} {_plain(v)}"
                                              for name, v in report["versions"].items()))
    if report.get("command"):
        yield f"```\n{report['command']}\n```"
    if facts:
        yield "\n".join(f"* {fact}" for fact in facts)
    methods = report.get("methods") or {}
    if methods:
        yield "Intervals in brackets are bootstrap 95% intervals over clips."
        yield "## Methods"
        keys = [(key, title) for key, title in (
            ("what", "what it is"), ("paper", "source"), ("texts", "sentences"),
            ("clips", "clips"), ("training_minutes", "minutes of training"),
            ("seconds_a_clip", "seconds a clip"))
            if any(method.get(key) is not None for method in methods.values())]
        yield grid(["method", *[title for _, title in keys]],
                   [[name, *[method.get(key, "") for key, _ in keys]]
                    for name, method in methods.items()])


def _bars(report: Mapping[str, Any]) -> Lines:
    bars = report.get("bars") or ()
    if not bars:
        return
    met = sum(bool(bar.get("met")) for bar in bars)
    yield "## Bars"
    yield f"{met} of {len(bars)} are met."
    yield grid(["what", "value", "bar", "", "note"], [
        [bar.get("what", ""), cell(bar.get("value")), bar.get("bar", ""),
         "met" if bar.get("met") else "**MISSED**", bar.get("note", "")] for bar in bars])


def _tables(report: Mapping[str, Any]) -> Lines:
    tables = [table for table in report.get("tables") or () if table.get("rows")]
    if tables:
        yield "## Tables"
        yield "The best value of a column is bold."
    for table in tables:
        yield f"### {_plain(table.get('title') or table.get('name', ''))}"
        yield grid(table["columns"], table["rows"], table.get("better") or ())
        if table.get("caption"):
            yield _plain(table["caption"])


def _understood(report: Mapping[str, Any]) -> Lines:
    """How many sentences each method knew, and those that it did not surely know."""
    told = report.get("understood") or ()
    if not told:
        return
    yield "## What the sentences were taken for"
    rows: dict[tuple[str, str], dict[str, int]] = {}
    for one in told:
        counts = rows.setdefault((one["method"], one["suite"]), dict.fromkeys(VERDICTS, 0))
        counts[one["verdict"]] += 1
    yield grid(["method", "clips", *VERDICTS],
               [[*key, *counts.values()] for key, counts in rows.items()])
    doubts = [one for one in told if one["verdict"] != "known"]
    if doubts:
        yield grid(["method", "clips", "sentence", "verdict", "nearest", "similarity"], [
            [one["method"], one["suite"], one["text"], one["verdict"], *one["nearest"][0]]
            for one in doubts])


def _findings(report: Mapping[str, Any]) -> Lines:
    if "findings" not in report:
        return
    yield "## Where this agrees with the paper, and where not"
    found = report["findings"]
    yield ("\n".join(f"* {_plain(text)}" for text in found) if found
           else "Nothing to compare in this run.")


def _plots(folder: Path) -> Lines:
    there = [(name, what) for name, (what, _) in plots.PLOTS.items()
             if (folder / plots.FOLDER / f"{name}.png").is_file()]
    if there:
        yield "## Plots"
    for name, what in there:
        yield f"![{what}]({_link(f'{plots.FOLDER}/{name}.png')})"
        yield f"*{what}*"


def _strips(report: Mapping[str, Any], folder: Path) -> Lines:
    there = [strip for strip in report.get("strips") or () if (folder / strip["file"]).is_file()]
    if there:
        yield "## Clips"
    for strip in there:
        title = _plain(strip.get("title") or strip["file"])
        yield title
        yield f"![{title.translate(str.maketrans('[]', '()'))}]({_link(strip['file'])})"


def _definitions(report: Mapping[str, Any]) -> Lines:
    metrics = report.get("metrics") or {}
    if metrics:
        yield "## What the metrics mean"
        yield grid(["name", "what", "better", "unit"], [
            [f"`{name}`", about.get("what", ""), about.get("better", ""), about.get("unit", "")]
            for name, about in metrics.items()])


def _notes(report: Mapping[str, Any]) -> Lines:
    notes = report.get("notes") or ()
    if notes:
        yield "## Notes"
        yield "\n".join(f"* {_plain(text)}" for text in notes)
