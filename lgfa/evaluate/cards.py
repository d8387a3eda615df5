"""Model cards beside the weights, written from the files' own headers and the report's figures."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import LGFAError, reading
from ..files import atomic_path
from ..formats import safetensors_io
from .bars import Report

#: what a line of figures must hold
FIELDS = {"network": str, "what": str, "value": (float, int), "at_most": bool, "met": bool}


def write(
    report: Report,                         # of the domain
    folder: Path,                           # of its networks; the cards go beside them
    figures: Path | None,                   # the file of `report --json`; None = cards without any
) -> list[Path]:
    """One <kind>.md for each network that there is; their files."""
    lines = _figures(figures) if figures else []
    written = []
    for file in sorted(folder.glob("*.safetensors")):
        kind = file.stem
        if kind not in report.cards:
            continue
        card = _card(report, file, [line for line in lines if line["network"] == kind])
        path = folder / f"{kind}.md"
        with atomic_path(path) as temporary:
            temporary.write_text(card, encoding="utf-8")
        written.append(path)
    return written


def _figures(path: Path) -> list[dict[str, Any]]:
    """The lines of a report; LGFAError for another file."""
    with reading(path):
        lines = json.loads(path.read_bytes())
    if not isinstance(lines, list) or not all(map(_is_line, lines)):
        raise LGFAError(f"{path} holds no figures: give a file that `report --json` wrote.")
    return lines


def _is_line(line: object) -> bool:
    return (isinstance(line, dict)
            and all(isinstance(line.get(name), kind) for name, kind in FIELDS.items())
            and isinstance(line.get("bar"), float | int | None))


def _card(
    report: Report,
    file: Path,                             # of the network, named by its kind
    lines: list[dict[str, Any]],            # its figures
) -> str:
    domain, kind = report.world.name, file.stem
    info = safetensors_io.read_info(file)
    if info is None:
        raise LGFAError(
            f"{file} does not say how it was made: train it by `lgfa.{domain} {kind}`.")
    what, how = report.cards[kind]
    text = [
        f"# {domain}/{kind}", "", what, "",
        f"- **Trained** by `{info.get('command', '?')}` in {info.get('minutes', '?')} minutes on "
        f"{info.get('threads', '?')} thread(s) of a {info.get('device', '?')}.",
        f"- **From** {how[0].lower()}{how[1:]}",
        *([f"- **Note** {info['note']}."] if "note" in info else []),
        f"- **Size** {file.stat().st_size / 1e6:.1f} MB, stored in float16. Licence: MIT.",
        f"- **Not for** {report.limits}.", "",
    ]
    if lines:
        text += [f"| figure (`python -m lgfa.{domain} report`) | value | bar |", "|---|---|---|"]
        text += [_row(line) for line in lines]
    return "\n".join(text) + "\n"


def _row(line: dict[str, Any]) -> str:
    bar = ""
    if line["bar"] is not None:
        sign, end = "at most" if line["at_most"] else "at least", "" if line["met"] else ", missed"
        bar = f"{sign} {line['bar']:g}{end}"
    return f"| {line['what'].strip()} | {line['value']:.3f} | {bar} |"
