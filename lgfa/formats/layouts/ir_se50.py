"""Face recognition by IR-SE50, and the 50-layer body that it shares with e4e: its blocks are
numbered through all stages in the originals; the tables below give our names for theirs."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from ...config import IdentityConfig
from ...errors import LGFAError
from ..recognition import Format
from ..tables import COUNTER, bare, count_of, renamed, shape_of

UNITS = (3, 4, 14, 3)                       # blocks of each stage of the 50-layer body
NORM = ("weight", "bias", "running_mean", "running_var", COUNTER)

STEM = {                                    # original name: ours, and the entries below both
    "input_layer.0": ("body.stem.0", ("weight",)),
    "input_layer.1": ("body.stem.1", NORM),
    "input_layer.2": ("body.stem.2", ("weight",)),
}
BLOCK = {
    "res_layer.0": ("norm1", NORM),
    "res_layer.1": ("conv1", ("weight",)),
    "res_layer.2": ("act", ("weight",)),
    "res_layer.3": ("conv2", ("weight",)),
    "res_layer.4": ("norm2", NORM),
    "res_layer.5.fc1": ("gate.reduce", ("weight",)),
    "res_layer.5.fc2": ("gate.expand", ("weight",)),
}
SHORTCUT = {                                # only in blocks that change the channels
    "shortcut_layer.0": ("shortcut.conv", ("weight",)),
    "shortcut_layer.1": ("shortcut.norm", NORM),
}
IDENTITY = {                                # index 1 is the dropout, index 2 flattens
    "output_layer.0": ("norm", NORM),
    "output_layer.3": ("linear", ("weight", "bias")),
    "output_layer.4": ("embed_norm", NORM),
}


def body_table(widths: tuple[int, ...], units: tuple[int, ...]) -> dict[str, str]:
    """{original key: our key} of an IR-SE body; its blocks are numbered through all stages."""
    table = keys(STEM)
    number = 0
    for stage, count in enumerate(units):
        for block in range(count):
            ours = f"body.stages.{stage}.{block}."
            table |= keys(BLOCK, f"body.{number}.", ours)
            if block == 0 and widths[stage] != widths[stage + 1]:
                table |= keys(SHORTCUT, f"body.{number}.", ours)
            number += 1
    return table


def identity_table(config: IdentityConfig) -> dict[str, str]:
    """{original key: our key} of an IR-SE face recognition network."""
    return body_table(config.widths, config.units) | keys(IDENTITY)


def keys(
    rows: Mapping[str, tuple[str, Iterable[str]]],
    prefix: str = "",                       # before the original names
    ours: str = "",                         # before our names
) -> dict[str, str]:
    return {f"{prefix}{old}.{part}": f"{ours}{new}.{part}"
            for old, (new, parts) in rows.items() for part in parts}


def is_identity(tree: Any) -> bool:
    """A state dict with the stem, a gate and the output layer of IR-SE."""
    return {
        "input_layer.0.weight", "body.0.res_layer.5.fc1.weight", "output_layer.3.weight",
    } <= set(bare(tree))


def convert_identity(tree: Any) -> tuple[IdentityConfig, dict[str, torch.Tensor]]:
    """Settings and weights of a face recognition network."""
    state = bare(tree)
    blocks = count_of(state, "body.")
    if blocks != sum(UNITS):
        raise LGFAError(f"the IR-SE network of this file has {blocks} blocks; only the 50-layer "
                        f"one ({sum(UNITS)} blocks) is known.")
    config = IdentityConfig(embed_dim=shape_of(state, "output_layer.3.weight", 2)[0], units=UNITS)
    return config, renamed(state, identity_table(config), "IR-SE network")


FORMATS = [Format("IR-SE50 checkpoint", "identity", is_identity, convert_identity)]
