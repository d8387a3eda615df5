"""What a finished prompt left: files under any key, or the reason why there are none."""
from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...errors import LGFAError, short
from ..bounded import finite
from .jobs import Job
from .server import LONGEST_LINE, one_line
from .workflow import Workflow

VERDICTS = ("known", "unsure", "unknown")
MOST_SENTENCES = 100            # of a row that are told
SUFFIX = r"\.[A-Za-z0-9]{1,10}"


def outputs(entry: dict[str, Any], previews: bool = False) -> list[dict[str, Any]]:
    """The files of a history entry, in the order of the nodes, each once.

    Every list of dicts with a filename counts, whatever its key (images, gifs, audio, ..).
    Previews (type temp) are taken only when nothing was saved, or when they are asked for.
    """
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    nodes = entry.get("outputs")
    nodes = nodes if isinstance(nodes, dict) else {}
    for node in sorted(nodes, key=node_order):
        for values in nodes[node].values() if isinstance(nodes[node], dict) else ():
            for one in values if isinstance(values, (list, tuple)) else ():
                if isinstance(one, dict) and isinstance(one.get("filename"), str):
                    key = (str(one.get("type") or "output"), str(one.get("subfolder") or ""),
                           one["filename"])
                    found.setdefault(key, one)
    saved = [one for key, one in found.items() if key[0] != "temp"]
    return saved if saved and not previews else list(found.values())


def node_order(node: str) -> tuple[int, str]:
    """Node ids by number, 9 before 10."""
    is_number = node.isascii() and node.isdigit() and len(node) < 19
    return (int(node) if is_number else 1 << 62, node)


def names(row: str, entries: list[dict[str, Any]]) -> list[str]:
    """What the files are called here: row.suffix, row_2.suffix, .."""
    out = []
    for count, entry in enumerate(entries, 1):
        suffix = Path(entry["filename"].replace("\\", "/")).suffix
        suffix = suffix if re.fullmatch(SUFFIX, suffix) else ""
        out.append((row if count == 1 else f"{row}_{count}") + suffix)
    return out


def in_the_way(folder: Path, rows: Iterable[str]) -> list[str]:
    """Files in a folder that results of these rows could overwrite."""
    wanted = {row.lower() for row in rows}
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        whole = path.name.lower()
        stems = {whole, re.sub(rf"{SUFFIX}$", "", whole)}
        if wanted & (stems | {re.sub(r"_\d+$", "", stem) for stem in stems}):
            found.append(path.name)
    return sorted(found)


def seconds(entry: dict[str, Any]) -> float | None:
    """How long the server worked on a prompt, by its own clock; None when that says nothing."""
    times = [data["timestamp"] for _, data in events(entry) if finite(data.get("timestamp"))]
    took = (times[-1] - times[0]) / 1000 if len(times) > 1 else math.nan
    return took if 0 <= took < 1e9 else None


# ---- what its sentences were taken for

def understood(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """What our nodes say of a row's sentences, each once: its text, the verdict (known, unsure,
    unknown), the nearest words with their similarities, and a sentence for people."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    nodes = entry.get("outputs")
    nodes = nodes if isinstance(nodes, dict) else {}
    for node in sorted(nodes, key=node_order):
        told = nodes[node].get("understood") if isinstance(nodes[node], dict) else None
        for one in told[:MOST_SENTENCES] if isinstance(told, list) else ():
            if isinstance(one, dict) and one.get("verdict") in VERDICTS:
                text, said = (short(one_line(one.get(key)), LONGEST_LINE)
                              for key in ("text", "sentence"))
                found.setdefault((text, one["verdict"]), {
                    "text": text, "verdict": one["verdict"], "nearest": _nearest(one),
                    "sentence": said or f"{one['verdict']}: '{text}'"})
    return list(found.values())[:MOST_SENTENCES]


def _nearest(told: dict[str, Any]) -> list[list[Any]]:
    """The words with their similarities, as far as they are such."""
    pairs = told.get("nearest")
    return [[short(one_line(pair[0])), pair[1]] for pair in (pairs if isinstance(pairs, list)
                                                             else ())[:3]
            if isinstance(pair, list) and len(pair) == 2 and one_line(pair[0]) and finite(pair[1])]


def doubts(found: list[dict[str, Any]], verdicts: Iterable[str] = ("unsure", "unknown")) -> str:
    """The sentences for people about what has one of the verdicts, in one line; "" for none."""
    said = [one["sentence"] for one in found if one["verdict"] in tuple(verdicts)]
    return short("; ".join(said), LONGEST_LINE)


# ---- reasons

def failure(entry: dict[str, Any], workflow: Workflow) -> str | None:
    """Why a prompt failed, in the server's words; None when it did not."""
    for kind, data in events(entry):
        if kind == "execution_interrupted":
            return f"it was interrupted on the server, at {named(workflow, data.get('node_id'))}."
        if kind == "execution_error":
            text = one_line(data.get("exception_message")) or one_line(data.get("exception_type"))
            return f"{named(workflow, data.get('node_id'))}: {text}"
    status = entry.get("status")
    if isinstance(status, dict) and status.get("status_str") == "error":
        return "the server says that it failed, and no reason."
    return None


def events(entry: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The messages that the history keeps: (kind, data)."""
    status = entry.get("status")
    messages = status.get("messages") if isinstance(status, dict) else None
    messages = messages if isinstance(messages, list) else []
    return [(str(one[0]), one[1]) for one in messages
            if isinstance(one, (list, tuple)) and len(one) == 2 and isinstance(one[1], dict)]


def node_errors(errors: Any, workflow: Workflow) -> str:
    """The server's complaints about inputs in one line; "" when there are none."""
    out = []
    for node, about in errors.items() if isinstance(errors, dict) else ():
        listed = about.get("errors") if isinstance(about, dict) else None
        listed = listed if isinstance(listed, list) else []
        for error in (one for one in listed if isinstance(one, dict)):
            text = ": ".join(filter(None, (one_line(error.get("message")),
                                           one_line(error.get("details")))))
            out.append(f"{named(workflow, node)}: {text}")
    return short("; ".join(out), LONGEST_LINE)


def named(workflow: Workflow, node: Any) -> str:
    """A node of the workflow with its title, or its bare id when it is none of them."""
    node = one_line(node)
    return workflow.name(node) if node in workflow.nodes else f"node {short(node, 80)}"


# ---- what stands in the way, at the beginning

def check_folder(folder: Path, jobs: list[Job], known: Iterable[str]) -> None:
    """LGFAError when results would overwrite files that no earlier run wrote."""
    known = set(known)
    found = in_the_way(folder, [job.name for job in jobs if job.name not in known])
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise LGFAError(f"{folder} holds {', '.join(found[:3])}{more}, which this queue did not "
                        "write: choose another --out, or say --overwrite.")
