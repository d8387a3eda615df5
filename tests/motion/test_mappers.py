"""Zero in, zero out; growth from nothing; pixel norm's warning; sizes and gains."""
from __future__ import annotations

import math

import pytest
import torch

from lgfa.config import MotionConfig
from lgfa.motion.mappers import Mapper


def tiny(**others) -> MotionConfig:
    return MotionConfig(**{"embed_dim": 6, "num_layers": 4, "w_dim": 8, "hidden": 5,
                           "mapper_hidden": 32, **others})


def filled(mapper: Mapper) -> Mapper:
    """Biases that are not zero, as after training."""
    with torch.no_grad():
        for layer in mapper.layers:
            if layer.bias is not None:
                layer.bias.normal_()
    return mapper


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_scale_gives_zero_for_zero(final, shared):
    torch.manual_seed(0)
    mapper = filled(Mapper(tiny(final_activation=final, shared_layers=shared)))
    code = torch.randn(3, 5, 6)
    code[1, 2] = 0
    out = mapper(code)
    assert out.shape == (3, 5, 4, 8)
    assert not out[1, 2].any() and out[1, 1].any()


def test_scale_grows_from_nothing_and_pixel_does_not():
    torch.manual_seed(0)
    code = torch.randn(1, 6)
    lengths = torch.tensor([1e-3, 1e-2, 1e-1, 1.0])[:, None]
    scale = filled(Mapper(tiny()))(lengths * code).flatten(1).norm(dim=1)
    pixel = filled(Mapper(tiny(code_norm="pixel")))(lengths * code).flatten(1).norm(dim=1)
    assert (scale[1:] / scale[:-1] > 4).all() and scale[0] < 0.01 * scale[-1]
    assert (pixel / pixel[-1] - 1).abs().max() < 0.01


def test_pixel_gives_the_biases_for_zero():
    torch.manual_seed(0)
    mapper = filled(Mapper(tiny(code_norm="pixel", mapper_depth=1)))
    out = mapper(torch.zeros(1, 6))
    torch.testing.assert_close(out.flatten(), mapper.layers[0].bias)


def test_gain_gives_typical_codes_unit_size():
    mapper = Mapper(tiny(), code_rms=0.02)
    assert mapper.log_gain.exp().item() == pytest.approx(50)
    assert Mapper(tiny()).log_gain.exp().item() == pytest.approx(math.sqrt(6))
    assert Mapper(tiny(code_norm="pixel"), code_rms=0.02).log_gain is None


def test_training_starts_at_the_still():
    torch.manual_seed(0)
    config = tiny(embed_dim=64, mapper_hidden=128, w_dim=64)
    out = Mapper(config)(torch.randn(32, 64) / 8)
    assert 0.02 < out.square().mean().sqrt() < 0.2


def test_shared_layers_give_one_offset():
    torch.manual_seed(0)
    out = Mapper(tiny(shared_layers=True))(torch.randn(2, 6), basis=2 * torch.eye(8))
    assert out.shape == (2, 4, 8)
    assert torch.equal(out[:, :1].expand_as(out), out)


def test_basis_multiplies_the_output():
    torch.manual_seed(0)
    mapper, code, basis = Mapper(tiny()), torch.randn(2, 6), torch.randn(8, 8)
    torch.testing.assert_close(mapper(code, basis), mapper(code) @ basis)


def test_every_parameter_learns():
    torch.manual_seed(0)
    pixel = tiny(code_norm="pixel", final_activation=True)
    for config in (tiny(), pixel, tiny(shared_layers=True)):
        mapper = Mapper(config)
        mapper(torch.randn(4, 6)).square().sum().backward()
        assert all(p.grad is not None and p.grad.any() for p in mapper.parameters())
