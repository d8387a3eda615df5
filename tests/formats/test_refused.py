"""Files of others that are known and cannot be used."""
from __future__ import annotations

import pytest
import torch

from lgfa import formats
from lgfa.errors import LGFAError
from lgfa.formats import build
from lgfa.formats.layouts import refused


def module(**parts: object) -> dict:
    return {"class_name": "X", "module_type": "class", "state": {"_modules": parts}}


def test_foreign_files_are_refused_by_name():
    weight = torch.zeros(3)
    cases = {
        "training checkpoint": {"lgfa_training": 1, "step": 3},
        "discriminator": {"convs.0.0.weight": weight, "final_conv.0.weight": weight,
                          "final_linear.0.weight": weight},
        "work_in_stylespace": {"state_dict": {"mapper.mapper_0.mapping.1.weight": weight}},
        "GFPGAN": {"params_ema": {"stylegan_decoder.conv1.weight": weight}},
        "Stable Diffusion": {"state_dict": {"model.diffusion_model.out.2.bias": weight}},
        "LoRA": {"lora_unet_mid_block.lora_down.weight": weight,
                 "lora_unet_mid_block.lora_up.weight": weight},
        "latent codes": {0: torch.zeros(18, 512), 1: torch.zeros(18, 512)},
        "StyleGAN3": {"G_ema": module(mapping=module(), synthesis=module(L0_36_512=module()))},
    }
    for words, tree in cases.items():
        found = formats.recognise(tree)
        assert found.refuse is not None and words in found.refuse, words
        with pytest.raises(LGFAError, match=words):
            build.convert(tree, found)
        with pytest.raises(LGFAError, match=words):
            build.from_tree(tree, formats.recognise(tree, "generator"))
    assert len(refused.FORMATS) == 9


def test_tensorflow_pickles_are_refused_by_name(tmp_path):
    (tmp_path / "x.pkl").write_bytes(b"\x80\x03cdnnlib.tflib.network\nNetwork\n)\x81.")
    with pytest.raises(LGFAError, match="TensorFlow StyleGAN pickle"):
        formats.load(tmp_path / "x.pkl", "generator")
