"""Texts of the nodes as the front end's locale files hold them; English comes from the schemas.

    python tools/locales.py         # writes locales/en/nodeDefs.json, says what others lack

Other languages are written by hand in locales/<language>/nodeDefs.json, and so are the help pages
in web/docs; an input that its page lacks gets a line of its tooltip there.
"""
from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCALES, PAGES = ROOT / "locales", ROOT / "web" / "docs"

# The front end compiles most messages with vue-i18n, to which these characters are syntax: a lone
# brace raises an error there, and a | ends the message. Versions differ in which messages are
# compiled, so that escaping would show in some. A text that is left out is taken from the schema.
SYNTAX = frozenset("@${}|%\\")

Texts = dict[str, Any]


def node_texts(schema: Any) -> Texts:
    """Names and tooltips of one node."""
    def text(slot: Any) -> Texts:
        return {"name": slot.display_name or slot.id, "tooltip": slot.tooltip}

    return {
        "display_name": schema.display_name,
        "description": schema.description,
        "inputs": {slot.id: text(slot) for slot in schema.inputs or []},
        "outputs": {str(k): text(slot) for k, slot in enumerate(schema.outputs or [])},
    }


def all_texts(nodes: dict[str, Any]) -> Texts:
    """Texts of all nodes, {node id: class} -> {node id: texts}."""
    return {name: node_texts(cls.GET_SCHEMA()) for name, cls in nodes.items()}


def english(texts: Texts) -> Texts:
    """What can stand in a locale file: no text with the front end's syntax, no empty group."""
    kept = {}
    for key, value in texts.items():
        value = english(value) if isinstance(value, dict) else value
        if value and not (isinstance(value, str) and SYNTAX & set(value)):
            kept[key] = value
    return kept


def leaves(texts: Texts, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """((node id, .., "tooltip"), text) of everything in a locale file."""
    for key, value in texts.items():
        if isinstance(value, dict):
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key), value


def read(language: str) -> Texts:
    """Texts of locales/<language>/nodeDefs.json."""
    return json.loads((LOCALES / language / "nodeDefs.json").read_text(encoding="utf-8"))


def write(language: str, texts: Texts) -> Path:
    """Writes them, readable for people."""
    path = LOCALES / language / "nodeDefs.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(texts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8",
                    newline="\n")
    return path


def differences(texts: Texts, translated: Texts) -> list[str]:
    """What a translation lacks, and what it has too much."""
    wanted = {key for key, _ in leaves(texts)}
    there = {key for key, _ in leaves(translated)}
    return [f"lacks {'.'.join(key)}" for key in sorted(wanted - there)] + \
        [f"has {'.'.join(key)}, which no node has" for key in sorted(there - wanted)]


def languages() -> Iterable[str]:
    """Those that are translated by hand."""
    return sorted(path.parent.name for path in LOCALES.glob("*/nodeDefs.json")
                  if path.parent.name != "en")


def completed(page: str, schema: Any) -> str:
    """A help page whose table of inputs has a line for each of the schema's, in their order."""
    before, heading, rest = page.partition("## Inputs\n")
    table, *after = re.split(r"(?=^## )", rest, maxsplit=1, flags=re.M)
    there = {line.split("`")[1]: line for line in table.splitlines() if line.startswith("| `")}
    missing = [one for one in schema.inputs or [] if one.id not in there]
    if not missing:
        return page
    for one in missing:
        text = one.tooltip.replace("|", r"\|")
        there[one.id] = f"| `{one.id}` | {'Optional. ' * bool(one.optional)}{text} |"
    lines = [there[one.id] for one in schema.inputs]
    head = [line for line in table.strip().splitlines() if not line.startswith("| `")]
    return before + heading + "\n" + "\n".join([*head, *lines]) + "\n\n" + "".join(after)


def update(nodes: dict[str, Any]) -> list[str]:
    """Writes what follows from {node id: class}; what the other languages lack, a line each."""
    for name, cls in nodes.items():
        path = PAGES / f"{name}.md"
        page = path.read_text(encoding="utf-8")
        if (new := completed(page, cls.GET_SCHEMA())) != page:
            path.write_text(new, encoding="utf-8", newline="\n")
            print(f"wrote {path.relative_to(ROOT)}")
    texts = all_texts(nodes)
    print(f"wrote {write('en', english(texts)).relative_to(ROOT)}")
    return [f"{one} {said}" for one in languages() for said in differences(texts, read(one))]


def main() -> int:
    sys.path.insert(0, str(ROOT / "tests"))
    import host  # loads the nodes with or without a ComfyUI

    host.bring_comfy()
    wrong = update(host.bring_pack().nodes.NODE_CLASS_MAPPINGS)
    print("\n".join(wrong) or "the other languages are complete")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
