"""A drawn domain in one object: what is told of its table, and both domains' truths."""
from __future__ import annotations

import pytest
import torch
from dots import DOTS

from lgfa.drawn.world import World
from lgfa.toon import parameters
from lgfa.toon.world import TOON


def test_the_table_of_the_toons() -> None:
    assert TOON.columns == parameters.K and TOON.count == len(parameters.EXPRESSIONS)
    assert TOON.index == parameters.INDEX and TOON.names == parameters.EXPRESSION_NAMES
    assert TOON.face == parameters.EXPRESSION_SLICE
    assert {parameters.NAMES[i] for i in TOON.live} == set(parameters.NAMES) - set(parameters.POSE)


@pytest.mark.parametrize("world", [TOON, DOTS], ids=lambda world: world.name)
class TestEveryDomain:
    """What those who train and measure rely on."""

    def test_names_and_rows_belong_together(self, world: World) -> None:
        assert len(world.names) == world.count == len(world.expressions)
        assert set(world.words.held_out()) == set(world.names)
        assert all(name in world.names for pair in world.words.pairs for name in pair)
        assert world.looks == world.count + len(world.words.pairs)
        assert not world.expressions[:, :world.who].any()
        assert set(world.outfit) <= set(list(world.index)[:world.who])
        assert set(world.words.said) == set(world.words.attributes)

    def test_every_class_has_words_and_a_question(self, world: World) -> None:
        seen = world.words.labels(world.people(200, torch.Generator().manual_seed(0)))
        assert set(seen) == set(world.words.attributes)
        for name, classes in seen.items():
            count = len(world.words.attributes[name])
            assert int(classes.max()) == count - 1 == len(world.words.questions(name)) - 1
        assert len(world.words.questions("expression")) == world.count

    def test_what_is_drawn(self, world: World) -> None:
        params = world.faces(4, torch.Generator().manual_seed(1))
        image = world.draw(params, 32)
        assert params.shape == (4, world.columns) and image.shape == (4, 3, 32, 32)
        assert image.dtype == torch.float32 and image.abs().max() <= 1
        assert not params[:, [world.index[name] for name in world.pose]].any()

    def test_z_stands_for_a_face(self, world: World) -> None:
        rng = torch.Generator().manual_seed(2)
        z = world.z_from_params(world.people(20, rng), rng)
        params = world.params_from_z(z)
        again = world.params_from_z(world.z_from_params(params, rng))
        assert z.shape == (20, world.z_dim) and (world.scaled(again - params).abs() < 0.05).all()

    def test_a_whole_expression_is_what_was_wanted(self, world: World) -> None:
        people = world.people(world.count, torch.Generator().manual_seed(3))
        which = torch.arange(world.count)
        change = world.changed(people, world.with_expression(people, which))
        assert torch.allclose(change, world.wanted(which), atol=1e-5)
        half = world.changed(people, world.with_expression(people, which, 0.5))
        assert torch.allclose(half, world.wanted(which) / 2, atol=1e-5)

    def test_the_leading_parameter(self, world: World) -> None:
        for which in range(1, world.count):
            column, way = world.leading(which)
            change = world.wanted(torch.tensor([which]))[0]
            assert way * change[column - world.who] == change.abs().max() > 0


def test_units_are_half_ranges() -> None:
    ends = [[p.low for p in DOTS.parameters], [p.high for p in DOTS.parameters]]
    low, high = DOTS.scaled(torch.tensor(ends, dtype=torch.float32))
    assert torch.allclose(high - low, torch.full((5,), 2.0))
    assert DOTS.leading(1) == (2, 1.0) and DOTS.leading(2) == (3, 1.0)
