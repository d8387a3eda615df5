"""Networks that look at drawn faces, and what they learn from: faces.py, judges.py."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from dots import DOTS

from lgfa.config import IdentityConfig
from lgfa.toon.world import TOON
from lgfa.training.drawn import faces, judges
from lgfa.training.loop import Trained

SMALL = IdentityConfig(input_size=64, widths=(8, 8, 8, 8, 8), units=(1, 1, 1, 1), embed_dim=16,
                       dropout=0.0, crop=None, stem_stride=2)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ---- pictures


def test_batches_to_learn_from() -> None:
    seen = faces.faces(TOON, 40, 32, rng(4), named=0.5)
    assert seen.image.shape == (40, 3, 32, 32) and seen.params.shape == (40, TOON.columns)
    assert set(seen.expression.tolist()) - {-1} <= set(range(TOON.count))
    assert 5 < int((seen.expression < 0).sum()) < 35
    assert torch.equal(seen.image, TOON.draw(seen.params, 32))


def test_shares_of_faces() -> None:
    pose = [TOON.index[name] for name in TOON.pose]
    seen = faces.faces(TOON, 60, 16, rng(5), named=1.0)
    assert (seen.expression >= 0).all() and not seen.params[:, pose].any()
    moved = faces.faces(TOON, 60, 16, rng(5), posed=1.0).params[:, pose]
    assert (moved.abs().amax(1) > 0).all() and moved.abs().max() <= faces.TILT


def test_harder_pictures() -> None:
    x = faces.faces(TOON, 24, 64, rng(4)).image
    assert (faces.harder(x, rng(), 0.0) - x).abs().mean() < 0.02
    changes = [(faces.harder(x, rng(), amount) - x).abs().mean() for amount in (0.3, 1.0)]
    assert changes[0] < changes[1]
    assert torch.equal(faces.harder(x, rng(3)), faces.harder(x, rng(3)))


def test_holes_are_gray_and_as_many_as_were_asked_for() -> None:
    x = torch.ones(200, 3, 20, 20)
    none, all_of_them = (faces._with_holes(x, rng(1), share) for share in (0.0, 1.0))
    assert torch.equal(none, x)
    assert set(all_of_them.unique().tolist()) == {0.0, 1.0}
    assert 0.5 < ((all_of_them == 0).flatten(1).any(1)).float().mean()


def test_pairs_show_one_person_twice() -> None:
    one, other = judges.pairs(DOTS, 50, 16, rng())
    middle = (slice(None), 0, 8, 8)             # the shade, which is who it is
    assert torch.allclose(one[middle], other[middle], atol=1e-6)
    assert (one - other).abs().amax((1, 2, 3)).gt(0.1).float().mean() > 0.8
    assert len(one[middle].unique()) > 40


# ---- losses


def test_losses() -> None:
    params = TOON.people(3, rng())
    assert judges.parameter_loss(TOON, params, params) == 0
    column = TOON.index["lid_left"]             # of range 1.3
    moved = params.clone()
    moved[:, column] += 0.65
    assert judges.parameter_loss(TOON, moved, params) == pytest.approx(1 / TOON.columns, rel=1e-5)
    logits = torch.tensor([[9.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    loss, hit = judges.named_loss(logits, torch.tensor([0, 1, -1]))
    assert hit == 0.5 and loss == pytest.approx(4.5, abs=0.01)      # the nameless one is not asked


# ---- trainings


def train(kind: str, folder: Path, steps: int, seed: int = 1) -> Trained:
    if kind == "attributes":
        return judges.train_attributes(DOTS, folder, steps, seed, batch=16)
    if kind == "perceptual":
        return judges.train_perceptual(DOTS, folder, steps, seed, batch=4)
    return judges.train_identity(DOTS, folder, steps, seed, SMALL, batch=8)


@pytest.mark.parametrize("kind", ["attributes", "perceptual", "identity"])
def test_a_seed_says_all_and_nothing_else_is_changed(kind: str, tmp_path: Path) -> None:
    before = torch.get_rng_state()
    one = train(kind, tmp_path / "one", 2)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)                               # what others draw in between is of no matter
    two, other = train(kind, tmp_path / "two", 2), train(kind, tmp_path / "three", 2, seed=2)
    states = [trained.network.state_dict() for trained in (one, two, other)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert any(not torch.equal(value, states[2][name]) for name, value in states[0].items())
    assert not hasattr(one.network, "minutes") and one.minutes > 0


def test_attributes_of_another_domain_are_learned(tmp_path: Path) -> None:
    network = train("attributes", tmp_path, 60).network
    seen = faces.faces(DOTS, 60, 64, rng(8), named=1.0)
    with torch.no_grad():
        logits, guess = network(seen.image)
    assert logits.shape == (60, 3) and guess.shape == (60, 5)
    assert (logits.argmax(1) == seen.expression).float().mean() > 0.6
