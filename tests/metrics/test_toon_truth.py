"""What is read off toon pictures, on drawings whose truth is known."""
from __future__ import annotations

import pytest
import torch

from lgfa.errors import LGFAError
from lgfa.metrics import changes, toon_traits, toon_truth
from lgfa.metrics.metric import batched
from lgfa.metrics.registry import CLIP_METRICS, Eyes, Shown
from lgfa.toon import captions, parameters, sampling
from lgfa.toon.renderer import render
from lgfa.toon.world import TOON

COUNT = 52                                  # people: every expression four times
LEAKS = ("leak_hair", "leak_skin", "leak_glasses", "leak_backdrop")


@pytest.fixture(scope="module")
def eyes() -> Eyes:
    return Eyes("toon")


@pytest.fixture(scope="module")
def people() -> torch.Tensor:
    return sampling.identities(COUNT, torch.Generator().manual_seed(79_500))


def draw(params: torch.Tensor) -> torch.Tensor:
    return batched(lambda p: render(p, 128), params)


# ---- what should stay

def leaks(one: torch.Tensor, other: torch.Tensor, eyes: Eyes) -> dict[str, torch.Tensor]:
    """Each leak of clips that go from one picture to the other: name -> [B]."""
    found = {name: [] for name in LEAKS}
    for first, last in zip(one, other, strict=True):
        frames = torch.stack([first, first, last])
        shown = Shown(frames, torch.zeros(3, 1, 1), "", None, first)
        for name in LEAKS:
            found[name].append(CLIP_METRICS[name].measure(shown, eyes))
    return {name: torch.tensor(values) for name, values in found.items()}


@pytest.fixture(scope="module")
def stills(people) -> torch.Tensor:
    return draw(people)


@pytest.mark.parametrize("column, name", [("hair_color", "leak_hair"), ("skin", "leak_skin"),
                                          ("backdrop", "leak_backdrop"),
                                          ("glasses", "leak_glasses")])
def test_one_change_raises_its_leak_alone(column, name, people, stills, eyes):
    """The picture of another hair, skin, backdrop or with and without glasses, nothing else."""
    some = slice(0, 26)
    changed = people[some].clone()
    place = parameters.INDEX[column]
    before = people[some, place]
    changed[:, place] = 1 - before if column == "glasses" else before.roll(1)
    found = leaks(stills[some], draw(changed), eyes)
    assert 0.6 < found.pop(name).mean() < 3                     # about two random people's
    for other, values in found.items():
        # the glasses are an estimate, the others are read off the picture
        assert values.max() < (0.3 if other == "leak_glasses" else 1e-4), other


def test_expressions_raise_no_leak(people, stills, eyes):
    which = 1 + torch.arange(COUNT) % (len(parameters.EXPRESSIONS) - 1)
    found = leaks(stills, draw(sampling.with_expression(people, which)), eyes)
    for name in ("leak_hair", "leak_skin", "leak_backdrop"):
        assert found[name].max() < 1e-4
    assert found["leak_glasses"].mean() < 0.1 and found["leak_glasses"].max() < 0.4


def test_units_are_the_difference_of_two_random_people():
    one, other = toon_truth.random_pairs()
    for part in toon_truth.PATCHES:
        mean = toon_truth.colour_change(one, other, part).mean()
        assert float(mean) / toon_truth.colour_unit(part) == pytest.approx(1)
    share = 1 - (0.70 + 0.76) / 2                               # of people who wear glasses
    assert toon_truth.parameter_unit("glasses") == pytest.approx(2 * share * (1 - share), abs=0.03)


# ---- expressions

def test_progress_and_direction_by_hand():
    table = parameters.expression_table()
    smiling, sad = (parameters.EXPRESSION_NAMES.index(n) for n in ("smiling", "sad"))
    want = TOON.wanted([smiling])
    half = TOON.changed(table[:1], (table[:1] + table[smiling][None]) / 2)
    assert float(changes.progress(half, want)) == pytest.approx(0.5)
    assert float(changes.direction(half, want)) == pytest.approx(1)
    away = TOON.changed(table[smiling][None], table[:1])
    assert float(changes.progress(away, want)) == pytest.approx(-1)
    other = TOON.changed(table[:1], table[sad][None])
    assert float(changes.direction(other, want)) < 0.2
    assert float(changes.direction(0 * want, want)) == 0


def test_leading_parameters():
    """Eyes close, a mouth opens."""
    for name, parameter, way in (("closing eyes", "lid_left", -1), ("shouting", "open", 1)):
        column, sign = TOON.leading(parameters.EXPRESSION_NAMES.index(name))
        assert (column, sign) == (parameters.INDEX[parameter], way)


# ---- traits

def test_traits_of_drawings(people, eyes):
    """Hair, glasses and backdrop whatever the expression; age of calm faces."""
    which = torch.arange(COUNT) % len(parameters.EXPRESSIONS)
    pictures, labels = draw(sampling.with_expression(people, which)), captions.labels(people)
    for name in ("hair", "glasses", "backdrop"):
        assert bool((toon_traits.read(name, pictures, eyes) == labels[name]).all()), name


def test_age_where_its_marks_are_drawn_in_full(people, eyes):
    calm = people.repeat(3, 1)
    ages = torch.tensor([0.05, 0.45, 0.95]).repeat_interleave(COUNT)
    calm[:, parameters.INDEX["age"]] = ages
    seen = toon_traits.read("age", draw(calm), eyes)
    assert (seen == captions.labels(calm)["age"]).float().mean() > 0.85


def test_an_unknown_trait_is_refused(stills, eyes):
    with pytest.raises(LGFAError, match="no trait 'shoes' to read; there are hair, glasses"):
        toon_traits.read("shoes", stills, eyes)
    assert set(toon_traits.read_all(stills[:2], eyes)) == set(captions.ATTRIBUTES) - {"expression"}
