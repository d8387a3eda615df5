"""Weights and inputs that anybody can draw again, and the networks that they fill.

The slices beside this file are outputs of the original programs on made-up weights. A number of
such a checkpoint is offset + scale * n, where n comes from numpy's old generator, whose stream
never changes, seeded with the CRC of the case's salt and the tensor's original name. So nothing
but names, shapes and these rules is needed to have the same weights here.
"""
from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from cut import LOOKED_AT
from torch import Tensor, nn

from lgfa.config import EncoderConfig, GeneratorConfig, MotionConfig
from lgfa.embed.e4e import Encoder
from lgfa.formats.layouts.e4e import encoder_table
from lgfa.formats.layouts.lgfa_authors import motion_table
from lgfa.formats.layouts.nvidia import nvidia_names
from lgfa.formats.layouts.rosinality import rosinality_names
from lgfa.frames import stylegan2
from lgfa.frames.stylegan2 import Generator
from lgfa.motion.model import MotionModel

NVIDIA, ROSINALITY = "lgfa-pub-ada:", "lgfa-pub-b:"         # salts of the cases
E4E, AUTHORS = "lgfa-pub-e4e:", "lgfa-authors-1:"

# ---- rules: pattern of an original name -> (offset, scale); a scale below 0 is that of a normal
# network's weight, sqrt(-scale / number of inputs). The first that fits the whole name.

GENERATOR = {
    r"mapping\.fc.*weight|style\..*weight": (0, 100.0),     # learning-rate multiplier 0.01
    r"mapping\.fc.*bias|style\..*bias": (0, 10.0),
    r".*affine\.bias": (1, 0.1),
    r".*(bias|noise_strength)": (0, 0.1),
    r"mapping\.w_avg|latent_avg": (0, 0.5),
    r".*": (0, 1.0),
}
ENCODER = {
    r"latent_avg": (0, 0.5),
    r".*running_var": (1, 0.1),                             # 1 + 0.1 |n|
    r".*(input_layer\.1|res_layer\.[04]|shortcut_layer\.1)\.weight": (1, 0.1),  # batch norms
    r".*(input_layer|res_layer)\.2\.weight": (0.25, 0.05),  # slopes
    r".*res_layer\.3\.weight": (0, -0.5),
    r".*(shortcut_layer\.0|latlayer\d)\.weight": (0, -1.0),
    r".*linear\.weight": (0, 1.0),
    r".*(bias|running_mean)": (0, 0.1),
    r".*weight": (0, -2.0),
}
MOTION = {
    r".*rnn\..*weight": (0, -2.0),
    r".*mapper\..*weight": (0, 1.0),
    r".*bias": (0, 0.1),
}


def normal(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Normal numbers that belong to a name, float64."""
    seed = zlib.crc32(key.encode()) & 0xFFFFFFFF
    return np.asarray(np.random.RandomState(seed).standard_normal(shape))


def given(salt: str, name: str, *shape: int) -> Tensor:
    """A normal input of a case."""
    return torch.from_numpy(normal(f"{salt}input:{name}", shape).astype(np.float32))


def picture(salt: str, name: str, count: int, side: int) -> Tensor:
    """Pictures [count, 3, side, side]: blocks in 4 x 4 and 16 x 16 cells, fine noise, -1..1."""
    x = 0.1 * normal(f"{salt}input:{name}:fine", (count, 3, side, side))
    for cells, size in ((4, 0.45), (16, 0.3)):
        blocks = normal(f"{salt}input:{name}:{cells}", (count, 3, cells, cells))
        x += size * blocks.repeat(side // cells, axis=2).repeat(side // cells, axis=3)
    return torch.from_numpy(x.clip(-1, 1).astype(np.float32))


def weights(
    name: str,                              # in the original file, by which the rule is chosen
    shape: tuple[int, ...],
    salt: str,                              # before the name, where the numbers are drawn
    rules: Mapping[str, tuple[float, float]],
) -> Tensor:
    """One tensor of a checkpoint, float32."""
    offset, scale = next(rule for pattern, rule in rules.items() if re.fullmatch(pattern, name))
    if scale < 0:
        scale = math.sqrt(-scale / math.prod(shape[1:]))
    n = normal(salt + name, shape)
    value = offset + scale * (abs(n) if name.endswith("running_var") else n)
    return torch.from_numpy(np.asarray(value, np.float32)).reshape(shape)


def filled(
    network: nn.Module,                     # on the meta device
    names: Mapping[str, str],               # original name -> ours
    salt: str,
    rules: Mapping[str, tuple[float, float]],
    **others: Tensor,                       # what is not drawn by these rules, by our names
) -> Any:
    """The network with a case's weights, in evaluation mode."""
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    state = {ours: torch.zeros((), dtype=torch.long) if theirs.endswith("num_batches_tracked")
             else weights(theirs, shapes[ours], salt, rules) for theirs, ours in names.items()}
    network.load_state_dict(state | others, assign=True)
    return network.eval().requires_grad_(False)


# ---- the networks of the cases

def nvidia() -> Generator:
    """stylegan2-ada-pytorch's averaged generator of 64 px, with few channels."""
    with torch.device("meta"):
        network = Generator(GeneratorConfig.nvidia(64, 1024, 48, z_dim=32, w_dim=48))
    return filled(network, nvidia_names(network.config), NVIDIA + "G_ema.", GENERATOR)


def rosinality_mapping() -> stylegan2.Mapping:
    """The mapping network alone of a 512 px generator."""
    config = GeneratorConfig.rosinality(512)
    with torch.device("meta"):
        network = stylegan2.Mapping(config)
    names = {theirs: ours.removeprefix("mapping.")
             for theirs, ours in rosinality_names(config).items() if ours.startswith("mapping.")}
    return filled(network, names | {"latent_avg": "latent_avg"}, ROSINALITY, GENERATOR)


def e4e() -> Encoder:
    """e4e's whole body and pyramid, and of its 18 heads, of which each reads one map and adds to
    the first, those of LOOKED_AT."""
    coarse, middle = (sum(index < bound for index in LOOKED_AT) for bound in (3, 7))
    config = EncoderConfig(len(LOOKED_AT), resolution=8, coarse=coarse, middle=middle)
    with torch.device("meta"):
        network = Encoder(config)
    names = {re.sub(r"styles\.(\d+)", lambda found: f"styles.{LOOKED_AT[int(found[1])]}", theirs):
             ours for theirs, ours in encoder_table(config).items()}
    average = weights("latent_avg", (18, config.w_dim), E4E, ENCODER)
    return filled(network, names, E4E + "encoder.", ENCODER, latent_avg=average[LOOKED_AT])


def authors() -> MotionModel:
    """The LGFA authors' recurrent network and both of their mappers."""
    config = MotionConfig.authors(resolution=1024)
    with torch.device("meta"):
        network = MotionModel(config)
    return filled(network, motion_table(config.mapper_depth, True), AUTHORS + "module.", MOTION,
                  latent_scale=torch.eye(config.w_dim))
