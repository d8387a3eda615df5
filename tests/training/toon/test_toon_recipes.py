"""The toon domain's trainings: every network has a recipe, seeds of its own, and its old settings.

The trainings themselves are tested in tests/training/drawn.
"""
from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from torch import nn

from lgfa import domains, formats
from lgfa.cli.toon import ORDER
from lgfa.toon import captions
from lgfa.toon.parameters import EXPRESSION_NAMES
from lgfa.toon.world import TOON
from lgfa.training.drawn.workshop import Workshop
from lgfa.training.toon import clip, encoder, generator, judges, motion, variants
from lgfa.training.toon.recipes import RECIPES


def shipped(name: str) -> nn.Module:
    """A bundled network, by the name of its file."""
    return formats.load(domains.MODELS / "toon" / f"{name}.safetensors")


def test_every_network_has_a_recipe() -> None:
    assert tuple(RECIPES) == ORDER
    assert {path.stem for path in (domains.MODELS / "toon").glob("*.safetensors")} == set(ORDER)


def test_seeds_differ_and_are_below_those_of_measuring() -> None:
    seeds = [*judges.SEEDS.values(), clip.SEED, clip.SEED + 1, encoder.SEED, encoder.SEED + 1,
             motion.SEED, generator.SEED + 3, *(lesson.seed for lesson in generator.LESSONS)]
    assert len(set(seeds)) == len(seeds) and max(seeds) < 10_000


def test_the_generator_grows_from_one_lesson_to_the_next() -> None:
    sides = generator.RESOLUTIONS
    assert all(large == 2 * small for small, large in itertools.pairwise(sides))
    names = [lesson.name for lesson in generator.LESSONS]
    assert names == [*(f"draw{side}" for side in sides), f"stray{sides[-1]}", "mapping"]


def test_what_is_shipped_has_these_settings() -> None:
    """A training today makes the networks that were shipped, but for their weights."""
    made = formats.load("toon", "generator")
    assert made.config == generator.config()
    assert formats.load("toon", "encoder").config == encoder.config(made)
    assert formats.load("toon", "identity").config == judges.IDENTITY
    assert shipped("judge").config == judges.IDENTITY
    assert formats.load("toon", "clip").config == clip.config()


def test_features_have_the_shipped_mapping_as_their_codes() -> None:
    """The fixed codes are those that the shipped generator learned: to nine tenths at least."""
    made, rng = formats.load("toon", "generator"), torch.Generator().manual_seed(8)
    params = TOON.faces(200, rng)
    with torch.no_grad():
        w = made.mapping(TOON.z_from_params(params, rng))[:, 0]
    wanted = generator.features().codes(params)
    assert 1 - (w - wanted).square().mean() / wanted.var(0).mean() > 0.9


@pytest.mark.parametrize("kind", ["attributes", "judge"])
def test_a_recipe_is_followed(kind: str, tmp_path: Path) -> None:
    shop = Workshop("toon", RECIPES, tmp_path, tmp_path / "work", scale=1e-9)
    before = torch.get_rng_state()
    shop.train(kind)
    assert torch.equal(torch.get_rng_state(), before)
    assert [path.name for path in (tmp_path / "work").iterdir()] == [f"{kind}.ckpt"]
    assert formats.load(tmp_path / f"{kind}.safetensors").config == shipped(kind).config


# ---- variants


def test_variants_change_what_they_say() -> None:
    for variant in variants.VARIANTS.values():
        settings = motion.settings(**variant.train)
        assert settings.iterations == variant.iterations and settings.seed == motion.SEED
        assert variant.train or variant.model or variant.prompts is not motion.prompts


def test_sentences_of_the_variants() -> None:
    one = variants.prompted().sentences()
    assert len(one) == len(EXPRESSION_NAMES) and one[1] == "The person is smiling"
    assert variants.bare().sentences()[1] == "smiling"
    words = variants.beyond().words
    assert len(words) == len(captions.PARTS["hair"]) + 2 + len(captions.PARTS["backdrop"])
    assert ("The person is old", "The person is aged") in words


def test_a_variant_is_trained_and_says_its_settings(tmp_path: Path) -> None:
    networks = [formats.load("toon", kind)
                for kind in ("generator", "clip", "perceptual", "identity")]
    before = torch.get_rng_state()
    trained = variants.train_variant("batch-2", tmp_path, *networks, iterations=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert trained.minutes > 0 and trained.info["training"]["batch"] == 2
    assert trained.network.config.hidden_std == motion.SPREAD
