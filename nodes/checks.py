"""What every node asks of its inputs, by its own schema, before `execute` sees them.

ComfyUI looks at typed values only: what comes over a link has passed no bound, and a socket takes
any value that an API prompt writes there. So every node derives from `Node`, and none can forget.
Sentences name the node, the input, what it is and what it may be.
"""
from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from comfy_api.latest import io
from comfy_execution.graph_utils import is_link
from torch import Tensor

from ..lgfa.errors import LGFAError, reading, shown
from . import notices, sockets

MANY = 12                                   # choices that a sentence lists


class Node(io.ComfyNode):
    """A node whose `execute` gets checked inputs and nothing else, and whose warnings are seen."""

    def __init_subclass__(cls, **options: Any) -> None:
        """ComfyUI clones classes to run them; a clone's `execute` is wrapped already."""
        super().__init_subclass__(**options)
        own = cls.__dict__.get("execute")
        if own is not None and not hasattr(own.__func__, "__wrapped__"):
            cls.execute = classmethod(_checking(own.__func__))


def _checking(execute: Callable[..., io.NodeOutput]) -> Callable[..., io.NodeOutput]:
    names = [*inspect.signature(execute).parameters][1:]

    @functools.wraps(execute)
    def checked(cls: type[io.ComfyNode], *first: Any, **values: Any) -> io.NodeOutput:
        given = {**dict(zip(names, first, strict=False)), **values}
        with notices.collecting(_schema(cls).node_id) as said:
            return said.finish(execute(cls, **check(cls, given)))

    return checked


def _schema(cls: type[io.ComfyNode]) -> io.Schema:
    return cls.SCHEMA or cls.define_schema()


def check(cls: type[io.ComfyNode], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that a node's `execute` may have, numbers and pictures in their usual types.

    Raises LGFAError for a value that is missing, of another type, outside its bounds, not among
    its choices, or refused by the node's own `validate_inputs`.
    """
    schema = _schema(cls)
    own = cls.validate_inputs
    validated: set[str] = set()
    if own.__func__ is not io.ComfyNode.validate_inputs.__func__:
        validated = set(inspect.signature(own).parameters)

    good = {}
    for one in schema.inputs or []:
        if one.id in values:
            good[one.id] = _checked(one, values[one.id], schema.display_name, one.id in validated)
        elif not one.optional:
            raise LGFAError(f"{schema.display_name}: {one.id} is missing; connect it or type it.")
    if validated:
        said = own(**{name: value for name, value in good.items() if name in validated})
        if said is not True:
            raise LGFAError(said)
    return good


def _checked(one: io.Input, value: Any, node: str, validated: bool) -> Any:
    """One input's value; `validated` = the node itself says which choices there are."""
    where = f"{node}: {one.id}"
    if isinstance(one, io.Combo.Input):
        if not isinstance(value, str):
            raise LGFAError(f"{where} is {shown(value)}; {_ways(one)}.")
        if not validated and value not in one.options:      # files come and go: a node looks itself
            there = "there are" if one.id.endswith("s") else "there is"
            raise LGFAError(f"{node}: {there} no {one.id.replace('_', ' ')} {shown(value)}; "
                            f"{_ways(one)}.")
        return value
    for kind, look in _WIDGETS.items():
        if isinstance(one, kind):
            return look(one, value, where)
    if value is None and one.optional:
        return None                         # as if it were not connected
    if (one.extra_dict or {}).get("rawLink") and is_link(value):
        return value
    with reading(where):                    # other packs may send anything
        return _SOCKETS[one.get_io_type().split(",")[0]](value, where)


# ---------------------------------------------------------------- widgets
def _number(one: io.Input, value: Any, where: str) -> float | int:
    """A number within the bounds of its widget, whole where that is; NaN lies in none."""
    whole = isinstance(one, io.Int.Input)
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not one.min <= value <= one.max or (whole and value != int(value)):
        raise LGFAError(f"{where} is {shown(value)}; it must be a {'whole ' * whole}number from "
                        f"{_bound(one.min)} to {_bound(one.max)}.")
    return int(value) if whole else float(value)


def _bound(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def _text(one: io.Input, value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise LGFAError(f"{where} is {shown(value)}; it must be a text.")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise LGFAError(f"{where} holds half a character at place {error.start + 1}; write "
                            f"the text anew.") from error
    return value


def _switch(one: io.Input, value: Any, where: str) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise LGFAError(f"{where} is {shown(value)}; it must be true or false.")
    return bool(value)


def _ways(one: io.Input) -> str:
    few = 0 < len(one.options) <= MANY
    return f"choose {', '.join(one.options)}" if few else "choose one of its list"


_WIDGETS = {io.Float.Input: _number, io.Int.Input: _number, io.String.Input: _text,
            io.Boolean.Input: _switch}


# ---------------------------------------------------------------- sockets
def _image(value: Any, where: str) -> Tensor:
    from ..lgfa.media.images import check_batch

    return check_batch(_a(Tensor, value, where, "pictures, from a node that gives an IMAGE"), where)


def _mask(value: Any, where: str) -> Tensor:
    from ..lgfa.media.images import check_masks

    return check_masks(_a(Tensor, value, where, "masks, from a node that gives a MASK"), where)


def _detections(value: Any, where: str) -> Any:
    if isinstance(value, str):
        raise LGFAError(f"{where} is {shown(value)}; connect face landmarks or boxes.")
    return _a((Mapping, Sequence, Tensor, np.ndarray), value, where, "face landmarks or boxes")


def _a(kind: Any, value: Any, where: str, what: str) -> Any:
    """The value, if it is what the socket carries."""
    if not isinstance(value, kind):
        raise LGFAError(f"{where} is {shown(value)}; connect {what}.")
    return value


def _network(kind: str, what: str) -> Callable[[Any, str], Any]:
    def look(value: Any, where: str) -> Any:
        from .memory import Network

        _a(Network, value, where, what)
        if value.kind != kind:
            raise LGFAError(f"{where} is a network of the kind {value.kind}; connect {what}.")
        return value

    return look


def _codes(kind: type, field: str, ndim: int, what: str) -> Callable[[Any, str], Any]:
    """For what carries codes in a field: float32 of so many dimensions, and none of them NaN."""
    def look(value: Any, where: str) -> Any:
        x = getattr(_a(kind, value, where, what), field)
        if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim != ndim:
            raise LGFAError(f"{where} holds {shown(x)} for its codes; connect {what}.")
        if x.numel() == 0:
            raise LGFAError(f"{where} is empty: its codes are of shape {list(x.shape)}.")
        x = x.float()                       # a double may become infinite here
        if not all(math.isfinite(one) for one in torch.aminmax(x.detach())):
            raise LGFAError(f"{where} holds values that are not numbers (NaN or infinity); look "
                            f"at the node that made it.")
        texts = getattr(value, "texts", ())
        if not isinstance(texts, tuple) or not all(isinstance(one, str) for one in texts):
            raise LGFAError(f"{where} holds {shown(texts)} for its sentences; connect {what}.")
        return value if x is getattr(value, field) else dataclasses.replace(value, **{field: x})

    return look


def _alignment(value: Any, where: str) -> Any:
    from ..lgfa.photo.align import Alignment

    return _a(Alignment, value, where, "the alignment of Align Face").check(where)


def _source(value: Any, where: str) -> Any:
    from .train_stills import Stills

    return _a(Stills, value, where, "the source of Training Source")


def _losses(value: Any, where: str) -> Any:
    from .train_losses import Losses

    return _a(Losses, value, where, "the losses of Loss Weights")


_SOCKETS: dict[str, Callable[[Any, str], Any]] = {
    io.Image.io_type: _image,
    io.Mask.io_type: _mask,
    "FACE_LANDMARKS": _detections,          # the first of several types names them
    sockets.Generator.io_type: _network("generator", "a generator, such as of Load Generator"),
    sockets.Encoder.io_type: _network("encoder", "a face encoder, such as of Load Face Encoder"),
    sockets.Clip.io_type: _network("clip", "a CLIP of this pack, such as of Load Motion Model"),
    sockets.Motion.io_type: _network("motion", "a motion model, such as of Load Motion Model"),
    sockets.TextCode.io_type: _codes(sockets.Words, "z", 2, "the text of Encode Text"),
    sockets.ImageCode.io_type: _codes(sockets.Look, "z", 2, "the image code of Encode Image"),
    sockets.Latent.io_type: _codes(sockets.Still, "w", 3, "a latent, such as of Invert Face"),
    sockets.MotionCode.io_type: _codes(sockets.Codes, "z", 3, "the codes of Recurrent Motion"),
    sockets.Trajectory.io_type: _codes(sockets.Path, "w", 4, "a trajectory, such as of Chain "
                                                             "Expressions"),
    sockets.Alignment.io_type: _alignment,
    sockets.Source.io_type: _source,
    sockets.Losses.io_type: _losses,
}
