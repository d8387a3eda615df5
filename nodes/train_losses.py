"""Which losses a training has in the graph, and the networks that they need."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from comfy_api.latest import io

from ..lgfa.errors import LGFAError
from ..lgfa.training.losses import TERMS, terms_of
from . import folders
from .load import load_network
from .memory import Network

NONE = "none"


@dataclass(frozen=True)
class Losses:
    """What LossWeights puts on its socket."""

    settings: dict[str, Any]                # fields of TrainConfig
    perceptual: Network | None = None
    identity: Network | None = None


def network_input(name: str, what: str) -> io.Combo.Input:
    """A dropdown of networks for a loss; LossWeights' inputs."""
    kind = {"identity_network": "identity"}.get(name, name)
    bundled = folders.bundled(kind)
    files = [one for one in folders.choices(kind) if one not in bundled]
    return io.Combo.Input(name, options=[*bundled, NONE, *files],
                          tooltip=f"{what}: bundled, or a file of models/lgfa.")


def check(
    weights: Mapping[str, float | None],    # of terms, by name; None comes over a link
    choices: Mapping[str, str | None],      # of network_input, by the network's kind
) -> None:
    """LGFAError where a term that counts has no network, or a choice has no file."""
    for term in TERMS:
        choice = choices.get(term.network)
        if choice == NONE and weights.get(term.name):
            raise LGFAError(f"{term.name} has a weight of {weights[term.name]:g}, but no network: "
                            f"choose one, or set it to 0.")
        if choice not in (None, NONE):
            folders.locate(choice, term.network)


def chosen(settings: dict[str, Any], choices: Mapping[str, str]) -> Losses:
    """What LossWeights hands on: its widgets, and the networks that its terms need."""
    settings = {**{term.name: term.widget for term in TERMS}, **settings}
    check(settings, choices)
    needed = {term.network for term in TERMS if settings[term.name]}
    return Losses(settings, **{kind: load_network(choice, kind)
                               for kind, choice in choices.items() if kind in needed})


def own_losses(generator: Network, own: Any, config: Any) -> Losses:
    """The networks that a domain's own settings need, from the domain."""
    needed = [term for term in terms_of(config) if term.network not in ("", "clip")]
    if own is None and needed:
        raise LGFAError(f"this generator belongs to no bundled domain: connect Loss Weights, with "
                        f"a {needed[0].network} network or with {needed[0].name} at 0.")
    name = f"{generator.domain}{folders.BUNDLED}"
    return Losses({}, **{term.network: load_network(name, term.network) for term in needed})
