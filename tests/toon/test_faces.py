"""The drawn world: table, renderer, sampling, captions."""
from __future__ import annotations

import pytest
import torch

from lgfa.drawn.captions import Captioner
from lgfa.drawn.table import category_weights
from lgfa.toon import captions, parameters, sampling
from lgfa.toon.renderer import render
from lgfa.toon.world import TOON


def people(n: int, seed: int = 0) -> torch.Tensor:
    return sampling.identities(n, torch.Generator().manual_seed(seed))


def change(params: torch.Tensor, **values: float) -> torch.Tensor:
    params = params.clone()
    for name, value in values.items():
        params[:, parameters.INDEX[name]] = value
    return params


@pytest.mark.parametrize("resolution", [32, 64, 100])
def test_render_shape_range_and_repeatability(resolution):
    params = people(5)
    image = render(params, resolution)
    assert image.shape == (5, 3, resolution, resolution)
    assert image.min() >= -1 and image.max() <= 1 and image.isfinite().all()
    assert torch.equal(image, render(params, resolution))


def test_a_face_does_not_depend_on_its_batch():
    params = sampling.domain_params(8, torch.Generator().manual_seed(3))
    together = render(params, 64)
    alone = torch.cat([render(row[None], 64) for row in params])
    assert (together - alone).abs().max() < 1e-5


def test_resolutions_agree():
    params = people(4)
    large = torch.nn.functional.avg_pool2d(render(params, 256), 4)
    assert (large - render(params, 64)).abs().mean() < 0.02


def test_render_refuses_other_tables():
    with pytest.raises(ValueError, match="params must be"):
        render(torch.zeros(2, 3))


@pytest.mark.parametrize("name", [p.name for p in parameters.PARAMETERS])
def test_every_parameter_is_drawn(name):
    """Each parameter changes the picture (in a face where it can be seen)."""
    p = parameters.PARAMETERS[parameters.INDEX[name]]
    params = change(people(6), open=0.6, age=0.5)
    if name == "happy_lids":
        params = change(params, lid_left=0.0, lid_right=0.0)
    low, high = change(params, **{name: p.low}), change(params, **{name: p.high})
    assert (render(low, 64) - render(high, 64)).abs().mean() > 3e-4


def test_moved_heads_move():
    params = people(2)
    moved = change(params, shift_x=1.0)
    assert (render(params, 64) - render(moved, 64)).abs().mean() > 0.02


def test_z_and_parameters_are_inverse():
    rng = torch.Generator().manual_seed(1)
    which = torch.arange(28) % len(parameters.EXPRESSIONS)
    params = sampling.with_expression(people(28), which)
    z = sampling.z_from_params(params, rng)
    assert torch.allclose(z.square().mean(1), torch.ones(28), atol=1e-4)
    assert (sampling.params_from_z(z) - params).abs().max() < 0.01


def test_random_z_stays_in_range():
    z = torch.randn(500, 512, generator=torch.Generator().manual_seed(2))
    params = sampling.params_from_z(z)
    low = torch.tensor([p.low for p in parameters.PARAMETERS])
    high = torch.tensor([p.high for p in parameters.PARAMETERS])
    assert (params >= low - 1e-6).all() and (params <= high + 1e-6).all()
    assert (params.std(0) > 0.05)[list(TOON.live)].all()


def test_expression_strength():
    base = people(1).repeat(3, 1)
    which = torch.full((3,), parameters.EXPRESSION_NAMES.index("smiling"))
    params = sampling.with_expression(base, which, torch.tensor([0.0, 0.5, 1.0]))
    curve = params[:, parameters.INDEX["curve"]]
    assert curve[0] == pytest.approx(0.12) and curve[2] == pytest.approx(0.95)
    assert curve[1] == pytest.approx((0.12 + 0.95) / 2)
    assert torch.equal(params[:, : len(parameters.IDENTITY)], base[:, : len(parameters.IDENTITY)])


def test_categories_have_plateaus():
    weights = category_weights(torch.tensor([0.0, 0.02, 1.0, 0.5 / 7]), 8)
    assert torch.allclose(weights.sum(1), torch.ones(4))
    assert weights[0, 0] == 1 and weights[1, 0] == 1 and weights[2, 7] == 1
    assert weights[3, :2].tolist() == pytest.approx([0.5, 0.5])


# ---- sentences


def test_every_expression_has_words_and_held_out_sentences():
    assert set(captions.PHRASES) == set(captions.HELD_OUT) == set(parameters.EXPRESSION_NAMES)
    assert len(parameters.EXPRESSION_NAMES) >= 14
    for name in parameters.EXPRESSION_NAMES:
        verbs, nouns = captions.PHRASES[name]
        assert len(verbs) + len(nouns) >= 6 and len(captions.HELD_OUT[name]) >= 2


def test_held_out_sentences_are_never_drawn():
    captioner = Captioner(captions.WORDS, torch.Generator().manual_seed(0))
    drawn = {captioner.expression(i).casefold() for i in range(14) for _ in range(400)}
    held = {s.casefold() for group in captions.HELD_OUT.values() for s in group}
    assert not drawn & held
    from lgfa.training.toon.motion import prompts

    assert not {s.casefold() for s in prompts().sentences()} & held


def test_sentences_are_true():
    captioner = Captioner(captions.WORDS, torch.Generator().manual_seed(0))
    text = captioner.sentence({"expression": 1, "hair": 5, "backdrop": 3})
    assert "blue" in text
    assert any(word in text for word in ("night", "stars"))


def test_labels():
    params = change(people(1), glasses=1.0, age=0.9, hair_color=3 / 7, backdrop=0.6)
    found = {k: int(v) for k, v in captions.labels(params).items()}
    assert found == {"hair": 3, "glasses": 1, "age": 2, "backdrop": 3}
