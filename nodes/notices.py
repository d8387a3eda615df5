"""What a user must know, on the node that has to say it and not only in the server's console.

While a node runs, our warnings and what it says by `say` and `understood` become the text that
ComfyUI shows on a node. For whoever asks the server, the node's entry in the history gets them
too: "notices", the warnings, and "understood", what a motion model took each sentence for.

The parts of an expanded node show their texts on the one that the user placed, so these are joined
there. A part that does not run, as ComfyUI still has what it gave, keeps its text.
"""
from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io
from comfy_execution.utils import get_executing_context

from ..lgfa.errors import LGFAWarning, warn

if TYPE_CHECKING:
    from ..lgfa.motion.understanding import Understanding

MOST_LINES = 12                             # texts that a node shows, those behind are counted
MOST_NODES = 500                            # nodes whose texts are remembered

# Front ends of 2025 take the text for HTML, and sentences and file names may hold anything.
_PLAIN = str.maketrans({"<": "\u2039", ">": "\u203a", "&": "\uff06"})


@dataclass(frozen=True)
class Place:
    """Where the text of a running node is seen."""

    server: Any                             # ComfyUI's
    client: str                             # who queued the job
    shown: str                              # id of the node on the user's page
    node: str                               # .. of the one that runs: that one, or a part of it
    first: bool                             # whether it runs for the first item of a list


def _place() -> Place | None:
    """None where nobody looks: outside of jobs, for jobs without a client, and in servers that
    cannot show text. An id asked for as a hidden input would be part of ComfyUI's cache keys."""
    running = get_executing_context()
    # A server that runs has been imported; importing it here could find any module of that name.
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    client = getattr(server, "client_id", None)
    if running is None or client is None or not hasattr(server, "send_progress_text"):
        return None
    shown = getattr(server, "last_node_id", None) or running.node_id
    return Place(server, client, str(shown), str(running.node_id), not running.list_index)


class _Board:
    """The texts on all pages: {(client, node shown): {node: (its class, texts)}}."""

    def __init__(self) -> None:
        self._pages: OrderedDict[tuple[str, str], dict[str, tuple[str, list[str]]]] = OrderedDict()

    def begin(self, place: Place, kind: str) -> bool:
        """Room for what a node of class `kind` will say; whether it has said something before."""
        page = self._pages.setdefault((place.client, place.shown), {})
        self._pages.move_to_end((place.client, place.shown))
        while len(self._pages) > MOST_NODES:
            self._pages.popitem(last=False)
        known, texts = page.get(place.node, (kind, []))
        if known != kind and place.node == place.shown:
            page.clear()                    # another workflow is open
        if known != kind or place.first:
            page[place.node] = kind, []
        return known == kind and bool(texts)

    def add(self, place: Place, text: str) -> None:
        """One more text of a node, each once."""
        page = self._pages.get((place.client, place.shown), {})
        if place.node in page and text not in page[place.node][1]:
            page[place.node][1].append(text)

    def expand(self, place: Place, graph: Mapping[str, Any]) -> bool:
        """Forgets parts of a node that it has no longer; whether there were any with a text."""
        page = self._pages.get((place.client, place.shown), {})
        gone = [node for node, (kind, _) in page.items() if node.startswith(f"{place.node}.")
                and graph.get(node, {}).get("class_type") != kind]
        return any([page.pop(node)[1] for node in gone])

    def send(self, place: Place) -> None:
        """Shows a page's node with its texts; a space takes away what was there, as front ends
        leave out empty texts."""
        page = self._pages.get((place.client, place.shown), {})
        texts = [*dict.fromkeys(text for _, texts in page.values() for text in texts)]
        if len(texts) > MOST_LINES:
            texts[MOST_LINES:] = [f"{len(texts) - MOST_LINES} more: see the server's console"]
        place.server.send_progress_text("\n".join(texts).translate(_PLAIN) or " ", place.shown,
                                        sid=place.client)


_BOARD = _Board()


class Notices:
    """What one node says while it runs once."""

    def __init__(self, kind: str) -> None:      # the class of the node
        self.texts: list[str] = []
        self.warnings: list[str] = []
        self.understood: list[dict[str, Any]] = []
        self._place = _place()
        self._stale = self._place is not None and _BOARD.begin(self._place, kind)

    def add(self, text: str, warned: bool = False) -> None:
        """Shows a text at once; a warning is logged too."""
        if text in self.texts:
            return
        self.texts.append(text)
        if warned:
            self.warnings.append(text)
            logging.warning("LGFA: %s", text)
        if self._place is not None:
            _BOARD.add(self._place, text)
            _BOARD.send(self._place)

    def close(self) -> None:
        """Takes away what the node said when it ran before and has not said now."""
        if self._stale and not self.texts:
            _BOARD.send(self._place)

    def finish(self, out: io.NodeOutput) -> io.NodeOutput:
        """The node's output, with what it said for the history."""
        if self._place is not None and out.expand is not None:
            self._stale |= _BOARD.expand(self._place, out.expand)
        if out.ui is not None or self.warnings or self.understood:
            ui = {} if out.ui is None else out.ui if isinstance(out.ui, dict) else out.ui.as_dict()
            # All keys each time: of the items of a list ComfyUI takes the first one's keys.
            out.ui = {**ui, "notices": self.warnings, "understood": self.understood}
        return out


_CURRENT: ContextVar[Notices | None] = ContextVar("lgfa_notices", default=None)


@contextlib.contextmanager
def collecting(kind: str) -> Iterator[Notices]:
    """While a node of class `kind` runs: our warnings are logged and shown on it, each time and
    not only the first; other libraries' go where they always go."""
    notices = Notices(kind)
    before = _CURRENT.set(notices)
    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=LGFAWarning)
        others = warnings.showwarning

        def show(message: Any, category: type[Warning], *more: Any, **named: Any) -> None:
            if issubclass(category, LGFAWarning):
                notices.add(str(message), warned=True)
            else:
                others(message, category, *more, **named)

        warnings.showwarning = show
        try:
            yield notices
        finally:
            warnings.showwarning = others       # free-threaded Pythons restore the filters alone
            _CURRENT.reset(before)
            notices.close()


def say(text: str) -> None:
    """Shows a text on the node that runs, and nowhere else."""
    notices = _CURRENT.get()
    if notices is not None:
        notices.add(text)


def understood(
    sentences: Iterable[Understanding],     # nothing of models that have no words
    told: bool = False,                     # a node before has told it: shown alone, not logged
) -> None:
    """Shows what sentences were taken for on the node that runs; warns of those that the model
    does not surely know."""
    sentences = [*dict.fromkeys(sentences)]
    notices = _CURRENT.get()
    if notices is not None and not told:
        notices.understood += [one.plain() for one in sentences]
    known = [f"{name} ({similarity:.2f})" for name, similarity in
             (one.nearest[0] for one in sentences if one.known)]
    if known:
        say(f"understood: {', '.join(known)}")
    for one in sentences:
        if not one.known:
            (say if told else warn)(f"{one.sentence()}.")
