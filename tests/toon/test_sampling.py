"""Which faces the toon domain holds: z, parameters, people and their expressions."""
from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lgfa import formats
from lgfa.toon import parameters, sampling
from lgfa.toon.world import TOON


def people(n: int, seed: int = 0) -> Tensor:
    return sampling.identities(n, torch.Generator().manual_seed(seed))


def test_z_and_parameters_are_inverse() -> None:
    rng = torch.Generator().manual_seed(1)
    which = torch.arange(28) % len(parameters.EXPRESSIONS)
    params = sampling.with_expression(people(28), which)
    z = sampling.z_from_params(params, rng)
    assert torch.allclose(z.square().mean(1), torch.ones(28), atol=1e-4)
    assert (sampling.params_from_z(z) - params).abs().max() < 0.01


def test_random_z_stays_in_range() -> None:
    z = torch.randn(500, 512, generator=torch.Generator().manual_seed(2))
    params = sampling.params_from_z(z)
    low = torch.tensor([p.low for p in parameters.PARAMETERS])
    high = torch.tensor([p.high for p in parameters.PARAMETERS])
    assert (params >= low - 1e-6).all() and (params <= high + 1e-6).all()
    assert (params.std(0) > 0.05)[list(TOON.live)].all()


def test_expression_strength() -> None:
    base = people(1).repeat(3, 1)
    which = torch.full((3,), parameters.EXPRESSION_NAMES.index("smiling"))
    params = sampling.with_expression(base, which, torch.tensor([0.0, 0.5, 1.0]))
    curve = params[:, parameters.INDEX["curve"]]
    assert curve[0] == pytest.approx(0.12) and curve[2] == pytest.approx(0.95)
    assert curve[1] == pytest.approx((0.12 + 0.95) / 2)
    assert torch.equal(params[:, :len(parameters.IDENTITY)], base[:, :len(parameters.IDENTITY)])


def test_people_are_neutral_and_unmistakable() -> None:
    params = people(300)
    rows = parameters.expression_table()
    assert torch.equal(params[:, TOON.face], rows[:1, TOON.face].expand(300, -1))
    for name, count in sampling.CATEGORIES.items():
        places = params[:, parameters.INDEX[name]] * (count - 1)
        assert torch.allclose(places, places.round(), atol=1e-5)
        assert len(places.round().unique()) == count
    for name in sampling.YES_OR_NO:
        assert set(params[:, parameters.INDEX[name]].tolist()) == {0.0, 1.0}


def test_a_variation_stays_in_range_and_opens_nothing() -> None:
    base, which = people(400), torch.zeros(400, dtype=torch.long)
    params = sampling.with_expression(base, which, 1.0, 0.3, torch.Generator().manual_seed(1))
    low = torch.tensor([p.low for p in parameters.PARAMETERS])
    high = torch.tensor([p.high for p in parameters.PARAMETERS])
    assert (params >= low).all() and (params <= high).all()
    for name in ("open", "tears", "tongue"):
        assert not params[:, parameters.INDEX[name]].any()
    assert params[:, parameters.INDEX["curve"]].std() > 0.2
    with pytest.raises(ValueError, match="needs a random generator"):
        sampling.with_expression(base, which, 1.0, 0.3)


def test_bends_are_where_the_ramps_bend() -> None:
    """Between two bends a parameter is linear in the quantile, and at a bend it is not."""
    for name in ("curve", "glasses", "skin", "backdrop"):
        column = parameters.INDEX[name]
        found = sampling.bends(column)
        assert found == sorted(found) and 0 < found[0] and found[-1] < 1
    assert len(sampling.bends(parameters.INDEX["backdrop"])) == 2 * (len(parameters.BACKDROP) - 1)
    assert sampling.bends(parameters.INDEX["glasses"]) == pytest.approx([0.70, 0.76])


def test_stills_hang_on_their_seed_alone() -> None:
    generator = formats.load("toon", "generator")
    with torch.no_grad():
        both = sampling.still_latents(generator, [3, 4])
        alone = sampling.still_latents(generator, [4])
    assert both.shape == (2, generator.num_layers, generator.config.w_dim)
    assert torch.allclose(both[1:], alone, atol=1e-5) and not torch.allclose(both[0], both[1])
