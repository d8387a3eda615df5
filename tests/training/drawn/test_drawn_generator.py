"""A drawn domain's generator: it learns to draw, grows, and its mapping begins near the codes."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from dots import DOTS
from torch import nn

from lgfa.config import GeneratorConfig
from lgfa.frames.stylegan2 import Generator
from lgfa.nn.random import fresh_weights
from lgfa.toon import sampling
from lgfa.toon.renderer import render
from lgfa.toon.world import TOON
from lgfa.training.drawn import generator as lessons
from lgfa.training.drawn.codes import CENTRE, Features, lines, strays
from lgfa.training.drawn.generator import Lesson
from lgfa.training.toon import generator as toon


@pytest.fixture(scope="module")
def features() -> Features:
    return toon.features()


def fresh(resolution: int) -> Generator:
    with fresh_weights(0):
        return Generator(toon.config(resolution))


def codes(network: Generator, features: Features, n: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes for all layers and the parameters of some faces."""
    params = TOON.faces(n, torch.Generator().manual_seed(9))
    return features(params)[:, None].expand(-1, network.num_layers, -1), params


# ---- codes


def test_codes_are_standardised_and_lines_are_straight(features) -> None:
    rng = torch.Generator().manual_seed(5)
    params = TOON.faces(2000, rng)
    w = features(params)
    assert w.shape == (2000, 512) and 0.8 < w.std() < 1.2
    assert torch.equal(features.codes(params), w + CENTRE)
    on_line, faces = lines(16, features, rng)
    assert on_line.shape == (16, 512) and faces.shape == (16, TOON.columns)
    # a point of a line tells the same person as its ends: codes are linear in most of a face
    assert (faces - faces[0]).abs().max() > 0


def test_derived_features_are_those_of_the_face_alone(features) -> None:
    """Another expression changes the derived columns and the face's own, another person others."""
    rng = torch.Generator().manual_seed(6)
    people = TOON.people(200, rng)
    which = torch.arange(200) % TOON.count
    change = (toon.describe(TOON.with_expression(people, which)) - toon.describe(people)).abs()
    moved = change.amax(0) > 0
    own = torch.tensor([i >= TOON.who for i in TOON.live])
    assert not moved[:len(own)][~own].any() and not moved[len(own):toon.DERIVED.start].any()
    assert moved[toon.DERIVED].all() and not moved[toon.DERIVED.stop:].any()


def test_strays_show_faces_that_exist(features) -> None:
    w, params = strays(64, features, torch.Generator().manual_seed(7))
    low = torch.tensor([p.low for p in TOON.parameters])
    high = torch.tensor([p.high for p in TOON.parameters])
    assert (params >= low - 1e-6).all() and (params <= high + 1e-6).all()
    away = (w - features(params)).square().mean(1)
    assert away.max() > 0.2                     # the codes are beyond those faces' own


# ---- drawing


def test_drawing_is_learned(tmp_path: Path, features) -> None:
    network = fresh(8)
    lessons.soften(network)
    w, params = codes(network, features)
    target, weight = render(params, 8), toon.importance(8)

    def error() -> float:
        with torch.no_grad():
            return float(lessons.drawing_loss(network.synthesis(w), target, weight))

    before, state = error(), torch.get_rng_state()
    trained = lessons.draw(Lesson("draw8", 40, 16, 1e-2, 1, stray=0.25), network, features,
                           toon.importance, tmp_path)
    assert error() < 0.7 * before and trained.minutes > 0
    assert torch.equal(torch.get_rng_state(), state)


def test_what_a_face_is_read_by_counts_more() -> None:
    weight = toon.importance(32)
    assert weight.shape == (1, 1, 32, 32) and weight[0, 0, 0, 0] == 1
    assert weight[0, 0, 23, 16] == 2.5 and weight[0, 0, 15, 12] == 2.0      # mouth, an eye
    picture, wrong = torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32)
    assert lessons.drawing_loss(picture, picture, weight) == 0
    corner, mouth = wrong.clone(), wrong.clone()
    corner[..., :4, :4] = mouth[..., 22:26, 14:18] = 1
    losses = [lessons.drawing_loss(one, picture, weight) for one in (corner, mouth)]
    assert losses[1] > 1.5 * losses[0] > 0


def test_a_grown_generator_begins_as_the_small_one() -> None:
    small, large = fresh(16), fresh(32)
    for network in (small, large):
        lessons.soften(network)
    lessons.grow(small, large)
    w = torch.randn(2, 1, 512, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        a = small.synthesis(w.expand(-1, small.num_layers, -1))
        b = large.synthesis(w.expand(-1, large.num_layers, -1))
    down = nn.functional.avg_pool2d(b, 2)
    assert (down - a)[:, :, 2:-2, 2:-2].abs().mean() < 0.1 * a.std()


# ---- mapping


def test_recentred_codes_draw_the_same() -> None:
    network = fresh(16)
    w = torch.randn(3, network.num_layers, 512, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        before = network.synthesis(w)
        lessons.recentre(network)
        after, wrong = network.synthesis(w + CENTRE), network.synthesis(w)
    assert (after - before).abs().max() < 1e-3 * before.std()
    assert (wrong - before).abs().max() > 0.1 * before.std()


def test_the_mapping_begins_near_the_codes(features) -> None:
    network = fresh(8)
    rng = torch.Generator().manual_seed(2)
    lessons.begin_mapping(network.mapping, features, rng)
    z = sampling.z_from_params(TOON.faces(500, rng), rng)
    target = features.codes(sampling.params_from_z(z))
    with torch.no_grad():
        error = (network.mapping(z)[:, 0] - target).square().mean()
    assert 1 - error / target.var(0).mean() > 0.9


# ---- all of it

CHAIN = (
    Lesson("draw8", 160, 16, 2e-2, 1), Lesson("draw16", 60, 16, 1e-2, 2),
    Lesson("draw32", 30, 16, 1e-2, 3), Lesson("stray32", 10, 16, 5e-3, 4, stray=0.25),
    Lesson("mapping", 60, 256, 5e-3, 5),
)


def of_dots(folder: Path) -> Generator:
    """A generator of dots of 32 px, by the code that trains the toons'."""
    with fresh_weights(1):
        chain = [Generator(GeneratorConfig(side, (16, 16, 16, 8)[:levels], 16, 32,
                                           mapping_layers=3, mapping_lr_multiplier=1.0))
                 for levels, side in enumerate((8, 16, 32), 2)]
    features = Features(DOTS, lambda params: params[:, list(DOTS.live)],
                        slice(len(DOTS.live), None), 3, w_dim=32)
    return lessons.train_generator(features, chain, lambda side: torch.ones(1, 1, side, side),
                                   CHAIN, 0.7, 6, folder).network


def test_a_chain_of_resolutions_draws_what_z_says(tmp_path: Path) -> None:
    network = of_dots(tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == {lesson.name for lesson in CHAIN}
    assert network.resolution == 32 and not network.training
    z = torch.randn(64, DOTS.z_dim, generator=torch.Generator().manual_seed(99))
    truth = DOTS.draw(DOTS.params_from_z(z), 32)
    with torch.no_grad():
        error = (network.synthesis(network.mapping(z)) - truth).square().mean()
    assert error < 0.4 * (truth - truth.mean(0)).square().mean()
