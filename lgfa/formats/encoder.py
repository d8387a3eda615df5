"""Checkpoints of e4e (encoder; its decoder is a rosinality generator) and of IR-SE50.

Both public files hold the 50-layer IR-SE body with numbered blocks; the tables below give our
names for the original ones.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from ..config import EncoderConfig, IdentityConfig
from ..errors import LGFAError
from . import rosinality
from .core import Format, is_own
from .names import bare, below, count_of, lacking, options, shape_of, shown, side_of

UNITS = (3, 4, 14, 3)                       # blocks of each stage of the 50-layer body

# Batch norms carry a counter that no computation reads; older files lack it (see _renamed).
COUNTER = "num_batches_tracked"
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
PYRAMID = {
    "latlayer1": ("lateral_middle", ("weight", "bias")),
    "latlayer2": ("lateral_fine", ("weight", "bias")),
}
IDENTITY = {                                # index 1 is the dropout, index 2 flattens
    "output_layer.0": ("norm", NORM),
    "output_layer.3": ("linear", ("weight", "bias")),
    "output_layer.4": ("embed_norm", NORM),
}


# ---- tables

def body_table(widths: tuple[int, ...], units: tuple[int, ...]) -> dict[str, str]:
    """{original key: our key} of an IR-SE body; its blocks are numbered through all stages."""
    table = _keys(STEM)
    number = 0
    for stage, count in enumerate(units):
        for block in range(count):
            ours = f"body.stages.{stage}.{block}."
            table |= _keys(BLOCK, f"body.{number}.", ours)
            if block == 0 and widths[stage] != widths[stage + 1]:
                table |= _keys(SHORTCUT, f"body.{number}.", ours)
            number += 1
    return table


def encoder_table(config: EncoderConfig) -> dict[str, str]:
    """{original key below "encoder.": our key} of an e4e encoder."""
    table = body_table(config.widths, config.units) | _keys(PYRAMID)
    for index in range(config.num_layers):
        side = config.coarsest_size << config.level(index)
        for conv in range(side.bit_length() - 1):
            # In the original a leaky ReLU stands behind every convolution and counts too.
            for part in ("weight", "bias"):
                table[f"styles.{index}.convs.{2 * conv}.{part}"] = (
                    f"heads.{index}.convs.{conv}.{part}")
        for part in ("weight", "bias"):
            table[f"styles.{index}.linear.{part}"] = f"heads.{index}.linear.{part}"
    return table


def identity_table(config: IdentityConfig) -> dict[str, str]:
    """{original key: our key} of an IR-SE face recognition network."""
    return body_table(config.widths, config.units) | _keys(IDENTITY)


def _keys(
    rows: Mapping[str, tuple[str, Iterable[str]]],
    prefix: str = "",                       # before the original names
    ours: str = "",                         # before our names
) -> dict[str, str]:
    return {f"{prefix}{old}.{part}": f"{ours}{new}.{part}"
            for old, (new, parts) in rows.items() for part in parts}


def _renamed(
    state: Mapping[str, torch.Tensor],
    table: Mapping[str, str],
    what: str,                              # the network in words
) -> dict[str, torch.Tensor]:
    """The weights under our names; unknown keys keep theirs, so that they are reported."""
    lacking((key for key in table if not key.endswith(COUNTER)), state, what)
    out = {table.get(key, f"(original) {key}"): value for key, value in state.items()}
    for key, name in table.items():
        if key not in state:
            out[name] = torch.zeros((), dtype=torch.int64)
    return out


# ---- e4e

def is_e4e(tree: Any) -> bool:
    """{"state_dict": {"encoder.*", ..}, ..} with the heads and pyramid of e4e."""
    state = _state(tree)
    return state is not None and "encoder.styles.0.linear.weight" in state \
        and "encoder.latlayer1.weight" in state


def has_decoder(tree: Any) -> bool:
    return is_e4e(tree) and "decoder.input.input" in _state(tree)


def convert_e4e(tree: Any) -> tuple[EncoderConfig, dict[str, torch.Tensor]]:
    """Settings and weights of the encoder; the average latent is added to them."""
    state = below(_state(tree), "encoder.")
    opts = options(tree)
    kind = opts.get("encoder_type", "Encoder4Editing")
    if kind != "Encoder4Editing":
        raise LGFAError(f"the checkpoint holds the encoder {shown(kind)}; only e4e's "
                        "Encoder4Editing is known.")
    layers = count_of(state, "styles.")
    average = tree.get("latent_avg")
    starts = opts.get("start_from_latent_avg", average is not None)
    if not isinstance(starts, bool | int):
        raise LGFAError(f"the checkpoint's option start_from_latent_avg is {shown(starts)}, and "
                        "it should be True or False.")
    config = EncoderConfig(
        num_layers=layers,
        resolution=side_of(layers, "the e4e encoder"),
        w_dim=shape_of(state, "styles.0.linear.weight", 2)[0],
        start_from_latent_avg=bool(starts),
    )
    if config.start_from_latent_avg and average is None:
        raise LGFAError("the e4e checkpoint lacks the latent_avg that its codes start from.")
    weights = _renamed(state, encoder_table(config), "e4e encoder")
    weights["latent_avg"] = _average(average, config)
    return config, weights


def convert_decoder(tree: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    """The generator that an e4e file carries along, through the rosinality table."""
    # Its average latent is StyleGAN2's one, repeated for every layer.
    decoder = {"g_ema": below(_state(tree), "decoder."), "latent_avg": tree.get("latent_avg")}
    return rosinality.convert_rosinality(decoder)


def _average(average: Any, config: EncoderConfig) -> torch.Tensor:
    """[L, w_dim] from what files hold: nothing, [w_dim], [L, w_dim] or [1, L, w_dim]."""
    rows, width = config.num_layers, config.w_dim
    if average is None:
        return torch.zeros(rows, width)
    shape = list(average.shape) if isinstance(average, torch.Tensor) else shown(average)
    if shape in ([width], [1, width], [1, 1, width]):
        return average.reshape(1, width).repeat(rows, 1)
    if shape in ([rows, width], [1, rows, width]):
        return average.reshape(rows, width)
    raise LGFAError(f"the e4e checkpoint's latent_avg is {shape}, and its encoder makes "
                    f"{[rows, width]}.")


def _state(tree: Any) -> Mapping[str, Any] | None:
    """The table of weights, which e4e keeps beside its options."""
    if not isinstance(tree, Mapping) or not isinstance(tree.get("state_dict"), Mapping) \
            or is_own(tree):
        return None
    return bare({"state_dict": tree["state_dict"]}, ("module.",))


# ---- IR-SE50

def is_identity(tree: Any) -> bool:
    """A state dict with the stem, a gate and the output layer of IR-SE."""
    return {
        "input_layer.0.weight", "body.0.res_layer.5.fc1.weight", "output_layer.3.weight",
    } <= set(bare(tree) or ())


def convert_identity(tree: Any) -> tuple[IdentityConfig, dict[str, torch.Tensor]]:
    """Settings and weights of a face recognition network."""
    state = bare(tree)
    blocks = count_of(state, "body.")
    if blocks != sum(UNITS):
        raise LGFAError(f"the IR-SE network of this file has {blocks} blocks; only the 50-layer "
                        f"one ({sum(UNITS)} blocks) is known.")
    config = IdentityConfig(embed_dim=shape_of(state, "output_layer.3.weight", 2)[0], units=UNITS)
    return config, _renamed(state, identity_table(config), "IR-SE network")


FORMATS = [
    Format("e4e checkpoint", "encoder", is_e4e, convert_e4e),
    Format("e4e checkpoint", "generator", has_decoder, convert_decoder),
    Format("IR-SE50 checkpoint", "identity", is_identity, convert_identity),
]
