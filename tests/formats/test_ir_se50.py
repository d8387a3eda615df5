"""IR-SE50's file against stored outputs of the original code; files without counters."""
from __future__ import annotations

import pytest
import torch
from golden import Case

from lgfa import formats
from lgfa.config import IdentityConfig
from lgfa.embed.identity import Identity
from lgfa.errors import LGFAError
from lgfa.formats.layouts import ir_se50


@torch.no_grad()
def test_the_original_numbers(shared, tmp_path) -> None:
    """Through a file, as a user has it."""
    arcface = Case(shared, "ir_se50")
    path = tmp_path / "model_ir_se50.pth"
    torch.save(arcface.checkpoint(), path)
    network = formats.load(path)
    assert network.config == IdentityConfig()
    arcface.check("embedding", network(arcface["x112"]))
    arcface.check("embedding_raw", network.embed_raw(arcface["x112"]))
    arcface.check("embedding_256", network(arcface["x256"]))


def small() -> dict[str, torch.Tensor]:
    """A file of the right architecture with cheap weights: zeros, which share one block."""
    with torch.device("meta"):
        shapes = {k: v.shape for k, v in Identity(IdentityConfig()).state_dict().items()}
    block = torch.zeros(13_000_000)
    return {old: block[:shapes[new].numel()].view(shapes[new])
            for old, new in ir_se50.identity_table(IdentityConfig()).items()}


def test_missing_counters_are_filled() -> None:
    tree = {k: v for k, v in small().items() if not k.endswith("num_batches_tracked")}
    config, weights = ir_se50.convert_identity(tree)
    with torch.device("meta"):
        assert set(weights) == set(Identity(config).state_dict())


def test_other_depths_and_lost_weights_are_refused() -> None:
    tree = small()
    shallow = {k: v for k, v in tree.items() if not k.startswith("body.23.")}
    with pytest.raises(LGFAError, match="has 23 blocks; only the 50-layer one .24 blocks."):
        ir_se50.convert_identity(shallow)
    del tree["output_layer.4.weight"]
    with pytest.raises(LGFAError, match="IR-SE network of this file lacks output_layer.4.weight"):
        ir_se50.convert_identity(tree)
