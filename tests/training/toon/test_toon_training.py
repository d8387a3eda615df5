"""The toon trainings: each does learn, from the start that it was given."""
from __future__ import annotations

import torch
from torch import nn

from lgfa.frames.stylegan2 import Generator
from lgfa.toon import sampling
from lgfa.training.toon import clip, judges
from lgfa.training.toon import generator as toon_generator
from lgfa.training.toon.generator import Features, config, draw, grow, soften


def test_drawing_is_learned(tmp_path):
    torch.manual_seed(0)
    network = Generator(config(8))
    soften(network)
    features = Features()
    weight = toon_generator.importance(8)

    def error(seed=9):
        params = sampling.domain_params(32, torch.Generator().manual_seed(seed))
        with torch.no_grad():
            w = features(params)[:, None].expand(-1, network.num_layers, -1)
            return float(toon_generator.drawing_loss(
                network.synthesis(w), toon_generator.render(params, 8), weight))

    before = error()
    draw(network, features, 40, 16, 1e-2, tmp_path, "draw8", 1)
    assert error() < 0.7 * before


def test_a_grown_generator_begins_as_the_small_one():
    torch.manual_seed(0)
    small = Generator(config(16))
    soften(small)
    large = grow(small)
    assert large.resolution == 32
    w = torch.randn(2, 1, 512)
    with torch.no_grad():
        a = small.synthesis(w.expand(-1, small.num_layers, -1))
        b = large.synthesis(w.expand(-1, large.num_layers, -1))
    down = nn.functional.avg_pool2d(b, 2)
    assert (down - a)[:, :, 2:-2, 2:-2].abs().mean() < 0.1 * a.std()


def test_sentences_and_pictures_agree():
    from lgfa.drawn.captions import Captioner
    from lgfa.toon import captions
    from lgfa.training.toon import faces

    rng = torch.Generator().manual_seed(0)
    seen = faces.faces(24, 32, rng)
    texts, true_of = clip.says(seen, Captioner(captions.WORDS, rng))
    assert len(texts) == 24 and bool(true_of.diagonal().all())
    image = torch.eye(4)
    aligned = clip.agreement(image, image, torch.eye(4).bool(), torch.tensor(20.0))
    crossed = clip.agreement(image, image.roll(1, 0), torch.eye(4).bool(), torch.tensor(20.0))
    assert aligned < 0.01 < crossed


def test_pairs_show_one_person_twice():
    a, b = judges.pairs(3, 64, torch.Generator().manual_seed(0))
    assert a.shape == b.shape == (3, 3, 64, 64) and not torch.equal(a, b)


def test_recentred_codes_draw_the_same():
    torch.manual_seed(0)
    network = Generator(config(16))
    w = torch.randn(3, network.num_layers, 512)
    with torch.no_grad():
        before = network.synthesis(w)
        toon_generator.recentre(network)
        after = network.synthesis(w + toon_generator.CENTRE)
    assert (after - before).abs().max() < 1e-3 * before.std()


def test_the_mapping_begins_near_the_codes():
    torch.manual_seed(0)
    network, features = Generator(config(8)), Features()
    rng = torch.Generator().manual_seed(2)
    toon_generator.begin_mapping(network.mapping, features, rng)
    z = sampling.z_from_params(sampling.domain_params(500, rng), rng)
    target = features.codes(sampling.params_from_z(z))
    with torch.no_grad():
        error = (network.mapping(z)[:, 0] - target).square().mean()
    assert 1 - error / target.var(0).mean() > 0.9
