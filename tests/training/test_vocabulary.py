"""The words that a training leaves in its motion model, and how its thresholds come about."""
from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from tiny import tiny_clip_config, tiny_motion
from training_scenarios import WORDS, trainer

from lgfa import formats
from lgfa.embed.clip import CLIP
from lgfa.errors import LGFAError
from lgfa.motion.foreign import CALIBRATING
from lgfa.motion.model import MotionModel
from lgfa.motion.understanding import MOST_WORDS
from lgfa.training import vocabulary
from lgfa.training.prompts import Prompts
from lgfa.training.vocabulary import remember

GROUPS = (("The person is smiling", "she is happy", "with a grin"),
          ("The person is crying", "tears run down"), ("angry", "furious", "mad", "cross"))


@pytest.fixture
def model() -> MotionModel:
    return tiny_motion()


def share(values: list[bool]) -> float:
    return sum(values) / len(values)


# ---- names

def test_a_word_is_called_by_its_first_phrase_without_the_template() -> None:
    assert Prompts(GROUPS, ("{}",)).names == ["smiling", "crying", "angry"]
    assert Prompts(["the PERSON is", "The Person Is sad"], ("{}",)).names == [
        "the PERSON is", "sad"]
    assert Prompts(["smiling"]).names == ["smiling"]


def test_held_out_sentences_are_never_drawn_and_must_say_something() -> None:
    prompts = Prompts(GROUPS, ("{}",), held_out=("joyful",))
    assert "joyful" not in prompts.sentences() and prompts.held_out == ("joyful",)
    with pytest.raises(LGFAError, match="empty"):
        Prompts(GROUPS, ("{}",), held_out=(" ",))


# ---- what is kept

def test_a_model_remembers_all_that_it_was_taught(model: MotionModel) -> None:
    prompts = Prompts(GROUPS, ("{}", "look, {}"))
    remember(model, prompts)
    config = model.words_config
    assert config.names == ("smiling", "crying", "angry")
    assert config.taught == config.kept == (6, 4, 8) and not model.training
    found = model.understand(prompts.sentences())
    assert all(one.nearest[0][1] == pytest.approx(1, abs=2e-3) and one.known for one in found)
    names = [name for name, count in zip(config.names, config.taught, strict=True)
             for _ in range(count)]
    assert [one.nearest[0][0] for one in found] == names


def test_training_goes_on_as_it_was(model: MotionModel) -> None:
    before = torch.random.get_rng_state()
    model.train()
    remember(model, Prompts(GROUPS, ("{}",)))
    assert model.training and torch.equal(before, torch.random.get_rng_state())
    assert not model.words.codes.requires_grad


def test_long_lists_are_thinned_evenly(model: MotionModel, monkeypatch) -> None:
    monkeypatch.setattr(vocabulary, "MOST_WORDS", 8)
    groups = [[f"{word} {i}" for i in range(count)] for word, count in (("a", 9), ("b", 2))]
    remember(model, Prompts(groups, ("{}",)))
    assert model.words_config.taught == (9, 2) and model.words_config.kept == (4, 2)
    told = model.understand([f"a {i}" for i in (0, 2, 4, 6)])
    assert all(one.nearest[0][1] == pytest.approx(1, abs=2e-3) for one in told)


def test_more_words_than_a_file_keeps_are_not_kept(model: MotionModel) -> None:
    remember(model, Prompts(["smiling", "crying"]))
    assert model.words is not None
    remember(model, Prompts([f"word {i}" for i in range(MOST_WORDS + 1)]))
    assert model.words is None


def test_a_lent_clip_reads_the_words_and_nobody_is_warned_of_long_sentences() -> None:
    model, clip = tiny_motion(clip=False), CLIP(tiny_clip_config())
    with warnings.catch_warnings():
        warnings.simplefilter("error")      # with 16 tokens some foreign sentences are cut
        remember(model, Prompts(GROUPS, ("{}",)), clip)
    assert len(model.words) == 3
    with pytest.raises(LGFAError, match="no CLIP encoders"):
        remember(model, Prompts(GROUPS, ("{}",)))


# ---- the thresholds

def test_thresholds_hold_what_they_promise_on_held_out_sentences(model: MotionModel) -> None:
    held_out = [f"{word} face number {i}" for word in ("smiling", "crying") for i in range(40)]
    remember(model, Prompts(GROUPS, ("{}",), held_out))
    assert share([one.unknown for one in model.understand(held_out)]) <= 0.05
    assert share([one.known for one in model.understand(CALIBRATING)]) <= 0.1


def test_held_out_sentences_move_the_thresholds(model: MotionModel) -> None:
    found = []
    for held_out in ((), ("The person is smiling",), ("qqq zzz 17 ### &&&",)):
        remember(model, Prompts(GROUPS, ("{}",), held_out))
        found.append((model.words_config.known_at, model.words_config.unsure_at))
    assert len(set(found)) == 3
    assert found[1][0] == pytest.approx(1, abs=2e-3)    # of a sentence that was taught


def test_without_held_out_sentences_each_phrase_is_compared_with_the_others(monkeypatch) -> None:
    """Sentences of one phrase in other templates do not count: a model has seen them all."""
    seen = []
    monkeypatch.setattr(vocabulary, "calibrate", lambda true, other: seen.append(true) or (1, -1))
    model, prompts = tiny_motion(), Prompts([("smiling", "happy", "glad")], ("{}", "so {}", "{} !"))
    remember(model, prompts)
    with torch.no_grad():
        z = model.encode_text(prompts.sentences())
    z = z.view(3, 3, -1)
    wanted = torch.stack([(z[i] @ torch.cat([z[j] for j in range(3) if j != i]).T).amax(1)
                          for i in range(3)]).flatten()
    torch.testing.assert_close(seen[0], wanted, atol=2e-3, rtol=0)


def test_words_of_a_single_phrase_are_compared_with_the_same_said_otherwise(monkeypatch) -> None:
    seen = []
    monkeypatch.setattr(vocabulary, "calibrate", lambda true, other: seen.append(true) or (1, -1))
    remember(tiny_motion(), Prompts(["smiling", "crying"]))
    assert len(seen[0]) == 2 * (len(vocabulary.OTHERWISE) - 1)      # one is what was taught
    assert bool((seen[0] < 0.9999).all())


def test_a_foreign_sentence_that_is_taught_is_not_foreign() -> None:
    left = vocabulary._foreign(Prompts(["dancing the tango", "SWIMMING", "xx"], ("{}",)))
    assert set(CALIBRATING) - set(left) == {
        text for text in CALIBRATING if "tango" in text or "swimming" in text}
    assert len(left) < len(CALIBRATING)
    assert vocabulary._foreign(Prompts([*CALIBRATING], ("{}",))) == list(CALIBRATING)


# ---- trainings

def test_a_training_leaves_its_words_in_the_file(tmp_path: Path) -> None:
    one = trainer(tmp_path, iterations=2)
    loaded = formats.load(one.run().network, "motion")
    assert loaded.words_config.names == ("smiling", "angry", "crying", "winking", "sleepy", "sad")
    assert loaded.words_config.taught == (2, 1, 1, 2, 1, 1)
    said = loaded.understand(["The person is happy"])[0]
    assert said.known and said.nearest[0][0] == "smiling"
    assert one.motion.words_config == loaded.words_config


def test_codes_are_those_of_the_averaged_weights(tmp_path: Path) -> None:
    result = trainer(tmp_path, iterations=4, ema_decay=0.5, clip_rate=0.05).run()
    loaded = formats.load(result.network, "motion")
    with torch.no_grad():
        z = loaded.encode_text(Prompts(WORDS).sentences())
    torch.testing.assert_close(loaded.words.codes.float(), z, atol=1e-3, rtol=0)


def test_a_training_that_goes_on_leaves_the_same_file(tmp_path: Path) -> None:
    asked = iter([False, False, True])
    trainer(tmp_path / "parts", callbacks={"should_stop": lambda: next(asked)}).run()
    parts = trainer(tmp_path / "parts").run(resume=True)
    whole = trainer(tmp_path / "whole").run()
    assert parts.network.read_bytes() == whole.network.read_bytes()
    state = torch.load(whole.checkpoint, weights_only=True)
    assert not any(name.startswith("words") for name in state["motion"])


def test_a_training_that_begins_with_a_trained_model_forgets_its_words(tmp_path: Path) -> None:
    first = trainer(None, iterations=1)
    first.run()
    assert first.motion.words is not None
    second = trainer(tmp_path, iterations=1, prompts=Prompts(["gray", "white", "black", "red",
                                                              "blue", "pink"]))
    second.motion.words = first.motion.words
    again = type(second)(second.config, second.motion, second.objective.generator, second.source,
                         second.prompts, second.objective.clip, second.objective.perceptual,
                         out=tmp_path)
    assert again.motion.words is None
    network = formats.load(again.run().network, "motion")
    assert network.words_config.names[0] == "gray"
