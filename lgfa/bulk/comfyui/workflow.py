"""A workflow in ComfyUI's API format: its widgets, and which of them a column's name means."""
from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ...errors import LGFAError, reason, short
from ..bounded import contents, parse

UPLOADS = ("image_upload", "video_upload", "audio_upload")
NUMBERS = {bool: "BOOLEAN", int: "INT", float: "FLOAT", str: "STRING"}
MOST_COMPARED = 2000            # names among which one like a misspelt column is looked for
LONGEST_SHOWN = 80              # characters of a name in a sentence


@dataclass(frozen=True)
class Widget:
    """One input of one node that holds a value and not a connection.

    `kind` is INT, FLOAT, BOOLEAN, STRING, COMBO or FILE; `options` the choices of a COMBO or the
    files that the server has; `folder` where a FILE is uploaded to (input, output, temp).
    """
    node: str
    input: str
    value: Any
    kind: str
    options: tuple[Any, ...] = ()
    folder: str = "input"


_Names = dict[str, list[tuple[str, str]]]


class Workflow:
    """The nodes of an API-format file: `{id: {"class_type": .., "inputs": {..}}}`."""

    def __init__(self, nodes: dict[str, dict[str, Any]], infos: dict[str, Any] | None = None
                 ) -> None:
        """`infos`: the server's /object_info of each class, {} while no server was asked."""
        self.nodes = nodes
        self.infos = infos or {}

    @cached_property
    def _exactly(self) -> tuple[_Names, _Names]:
        return self._names(str)

    @cached_property
    def _loosely(self) -> tuple[_Names, _Names]:
        return self._names(loose)

    @property
    def classes(self) -> list[str]:
        """The node classes that occur."""
        return sorted({node["class_type"] for node in self.nodes.values()})

    def name(self, node: str) -> str:
        """A node as people know it: its id, its title, its class when that says more."""
        title, kind = (short(text, LONGEST_SHOWN) for text in
                       (self.title(node), self.nodes[node]["class_type"]))
        return f"node {node} ({title}, {kind})" if title != kind else f"node {node} ({kind})"

    def title(self, node: str) -> str:
        """What stands in the node's title bar; its class when the file does not tell."""
        meta = self.nodes[node].get("_meta")
        title = meta.get("title") if isinstance(meta, dict) else None
        return str(title or self.nodes[node]["class_type"])

    # ---- columns

    def columns(self) -> list[tuple[str, Widget]]:
        """Every widget with the shortest column name that means it alone."""
        out = []
        for node, one in self.nodes.items():
            for key in one["inputs"]:
                if self._settable(node, key):
                    forms = (key, f"{self.title(node)}.{key}", f"{one['class_type']}.{key}")
                    alone = (form for form in forms if self._meant(form) == [(node, key)])
                    out.append((next(alone, f"{node}.{key}"), self.widget(node, key)))
        return out

    def resolve(self, column: str) -> Widget:
        """The widget that a column sets.

        `id.input` is exact; else the column must be the `input`, `title.input` or
        `class.input` of one widget only. Where none is spelt so, capitals and spaces do not
        count. LGFAError names the candidates.
        """
        shown = repr(short(column, LONGEST_SHOWN))
        found = self._meant(column)
        free = [pair for pair in found if self._settable(*pair)]
        if len(free) == 1:
            return self.widget(*free[0])
        if free:
            names = ", ".join(short(f"{node}.{key} ({self.title(node)})", LONGEST_SHOWN)
                              for node, key in free[:20])
            more = f" and {len(free) - 20} more" if len(free) > 20 else ""
            raise LGFAError(f"column {shown} can mean {names}{more}: name the column by one of "
                            "them.")
        if found:
            node, key = found[0]
            source = self.nodes[node]["inputs"][key]
            hint = f": it is connected to {self.name(str(source[0]))}, name one of that node's " \
                   f"inputs" if is_link(source) else ": it holds no text, number or switch"
            raise LGFAError(f"column {shown} cannot be set{hint}.")
        known = [short(name, LONGEST_SHOWN) for name, _ in self.columns()]
        near = difflib.get_close_matches(column[:LONGEST_SHOWN], known[:MOST_COMPARED], 3, 0.5)
        near = near or known[:20]
        raise LGFAError(f"column {shown} is no input of this workflow: there are "
                        f"{', '.join(near)}{', ..' if len(near) < len(known) else ''}.")

    def has(self, column: str) -> bool:
        """Whether an input is called just so."""
        return any(column in names for names in self._exactly)

    def _meant(self, column: str) -> list[tuple[str, str]]:
        """All (node, input) that a column's name fits; the free ones alone if there are any."""
        by_id, by_name = self._exactly
        fits = by_id.get(column) or by_name.get(column)
        if not fits:
            by_id, by_name = self._loosely
            fits = by_id.get(loose(column)) or by_name.get(loose(column)) or []
        return [pair for pair in fits if self._settable(*pair)] or fits

    def _names(self, form: Callable[[str], str]) -> tuple[_Names, _Names]:
        """What each (node, input) can be called: by its node's id, and by other names."""
        by_id: _Names = {}
        by_name: _Names = {}
        for node, one in self.nodes.items():
            for key in one["inputs"]:
                by_id.setdefault(form(f"{node}.{key}"), []).append((node, key))
                for name in {form(key), form(f"{self.title(node)}.{key}"),
                             form(f"{one['class_type']}.{key}")}:
                    by_name.setdefault(name, []).append((node, key))
        return by_id, by_name

    def _settable(self, node: str, key: str) -> bool:
        return isinstance(self.nodes[node]["inputs"][key], (bool, int, float, str))

    # ---- types

    def widget(self, node: str, key: str) -> Widget:
        """A widget with its type: the server's word where it has one, else its own value's."""
        one = self.nodes[node]
        value, info = one["inputs"][key], self.infos.get(one["class_type"])
        kind, options, extra = declared(info, key)
        if any(extra.get(flag) is True for flag in UPLOADS):
            folder = extra.get("image_folder")
            return Widget(node, key, value, "FILE", options,
                          folder if isinstance(folder, str) else "input")
        if not info and key == "image" and one["class_type"].startswith("LoadImage"):
            return Widget(node, key, value, "FILE")     # core's loaders, known without a server
        if kind not in ("INT", "FLOAT", "BOOLEAN", "STRING", "COMBO"):
            kind = NUMBERS[type(value)]
            # The front end writes a FLOAT of 1.0 as 1.
            kind = "FLOAT" if kind == "INT" and not info else kind
        return Widget(node, key, value, kind, options)


def declared(info: Any, key: str) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """Type, choices and options of an input from /object_info; "" when it does not say.

    Both spellings of a COMBO are known: a list in place of the type, and options beside it.
    """
    groups = info.get("input") if isinstance(info, dict) else None
    for group in groups.values() if isinstance(groups, dict) else ():
        entry = group.get(key) if isinstance(group, dict) else None
        if isinstance(entry, (list, tuple)) and entry:
            extra = entry[1] if len(entry) > 1 and isinstance(entry[1], dict) else {}
            if isinstance(entry[0], (list, tuple)):
                return "COMBO", tuple(entry[0]), extra
            options = extra.get("options")
            return str(entry[0]), tuple(options) if isinstance(options, list) else (), extra
    return "", (), {}


def loose(name: str) -> str:
    """A column's name without what spreadsheets change: capitals, and spaces of all kinds."""
    return " ".join(name.split()).casefold()


def is_link(value: Any) -> bool:
    """Whether an input's value is a connection: [node id, number of its output]."""
    return (isinstance(value, list) and len(value) == 2 and isinstance(value[0], (str, int))
            and isinstance(value[1], int))


def read(path: Path) -> Workflow:
    """Reads an API-format workflow. LGFAError when it is anything else."""
    data = contents(path)
    try:
        tree = parse(data, strict=True)
    except ValueError as error:
        raise LGFAError(f"{path}: this is no JSON file that can be used: {reason(error)}."
                        ) from error
    if isinstance(tree, dict) and isinstance(tree.get("nodes"), list):
        raise LGFAError(f"{path}: this is a workflow as the front end saves it; the server takes "
                        "the API format: open it in ComfyUI and choose Workflow > Export (API), "
                        "or take one from workflows/api.")
    if not isinstance(tree, dict) or not tree:
        raise LGFAError(f"{path}: this is no workflow in ComfyUI's API format.")
    for key, node in tree.items():
        if not (isinstance(node, dict) and isinstance(node.get("class_type"), str)
                and isinstance(node.get("inputs"), dict)):
            raise LGFAError(f"{path}: {short(key)!r} is no node: this is no workflow in "
                            "ComfyUI's API format.")
    return Workflow(tree)
