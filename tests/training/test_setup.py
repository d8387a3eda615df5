"""What trainings have in common: a domain's own ways, copies, sizes of motions."""
from __future__ import annotations

import pytest
import torch
from tiny import tiny_clip_config, tiny_generator, tiny_motion

from lgfa import devices
from lgfa.embed.clip import CLIP
from lgfa.errors import LGFAError
from lgfa.nn import modules
from lgfa.toon.world import TOON
from lgfa.training import setup
from lgfa.training.config import TrainConfig
from lgfa.training.data import ImageSource, SampleSource
from lgfa.training.prompts import Prompts
from lgfa.training.setup import new_motion


def test_domains_with_ways_of_their_own():
    toon = setup.own_training("toon")
    assert setup.own_training(None) is None and setup.own_training("dogs") is None
    assert setup.own_prompts(None).words == Prompts().words
    assert len(setup.own_prompts(toon).words) == TOON.looks
    assert isinstance(setup.samples(None, tiny_generator(), 0.5), SampleSource)
    for settings in (toon.settings(), toon.word_settings()):
        TrainConfig(**setup.special_settings(settings))
    assert toon.word_settings().w_reg < toon.settings().w_reg


def test_choices_of_the_user_come_last():
    toon = setup.own_training("toon")
    assert setup.motion_choices(None, 4, visual=None) == {"train_frames": 4}
    assert setup.motion_choices(toon, 6, visual=True, schedule=None) \
        == {**toon.CHOICES, "train_frames": 6, "visual": True}


def test_copies_of_networks_made_in_inference_mode_take_gradients():
    with torch.inference_mode():
        made = tiny_generator()
        twin = modules.private_copy(made)
    assert next(made.parameters()).is_inference()
    weight = next(twin.parameters())
    assert not weight.is_inference() and torch.equal(weight, next(made.parameters()))
    with torch.enable_grad():
        weight.requires_grad_(True).sum().backward()


@pytest.mark.parametrize("choices", [{}, {"final_activation": True}])
def test_enlarged_motions_go_the_same_way(choices):
    motion = tiny_motion(**choices)
    w = torch.randn(1, 6, 24)
    before = motion.trajectory(w, "smiling", frames=5).detach() - w[:, None]
    setup.enlarge(motion, 1.5)
    after = motion.trajectory(w, "smiling", frames=5).detach() - w[:, None]
    assert before.abs().max() > 1e-4 and torch.allclose(after, 1.5 * before, atol=1e-5)


def test_offsets_along_all_of_w_or_along_what_the_source_knows():
    generator = tiny_generator()
    direction = torch.nn.functional.normalize(torch.randn(24), dim=0)
    narrow = SampleSource(generator, spread=lambda count: torch.randn(count, 1) * direction)
    clip = CLIP(tiny_clip_config()).eval()
    ranks = [int(torch.linalg.matrix_rank(
        new_motion(generator, clip, narrow, Prompts(), offsets=offsets, mapper_hidden=8,
                   visual=False, visual_mapper=False).latent_scale, atol=1e-4))
        for offsets in ("w", "all")]
    assert ranks[0] == 1 < ranks[1]


def test_images_in_memory_are_drawn_with_their_codes():
    images, codes = torch.rand(3, 3, 8, 8), torch.arange(3.0)[:, None, None].expand(3, 6, 24)
    source = ImageSource(images, codes)
    for count in (2, 5):
        batch = source.draw(count, torch.Generator().manual_seed(0))
        chosen = batch.w_inv[:, 0, 0].long()
        assert len(chosen) == count and torch.equal(batch.image, images[chosen])
    rows = source.draw(3, torch.Generator().manual_seed(0), slice(1, 2))
    assert len(rows.w_inv) == len(rows.image) == 1
    assert source.describe() == ImageSource(images.clone(), codes.clone()).describe()
    assert source.describe() != ImageSource(images + 0.1, codes).describe()
    with pytest.raises(LGFAError, match="as many codes as images"):
        ImageSource(images, codes[:2])


def test_words_from_a_text():
    prompts = Prompts.parse("# colours\nred | crimson\n\nblue", ("The {} one",))
    assert prompts.words == (("red", "crimson"), ("blue",))
    assert prompts.sentences()[0] == "The red one"
    assert Prompts.parse("template: {}!\nred", ("unused {}",)).sentences() == ["red!"]
    assert Prompts.parse("red").sentences() == ["red"]


def test_only_a_lack_of_memory_becomes_a_sentence():
    other = RuntimeError("something else")
    assert devices.no_memory(other, "try less") is other
    said = str(devices.no_memory(torch.OutOfMemoryError("out of memory"), "try less"))
    assert said == "there is not enough memory for this training: try less."
