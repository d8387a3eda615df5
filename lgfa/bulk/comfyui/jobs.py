"""The table of jobs: a CSV file's rows become prompts, checked before anything is queued."""
from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from ...errors import LGFAError, reading, short
from ..bounded import contents
from .workflow import LONGEST_SHOWN, Widget, Workflow

YES, NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?$")     # on Windows
LONGEST_NAME = 120
MOST_COMPLAINTS = 5
LARGEST_TABLE = 256 << 20       # bytes
LONGEST_CELL = 1 << 20          # characters
# Marks at the ends of a column's name that nobody sees or means.
AROUND = " \t\u00a0\ufeff\u200b'\"\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb"


@dataclass
class Job:
    """One row: what is sent, and what its results are called.

    The prompt shares the nodes that the row leaves as they are with the workflow.
    `uploads` maps (node, input) to the file that is sent first and whose name on the server is
    put there. `digest` tells whether a row is the one that was run before.
    """
    number: int
    name: str
    prompt: dict[str, Any]
    changes: dict[str, Any] = field(default_factory=dict)
    uploads: dict[tuple[str, str], Path] = field(default_factory=dict)
    folders: dict[tuple[str, str], str] = field(default_factory=dict)
    digest: str = ""


def read(path: Path, workflow: Workflow) -> list[Job]:
    """All rows of a CSV file. LGFAError names the row and column of what cannot be used."""
    header, rows = table(path)
    widgets = columns(path, header, rows, workflow)
    jobs, complaints, digests = [], [], {}
    for number, (line, cells) in enumerate(rows, 1):
        try:
            job = make(number, cells, widgets, workflow, path.parent)
            job.digest = digest(job, digests)
            jobs.append(job)
        except LGFAError as error:
            complaints.append(f"row {number} (line {line}), {error}")
    if complaints:
        more = len(complaints) - MOST_COMPLAINTS
        text = " ".join(complaints[:MOST_COMPLAINTS]) + (f" And {more} more." if more > 0 else "")
        raise LGFAError(f"{path}: {text}")
    check_names(path, jobs)
    return jobs


# ---- the file

def table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header and (line number, cells) of each row that is not blank.

    Cells are separated by commas, semicolons or tabs, as spreadsheets of all countries write
    them, or by what a first line "sep=;" says. LGFAError when the file is missing, empty, too
    large or in no Unicode encoding.
    """
    text, comma, skipped = separated(decoded(path, contents(path, LARGEST_TABLE)))
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=comma, strict=True)
    rows: list[tuple[int, list[str]]] = []
    line = 1 + skipped
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((line, cells))
            line = 1 + skipped + reader.line_num
    except csv.Error as error:
        hint = ": is a quotation mark missing?" if "field larger" in str(error) else "."
        raise LGFAError(f"{path}: line {line} cannot be read: {error}{hint}") from error
    if len(rows) < 2:
        raise LGFAError(f"{path}: there are no jobs in it: the first line names the columns, each "
                        "further line is a job.")
    header = [" ".join(cell.strip(AROUND).split()) for cell in rows.pop(0)[1]]
    for line, cells in rows:
        if any(cell.strip() for cell in cells[len(header):]):
            raise LGFAError(f"{path}: line {line} has more cells than there are columns: put a "
                            f"text that holds {comma!r} between quotation marks.")
    return header, rows


def decoded(path: Path, data: bytes) -> str:
    """A table's text: UTF-8, or UTF-16 with its mark. LGFAError for anything else."""
    utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff") and data[2:4] != b"\0\0"
    try:
        text = data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise LGFAError(f"{path}: it is not in UTF-8: save it as \"CSV UTF-8\".") from error
    if "\0" in text:
        raise LGFAError(f"{path}: it holds zero bytes, as no text does: save it as \"CSV "
                        "UTF-8\".")
    return text


def separated(text: str) -> tuple[str, str, int]:
    """The text below a line "sep=..", what separates its cells, and the lines left out."""
    text = text.lstrip("\ufeff")
    said = re.match(r"\s*\"?sep=(.)\"?[,;\t ]*(\r\n|\r|\n|$)", text, re.IGNORECASE)
    if said and said[1] in ",;\t|":
        return text[said.end():], said[1], len(said[0].splitlines())
    lines = (found[0] for found in re.finditer(r"[^\r\n]+", text))
    first = next((line for line in lines if line.strip()), "")
    bare = re.sub(r'"[^"]*"', "", first)            # a column's name may hold a comma
    return text, max(",;\t", key=lambda mark: (bare.count(mark), mark == ",")), 0


def columns(path: Path, header: list[str], rows: list[tuple[int, list[str]]],
            workflow: Workflow) -> dict[int, Widget | None]:
    """Position of each column that is used -> its widget; None for the column of names."""
    found: dict[int, Widget | None] = {}
    owner: dict[Any, str] = {}
    names = named_by(header, workflow)
    for position, title in enumerate(header):
        if not title:
            if any(position < len(cells) and cells[position].strip() for _, cells in rows):
                raise LGFAError(f"{path}: column {position + 1} has no name in the first line.")
            continue
        try:
            widget = None if title == names else workflow.resolve(title)
        except LGFAError as error:
            raise LGFAError(f"{path}: {error}") from error
        key = (widget.node, widget.input) if widget else None
        if key in owner:
            both = " and ".join(repr(short(one, LONGEST_SHOWN)) for one in (owner[key], title))
            raise LGFAError(f"{path}: the columns {both} set the same thing: keep one of them.")
        owner[key] = title
        found[position] = widget
    return found


def named_by(header: list[str], workflow: Workflow) -> str | None:
    """The title of the column of names: "name", or with capitals where no input is called so."""
    if "name" in header:
        return "name"
    return next((title for title in header
                 if title.casefold() == "name" and not workflow.has(title)), None)


# ---- a row

def make(number: int, cells: list[str], widgets: dict[int, Widget | None], workflow: Workflow,
         folder: Path) -> Job:
    """One row's job. An empty cell keeps the workflow's own value."""
    job = Job(number, str(number), dict(workflow.nodes))
    for position, widget in widgets.items():
        text = cells[position] if position < len(cells) else ""
        if not text.strip():
            continue
        if widget is None:
            job.name = checked_name(text.strip())
            continue
        key = (widget.node, widget.input)
        try:
            value = convert(text, widget, folder)
        except LGFAError as error:
            raise LGFAError(f"column {short(key[0])}.{short(key[1])} "
                            f"({workflow.title(widget.node)}): {error}") from error
        if isinstance(value, Path):
            job.uploads[key], job.folders[key] = value, widget.folder
            value = str(value)
        node = job.prompt[widget.node]
        job.prompt[widget.node] = {**node, "inputs": {**node["inputs"], widget.input: value}}
        job.changes[f"{widget.node}.{widget.input}"] = value
    return job


def convert(text: str, widget: Widget, folder: Path) -> Any:
    """A cell's text as its widget wants it; a Path for a file that has to be uploaded."""
    bare = text.strip()
    if widget.kind == "STRING":
        return text
    if widget.kind == "FILE":
        path = folder / bare
        if os.path.isfile(path):                # never raises, unlike Path.is_file
            return path
        if bare in widget.options:
            return bare
        raise LGFAError(f"there is no file {short(path, 300)}.")
    if widget.kind == "BOOLEAN":
        if bare.lower() not in YES + NO:
            raise LGFAError(f"{short(bare)!r} is not true or false.")
        return bare.lower() in YES
    if widget.kind == "COMBO":
        return next((one for one in widget.options if str(one) == bare), bare)
    return number(bare, whole=widget.kind == "INT", keep=isinstance(widget.value, int))


def number(text: str, whole: bool, keep: bool) -> int | float:
    """A number; 7.0 and 1e3 are whole too, as spreadsheets write them.

    `keep`: stay whole where the workflow's own number is, so that large seeds lose no digit.
    """
    kind = "whole number" if whole else "number"
    shown = repr(short(text))
    try:
        value = Decimal(text)
    except InvalidOperation:
        decimal = re.fullmatch(r"-?\d+,\d+", text) and len(text) < 40
        hint = f" (write {text.replace(',', '.')})" if decimal else ""
        raise LGFAError(f"{shown} is not a {kind}{hint}.") from None
    if not value.is_finite() or value.adjusted() > 30 or math.isinf(float(value)):
        raise LGFAError(f"{shown} is not a {kind} that can be used.")
    if value == value.to_integral_value() and (whole or keep):
        return int(value)
    if whole:
        raise LGFAError(f"{shown} is not a {kind}.")
    return float(value)


def digest(job: Job, files: dict[Path, str]) -> str:
    """What makes a row the same as before: its prompt, and the contents of its files.

    `files` remembers the contents already read.
    """
    nodes = {key: {"class_type": node["class_type"], "inputs": dict(node["inputs"])}
             for key, node in job.prompt.items()}
    for (node, key), path in job.uploads.items():
        if path not in files:
            with reading(path), open(path, "rb") as file:
                files[path] = hash_of(file)
        nodes[node]["inputs"][key] = ["file", files[path]]
    return hashlib.sha256(json.dumps(nodes, sort_keys=True).encode()).hexdigest()


def hash_of(file: Any) -> str:
    """SHA-256 of an open file, read in pieces."""
    state = hashlib.sha256()
    for block in blocks(file):
        state.update(block)
    return state.hexdigest()


def blocks(file: Any, size: int = 1 << 20) -> Iterator[bytes]:
    """The rest of an open file in pieces."""
    while block := file.read(size):
        yield block


# ---- names

def checked_name(name: str) -> str:
    """A name that can be a file's on every system, else LGFAError."""
    if re.search(r'[<>:"/\\|?*]', name) or not name.isprintable():
        raise LGFAError(f"column name: {short(name)!r} holds a sign that file names cannot.")
    if name.startswith(".") or name.endswith(".") or RESERVED.match(name):
        raise LGFAError(f"column name: {short(name)!r} cannot be a file's name.")
    if name.lower().startswith("queue.state"):
        raise LGFAError(f"column name: {short(name)!r} is kept for what the queue remembers.")
    if len(name.encode()) > LONGEST_NAME:
        raise LGFAError(f"column name: {name[:20]!r}.. is longer than {LONGEST_NAME} bytes.")
    return name


def check_names(path: Path, jobs: list[Job]) -> None:
    """No two rows may write the same file. LGFAError names both."""
    seen: dict[str, Job] = {}
    for job in jobs:
        other = seen.setdefault(job.name.lower(), job)
        if other is not job:
            raise LGFAError(f"{path}: rows {other.number} and {job.number} are both named "
                            f"{job.name!r}: give each its own.")
    for job in jobs:
        # A row with several results calls them name, name_2, name_3, ..
        stem = re.sub(r"_\d+$", "", job.name.lower())
        if stem != job.name.lower() and stem in seen:
            raise LGFAError(f"{path}: the names {seen[stem].name!r} and {job.name!r} could give "
                            "files of the same name: rename one of them.")
