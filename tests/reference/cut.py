"""Which numbers of the stored outputs lie beside this file, and the program that cut them out.

    python tests/reference/cut.py ../shared/reference

Each CASE.npz holds a few thousand of the outputs of an original program, run on the weights that
filling.py draws: from all samples, layers, frames, corners and channels, but not all of them.
"""
from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent

#: style codes of e4e whose heads filling.py fills: the first, and one of each map
LOOKED_AT = [0, 1, 3, 7]

#: case -> output -> indices of what is kept
CUTS = {
    "ada_pkl_tiny": {                   # pictures: a grid that meets all phases of upsampling
        "w": np.s_[:],
        "ws_trunc_cutoff": np.s_[..., ::5],
        "image": np.s_[..., 1::5, 2::5],
        "image_nonoise": np.s_[..., ::5, 3::5],
        "image_z": np.s_[..., 2::5, 1::5],
    },
    "rosinality_512": {
        "w": np.s_[:, ::8],
        "w_trunc": np.s_[:, 3::8],
    },
    "e4e_ffhq": {                       # of the first of two pictures
        "codes_no_avg": np.s_[:1, LOOKED_AT, ::4],
        "codes": np.s_[:1, LOOKED_AT, 1::4],
    },
    "authors_lgfa": {
        "codes_train4": np.s_[..., ::32],
        "codes_infer16": np.s_[..., 1::64],
        "dw_train4": np.s_[..., ::64],
        "dw_infer16": np.s_[..., 5::64],
        "w_v": np.s_[..., ::32],
    },
}


def main(folder: Path) -> None:
    """Writes the slices, from a folder with the whole outputs, CASE.golden.npz."""
    for case, cuts in CUTS.items():
        with np.load(folder / f"{case}.golden.npz") as whole:
            np.savez_compressed(HERE / f"{case}.npz",
                                **{name: whole[name][cut] for name, cut in cuts.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
