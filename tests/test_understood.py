"""What an Animator's sentences are taken for: verdicts in the clip, warnings, refusals."""
from __future__ import annotations

import warnings

import pytest
import torch
from tiny import SENTENCES, taught, tiny_clip_config, tiny_encoder, tiny_generator, tiny_motion

from lgfa import formats
from lgfa.animate import Animator
from lgfa.embed.clip import CLIP
from lgfa.errors import LGFAError, LGFAWarning
from lgfa.evaluate.contenders import Straight
from lgfa.methods.method import Embedded, Method, Prompt, as_method
from lgfa.motion.foreign import MEASURING

KNOWN, UNSURE, UNKNOWN = SENTENCES


@pytest.fixture(scope="module")
def animator() -> Animator:
    return Animator(tiny_generator(), tiny_encoder(), motion=taught(tiny_motion()))


@pytest.fixture(scope="module")
def still(animator: Animator) -> torch.Tensor:
    return animator.sample(3)


def test_a_known_sentence_is_animated_without_a_word(
    animator: Animator, still: torch.Tensor,
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clip = animator.animate(still, KNOWN, frames=2)
    one, = clip.understood
    assert one.verdict == "known" and one.text == KNOWN and one.nearest[0][0] == "smiling"


@pytest.mark.parametrize("text, verdict, said", [
    (UNSURE, "unsure", "is perhaps 'smiling'"),
    (UNKNOWN, "unknown", "is like none of the 2 words that this model knows"),
])
def test_others_are_animated_with_a_warning(
    animator: Animator, still: torch.Tensor, text: str, verdict: str, said: str,
) -> None:
    with pytest.warns(LGFAWarning, match=said) as told:
        clip = animator.animate(still, text, frames=2)
    assert len(told) == 1 and [one.verdict for one in clip.understood] == [verdict]
    assert clip.latents.shape[0] == 2


def test_a_chain_warns_once_for_each_sentence(animator: Animator, still: torch.Tensor) -> None:
    texts = [UNKNOWN, KNOWN, UNSURE, UNKNOWN]
    with pytest.warns(LGFAWarning) as told:
        clip = animator.animate(still, texts, frames=9)
    assert [one.verdict for one in clip.understood] == ["unknown", "known", "unsure", "unknown"]
    assert [str(one.message).split("' is")[0] for one in told] == [f"'{UNKNOWN}", f"'{UNSURE}"]


def test_a_trajectory_warns_and_tells_too(animator: Animator, still: torch.Tensor) -> None:
    told = []
    with pytest.warns(LGFAWarning, match="none of the 2 words"):
        animator.trajectory(still, UNKNOWN, 2, told=told.append)
    assert told == list(animator.understand(UNKNOWN))


def test_a_sentence_that_is_cut_is_pointed_out_once(
    animator: Animator, still: torch.Tensor,
) -> None:
    long = "she smiles " + "and smiles " * 20
    with pytest.warns(LGFAWarning) as told:
        animator.animate(still, long, frames=2)
    assert sum("it is cut" in str(one.message) for one in told) == 1


def test_understanding_alone(animator: Animator) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")      # who asks is told, not warned
        found = animator.understand([KNOWN, UNKNOWN])
    assert [one.verdict for one in found] == ["known", "unknown"]
    with pytest.raises(LGFAError, match="needs a motion model"):
        Animator(tiny_generator()).understand(KNOWN)
    with pytest.raises(LGFAError, match="empty"):
        animator.understand("  ")


def test_nothing_is_said_by_models_without_words_and_by_other_methods(
    animator: Animator, still: torch.Tensor,
) -> None:
    class Still(Method):
        def embed(self, picture: torch.Tensor | None, prompt: Prompt) -> Embedded:
            return Embedded(None, torch.zeros(1, 1))

        def __call__(self, w_s: torch.Tensor, embedded: Embedded, frames: int,
                     seed: int) -> torch.Tensor:
            return w_s[:, None].expand(-1, frames, -1, -1)

    for motion in (tiny_motion(), Still(animator.method)):
        other = Animator(animator.generator, motion=motion)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            clip = other.animate(still, [UNKNOWN, KNOWN], frames=4)
        assert clip.understood == (None, None) == other.understand([UNKNOWN, KNOWN])


def test_words_change_nothing_in_the_clip(animator: Animator, still: torch.Tensor) -> None:
    plain = Animator(animator.generator, motion=tiny_motion())
    one, other = (each.animate(still, KNOWN, frames=3) for each in (animator, plain))
    assert torch.equal(one.latents, other.latents) and torch.equal(one.frames, other.frames)


def test_a_straight_line_understands_what_its_method_does(animator: Animator) -> None:
    method = as_method(taught(tiny_motion()))
    assert Straight(method).understand(Prompt(UNKNOWN)) == method.understand(Prompt(UNKNOWN))
    assert method.understand(Prompt(UNKNOWN)).unknown


def test_a_lent_clip_understands() -> None:
    torch.manual_seed(3)
    clip = CLIP(tiny_clip_config()).eval()
    motion = tiny_motion(clip=False)
    motion.adopt(clip)
    words = taught(motion).words
    lender = tiny_motion(clip=False)
    lender.words = words
    found = as_method(lender, clip).understand(Prompt(KNOWN))
    assert found.known and found.nearest[0][0] == "smiling"


# ---- the bundled model

@pytest.fixture(scope="module")
def bundled() -> torch.nn.Module:
    motion = formats.load("toon", "motion")
    if not motion.words:
        pytest.skip("the bundled motion model keeps no words yet")
    return motion


def test_the_bundled_model_knows_its_own_words(bundled: torch.nn.Module) -> None:
    for name in bundled.words_config.names:
        one, = bundled.understand([name])
        assert not one.unknown, one
    texts = [f"The person is {name}" for name in ("smiling", "crying", "angry", "winking")]
    assert [one.nearest[0][0] for one in bundled.understand(texts)] == [
        "smiling", "crying", "angry", "winking"]
    assert all(one.known for one in bundled.understand(texts))


def test_the_bundled_model_does_not_know_foreign_sentences(bundled: torch.nn.Module) -> None:
    found = bundled.understand(MEASURING)
    assert sum(one.known for one in found) <= 0.1 * len(found), [
        one.sentence() for one in found if one.known]
    assert bundled.understand("asdf qwerty")[0].verdict != "known"


def test_the_bundled_model_loses_few_sentences_that_it_never_saw(
    bundled: torch.nn.Module,
) -> None:
    from lgfa.toon.captions import WORDS

    held_out = [text for texts in WORDS.held_out().values() for text in texts]
    found = bundled.understand(held_out)
    assert sum(one.unknown for one in found) <= 0.05 * len(found)
