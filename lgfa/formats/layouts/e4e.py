"""e4e's checkpoints: the encoder; its decoder is a rosinality generator.

The body of the encoder is IR-SE50's (ir_se50.py).
"""
from __future__ import annotations

from typing import Any

import torch

from ...config import EncoderConfig
from ...errors import LGFAError, shown
from ..recognition import Format
from ..tables import below, count_of, options, renamed, shape_of, side_of, state_dict
from . import rosinality
from .ir_se50 import body_table, keys

PYRAMID = {
    "latlayer1": ("lateral_middle", ("weight", "bias")),
    "latlayer2": ("lateral_fine", ("weight", "bias")),
}


# ---- tables

def encoder_table(config: EncoderConfig) -> dict[str, str]:
    """{original key below "encoder.": our key} of an e4e encoder."""
    table = body_table(config.widths, config.units) | keys(PYRAMID)
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


# ---- e4e

def is_e4e(tree: Any) -> bool:
    """{"state_dict": {"encoder.*", ..}, ..} with the heads and pyramid of e4e."""
    return {"encoder.styles.0.linear.weight", "encoder.latlayer1.weight"} <= set(state_dict(tree))


def has_decoder(tree: Any) -> bool:
    return is_e4e(tree) and "decoder.input.input" in state_dict(tree)


def convert_e4e(tree: Any) -> tuple[EncoderConfig, dict[str, torch.Tensor]]:
    """Settings and weights of the encoder; the average latent is added to them."""
    state = below(state_dict(tree), "encoder.")
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
    weights = renamed(state, encoder_table(config), "e4e encoder")
    weights["latent_avg"] = _average(average, config)
    return config, weights


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


FORMATS = [
    Format("e4e checkpoint", "encoder", is_e4e, convert_e4e),
    Format("e4e checkpoint", "generator", has_decoder, rosinality.convert_decoder),
]
