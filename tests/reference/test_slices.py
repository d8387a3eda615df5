"""The numbers of the original programs, in a plain clone: outputs of NVIDIA's generator, of the
rosinality mapping network, of e4e and of the LGFA authors' model, as far as they are stored here
(cut.py), on weights that are drawn anew (filling.py). The whole outputs, files and decoders
included, are compared in tests/formats and tests/embed where the reference data lie."""
from __future__ import annotations

import filling
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from cut import CUTS, HERE, LOOKED_AT
from torch import Tensor

WORST = 2e-4                        # max |difference| / rms that float32 may have on the CPU


def nvidia() -> dict[str, Tensor]:
    network, wplus = filling.nvidia(), filling.given(filling.NVIDIA, "wplus", 2, 10, 48)
    z = filling.given(filling.NVIDIA, "z", 3, 32)
    near = network.mapping(z, truncation=0.7)
    return {"w": network.mapping(z)[:, 0],
            "ws_trunc_cutoff": network.mapping(z, truncation=0.7, cutoff=6),
            "image": network.synthesis(wplus),
            "image_nonoise": network.synthesis(wplus[:1], noise="none"),
            "image_z": network.synthesis(near[:1])}


def rosinality() -> dict[str, Tensor]:
    network, z = filling.rosinality_mapping(), filling.given(filling.ROSINALITY, "z", 3, 512)
    return {"w": network(z)[:, 0], "w_trunc": network(z, truncation=0.7)[:, 0]}


def e4e() -> dict[str, Tensor]:
    network, x = filling.e4e(), filling.picture(filling.E4E, "x", 2, 256)[:1]
    places = torch.zeros(2, 1, 18, 512)                 # all but those of LOOKED_AT stay empty
    places[0, :, LOOKED_AT], places[1, :, LOOKED_AT] = network.codes(x), network(x)
    return {"codes_no_avg": places[0], "codes": places[1]}


def authors() -> dict[str, Tensor]:
    network = filling.authors()
    z_t, z_v = (F.normalize(filling.given(filling.AUTHORS, name, 2, 1024), dim=1)
                for name in ("z_t", "z_v"))
    z1, h1 = network.first_code(z_t, z_v), 0.01 * filling.given(filling.AUTHORS, "h1", 2, 384)
    train = network.rnn(z1, 4, h1=h1, training=True)
    infer = network.rnn(z1, 16, h1=h1, training=False)
    return {"codes_train4": train, "codes_infer16": infer,
            "dw_train4": network.offsets(train)[:, [0, 1, 3]],
            "dw_infer16": network.offsets(infer)[:, [0, 8, 15]],
            "w_v": network.content(torch.zeros(2, 18, 512), z_v=z_v)}


@pytest.mark.parametrize(("case", "outputs"), [
    ("ada_pkl_tiny", nvidia), ("rosinality_512", rosinality), ("e4e_ffhq", e4e),
    ("authors_lgfa", authors)])
@torch.no_grad()
def test_original_numbers(case, outputs):
    found = outputs()
    with np.load(HERE / f"{case}.npz") as stored:
        assert set(stored) == set(found) == set(CUTS[case])
        for name, wanted in stored.items():
            ours = found[name].numpy()[CUTS[case][name]]
            assert ours.shape == wanted.shape
            error = np.abs(ours - wanted).max() / np.sqrt(np.square(wanted).mean())
            print(f"{case} {name}: max/rms {error:.1e}")
            assert error <= WORST, name
