"""From a file to a network: one path for every format.

`read` gives a file's tree (plain data and tensors, nothing in it is ever executed), `recognise`
finds its format by content, the format's `convert` renames its weights, and `copy_strict`
compares every key, shape and number before it copies. The formats of a stage are in the module
beside this one that bears its name.
"""
from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .. import build, registry
from ..errors import LGFAError, reading
from . import safetensors_io

# A network may be so many times larger than the numbers of its file, plus some bytes: weights
# that are one block of numbers under many names would make it as large as they like.
GROWTH, SLACK = 4, 64 * 2**20

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)     # of weights in files

# The modules that export FORMATS.
STAGES = ("rosinality", "nvidia", "tensorflow", "encoder", "clip", "motion", "mocogan",
          "styleclip", "perceptual", "inception_resnet", "foreign")


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
    with reading(path):
        with open(path, "rb") as file:
            head = file.read(16)
        safe = safetensors_io.is_safetensors(head)
        tree = safetensors_io.read(path) if safe else unpickle.read(path)
        for form in all_formats():
            if form.beside is not None and _matches(form, tree):
                with reading(part="the files beside it"):
                    return form.beside(tree, path)
        return tree


def check_file(path: str | os.PathLike[str]) -> Path:
    """The path of a file that can be read and is not empty; LGFAError otherwise."""
    path = Path(path)
    with reading(path):
        if path.is_dir():
            raise LGFAError(f"{path} is a folder; give a file in it.")
        if not path.exists():
            raise LGFAError(f"there is no file {path}.")
        if not path.is_file():              # opening a pipe would wait for a writer
            raise LGFAError(f"{path} is no plain file; give a file.")
        if path.stat().st_size == 0:
            raise LGFAError(f"{path} is empty; download or save it again.")
        with open(path, "rb"):
            return path


def own_formats() -> list[Format]:
    """Our own safetensors, one format for each kind of network."""
    def of(kind: str) -> Format:
        return Format(
            name="LGFA safetensors",
            kind=kind,
            matches=lambda tree: is_own(tree) and tree["lgfa"]["kind"] == kind,
            convert=lambda tree: (build.configs(kind, tree["lgfa"]), dict(tree["state_dict"])),
        )
    return [of(kind) for kind in registry.KINDS]


def is_own(tree: Any) -> bool:
    """Whether a tree came from one of our own files."""
    return isinstance(tree, Mapping) and set(tree) == {"lgfa", "state_dict"}


def info(tree: Any) -> dict[str, Any]:
    """What one of our own files says beside its settings; empty for others and strange ones."""
    found = tree["lgfa"].get("info") if is_own(tree) else None
    return found if isinstance(found, dict) else {}


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
    with reading(file):
        tree = read(file)
        network = from_tree(tree, recognise(tree, kind))
    return network.to(device=device, dtype=dtype).eval()


def from_tree(tree: Any, form: Format) -> torch.nn.Module:
    """The network in a tree of the given format, float32 on the CPU."""
    config, state_dict = examine(tree, form)
    network = build.network(form.kind, config)
    copy_weights(network, state_dict)
    return network


def examine(tree: Any, form: Format) -> tuple[Any, dict[str, torch.Tensor]]:
    """Settings and weights of a tree, compared with the network that they describe in every name,
    shape and number; no memory is taken for the network."""
    config, state_dict = convert(tree, form)
    shapes = {name: tuple(tensor.shape) for name, tensor in state_dict.items()}
    with reading(part=f"the settings of its {what(form.kind)}"):
        sketch = build.check(form.kind, config, shapes)
    check_numbers(sketch, state_dict, what(form.kind))
    return config, state_dict


def convert(tree: Any, form: Format) -> tuple[Any, dict[str, torch.Tensor]]:
    """Settings and renamed weights of a tree; LGFAError when the format is one that we refuse."""
    if form.refuse is not None or form.convert is None:
        raise LGFAError(form.refuse or f"{form.name} cannot be read.")
    with reading(part=f"it looks like {article(form.name)}"):
        config, state_dict = form.convert(tree)
        broken = [str(k) for k, v in state_dict.items() if not isinstance(v, torch.Tensor)]
    if broken:
        raise LGFAError(f"the file holds no tensors under {build.listed(broken)}.")
    check_growth(state_dict)
    return config, state_dict


def check_growth(state_dict: Mapping[str, torch.Tensor]) -> None:
    """LGFAError for weights that would take far more memory than the numbers behind them."""
    behind = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes()
              for t in state_dict.values()}
    needed = 4 * sum(t.numel() for t in state_dict.values())
    if needed > GROWTH * sum(behind.values()) + SLACK:
        raise LGFAError(f"the file uses the same numbers for so many weights that they would take "
                        f"{needed:,} bytes: it is damaged or was made to do harm.")


def copy_strict(
    network: torch.nn.Module,
    state_dict: Mapping[str, torch.Tensor],
    what: str,                              # the network in words, for the error
) -> torch.nn.Module:
    """Copies weights into a network after comparing every key and shape, and returns it.

    Raises LGFAError that lists what is missing, left over or unequal, and refuses what are no
    weights (check_numbers); the network is unchanged then.
    """
    check_fit(network, state_dict, what)
    copy_weights(network, state_dict)
    return network


def check_fit(
    network: torch.nn.Module,               # may be on "meta": its numbers are not looked at
    state_dict: Mapping[str, torch.Tensor],
    what: str,                              # the network in words, for the error
) -> None:
    """LGFAError unless weights fit a network in every key and shape, and are numbers."""
    own = network.state_dict()
    build.compare({k: tuple(v.shape) for k, v in own.items()},
                  {k: tuple(v.shape) for k, v in state_dict.items()}, what)
    check_numbers(own, state_dict, what)


@torch.no_grad()
def copy_weights(network: torch.nn.Module, state_dict: Mapping[str, torch.Tensor]) -> None:
    """Copies weights that are known to fit."""
    for name, tensor in network.state_dict().items():
        tensor.copy_(state_dict[name])


def check_numbers(
    wanted: Mapping[str, torch.Tensor],     # of the network; only the dtypes are looked at
    given: Mapping[str, torch.Tensor],      # of the file, under the same names
    what: str,                              # the network in words, for the error
) -> None:
    """LGFAError that names the weights which are no numbers, in the network's own precision: NaN
    and Inf, also those that double precision holds and single does not, whole and complex ones."""
    strange, broken = [], []
    for name, own in wanted.items():
        value = given[name]
        if own.is_floating_point() and value.dtype not in FLOATS \
                or not own.is_floating_point() and (value.is_floating_point()
                                                    or value.is_complex()):
            strange.append(f"{name} {str(value.dtype).removeprefix('torch.')}")
        elif own.is_floating_point() and not bool(torch.isfinite(value.to(own.dtype)).all()):
            broken.append(name)
    if strange:
        raise LGFAError(f"the {what} holds weights of a type that weights do not have "
                        f"({build.listed(strange, 3)}): save it with float32 or float16 weights.")
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


def what(kind: str | None) -> str:
    """A kind in words."""
    return registry.KINDS[kind].what if kind in registry.KINDS else str(kind)


def article(words: str) -> str:
    """The words with "a" or "an"."""
    an = words[:1].lower() in "aeio" or words[:3] in ("LGF", "IR-", "NVI")
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
        with reading():
            return bool(form.matches(tree))
    except LGFAError:
        return False
