"""What the layouts of StyleGAN2 generators share: where files keep them, and what they leave out.

The layouts themselves are in rosinality.py, nvidia.py and tensorflow.py. All settings are read
off the weights' shapes; a name without a rule is handed on as it is, so that the strict
comparison lists it as left over.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...config import GeneratorConfig
from ...errors import LGFAError, shown, warn
from ...frames import stylegan2
from ...frames.latent_space import SAMPLES, random_z
from ...nn.ops import equalized_linear, fir_kernel
from .. import tables

AVERAGED = ("g_ema", "G_ema", "params_ema")     # where files keep the averaged weights,
OTHERS = ("g", "G", "generator", "params")      # .. and the others
PREFIXES = ("module.", "generator.", "decoder.", "g_ema.", "G_ema.")    # before every name
AVERAGES = ("latent_avg", "mean_latent", "latent_mean", "dlatent_avg")  # the mean of w

MOST_NAMES = 20_000                 # in one table; a generator has below 300 weights

WORK = 2**34                        # multiplications, at most, that measure a missing mean of w,
NUMBERS = 2**22                     # .. and no wider rows of numbers at a time


# --- where the generator is

@dataclass(frozen=True)
class Place:
    """One place in a file that may hold a generator."""

    key: str                        # "" is the file itself
    value: Any                      # what is there: {name: tensor}, or a pickled network

    @property
    def averaged(self) -> bool:
        return self.key in AVERAGED


def find(tree: Any, fits: Callable[[Any], bool]) -> Place | None:
    """The place of a file's generator, the averaged one if there are several; None if no such.

    Averaged weights that do not fit beside others that do are returned all the same: `chosen`
    says that they are broken.
    """
    for level in _levels(tree):
        places = list(_places(level))
        fitting = [place for place in places if fits(place.value)]
        if fitting:
            return next((place for place in places if place.averaged), fitting[0])
    return None


def chosen(place: Place, fits: Callable[[Any], bool]) -> Any:
    """What a place holds. LGFAError for broken averaged weights, which are never replaced by the
    others; a warning where a file has no averaged ones at all."""
    if not fits(place.value):
        raise LGFAError(f"the averaged generator of this file, {place.key}, is broken: it holds "
                        f"{_holding(place.value)} instead of a generator's weights; get the file "
                        f"again.")
    if place.key in ("g", "G"):
        averaged = {"g": "g_ema", "G": "G_ema"}[place.key]
        warn(f"this file has no averaged generator ({averaged}): its {place.key} is taken, whose "
             f"pictures are often worse.", stacklevel=2)
    return place.value


def average(tree: Any, weights: Mapping[str, Any], config: GeneratorConfig) -> Tensor | None:
    """The mean of w that a file stores beside or among its weights, [w_dim]; None if it has none.

    Some tools repeat it for every layer: [1, w_dim], [L, w_dim] and [1, L, w_dim] are known.
    """
    for table in (*_levels(tree), weights):
        for key in AVERAGES:
            value = table.get(key)
            if value is None:
                continue
            value = tensors({key: value})[key]
            rows = [n for n in value.shape[:-1] if n != 1]
            if not value.ndim or value.shape[-1] != config.w_dim \
                    or rows not in ([], [config.num_layers]):
                raise LGFAError(f"the file's {key} has the shape {list(value.shape)}, and the mean "
                                f"of this generator's codes is [{config.w_dim}].")
            return value.reshape(-1, config.w_dim)[0]
    return None


def _levels(tree: Any) -> list[Mapping[Any, Any]]:
    """A file's table, and the table of weights that training programs put into it."""
    if not isinstance(tree, Mapping):
        return []
    levels = [tree, *(tree.get(key) for key in tables.WRAPPERS)]
    return [one for one in levels if isinstance(one, Mapping) and len(one) <= MOST_NAMES]


def _places(level: Mapping[Any, Any]) -> Iterator[Place]:
    """What may be a generator in a table, the best first; tables in flat files are unfolded."""
    folded: dict[str, dict[str, Any]] = {}
    for name, value in level.items():
        head, point, rest = name.partition(".") if isinstance(name, str) else ("", "", "")
        if point and head in (*AVERAGED, *OTHERS):
            folded.setdefault(head, {})[rest] = value
    for key in (*AVERAGED, *OTHERS):
        if key in level or key in folded:
            yield Place(key, _unwrapped(level[key] if key in level else folded[key]))
    yield Place("", _unwrapped(level))


def _unwrapped(value: Any) -> Any:
    """A table of weights without what training programs put before every name."""
    if not isinstance(value, Mapping) or len(value) > MOST_NAMES:
        return value
    return tables.unprefixed(value, PREFIXES, AVERAGES)


def _holding(value: Any) -> str:
    """What stands in the place of weights, in words."""
    if isinstance(value, Mapping) and isinstance(value.get("class_name"), str):
        return f"a network {value['class_name'][:60]!r} that lacks parts of one"
    return f"{len(value)} other entries" if isinstance(value, Mapping) else shown(value)


# --- what is checked

def tensors(weights: Mapping[str, Any]) -> dict[str, Tensor]:
    """The same table with numpy's arrays as tensors; LGFAError for what is neither."""
    found = {}
    for name, value in weights.items():
        if not isinstance(name, str):
            raise LGFAError(f"the file holds a weight without a name, {shown(name)}: it is "
                            f"damaged.")
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
            value = torch.from_numpy(np.ascontiguousarray(value))
        if not isinstance(value, Tensor):
            raise LGFAError(f"the file holds no tensor under {str(name)[:80]}, but "
                            f"{shown(value)}.")
        found[name] = value
    return found


def check_colours(count: int) -> None:
    """Refuses generators of other pictures than RGB."""
    if count != 3:
        number = {1: "one colour channel", 2: "two colour channels", 4: "four colour channels"}
        words = number.get(count) or f"{shown(count)} colour channels"
        raise LGFAError(f"this generator draws pictures of {words}: use one of three, red, green "
                        f"and blue.")


def factor(value: Any, what: str) -> float:
    """A multiplier or a limit as a number; LGFAError, with `what` it is, for all that none can
    be: NaN, 0, numbers without measure, texts."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 1e-6 <= value <= 1e6:
        raise LGFAError(f"{what} is {shown(value)}: it must be a number above 0, as 0.01 or "
                        f"256 are.")
    return float(value)


def check_levels(count: int) -> None:
    """Refuses generators whose pictures are smaller or larger than StyleGAN2's."""
    if not 2 <= count <= 9:
        side = f"of {2 ** (count + 1)} px" if count < 20 else f"of {count} levels of detail"
        raise LGFAError(f"this generator draws pictures {side}: only those of 8 to 1024 px can be "
                        f"used.")


def check_filter(name: str, kernel: Any) -> None:
    """Refuses resampling filters other than [1, 3, 3, 1], of sum 4, the gain of upsampling."""
    if not isinstance(kernel, Tensor) or kernel.shape != (4, 4) or kernel.is_complex() \
            or not torch.allclose(kernel.float(), fir_kernel(kernel.float()), atol=1e-5):
        raise LGFAError(f"the generator's resampling filter {name[:80]} is not [1, 3, 3, 1]: "
                        f"only StyleGAN2's own filter is supported.")


# --- what is left out

def finish(config: GeneratorConfig, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Drops axes of length 1 that we do not have, draws noise maps that are missing and measures
    latent_avg when it is missing."""
    with torch.device("meta"):
        wanted = stylegan2.Generator(config).state_dict()
    for name, tensor in state.items():
        shape = wanted[name].shape if name in wanted else tensor.shape
        if [n for n in tensor.shape if n != 1] == [n for n in shape if n != 1]:
            state[name] = tensor.reshape(shape)
    _draw_noise(state, {k: v.shape for k, v in wanted.items() if k.endswith(".noise")})
    if "mapping.latent_avg" not in state:
        state["mapping.latent_avg"] = mean_latent(config, state)
    return state


def _draw_noise(state: dict[str, Tensor], maps: Mapping[str, torch.Size]) -> None:
    """Adds the noise maps that are missing. Training draws new ones for every picture, so any
    serve; the same file always gets the same."""
    missing = [name for name in maps if name not in state]
    for seed, name in enumerate(maps):
        if name in missing:
            rng = torch.Generator().manual_seed(seed)
            state[name] = torch.randn(maps[name], generator=rng)
    if missing:
        some = "no noise maps" if len(missing) == len(maps) else \
            f"{len(maps) - len(missing)} of {len(maps)} noise maps"
        warn(f"this file stores {some} of its generator: new ones are drawn, always the same; "
             f"fine detail such as hair differs from the original's pictures.", stacklevel=2)


def mean_latent(
    config: GeneratorConfig,
    state: Mapping[str, Tensor],        # our names; only the mapping's are looked at
    samples: int = SAMPLES,             # of z; fewer where the network is far wider than usual
    seed: int = 0,
) -> Tensor:
    """Mean of w over sampled z, for files that do not hold it. -> [w_dim]

    Zeros where the mapping network is not whole: the strict comparison says what it lacks.
    """
    layers = [(state.get(f"mapping.layers.{i}.weight"), state.get(f"mapping.layers.{i}.bias"))
              for i in range(config.mapping_layers)]
    widths = [config.z_dim] + [config.w_dim] * config.mapping_layers
    for (weight, bias), rows, columns in zip(layers, widths[1:], widths[:-1], strict=True):
        if weight is None or bias is None or weight.shape != (rows, columns) \
                or bias.shape != (rows,) or not weight.is_floating_point() \
                or not bias.is_floating_point():
            return torch.zeros(config.w_dim)
    work = sum(weight.numel() for weight, _ in layers)
    samples = max(1, min(samples, WORK // work, NUMBERS // max(widths)))
    linear = [partial(equalized_linear, weight=weight, bias=bias,
                      lr_multiplier=config.mapping_lr_multiplier) for weight, bias in layers]
    with torch.no_grad():
        return stylegan2.mapped(random_z(samples, config.z_dim, seed), linear).mean(0)
