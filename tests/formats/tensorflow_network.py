"""Small networks as NVIDIA's TensorFlow programs pickle them, filled by a seeded recipe."""
from __future__ import annotations

import pickle
import sys
import types

import numpy as np
import pytest

SIZE, Z, W, WIDTH = 16, 6, 5, 4


class Network:
    """Stands for dnnlib.tflib.network.Network while a pickle is written."""

    def __init__(self, **state):
        self.__dict__.update(state)


def network(function, options, variables, components=None):
    return Network(version=4, name=function, static_kwargs=options, components=components or {},
                   build_module_src="raise SystemExit('run')", build_func_name=function,
                   variables=list(variables.items()))


def generator(architecture="skip", seed=0, growing=False, options=None):
    """A 16 px generator; `growing` ones have a ToRGB for each resolution and use the last."""
    rng = np.random.RandomState(seed)

    def normal(*shape):
        return rng.randn(*shape).astype(np.float32)

    mapping, synthesis = {}, {}
    for i, side in enumerate((4, 8, 8, 16, 16)):
        synthesis[f"noise{i}"] = normal(1, 1, side, side)
    for i in range(2):
        mapping |= {f"Dense{i}/weight": normal(W if i else Z, W) * 100,
                    f"Dense{i}/bias": normal(W) * 10}
    synthesis["4x4/Const/const"] = normal(1, WIDTH, 4, 4)

    def layer(name, kernel=3, outputs=WIDTH, noise=True):
        synthesis.update({
            f"{name}/weight": normal(kernel, kernel, WIDTH, outputs),
            f"{name}/mod_weight": normal(W, WIDTH), f"{name}/mod_bias": normal(WIDTH) / 10,
            f"{name}/bias": normal(outputs) / 4,
        } | ({f"{name}/noise_strength": np.float32(rng.randn() / 4)} if noise else {}))

    for side in (4, 8, 16):
        for name in ("Conv",) if side == 4 else ("Conv0_up", "Conv1"):
            layer(f"{side}x{side}/{name}")
        if growing:
            layer(f"ToRGB_lod{4 - side.bit_length() + 1}", 1, 3, noise=False)
        elif architecture == "skip" or side == SIZE:
            layer(f"{side}x{side}/ToRGB", 1, 3, noise=False)
        if architecture == "resnet" and side > 4:
            synthesis[f"{side}x{side}/Skip/weight"] = normal(1, 1, WIDTH, WIDTH)
    given = {"resolution": SIZE, "num_channels": 3, "label_size": 0, "latent_size": Z,
             "dlatent_size": W, "mapping_layers": 2, "mapping_fmaps": W, "fmap_max": WIDTH,
             "truncation_psi": 0.5}
    given |= {} if growing else {"architecture": architecture}
    given |= options or {}
    function = "G_synthesis_stylegan_revised" if growing else "G_synthesis_stylegan2"
    lod = {"lod": np.float32(0)}
    return network("G_main", given, lod | {"dlatent_avg": normal(W)}, {
        "mapping": network("G_mapping", given | {"dlatent_broadcast": 6}, mapping),
        "synthesis": network(function, given, synthesis | (lod if growing else {})),
    })


def write(path, value, protocol=4):
    """Pickles networks under the name of NVIDIA's class. -> path"""
    module = types.ModuleType("dnnlib.tflib.network")
    module.Network = Network
    parents = {name: types.ModuleType(name) for name in ("dnnlib", "dnnlib.tflib")}
    with pytest.MonkeyPatch.context() as patch:
        for name, one in (parents | {"dnnlib.tflib.network": module}).items():
            patch.setitem(sys.modules, name, one)
        patch.setattr(Network, "__module__", "dnnlib.tflib.network")
        path.write_bytes(pickle.dumps(value, protocol))
    return path
