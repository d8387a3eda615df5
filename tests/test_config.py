"""Choices that nodes and the command line offer, and the checks of single values and codes.

The dataclasses of the networks are tested beside these: tests/frames, embed and motion; what of a
CLIP's settings a file may say, in tests/embed/test_clip.py.
"""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lgfa import config
from lgfa.config import GeneratorConfig, MotionConfig
from lgfa.errors import LGFAError
from lgfa.photo import align, paste
from lgfa.training.augment import draw
from lgfa.training.config import TrainConfig
from lgfa.trajectory import wplus

ROOT = Path(__file__).resolve().parents[1]


def test_choices_need_no_torch() -> None:
    program = "import sys, lgfa.config, lgfa.training.config; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done


def test_every_easing_has_its_curve() -> None:
    assert tuple(wplus.CURVES) == config.EASINGS


def test_every_framing_has_its_mask_and_its_crop() -> None:
    assert tuple(paste.FACE) == config.FRAMINGS
    five = align.FFHQ_POINTS * 100
    assert len({align.crop_matrix(five, framing).tobytes() for framing in config.FRAMINGS}) == 2


@pytest.mark.parametrize(("name", "choices"), (
    ("cont_form", config.CONT_FORMS), ("latent_units", config.LATENT_UNITS),
    ("precision", config.PRECISIONS), ("lpips_frames", config.LPIPS_FRAMES),
    ("augment", config.AUGMENTATIONS)))
def test_settings_of_a_training_take_the_choices_and_no_other(name: str, choices) -> None:
    many = isinstance(getattr(TrainConfig(), name), tuple)
    for choice in choices:
        value = (choice,) if many else choice
        assert getattr(TrainConfig(**{name: value}), name) == value
    with pytest.raises(LGFAError, match=name):
        TrainConfig(**{name: ("other",) if many else "other"})


def test_schedules() -> None:
    assert [MotionConfig(schedule=one).schedule for one in config.SCHEDULES] == [*config.SCHEDULES]
    with pytest.raises(LGFAError, match="motion schedule 'slow' does not exist: use even, authors"):
        MotionConfig(schedule="slow")


def test_every_augmentation_changes_something() -> None:
    random = torch.Generator().manual_seed
    plain = draw((), 4, random(0))
    for kind in config.AUGMENTATIONS:
        changed = draw((kind,), 4, random(0))
        assert any(not torch.equal(a, b) for a, b in zip(plain, changed, strict=True)), kind


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, True, "7", None, 10**4000])
def test_what_is_no_seed(seed: object) -> None:
    with pytest.raises(LGFAError, match="whole number from 0 to 2.64 - 1, not .{1,40}"):
        config.check_seed(seed)


def test_every_seed_is_kept() -> None:
    assert [config.check_seed(seed) for seed in (0, config.MOST_SEED)] == [0, 2**64 - 1]
    assert torch.Generator().manual_seed(config.MOST_SEED).initial_seed() == config.MOST_SEED


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "1", None, 10**400])
def test_what_is_no_number(value: object) -> None:
    with pytest.raises(LGFAError, match="the strength must be a finite number"):
        config.check_number(value, "the strength")
    assert config.check_number(3, "the strength") == 3.0


GENERATOR = GeneratorConfig(64, (8, 8, 8, 8, 8), w_dim=24)


@pytest.mark.parametrize("shape", [(3, 8, 24), (10, 24), (1, 3, 10, 24), (3, 10, 32)])
def test_codes_of_another_generator(shape: tuple[int, ...]) -> None:
    with pytest.raises(LGFAError) as told:
        config.check_codes("the latents", torch.zeros(shape), GENERATOR)
    assert str(told.value) == (f"the latents are of the shape {[*shape]}, but the generator reads "
                               "10 layers of 24 numbers for 64 px: they do not belong together; "
                               "load what was made for the same generator, or make it anew.")


def test_codes_that_fit() -> None:
    config.check_codes("the latents", torch.zeros(3, 10, 24), GENERATOR)
    with pytest.raises(LGFAError, match="the motion model reads 18 layers of 512 numbers: they"):
        config.check_codes("the codes", torch.zeros(3, 10, 24), MotionConfig(), "the motion model")


def part(layers: int | None, width: int, side: int | None) -> SimpleNamespace:
    return SimpleNamespace(num_layers=layers, w_dim=width, resolution=side)


@pytest.mark.parametrize(("other", "said"), (
    (part(8, 24, 64), "8 layers of 24 numbers for 64 px"),
    (part(None, 32, None), "any layers of 32 numbers,"),
    (part(10, 24, 1024), "10 layers of 24 numbers for 1024 px")))
def test_networks_of_another_generator(other: SimpleNamespace, said: str) -> None:
    with pytest.raises(LGFAError, match=f"the encoder makes {said}.* they do not belong together"):
        config.check_fits("encoder", other, GENERATOR)


@pytest.mark.parametrize("fitting", (part(10, 24, 64), part(None, 24, None)))
def test_networks_that_fit(fitting: SimpleNamespace) -> None:
    config.check_fits("encoder", fitting, GENERATOR)
