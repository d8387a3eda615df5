"""The generator against its conventions: shapes, truncation, noise, gradients, half precision."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lgfa import formats
from lgfa.config import GeneratorConfig
from lgfa.errors import LGFAError
from lgfa.formats import kinds
from lgfa.frames.stylegan2 import Generator
from lgfa.hashes import network_hash

TINY = GeneratorConfig(32, (12, 12, 8, 8), z_dim=8, w_dim=10, mapping_layers=2)


@pytest.fixture
def tiny() -> Generator:
    """A random 32 px generator whose noise and average are not zero."""
    torch.manual_seed(0)
    network = Generator(TINY).eval()
    with torch.no_grad():
        network.latent_avg.normal_()
        for layer in network.synthesis.convs:
            layer.noise_strength.fill_(0.3)
    return network


@pytest.mark.parametrize("config", [
    GeneratorConfig(8, (4, 4), z_dim=5, w_dim=6, mapping_layers=1),
    TINY,
    GeneratorConfig.nvidia(64, channel_base=512, channel_max=16, z_dim=7, w_dim=9),
])
def test_shapes(config):
    network = Generator(config)
    w = network.mapping(torch.randn(2, config.z_dim))
    assert w.shape == (2, config.num_layers, config.w_dim)
    assert network.synthesis(w).shape == (2, 3, config.resolution, config.resolution)
    assert len(network.synthesis.convs) + 1 == config.num_layers == network.num_layers


def test_channel_tables():
    assert GeneratorConfig.rosinality(1024).channels == (512,) * 4 + (512, 256, 128, 64, 32)
    assert GeneratorConfig.rosinality(256, 1).channels == (512,) * 4 + (256, 128, 64)
    assert GeneratorConfig.nvidia(1024) == GeneratorConfig.rosinality(1024)
    assert GeneratorConfig.nvidia(256, 16384).channels == (512,) * 4 + (256, 128, 64)
    assert GeneratorConfig.rosinality(512).num_layers == 16


@pytest.mark.parametrize("changes", [
    {"channels": (8, 0)}, {"z_dim": 0}, {"w_dim": -1}, {"mapping_layers": 0},
    {"mapping_layers": 65}, {"mapping_lr_multiplier": 0.0}, {"mapping_lr_multiplier": 1e300},
    {"mapping_lr_multiplier": float("nan")}, {"conv_clamp": 0.0}, {"conv_clamp": float("inf")},
    {"architecture": "other"}, {"architecture": 5},
])
def test_impossible_settings_are_refused(changes):
    with pytest.raises(LGFAError):
        GeneratorConfig(**{"resolution": 8, "channels": (8, 8)} | changes)


def test_the_usual_architecture_leaves_no_trace():
    """Headers and hashes are those from before there were others."""
    network = Generator(GeneratorConfig(8, (2, 2), z_dim=3, w_dim=3, mapping_layers=1))
    with torch.no_grad():
        for i, (_, value) in enumerate(sorted(network.state_dict().items())):
            value.copy_(torch.arange(value.numel()).reshape(value.shape) / 8 + i)
    assert kinds.settings(network) == {"config": {
        "resolution": 8, "channels": (2, 2), "z_dim": 3, "w_dim": 3, "mapping_layers": 1,
        "mapping_lr_multiplier": 0.01, "conv_clamp": None}}
    assert network_hash(network) == \
        "018c1062cc2b535a9b069413499920cf0f2700f4d629354575438ec345c83098"
    other = Generator(GeneratorConfig(8, (2, 2), architecture="orig"))
    assert kinds.settings(other)["config"]["architecture"] == "orig"


@pytest.mark.parametrize("architecture", ["orig", "resnet"])
def test_other_architectures(architecture, tmp_path):
    """Every code is read, all derivatives exist, half precision is near, files keep it."""
    torch.manual_seed(2)
    network = Generator(replace(TINY, architecture=architecture)).eval()
    assert len(network.synthesis.to_rgbs) == 1
    assert len(network.synthesis.shortcuts) == (3 if architecture == "resnet" else 0)
    w = torch.randn(2, TINY.num_layers, TINY.w_dim, requires_grad=True)
    image = network.synthesis(w)
    assert image.shape == (2, 3, 32, 32)
    image.square().mean().backward()
    assert bool((w.grad.abs().amax(dim=(0, 2)) > 0).all())
    with torch.no_grad():
        half = network.synthesis(w.half()).float()
    assert ((half - image).abs().max() / image.square().mean().sqrt()).item() < 0.03
    formats.save(tmp_path / "x.safetensors", network)
    again = formats.load(tmp_path / "x.safetensors", "generator")
    assert again.config == network.config and network_hash(again) == network_hash(network)


@pytest.mark.parametrize("resolution", [4, 48, 2048])
def test_impossible_resolution_is_refused(resolution):
    with pytest.raises(LGFAError, match="resolution"):
        GeneratorConfig(resolution, (8,) * 5)


def test_wrong_codes_and_noise_are_refused(tiny):
    with pytest.raises(LGFAError, match=r"\[1, 18, 10\], but the generator reads 8 layers of 10 "):
        tiny.synthesis(torch.zeros(1, 18, 10))
    with pytest.raises(LGFAError, match="unknown noise"):
        tiny.synthesis(torch.zeros(1, 8, 10), noise="some")
    with pytest.raises(LGFAError, match="takes z"):
        tiny.mapping(torch.zeros(1, 10))


def test_truncation_and_cutoff(tiny):
    z = torch.randn(3, TINY.z_dim)
    w, avg = tiny.mapping(z), tiny.latent_avg
    assert torch.equal(w, w[:, :1].expand_as(w))
    torch.testing.assert_close(tiny.mapping(z, 0.7), avg + 0.7 * (w - avg))
    torch.testing.assert_close(tiny.mapping(z, 0.0), avg.expand_as(w))
    half = tiny.mapping(z, 0.7, cutoff=3)
    torch.testing.assert_close(half[:, :3], tiny.mapping(z, 0.7)[:, :3])
    assert torch.equal(half[:, 3:], w[:, 3:])


@pytest.mark.parametrize("layer", range(TINY.num_layers))
def test_every_code_is_read_where_it_should_be(tiny, layer):
    """Code i changes the picture only from its level's side on; the last one only colours."""
    w = torch.randn(1, TINY.num_layers, TINY.w_dim)
    other = w.clone()
    other[:, layer] = torch.randn(TINY.w_dim)
    seen = []
    hooks = [conv.register_forward_hook(lambda m, i, o: seen.append(o))
             for conv in tiny.synthesis.convs]
    images = [tiny.synthesis(w), tiny.synthesis(other)]
    for hook in hooks:
        hook.remove()
    count = len(tiny.synthesis.convs)
    equal = [torch.equal(seen[i], seen[i + count]) for i in range(count)]
    assert equal == [i < layer for i in range(count)]       # conv i reads code i
    assert not torch.equal(*images)


def test_noise_modes(tiny):
    w = torch.randn(2, TINY.num_layers, TINY.w_dim)
    w[1] = w[0]
    const, none = tiny.synthesis(w), tiny.synthesis(w, noise="none")
    assert torch.equal(const, tiny.synthesis(w)) and not torch.equal(const, none)
    torch.testing.assert_close(const[0], const[1])

    def drawn(mode, seed):
        return tiny.synthesis(w, noise=mode, generator=torch.Generator().manual_seed(seed))

    assert torch.equal(drawn("random", 1), drawn("random", 1))
    assert not torch.equal(drawn("random", 1), drawn("random", 2))
    assert not torch.equal(*drawn("random", 1))             # a map for each sample
    torch.testing.assert_close(*drawn("shared", 1))         # one for all


def test_conv_clamp(tiny):
    clamped = Generator(GeneratorConfig(32, TINY.channels, 8, 10, 2, conv_clamp=0.05))
    clamped.load_state_dict(tiny.state_dict())
    peaks = []
    for conv in clamped.synthesis.convs:
        conv.register_forward_hook(lambda m, i, o: peaks.append(o.abs().max().item()))
    clamped.synthesis(torch.randn(1, TINY.num_layers, TINY.w_dim))
    assert max(peaks) == pytest.approx(0.05)


def test_twice_differentiable():
    """Both derivatives agree with finite differences, through styles and through weights."""
    torch.manual_seed(1)
    network = Generator(GeneratorConfig(8, (3, 2), z_dim=3, w_dim=3, mapping_layers=1)).double()
    w = torch.randn(2, network.num_layers, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(network.synthesis, (w,))
    assert torch.autograd.gradgradcheck(network.synthesis, (w,), fast_mode=True)
    z = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda z: network(z, 0.7), (z,), fast_mode=True)

    # The path-length regulariser of StyleGAN2 differentiates a gradient by the weights.
    image = network.synthesis(w)
    (slope,) = torch.autograd.grad(image.sum(), w, create_graph=True)
    slope.square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all()
               for n, p in network.synthesis.named_parameters() if "bias" not in n
               and not n.endswith("noise_strength"))


@pytest.mark.parametrize(("dtype", "worst"), [(torch.float16, 0.02), (torch.bfloat16, 0.15)])
@pytest.mark.parametrize("whole", [False, True], ids=["latent", "network"])
def test_half_precision(tiny, dtype, worst, whole):
    """Half of the bits, nearly the picture: float32 weights or all in half precision."""
    w = torch.randn(2, TINY.num_layers, TINY.w_dim)
    with torch.no_grad():
        exact = tiny.synthesis(w)
        half = (tiny.to(dtype) if whole else tiny).synthesis(w.to(dtype))
    assert half.dtype == dtype
    error = ((half.float() - exact).abs().max() / exact.square().mean().sqrt()).item()
    print(f"{dtype}, {'all' if whole else 'latent'}: max/rms {error:.1e}")
    assert error < worst
    assert tiny.mapping(torch.randn(1, TINY.z_dim, dtype=dtype)).dtype == dtype


def test_float16_survives_large_weights(tiny):
    """Weights and styles far beyond 65504 / 9 channels do not overflow."""
    with torch.no_grad():
        for conv in tiny.synthesis.convs:
            conv.weight.mul_(3e4)
            conv.affine.weight.mul_(1e3)
        w = torch.randn(1, TINY.num_layers, TINY.w_dim)
        exact, half = tiny.synthesis(w), tiny.synthesis(w.half())
    assert torch.isfinite(half).all()
    assert ((half.float() - exact).abs().max() / exact.square().mean().sqrt()).item() < 0.05


def test_autocast_on_cpu(tiny):
    """bfloat16 inside, float32 outside; the mapping and the styles keep float32."""
    w = torch.randn(2, TINY.num_layers, TINY.w_dim)
    z = torch.randn(2, TINY.z_dim)
    plain = tiny.synthesis(w)
    with torch.autocast("cpu", torch.bfloat16):
        half = tiny.synthesis(w)
        assert torch.equal(tiny.mapping(z), tiny.mapping(z)) and tiny.mapping(z).dtype == z.dtype
    assert half.dtype == torch.float32
    error = ((half - plain).abs().max() / plain.square().mean().sqrt()).item()
    assert 0 < error < 0.15
    half.square().mean().backward()
    assert tiny.synthesis.convs[0].weight.grad.dtype == torch.float32


def test_same_seed_same_picture_bit_for_bit():
    def picture():
        torch.manual_seed(5)
        network = Generator(TINY)
        with torch.no_grad():
            return network(torch.randn(2, TINY.z_dim), truncation=0.7)
    assert torch.equal(picture(), picture())


def test_memory_layout_does_not_matter(tiny):
    """Channels last is a layout, not another result: contiguous() of the input changes nothing."""
    w = torch.randn(2, TINY.w_dim, TINY.num_layers).transpose(1, 2)
    assert torch.equal(tiny.synthesis(w), tiny.synthesis(w.contiguous()))
