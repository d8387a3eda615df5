"""StyleGAN2 generators of NVIDIA's TensorFlow programs: network pickles (G, D, Gs).

Each network is stored as {"static_kwargs", "components", "variables", ..}: its options, the
networks in it (mapping and synthesis) and its numbers. The source code that is stored too is not
looked at, so every option that changes what the network computes must be known here. Variables
take the names of NVIDIA's PyTorch networks and go on as these (nvidia.py).
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ...config import GeneratorConfig
from ...errors import LGFAError, shown
from ..build import check_growth
from ..recognition import Format
from ..unpickle import reader
from . import nvidia, stylegan2

FUNCTIONS = {                           # of the networks that are read, by their place
    "": ("G_main",),
    "mapping": ("G_mapping",),
    "synthesis": ("G_synthesis", "G_synthesis_stylegan2", "G_synthesis_stylegan_revised"),
}
LAYERS = {"Conv": "conv1", "Conv0_up": "conv0", "Conv1": "conv1", "ToRGB": "torgb", "Skip": "skip"}
PARTS = {"weight": "weight", "bias": "bias", "noise_strength": "noise_strength",
         "mod_weight": "affine.weight", "mod_bias": "affine.bias"}

# Options that change nothing here: how pictures are drawn or networks trained, and sizes, which
# the weights have anyway.
FREE = frozenset((
    "truncation_psi", "truncation_cutoff", "truncation_psi_val", "truncation_cutoff_val",
    "dlatent_avg_beta", "w_avg_beta", "style_mixing_prob", "randomize_noise", "fused_modconv",
    "num_fp16_res", "structure", "fmap_base", "fmap_decay", "fmap_min", "fmap_max", "fmap_const",
    "mapping_fmaps", "label_fmaps",
))
FACTORS = ("mapping_lrmul", "conv_clamp")


def is_tensorflow(tree: Any) -> bool:
    """(G, D, Gs) of TensorFlow networks, or one."""
    return any(map(_is_network, _networks(tree)[:3]))


def convert_tensorflow(tree: Any) -> tuple[GeneratorConfig, dict[str, Tensor]]:
    """Settings and state dict of our Generator; refuses others by name."""
    node = _generator(tree)
    parts = {"": node["state"], **{name: _component(node, name) for name in FUNCTIONS if name}}
    for path, state in parts.items():
        _check_function(path, state)
    options = {path: _table(state, "static_kwargs") for path, state in parts.items()}
    _check_known(options)
    # The outer network hands its options on to its parts.
    merged = options["mapping"] | options["synthesis"] | options[""]
    variables = {path: _variables(state) for path, state in parts.items()}
    check_growth({f"{path}/{name}": value for path, own in variables.items()
                  for name, value in own.items()})      # turning them takes copies
    weights: dict[str, Tensor] = {}
    for path, own in variables.items():
        weights |= _renamed(own, path)
    _use_last_rgb(weights)
    clamp = merged.get("conv_clamp")
    config, state_dict = nvidia.converted(
        weights,
        stylegan2.factor(merged.get("mapping_lrmul", nvidia.LR_MULTIPLIER),
                         "this TensorFlow generator's option mapping_lrmul"),
        None if clamp is None else stylegan2.factor(
            clamp, "this TensorFlow generator's option conv_clamp"),
    )
    _check_options(options, config)
    return config, state_dict


# --- networks

def _networks(tree: Any) -> list[Any]:
    """The networks of a file."""
    return list(tree[:4]) if isinstance(tree, tuple | list) else [tree]


def _is_network(value: Any) -> bool:
    return reader.is_network(value) and nvidia.same(value.get("module_type"), "tensorflow")


def _generator(tree: Any) -> Mapping[str, Any]:
    """The averaged generator, the third of three networks, or the only one."""
    found = _networks(tree)
    if len(found) not in (1, 3):
        raise LGFAError(f"this TensorFlow StyleGAN pickle holds {len(found)} networks: StyleGAN2's "
                        f"hold three (G, D, Gs), or the generator alone.")
    node = found[-1]
    if not _is_network(node) or not isinstance(node["state"].get("components"), Mapping) \
            or not set(FUNCTIONS) - {""} <= set(node["state"]["components"]):
        which = "the third network of this TensorFlow StyleGAN pickle, Gs," if len(found) == 3 \
            else "this TensorFlow StyleGAN pickle"
        raise LGFAError(f"{which} is no StyleGAN2 generator with a mapping and a synthesis "
                        f"network, or is broken{_function_named(node)}.")
    strange = sorted(map(str, set(node["state"]["components"]) - set(FUNCTIONS)))
    if strange:
        raise LGFAError(f"this TensorFlow generator has a part {strange[0][:60]!r}, which "
                        f"StyleGAN2's do not have.")
    return node


def _function_named(node: Any) -> str:
    name = node["state"].get("build_func_name") if _is_network(node) else None
    return f": it was built by {name[:60]!r}" if isinstance(name, str) else ""


def _component(node: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The state of a network within a network."""
    part = node["state"]["components"][name]
    if not _is_network(part) or _table(part["state"], "components"):
        raise LGFAError(f"the {name} network of this TensorFlow generator is broken.")
    return part["state"]


def _table(state: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A table in a network's state; nothing stands for an empty one."""
    found = state.get(key)
    if found is None:
        return {}
    if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
        raise LGFAError(f"the {key} of this TensorFlow generator are no table: it is damaged.")
    return found


def _check_function(path: str, state: Mapping[str, Any]) -> None:
    """Refuses networks of other programs: what they compute is in their source code alone."""
    version, function = state.get("version"), state.get("build_func_name")
    if not isinstance(version, int) or version < 4:
        raise LGFAError(f"this TensorFlow network has the version {shown(version)} of the "
                        f"StyleGAN programs: only StyleGAN2's, from 4 on, can be read.")
    if not any(nvidia.same(function, known) for known in FUNCTIONS[path]):
        which = f"generator's {path} network" if path else "network"
        raise LGFAError(f"this TensorFlow {which} was built by {shown(function)}, not by "
                        f"StyleGAN2's {' or '.join(FUNCTIONS[path])}: it cannot be read.")


# --- options

def _check_known(options: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuses options that StyleGAN2 does not have, and classes."""
    known = FREE | set(FACTORS) | set(_wanted(None))
    for table in options.values():
        strange = sorted(set(table) - known)
        if strange:
            raise LGFAError(f"this TensorFlow generator has the unknown option "
                            f"{strange[0][:60]!r}: what it does cannot be known.")
        if not any(nvidia.same(table.get("label_size"), none) for none in (0, None)):
            raise LGFAError("this TensorFlow generator is class-conditional (label_size): use one "
                            "trained without labels.")
        count = table.get("num_channels", 3)
        if isinstance(count, int):
            stylegan2.check_colours(count)


def _wanted(config: GeneratorConfig | None) -> dict[str, Any]:
    """What options must be, where they are given: one of several values."""
    def of(name: str) -> Any:
        return getattr(config, name, None)

    return {
        "label_size": (0, None), "num_channels": (3,), "dtype": ("float32", "float16"),
        "mapping_nonlinearity": ("lrelu",), "nonlinearity": ("lrelu",),
        "normalize_latents": (True,), "use_noise": (True,), "resample_kernel": ([1, 3, 3, 1],),
        "mapping_func": FUNCTIONS["mapping"], "synthesis_func": FUNCTIONS["synthesis"],
        "architecture": (of("architecture"),), "resolution": (of("resolution"),),
        "latent_size": (of("z_dim"),), "dlatent_size": (of("w_dim"),),
        "mapping_layers": (of("mapping_layers"),), "dlatent_broadcast": (of("num_layers"), None),
    }


def _check_options(options: Mapping[str, Mapping[str, Any]], config: GeneratorConfig) -> None:
    """Refuses options that the network drawn here does not follow."""
    for table in options.values():
        factors = {"mapping_lrmul": (config.mapping_lr_multiplier,),
                   "conv_clamp": (config.conv_clamp, None)}
        for name, choices in (_wanted(config) | factors).items():
            value = table.get(name, choices[0])
            if isinstance(value, str):
                value = value.rpartition(".")[2]        # functions may come with their module
            if not any(nvidia.same(value, choice) for choice in choices):
                raise LGFAError(f"this TensorFlow generator's option {name} is "
                                f"{shown(value)}: only {choices[0]!r} can be used with its "
                                f"weights.")


# --- variables

def _variables(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """A network's own variables as tensors; single numbers come as numbers."""
    found: dict[str, Any] = {}
    rows = state.get("variables")
    if not isinstance(rows, list | tuple):
        raise LGFAError("a network of this TensorFlow generator has no variables: it is damaged.")
    for row in rows:
        if not isinstance(row, tuple | list) or len(row) != 2 or not isinstance(row[0], str):
            raise LGFAError("a variable of this TensorFlow generator has no name: it is damaged.")
        found[row[0]] = torch.tensor(row[1]) if type(row[1]) is float else row[1]
    return stylegan2.tensors(found)


def _renamed(variables: Mapping[str, Tensor], path: str) -> dict[str, Tensor]:
    """A network's variables under the names that NVIDIA's PyTorch networks have, turned as they
    are there; a name without a rule stays, so that it is listed as left over."""
    state = {}
    for name, value in variables.items():
        if name == "lod":                               # of growing networks; they have grown
            if value.numel() != 1 or float(value) != 0:
                raise LGFAError("this TensorFlow generator was stored while its resolution grew "
                                "(lod is not 0): use one that is fully trained.")
            continue
        new = _name(path, name)
        state[new or f"{path}/{name}".lstrip("/")] = _turned(name, value) if new else value
    return state


def _name(path: str, name: str) -> str | None:
    """NVIDIA's PyTorch name of a variable; None where there is none."""
    if (path, name) == ("", "dlatent_avg"):
        return "mapping.w_avg"
    if (path, name) == ("synthesis", "4x4/Const/const"):
        return "synthesis.b4.const"
    dense = re.fullmatch(r"Dense(\d+)/(weight|bias)", name, re.ASCII)
    if path == "mapping" and dense:
        return f"mapping.fc{dense[1]}.{dense[2]}"
    if path != "synthesis":
        return None
    noise = re.fullmatch(r"noise(\d\d?)", name, re.ASCII)
    if noise:
        level = (int(noise[1]) + 1) // 2
        layer = "conv0" if int(noise[1]) % 2 else "conv1"
        return f"synthesis.b{4 * 2**level}.{layer}.noise_const"
    lod = re.fullmatch(r"ToRGB_lod(\d\d?)/(\w+)", name, re.ASCII)
    if lod and lod[2] in PARTS:
        return f"lod{int(lod[1])}.{PARTS[lod[2]]}"
    layer = re.fullmatch(r"(\d+)x(\d+)/(\w+)/(\w+)", name, re.ASCII)
    if layer and layer[1] == layer[2] and layer[3] in LAYERS and layer[4] in PARTS \
            and (layer[3] in ("Conv", "ToRGB") if layer[1] == "4" else layer[3] != "Conv"):
        return f"synthesis.b{layer[1]}.{LAYERS[layer[3]]}.{PARTS[layer[4]]}"
    return None


def _turned(name: str, value: Tensor) -> Tensor:
    """A variable as PyTorch's layers want it."""
    *_, layer, last = ("", *name.split("/"))
    if last == "mod_bias":
        return value + 1                                # TensorFlow adds 1 at run time
    if last not in ("weight", "mod_weight"):
        return value
    if value.ndim == 2:                                 # [I, O]
        return value.t()
    if value.ndim != 4:
        raise LGFAError(f"this TensorFlow generator's {name[:80]} has the shape "
                        f"{list(value.shape)}: it is damaged.")
    if layer in ("Conv0_up", "Skip"):                   # true convolutions, there correlations
        value = value.flip(0, 1)
    return value.permute(3, 2, 0, 1)                    # [k, k, I, O] -> [O, I, k, k]


def _use_last_rgb(weights: dict[str, Tensor]) -> None:
    """Growing networks have a ToRGB for each resolution and, fully grown, use the last."""
    sides = [int(found[1]) for found in (re.match(r"synthesis\.b(\d{1,4})\.", name, re.ASCII)
                                         for name in weights) if found]
    for name in [name for name in weights if re.match(r"lod\d", name, re.ASCII)]:
        value = weights.pop(name)
        if name.startswith("lod0.") and sides:
            weights[f"synthesis.b{max(sides)}.torgb.{name.removeprefix('lod0.')}"] = value


FORMATS = [Format("NVIDIA TensorFlow StyleGAN2 .pkl", "generator", is_tensorflow,
                  convert_tensorflow)]
