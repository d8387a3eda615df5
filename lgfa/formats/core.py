"""From a file to a network: one path for every format.

`read` gives a file's tree (plain data and tensors, nothing in it is ever executed), `recognise`
finds its format by content, the format's `convert` renames its weights, and `copy_strict`
compares every key and shape before it copies. The formats of a stage are in the module beside
this one that bears its name.
"""
from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .. import build
from ..errors import LGFAError
from . import safetensors_io

# The modules that export FORMATS.
STAGES = ("generator", "encoder", "clip", "motion", "mocogan", "styleclip", "perceptual",
          "inception_resnet", "foreign")


@dataclass(frozen=True)
class Format:
    """One checkpoint format."""

    name: str                               # as users know it
    kind: str                               # the kind of network that it holds (build.KINDS)
    matches: Callable[[Any], bool]          # tree -> is it this format?
    convert: Callable[[Any], tuple[Any, dict[str, torch.Tensor]]] | None = None
    #                                         tree -> (settings or a tuple of them, our state dict)
    refuse: str | None = None               # why it cannot be used and what to do, one sentence
    beside: Callable[[Any, Path], Any] | None = None
    #                                         tree, file -> the tree with what lies in other files


def read(path: str | os.PathLike[str]) -> Any:
    """The tree of any file: plain data, tensors, numpy arrays.

    Our own safetensors give {"lgfa": header, "state_dict": {name: tensor}}; other safetensors a
    plain {name: tensor}; `.pt`, `.pth` and `.pkl` what they hold (see unpickle.py for the form
    that classes take). Raises LGFAError with one sentence for anything that is not a whole
    checkpoint.
    """
    from .. import unpickle  # late: most users only ever read safetensors
    path = check_file(path)
    with open(path, "rb") as file:
        head = file.read(16)
    if safetensors_io.is_safetensors(head):
        return safetensors_io.read(path)
    tree = unpickle.read(path)
    for form in all_formats():
        if form.beside is not None and _matches(form, tree):
            return form.beside(tree, path)
    return tree


def check_file(path: str | os.PathLike[str]) -> Path:
    """The path of a file that can be read and is not empty; LGFAError otherwise."""
    path = Path(path)
    try:
        if path.is_dir():
            raise LGFAError(f"{path} is a folder; give a file in it.")
        if not path.exists():
            raise LGFAError(f"there is no file {path}.")
        if path.stat().st_size == 0:
            raise LGFAError(f"{path} is empty; download or save it again.")
        with open(path, "rb"):
            return path
    except (OSError, ValueError) as error:
        if isinstance(error, LGFAError):
            raise
        raise LGFAError(f"{path} cannot be read: {getattr(error, 'strerror', error)}.") from error


def own_formats() -> list[Format]:
    """Our own safetensors, one format for each kind of network."""
    def of(kind: str) -> Format:
        return Format(
            name="LGFA safetensors",
            kind=kind,
            matches=lambda tree: is_own(tree) and tree["lgfa"]["kind"] == kind,
            convert=lambda tree: (build.configs(kind, tree["lgfa"]), dict(tree["state_dict"])),
        )
    return [of(kind) for kind in build.KINDS]


def is_own(tree: Any) -> bool:
    """Whether a tree came from one of our own files."""
    return isinstance(tree, Mapping) and set(tree) == {"lgfa", "state_dict"}


def all_formats() -> list[Format]:
    """Every known format: our own first, then each stage's, the ones we only refuse last."""
    formats = own_formats()
    for stage in STAGES:
        name = f"{__package__}.{stage}"
        try:
            formats += importlib.import_module(name).FORMATS
        except ModuleNotFoundError as error:
            if error.name != name:          # the stage is there, but something it needs is not
                raise
    return formats


def candidates(tree: Any) -> list[Format]:
    """Every format that a tree has, one for each network in it: an e4e file holds two."""
    found: dict[str, Format] = {}
    for form in all_formats():
        if form.kind not in found and _matches(form, tree):
            found[form.kind] = form
    return list(found.values())


def recognise(tree: Any, kind: str | Sequence[str] | None = None) -> Format:
    """The format of a tree, by its content; with `kind`, the format that holds such a network (or
    one of several kinds, of which errors name the first).

    Raises LGFAError that names both sides when the tree holds another kind of network, and
    lists what it holds and the known formats when nothing matches.
    """
    found = candidates(tree)
    kinds = (kind,) if isinstance(kind, str) else kind
    fitting = [f for f in found if kinds is None or f.kind in kinds]
    if fitting:
        return fitting[0]
    if found and found[0].refuse is not None:
        raise LGFAError(found[0].refuse)
    if found:
        raise LGFAError(f"this is {article(found[0].name)} with "
                        f"{article(what(found[0].kind))}, but {article(what(kinds[0]))} is needed.")
    if is_own(tree):
        build.configs(tree["lgfa"]["kind"], {})         # says that the kind is unknown
    names = dict.fromkeys(f.name for f in all_formats() if f.refuse is None)
    raise LGFAError(f"the file is none of the known formats ({', '.join(names)}); "
                    f"it holds {summary(tree)}.")


def load(
    path: str | os.PathLike[str],           # a file, a domain ("toon") or a known model's name
    kind: str | Sequence[str] | None = None,    # the kind of network wanted, or several that serve,
    #                                         a domain's being the first; None = what is there
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> torch.nn.Module:
    """The network of a file, in eval mode.

    Raises LGFAError that names the file and says what is wrong with it.
    """
    file = build.resolve(path, kind if kind is None or isinstance(kind, str) else kind[0])
    try:
        tree = read(file)
        network = from_tree(tree, recognise(tree, kind))
    except LGFAError as error:
        raise naming(error, file) from error
    return network.to(device=device, dtype=dtype).eval()


def from_tree(tree: Any, form: Format) -> torch.nn.Module:
    """The network in a tree of the given format, float32 on the CPU."""
    config, state_dict = convert(tree, form)
    shapes = {name: tuple(tensor.shape) for name, tensor in state_dict.items()}
    network = build.network(form.kind, config, shapes)
    return copy_strict(network, state_dict, what(form.kind))


def convert(tree: Any, form: Format) -> tuple[Any, dict[str, torch.Tensor]]:
    """Settings and renamed weights of a tree; LGFAError when the format is one that we refuse."""
    if form.refuse is not None or form.convert is None:
        raise LGFAError(form.refuse or f"{form.name} cannot be read.")
    try:
        config, state_dict = form.convert(tree)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise LGFAError(f"the file looks like {article(form.name)}, but is not whole: "
                        f"{type(error).__name__} {error}.") from error
    broken = [k for k, v in state_dict.items() if not isinstance(v, torch.Tensor)]
    if broken:
        raise LGFAError(f"the file holds no tensors under {build.listed(broken)}.")
    return config, state_dict


def copy_strict(
    network: torch.nn.Module,
    state_dict: Mapping[str, torch.Tensor],
    what: str,                              # the network in words, for the error
) -> torch.nn.Module:
    """Copies weights into a network after comparing every key and shape, and returns it.

    Raises LGFAError that lists what is missing, left over or unequal, and refuses NaN and Inf;
    the network is unchanged then.
    """
    own = network.state_dict()
    build.compare({k: tuple(v.shape) for k, v in own.items()},
                  {k: tuple(v.shape) for k, v in state_dict.items()}, what)
    check_finite(state_dict, what)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(state_dict[name])
    return network


def check_finite(state_dict: Mapping[str, torch.Tensor], what: str) -> None:
    """LGFAError that names the weights which hold NaN or Inf, when any do."""
    broken = [name for name, tensor in state_dict.items()
              if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())]
    if broken:
        raise LGFAError(f"the {what} holds NaN or infinite weights ({build.listed(broken, 3)}); "
                        f"the file is damaged or its training diverged.")


def save(
    path: str | os.PathLike[str],           # .. .safetensors
    network: torch.nn.Module,               # one of the kinds in build.KINDS
    info: dict[str, Any] | None = None,     # whatever a reader may want to know, as JSON
    dtype: torch.dtype | None = None,       # store floating point as this; None = as they are
) -> None:
    """Writes a network as our safetensors: its settings are in the header, so it rebuilds alone."""
    kind = build.kind_of(network)
    header = {"version": 1, "kind": kind, **build.settings(network), "info": info or {}}
    safetensors_io.write(path, network.state_dict(), header, dtype)


def naming(error: LGFAError, file: str | os.PathLike[str]) -> LGFAError:
    """The same sentence with the file's name in front, unless it has it."""
    text = str(error)
    return error if str(file) in text else LGFAError(f"{file}: {text}")


def what(kind: str | None) -> str:
    """A kind in words."""
    return build.KINDS[kind].what if kind in build.KINDS else str(kind)


def article(words: str) -> str:
    """The words with "a" or "an"."""
    an = words[:1].lower() in "aeio" or words[:3] in ("LGF", "IR-")
    return f"{'an' if an else 'a'} {words}"


def summary(tree: Any, most: int = 5) -> str:
    """What a tree holds, in a few words."""
    if isinstance(tree, torch.Tensor):
        return f"one tensor {list(tree.shape)}"
    if isinstance(tree, Mapping):
        keys = [str(key)[:60] for key in list(tree)[: most + 1]]
        more = len(tree) - most
        return (f"{len(tree)} entries: " + ", ".join(keys[:most])
                + (f" and {more} more" if more > 0 else "")) if keys else "an empty dict"
    return f"one {type(tree).__name__}"


def _matches(form: Format, tree: Any) -> bool:
    """Whether a format claims a tree; a matcher that stumbles over strange data does not."""
    try:
        return bool(form.matches(tree))
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        return False
