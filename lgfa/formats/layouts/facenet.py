"""facenet-pytorch's checkpoints of InceptionResNet-V1: `20180402-114759-vggface2.pt`, ..

A bare state dict; its classifier (`logits`) over the people of the training set is not needed.
"""
from __future__ import annotations

from typing import Any

from ...config import InceptionResNetConfig
from ...embed.inception_resnet import BLOCKS, REDUCTIONS, REPEATS
from ..recognition import Format
from ..tables import COUNTER, bare, renamed, shape_of

STEM = ("1a", "2a", "2b", "3b", "4a", "4b")
STAGES = {"35": "repeat_1", "17": "repeat_2", "8": "repeat_3"}
MIXED = {"35": "mixed_6a", "17": "mixed_7a"}
NORM = ("weight", "bias", "running_mean", "running_var", COUNTER)
CLASSIFIER = ("logits.weight", "logits.bias")


def table() -> dict[str, str]:
    """{original key: our key} of everything but the classifier."""
    out = {}
    for number, name in enumerate(STEM):
        out |= _conv_norm(f"conv2d_{name}", f"stem.{number}")
    for kind, stage in STAGES.items():
        for number in range(REPEATS[kind]):
            out |= _block(kind, f"{stage}.{number}", f"stages.{kind}.{number}")
    for kind, name in MIXED.items():
        out |= _branches(REDUCTIONS[kind], name, f"reductions.{kind}")
    out |= _block("8", "block8", "last")
    out["last_linear.weight"] = "linear.weight"
    return out | {f"last_bn.{part}": f"embed_norm.{part}" for part in NORM}


def _conv_norm(old: str, new: str) -> dict[str, str]:
    return {f"{old}.conv.weight": f"{new}.conv.weight",
            **{f"{old}.bn.{part}": f"{new}.norm.{part}" for part in NORM}}


def _branches(branches: tuple, old: str, new: str) -> dict[str, str]:
    """A branch of a single convolution has no number in the original."""
    out = {}
    for branch, convs in enumerate(branches):
        for number in range(len(convs)):
            at = f"{old}.branch{branch}" + (f".{number}" if len(convs) > 1 else "")
            out |= _conv_norm(at, f"{new}.branches.{branch}.{number}")
    return out


def _block(kind: str, old: str, new: str) -> dict[str, str]:
    joined = {f"{old}.conv2d.{part}": f"{new}.join.{part}" for part in ("weight", "bias")}
    return _branches(BLOCKS[kind][2], old, new) | joined


def is_inception_resnet(tree: Any) -> bool:
    """A state dict with the stem, a repeated block and the embedding layer."""
    return {
        "conv2d_1a.conv.weight", "repeat_1.0.branch0.conv.weight", "last_linear.weight",
    } <= set(bare(tree))


def convert(tree: Any) -> tuple[InceptionResNetConfig, dict[str, Any]]:
    """Settings and renamed weights of all but the classifier."""
    state = {key: value for key, value in bare(tree).items() if key not in CLASSIFIER}
    weights = renamed(state, table(), "InceptionResNet")
    return InceptionResNetConfig(embed_dim=shape_of(state, "last_linear.weight", 2)[0]), weights


FORMATS = [Format("facenet-pytorch checkpoint", "inception_resnet", is_inception_resnet, convert)]
