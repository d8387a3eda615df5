"""From a tree and its format to a network: converted, compared in every key, shape and number,
and only then copied, so that a file cannot make us allocate more than it holds."""
from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from torch.nn.modules import module as hooks

from ..errors import LGFAError, article, reading
from ..registry import KINDS, named
from .recognition import Format, what

# A network may be so many times larger than the numbers of its file, plus some bytes: weights
# that are one block of numbers under many names would make it as large as they like.
GROWTH, SLACK = 4, 64 * 2**20
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)     # of weights in files

# What a network may have beside the weights of its file: buffers that follow from its settings,
# and modules without weights.
SPARE_TENSORS, SPARE_NUMBERS, MODULES_PER_TENSOR = 64, 4_000_000, 8
# .. but a trunk, one of three, is cut out of a whole classifier: VGG-16 has 138 million numbers
SPARE = {"perceptual": 140_000_000}


def new_network(
    kind: str,
    config: Any,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> torch.nn.Module:
    """A new network of a kind; `config` is its settings, or a tuple of them.

    With `shapes` (names and shapes of the weights to come) these are compared before memory is
    taken. The global random state is left as it was.
    """
    if shapes is not None:
        check(kind, config, shapes)
    with torch.random.fork_rng(devices=[]):
        return named(KINDS[kind].network)(*_tuple(config))


def check(
    kind: str, config: Any, shapes: Mapping[str, tuple[int, ...]],
) -> dict[str, torch.Tensor]:
    """LGFAError unless weights of these names and shapes fit the network, whose state dict without
    numbers (on "meta") is returned; takes no memory.

    Thus a file cannot make us allocate more than it holds.
    """
    cls = named(KINDS[kind].network)
    with torch.random.fork_rng(devices=[]), torch.device("meta"), _no_larger(shapes, kind):
        sketch = cls(*_tuple(config)).state_dict()
    compare({k: tuple(v.shape) for k, v in sketch.items()}, shapes, KINDS[kind].what)
    return sketch


@contextmanager
def _no_larger(shapes: Mapping[str, tuple[int, ...]], kind: str) -> Iterator[None]:
    """LGFAError as soon as a constructor in this thread has made more or larger weights than a
    file has, whichever of its settings is to blame: there are few of them, but they multiply."""
    thread = threading.get_ident()
    left = {"tensors": len(shapes) + SPARE_TENSORS,
            "numbers": sum(map(prod, shapes.values())) + SPARE.get(kind, SPARE_NUMBERS),
            "modules": MODULES_PER_TENSOR * (len(shapes) + SPARE_TENSORS)}

    def book(what: str, count: int) -> None:
        left[what] -= count
        if left[what] < 0 and threading.get_ident() == thread:
            raise LGFAError(f"the {KINDS[kind].what}'s settings describe a larger network than "
                            f"the one whose weights are in the file: it is not whole, or was made "
                            f"to do harm.")

    def tensor(_: Any, name: str, value: torch.Tensor | None) -> None:
        if value is not None:
            book("tensors", 1)
            book("numbers", value.numel())

    def part(_: Any, name: str, value: Any) -> None:
        book("modules", 1)

    handles = [hooks.register_module_parameter_registration_hook(tensor),
               hooks.register_module_buffer_registration_hook(tensor),
               hooks.register_module_module_registration_hook(part)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _tuple(config: Any) -> tuple[Any, ...]:
    return config if isinstance(config, tuple) else (config,)


def compare(
    wanted: Mapping[str, tuple[int, ...]],  # names and shapes of the network
    given: Mapping[str, tuple[int, ...]],   # names and shapes of the file
    what: str,                              # the network in words
) -> None:
    """LGFAError that lists what is missing, left over and of unequal shape, when anything is."""
    missing = [k for k in wanted if k not in given]
    left_over = [k for k in given if k not in wanted]
    unequal = [f"{k} {list(given[k])} for {list(wanted[k])}"
               for k in wanted if k in given and tuple(given[k]) != tuple(wanted[k])]
    parts = [f"{title} {listed(names)}" for title, names in
             (("missing:", missing), ("left over:", left_over), ("unequal:", unequal)) if names]
    if parts:
        raise LGFAError(f"the weights do not fit the {what}: {'; '.join(parts)}.")


def listed(names: list[str], most: int = 6) -> str:
    """The first few names and the number of the others."""
    first = ", ".join(name[:160] for name in names[:most])
    return first + (f" and {len(names) - most} more" if len(names) > most else "")


def from_tree(tree: Any, form: Format) -> torch.nn.Module:
    """The network in a tree of the given format, float32 on the CPU."""
    config, state_dict = examine(tree, form)
    network = new_network(form.kind, config)
    copy_weights(network, state_dict)
    return network


def examine(tree: Any, form: Format) -> tuple[Any, dict[str, torch.Tensor]]:
    """Settings and weights of a tree, compared with the network that they describe in every name,
    shape and number; no memory is taken for the network."""
    config, state_dict = convert(tree, form)
    shapes = {name: tuple(tensor.shape) for name, tensor in state_dict.items()}
    with reading(part=f"the settings of its {what(form.kind)}"):
        sketch = check(form.kind, config, shapes)
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
        raise LGFAError(f"the file holds no tensors under {listed(broken)}.")
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
    compare({k: tuple(v.shape) for k, v in own.items()},
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
                        f"({listed(strange, 3)}): save it with float32 or float16 weights.")
    if broken:
        raise LGFAError(f"the {what} holds NaN or infinite weights ({listed(broken, 3)}); "
                        f"the file is damaged or its training diverged.")
