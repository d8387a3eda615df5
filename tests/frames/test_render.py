"""Rendering in chunks: same frames, progress, stopping, and what happens without memory."""
from __future__ import annotations

import itertools
import weakref

import pytest
import torch

from lgfa.config import GeneratorConfig
from lgfa.errors import LGFAError, is_out_of_memory
from lgfa.frames.render import render
from lgfa.frames.stylegan2 import Generator

SETTINGS = GeneratorConfig(16, (8, 8, 8), z_dim=6, w_dim=6, mapping_layers=1)


@pytest.fixture
def network() -> Generator:
    torch.manual_seed(0)
    network = Generator(SETTINGS).eval()
    with torch.no_grad():
        for conv in network.synthesis.convs:
            conv.noise_strength.fill_(0.2)
    return network


@pytest.fixture
def latents() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(11, SETTINGS.num_layers, SETTINGS.w_dim)


@pytest.mark.parametrize("noise", ["const", "random", "none"])
@pytest.mark.parametrize("chunk", [1, 4, 50])
def test_chunks_equal_one_piece(network, latents, chunk, noise):
    whole = torch.cat(list(render(network, latents, chunk=11, noise=noise, seed=3)))
    parts = list(render(network, latents, chunk=chunk, noise=noise, seed=3))
    assert [len(p) for p in parts[:-1]] == [chunk] * (len(parts) - 1)
    torch.testing.assert_close(torch.cat(parts), whole, atol=1e-5, rtol=0)


def test_frames_are_finished(network, latents):
    frames = torch.cat(list(render(network, latents)))
    raw = torch.cat(list(render(network, latents, raw=True)))
    assert frames.shape == (11, 16, 16, 3) and frames.dtype == torch.float32
    assert not frames.requires_grad and frames.is_contiguous()
    assert frames.min() >= 0 and frames.max() <= 1 and raw.abs().max() > 1
    torch.testing.assert_close(frames, (raw / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1))


def test_same_seed_same_frames_bit_for_bit(network, latents):
    def frames(seed):
        return torch.cat(list(render(network, latents, chunk=4, noise="random", seed=seed)))
    assert torch.equal(frames(1), frames(1)) and not torch.equal(frames(1), frames(2))


def test_progress_and_stop(network, latents):
    seen = []
    list(render(network, latents, chunk=4, progress=lambda *a: seen.append(a)))
    assert seen == [(4, 11), (8, 11), (11, 11)]
    asked = itertools.count(1)
    frames = list(render(network, latents, chunk=4, should_stop=lambda: next(asked) > 2))
    assert [len(f) for f in frames] == [4, 4]


class Short:
    """Stands for a synthesis network; refuses chunks of more than `most` frames."""

    def __init__(self, inner, most, error):
        self.inner, self.most, self.error, self.asked = inner, most, error, []

    def __call__(self, codes, *rest):
        self.asked.append(len(codes))
        if len(codes) > self.most:
            raise self.error
        return self.inner(codes, *rest)


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't "
                 "allocate memory: you tried to allocate 99 bytes."),
    RuntimeError("not enough memory: you tried to allocate 99 bytes"),
    MemoryError(),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda e: type(e).__name__)
def test_out_of_memory_halves_the_chunk(network, latents, error, monkeypatch):
    whole = torch.cat(list(render(network, latents)))
    short = Short(network.synthesis.forward, 3, error)
    monkeypatch.setattr(network.synthesis, "forward", short)
    seen = []
    frames = list(render(network, latents, chunk=8, progress=lambda *a: seen.append(a[0])))
    assert short.asked == [8, 4, 2, 2, 2, 2, 2, 1]
    assert seen == [2, 4, 6, 8, 10, 11]
    torch.testing.assert_close(torch.cat(frames), whole, atol=1e-5, rtol=0)


def test_no_memory_for_one_frame_is_one_sentence(network, latents, monkeypatch):
    monkeypatch.setattr(network.synthesis, "forward",
                        Short(network.synthesis.forward, 0, OUT_OF_MEMORY[0]))
    with pytest.raises(LGFAError, match="not enough memory on cpu for one frame of 16 px"):
        list(render(network, latents))


def test_other_errors_pass(network, latents, monkeypatch):
    monkeypatch.setattr(network.synthesis, "forward",
                        Short(network.synthesis.forward, 0, RuntimeError("device lost")))
    with pytest.raises(RuntimeError, match="device lost"):
        list(render(network, latents))
    assert not is_out_of_memory(ValueError("out of memory"))


@pytest.mark.parametrize("bad", [torch.zeros(0, 6, 6), torch.zeros(6, 6), torch.zeros(2, 18, 6)])
def test_wrong_latents_are_refused_at_the_call(network, bad):
    with pytest.raises(LGFAError):
        render(network, bad)


def test_chunk_of_none_is_refused(network, latents):
    with pytest.raises(LGFAError, match="at least 1"):
        render(network, latents, chunk=0)


def test_memory_does_not_grow_with_the_clip(network):
    """Only the chunk that is being rendered is alive, however long the clip."""
    alive, frames = [], []
    for part in render(network, torch.randn(40, SETTINGS.num_layers, SETTINGS.w_dim), chunk=4):
        frames.append(weakref.ref(part))
        del part
        alive.append(sum(ref() is not None for ref in frames))
    assert max(alive) <= 1


def test_half_precision_and_device_argument(network, latents):
    frames = torch.cat(list(render(network, latents, device="cpu", dtype=torch.bfloat16)))
    assert frames.dtype == torch.float32
    exact = torch.cat(list(render(network, latents)))
    assert (frames - exact).abs().max() < 0.2
