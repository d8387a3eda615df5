"""Small variants of e4e (embed/e4e.py) and IR-SE (embed/identity.py), which share their body.

The published networks are compared with the originals in tests/formats/test_e4e.py and
test_ir_se50.py.
"""
from __future__ import annotations

import pytest
import torch

from lgfa import formats
from lgfa.config import EncoderConfig, IdentityConfig
from lgfa.embed.e4e import Encoder
from lgfa.embed.identity import Identity
from lgfa.errors import LGFAError

SMALL = {"widths": (8, 8, 16, 16, 24), "units": (1, 1, 2, 1)}


@pytest.mark.parametrize("heads", ["conv", "linear"])
@pytest.mark.parametrize("stem_stride", [1, 2])
def test_small_encoder_trains_and_round_trips(heads: str, stem_stride: int, tmp_path) -> None:
    torch.manual_seed(0)
    config = EncoderConfig(num_layers=12, resolution=128, input_size=64, w_dim=32, heads=heads,
                           head_width=8, stem_stride=stem_stride, **SMALL)
    network = Encoder(config)
    network.latent_avg.normal_()
    x = torch.rand(2, 3, 128, 128) * 2 - 1
    w = network(x)
    assert w.shape == (2, 12, 32)
    w.square().mean().backward()
    assert all(p.grad is not None for p in network.parameters())

    network.eval()
    formats.save(tmp_path / "encoder.safetensors", network)
    again = formats.load(tmp_path / "encoder.safetensors", "encoder")
    assert again.config == config
    assert torch.equal(again(x), network(x))


def test_channels_last_gives_the_same() -> None:
    torch.manual_seed(0)
    network = Encoder(EncoderConfig(12, 128, 64, w_dim=32, heads="linear", **SMALL)).eval()
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        plain = network(x)
        network.to(memory_format=torch.channels_last)
        other = network(x.contiguous(memory_format=torch.channels_last))
    assert torch.allclose(plain, other, atol=1e-5)


def test_every_layer_is_the_first_plus_its_offset() -> None:
    """With its own head at zero, a layer repeats layer 0; and it reads the map of its level."""
    torch.manual_seed(0)
    network = Encoder(EncoderConfig(12, 128, 64, w_dim=32, **SMALL)).eval()
    for parameter in network.heads[5].linear.parameters():
        torch.nn.init.zeros_(parameter)
    w = network.codes(torch.rand(1, 3, 64, 64))
    assert torch.equal(w[:, 5], w[:, 0]) and not torch.equal(w[:, 6], w[:, 0])
    assert [len(head.convs) for head in network.heads] == [2] * 3 + [3] * 4 + [4] * 5


def test_small_identity(tmp_path) -> None:
    torch.manual_seed(0)
    config = IdentityConfig(input_size=32, embed_dim=16, crop=None, **SMALL)
    network = Identity(config).eval()
    x = (torch.rand(2, 3, 128, 128) * 2 - 1).requires_grad_()
    out = network(x)
    assert torch.allclose(out.norm(dim=1), torch.ones(2), atol=1e-6)
    out[0, 0].backward()
    assert x.grad[0].abs().max() > 0 and x.grad[1].abs().max() == 0
    formats.save(tmp_path / "identity.safetensors", network)
    again = formats.load(tmp_path / "identity.safetensors", "identity")
    assert again.config == config and torch.equal(again(x), out)


def test_identity_crop() -> None:
    """A 256 px image is cropped to rows 35:223 and columns 32:220, smaller ones alike."""
    network = Identity(IdentityConfig(**SMALL))
    x = torch.zeros(1, 3, 256, 256)
    x[:, :, 35:223, 32:220] = 1
    assert torch.equal(network.prepare(x), torch.ones(1, 3, 112, 112))
    assert network.prepare(x[:, :, ::2, ::2]).shape == (1, 3, 112, 112)
    ready = torch.rand(1, 3, 112, 112)
    assert network.prepare(ready) is ready


def test_impossible_settings_and_shapes_are_refused() -> None:
    with pytest.raises(LGFAError, match="multiple of 16"):
        EncoderConfig(12, 128, input_size=100)
    with pytest.raises(LGFAError, match="stages"):
        EncoderConfig(12, 128, widths=(8, 8), units=(1,))
    with pytest.raises(LGFAError, match="power of two"):
        EncoderConfig(12, 128, input_size=96)
    with pytest.raises(LGFAError, match="do not exist"):
        EncoderConfig(12, 128, heads="square")
    with pytest.raises(LGFAError, match=r"\[B, 3, H, W\]"):
        Encoder(EncoderConfig(2, 8, 32, heads="linear", **SMALL))(torch.zeros(1, 1, 32, 32))
