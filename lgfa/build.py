"""The only place where kinds of networks meet their classes, and names meet files.

Classes are named by strings and imported on first use, so that looking into a file does not
load every network of the project.
"""
from __future__ import annotations

import dataclasses
import importlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .errors import LGFAError

MODELS = Path(__file__).resolve().parent.parent / "models"   # <domain>/<kind>.safetensors


@dataclass(frozen=True)
class Kind:
    """One kind of network: how to build it from its settings."""

    what: str                               # in words, for error sentences
    network: str                            # "module:Class", relative to lgfa
    configs: tuple[tuple[str, str], ...]    # (attribute of the network, "module:Class") in order


KINDS = {
    "generator": Kind("image generator", "frames.stylegan2:Generator",
                      (("config", "config:GeneratorConfig"),)),
    "encoder": Kind("image encoder", "embed.e4e:Encoder",
                    (("config", "config:EncoderConfig"),)),
    "identity": Kind("identity network", "embed.identity:Identity",
                     (("config", "config:IdentityConfig"),)),
    "inception_resnet": Kind("InceptionResNet", "embed.inception_resnet:InceptionResNet",
                             (("config", "config:InceptionResNetConfig"),)),
    "clip": Kind("CLIP", "embed.clip:CLIP",
                 (("config", "config:ClipConfig"),)),
    "motion": Kind("motion model", "motion.model:MotionModel",
                   (("config", "config:MotionConfig"), ("clip_config", "config:ClipConfig"))),
    "mocogan": Kind("MoCoGAN-HD motion generator", "baselines.mocogan_hd:MotionGenerator",
                    (("config", "config:MocoganConfig"),)),
    "mapper": Kind("StyleCLIP mapper", "baselines.styleclip_mapper:LatentMapper",
                   (("config", "config:MapperConfig"),)),
    "perceptual": Kind("perceptual trunk", "embed.perceptual:Perceptual",
                       (("config", "config:PerceptualConfig"),)),
    "attributes": Kind("attribute network", "toon.attributes:Attributes",
                       (("config", "config:AttributesConfig"),)),
}

LIMIT = 1_000_000           # no whole number in a network's settings comes near it
LIMIT_DEPTH = 256           # .. and no list is longer


def named(reference: str) -> type:
    """The class behind "module:Class"; ImportError when its stage is not there."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(f".{module}", __package__), name)


def kind_of(network: torch.nn.Module) -> str:
    """The kind whose class a network has; LGFAError for a class that no kind has."""
    for kind, entry in KINDS.items():
        module, _, name = entry.network.partition(":")
        if (type(network).__module__, type(network).__name__) == (f"{__package__}.{module}", name):
            return kind
    raise LGFAError(f"{type(network).__name__} is none of the networks that can be saved "
                    f"({', '.join(KINDS)}).")


def settings(network: torch.nn.Module) -> dict[str, Any]:
    """A network's settings as plain data: {"config": {..}, ..}, ready for JSON."""
    out = {}
    for attribute, _ in KINDS[kind_of(network)].configs:
        config = getattr(network, attribute, None)
        if config is not None:
            out[attribute] = dataclasses.asdict(config)
    return out


def configs(kind: str, plain: Mapping[str, Any]) -> tuple[Any, ...]:
    """Frozen settings from plain data, one for each argument of the network's constructor."""
    if kind not in KINDS:
        raise LGFAError(f"the file holds a network of the unknown kind {kind!r}; "
                        f"known are {', '.join(KINDS)}: a newer version may read it.")
    _check_numbers(plain, kind)
    out = []
    for attribute, reference in KINDS[kind].configs:
        values = plain.get(attribute)
        if values is None:
            continue
        cls = named(reference)
        known = {field.name for field in dataclasses.fields(cls)}
        strange = sorted(set(values) - known)
        if strange:
            raise LGFAError(f"the {KINDS[kind].what}'s settings hold the unknown "
                            f"{', '.join(strange)}: a newer version may read the file.")
        try:
            out.append(cls(**values))
        except LGFAError:
            raise
        except (TypeError, ValueError, AttributeError) as error:
            raise LGFAError(f"the {KINDS[kind].what}'s settings "
                            f"are not usable: {error}.") from error
    return tuple(out)


def network(kind: str, config: Any, shapes: Mapping[str, tuple[int, ...]] | None = None):
    """A new network of a kind; `config` is its settings, or a tuple of them.

    With `shapes` (names and shapes of the weights to come) these are compared before memory is
    taken. The global random state is left as it was.
    """
    if shapes is not None:
        check(kind, config, shapes)
    with torch.random.fork_rng(devices=[]):
        return named(KINDS[kind].network)(*_tuple(config))


def check(kind: str, config: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """LGFAError unless weights of these names and shapes fit the network; takes no memory.

    Thus a file cannot make us allocate more than it holds.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        sketch = named(KINDS[kind].network)(*_tuple(config)).state_dict()
    compare({k: tuple(v.shape) for k, v in sketch.items()}, shapes, KINDS[kind].what)


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
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def resolve(name: str | os.PathLike[str], kind: str | None = None) -> Path:
    """The file behind a path, a domain ("toon") or a known public model's name.

    A domain's networks lie in models/<domain>/<kind>.safetensors; a public model is found when
    it has been downloaded. Raises LGFAError otherwise; nothing is downloaded here.
    """
    path = Path(name)
    if os.path.exists(path) or path.suffix or len(path.parts) != 1:
        return path
    if (MODELS / path).is_dir():
        if kind is None:
            raise LGFAError(f"{name!r} is a domain of several networks: "
                            f"say which ({', '.join(domain_kinds(str(name)))}).")
        file = MODELS / path / f"{kind}.safetensors"
        if not file.is_file():
            raise LGFAError(f"the domain {name!r} has no {KINDS[kind].what} at {file}.")
        return file
    from . import models  # late: loading a path does not need the table
    if str(name) in models.MODELS:
        return models.local(str(name))
    return path


def domain_kinds(domain: str) -> list[str]:
    """The kinds of networks that a domain's folder holds."""
    return [k for k in KINDS if (MODELS / domain / f"{k}.safetensors").is_file()]


def _check_numbers(value: Any, kind: str, depth: int = 0) -> None:
    """Refuses settings that would make a constructor run or allocate without end."""
    too_much = LGFAError(f"the {KINDS[kind].what}'s settings hold numbers that no network has: "
                         f"the file is broken or made to do harm.")
    if depth > 8:
        raise too_much
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return
    if isinstance(value, int | float):
        if not abs(value) <= LIMIT:         # NaN too
            raise too_much
        return
    if not isinstance(value, Mapping | list | tuple) or len(value) > LIMIT_DEPTH:
        raise too_much
    pairs = value.items() if isinstance(value, Mapping) else ((None, v) for v in value)
    for key, item in pairs:
        counted = key is not None and any(s in key for s in ("layers", "depth", "units", "frames"))
        if counted and len(json.dumps(item)) < 200:
            numbers = item if isinstance(item, list | tuple) else [item]
            if any(isinstance(n, int) and n > LIMIT_DEPTH for n in numbers):
                raise too_much
        _check_numbers(item, kind, depth + 1)
