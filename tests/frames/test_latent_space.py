"""Codes of random z: the same for a seed, however they are mapped; how widely they spread."""
from __future__ import annotations

import pytest
import torch

from lgfa.config import GeneratorConfig
from lgfa.frames import latent_space
from lgfa.frames.stylegan2 import Generator


@pytest.fixture
def network() -> Generator:
    torch.manual_seed(0)
    network = Generator(GeneratorConfig(8, (4, 4), z_dim=6, w_dim=5, mapping_layers=2)).eval()
    with torch.no_grad():
        network.latent_avg.normal_()
    return network


def test_codes_are_those_of_the_mapping_network(network):
    z = torch.randn(9, 6, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        wanted = network.mapping(z, truncation=0.6)
    found = latent_space.samples(network, 9, seed=4, truncation=0.6)
    assert torch.equal(found, wanted[:, 0]) and not found.requires_grad


def test_a_seed_a_generator_and_chunks_give_the_same_codes(network):
    wanted = latent_space.samples(network, 9, seed=4)
    assert torch.equal(latent_space.samples(network, 9, torch.Generator().manual_seed(4)), wanted)
    torch.testing.assert_close(latent_space.samples(network, 9, 4, chunk=4), wanted)
    assert not torch.equal(latent_space.samples(network, 9), wanted)


def test_a_generator_moves_on_and_the_global_state_does_not(network):
    rng, state = torch.Generator().manual_seed(4), torch.random.get_rng_state()
    first, second = (latent_space.samples(network, 4, rng) for _ in range(2))
    assert not torch.equal(first, second)
    latent_space.samples(network, 4, seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_codes_have_the_networks_dtype(network):
    assert latent_space.samples(network.double(), 3).dtype == torch.float64


def test_spread():
    w = torch.tensor([[0.0, 5, 2], [4.0, 5, 2], [8.0, 5, 2]])
    assert latent_space.spread(w).tolist() == pytest.approx([4, 4e-3 / 3, 4e-3 / 3])
    assert latent_space.spread(w.double()).dtype == torch.float32
