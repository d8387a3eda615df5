"""What a motion model takes a sentence for: verdicts, thresholds, and the file that keeps both."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import EMBED, tiny_clip_config, tiny_motion

from lgfa import formats
from lgfa.embed.clip import CLIP
from lgfa.errors import LGFAError, LGFAWarning
from lgfa.formats import safetensors_io
from lgfa.hashes import network_hash
from lgfa.motion import foreign
from lgfa.motion.model import MotionModel
from lgfa.motion.understanding import (
    LOST,
    MOST_WORDS,
    Thresholds,
    Understanding,
    Vocabulary,
    VocabularyConfig,
    calibrate,
    refuse_unknown,
    warn,
)

PHRASES = {"smiling": ["smiling", "happy", "with a grin"], "crying": ["she cries"],
           "angry": ["angry", "furious"]}


def taught(known_at: float = 0.9, unsure_at: float = 0.5, **others: Any) -> MotionModel:
    """A small model that knows the phrases above."""
    model = tiny_motion(**others)
    clip = None if model.encoder else CLIP(tiny_clip_config())
    with torch.no_grad():
        codes = [model.encode_text(texts, clip) for texts in PHRASES.values()]
    model.words = Vocabulary.of(list(PHRASES), [30, 20, 10], codes,
                                Thresholds(known_at, unsure_at))
    return model


def flat(known_at: float, unsure_at: float) -> Vocabulary:
    """Two words in a plane: east, by two codes, and north."""
    codes = [torch.tensor([[1.0, 0.0], [0.8, 0.6]]), torch.tensor([[0.0, 1.0]])]
    return Vocabulary.of(["east", "north"], [2, 1], codes, Thresholds(known_at, unsure_at))


# ---- verdicts

def test_a_sentence_is_as_like_a_word_as_the_nearest_of_its_phrasings() -> None:
    z = torch.tensor([[3.0, 0.0], [0.6, 0.8], [-1.0, 0.0]])
    torch.testing.assert_close(flat(0.9, 0.5).similarities(z), torch.tensor(
        [[1.0, 0.0], [0.96, 0.8], [-0.8, 0.0]]), atol=1e-3, rtol=0)


@pytest.mark.parametrize("known_at, unsure_at, verdict", [
    (0.95, 0.5, "known"), (0.97, 0.9, "unsure"), (0.99, 0.97, "unknown")])
def test_the_thresholds_make_the_verdict(known_at: float, unsure_at: float, verdict: str) -> None:
    one, = flat(known_at, unsure_at).understand(["a way"], torch.tensor([[0.6, 0.8]]))
    assert one.verdict == verdict and one.text == "a way" and one.words == 2
    assert [name for name, _ in one.nearest] == ["east", "north"]
    assert one.nearest[0][1] == pytest.approx(0.96, abs=1e-3)
    assert (one.known, one.unknown) == (verdict == "known", verdict == "unknown")


def test_three_words_are_named_best_first() -> None:
    codes = [torch.eye(5)[i:i + 1] for i in range(5)]
    words = Vocabulary.of(list("abcde"), [1] * 5, codes, Thresholds(0.9, 0.1))
    one, = words.understand(["x"], torch.tensor([[0.1, 0.4, 0.2, 0.5, 0.3]]))
    assert [name for name, _ in one.nearest] == ["d", "b", "e"]


def test_every_verdict_is_one_sentence() -> None:
    def said(verdict: str, words: int = 14) -> str:
        return Understanding("tango", verdict, (("winking", 0.414), ("sad", 0.3)), words).sentence()
    assert said("unknown") == ("'tango' is like none of the 14 words that this model knows; "
                               "nearest: winking 0.41")
    assert said("unsure") == ("'tango' is perhaps 'winking' (0.41): the model is unsure; it is "
                              "less like 'sad' (0.30)")
    assert said("known") == "'tango' is understood as 'winking' (0.41)"
    assert "not like the one word" in said("unknown", 1)
    odd = Understanding("a\x1b[2J" + "b" * 500, "unknown", (("c", 0.1),), 2)
    assert odd.sentence().isprintable() and len(odd.sentence()) < 200


def test_plain_is_json() -> None:
    one = Understanding("tango", "unknown", (("winking", 0.41),), 14)
    assert json.loads(json.dumps(one.plain())) == {
        "text": "tango", "verdict": "unknown", "nearest": [["winking", 0.41]], "words": 14,
        "sentence": one.sentence()}


def test_warnings_are_for_what_is_not_surely_known_and_come_once() -> None:
    known, unsure, unknown = (Understanding(v, v, (("a", 0.5),), 2)
                              for v in ("known", "unsure", "unknown"))
    with pytest.warns(LGFAWarning) as told:
        warn([known, None, unsure, unknown, unsure])
    assert [str(one.message) for one in told] == [unsure.sentence() + ".",
                                                  unknown.sentence() + "."]
    refuse_unknown([known, None, unsure])
    with pytest.raises(LGFAError, match="'unknown' is like none of the 2 words.*: say it again"):
        refuse_unknown([known, unknown], "say it again")


# ---- the model

def test_a_model_understands_what_it_was_taught() -> None:
    model = taught()
    found = model.understand(["happy", "She cries"])
    assert [one.verdict for one in found] == ["known", "known"]
    assert [one.nearest[0][0] for one in found] == ["smiling", "crying"]
    assert found[0].nearest[0][1] == pytest.approx(1, abs=1e-3)
    one, = model.understand("furious")
    assert one.nearest[0][0] == "angry"


def test_codes_that_are_known_are_not_read_again() -> None:
    model = taught()
    z_t = model.encode_text(["furious"]).detach()
    model.encoder = None                    # nobody could read now
    assert model.understand(["x"], z_t=z_t)[0].nearest[0][0] == "angry"


def test_a_lent_clip_reads_the_sentence() -> None:
    model = taught(clip=False)
    torch.manual_seed(5)
    clip = CLIP(tiny_clip_config())
    assert len(model.understand(["happy"], clip)) == 1
    with pytest.raises(LGFAError, match="no CLIP encoders"):
        model.understand(["happy"])


def test_a_model_without_words_says_nothing() -> None:
    assert tiny_motion().understand(["happy"]) is None
    assert tiny_motion(clip=False).understand(["happy"]) is None


def test_another_clip_takes_the_words_away() -> None:
    model = taught()
    model.adopt(CLIP(tiny_clip_config()))
    assert model.words is None


# ---- the file

def test_a_file_keeps_words_codes_and_thresholds(tmp_path: Path) -> None:
    model, path = taught(0.75, 0.25), tmp_path / "a.safetensors"
    formats.save(path, model)
    again = formats.load(path, "motion")
    assert again.words_config == VocabularyConfig(
        ("smiling", "crying", "angry"), (30, 20, 10), (3, 1, 2), 0.75, 0.25)
    assert torch.equal(again.words.codes, model.words.codes)
    assert again.understand(["happy"]) == model.understand(["happy"])
    formats.save(tmp_path / "b.safetensors", again)
    assert path.read_bytes() == (tmp_path / "b.safetensors").read_bytes()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_codes_are_the_same_in_every_arithmetic(tmp_path: Path, dtype: torch.dtype) -> None:
    model, path = taught(), tmp_path / "a.safetensors"
    formats.save(path, model, dtype=dtype)
    again = formats.load(path, "motion", dtype=torch.bfloat16)
    assert again.words.codes.dtype == torch.float16
    if dtype != torch.bfloat16:
        assert torch.equal(again.words.codes, model.words.codes)


def test_words_without_a_clip_of_its_own(tmp_path: Path) -> None:
    formats.save(tmp_path / "a.safetensors", taught(clip=False))
    again = formats.load(tmp_path / "a.safetensors", "motion")
    assert again.clip_config is None and len(again.words) == 3


def test_files_and_hashes_of_models_without_words_are_as_before(tmp_path: Path) -> None:
    for clip in (True, False):
        model, path = tiny_motion(clip=clip), tmp_path / "a.safetensors"
        formats.save(path, model)
        header = safetensors_io.own_header(safetensors_io.read_header(path), path)
        assert set(header) == {"version", "kind", "config", "info"} | ({"clip_config"} if clip
                                                                       else set())
        assert not any(name.startswith("words") for name in model.state_dict())
        again = formats.load(path, "motion")
        assert again.words is None and network_hash(again) == network_hash(model)


def damaged(folder: Path, **changes: Any) -> Path:
    """A file whose words have other settings, or other codes (codes=)."""
    model, path = taught(), folder / "a.safetensors"
    state = model.state_dict()
    codes = changes.pop("codes", state["words.codes"])
    formats.save(path, model)
    header = safetensors_io.own_header(safetensors_io.read_header(path), path)
    header["words_config"] = {**header["words_config"], **changes}
    header["words_config"] = {k: v for k, v in header["words_config"].items() if v is not None}
    state = {**state, "words.codes": codes}
    if codes is None:
        del state["words.codes"]
    safetensors_io.write_tensors(path, state, {"lgfa": json.dumps(header)})
    return path


BROKEN = torch.full((6, EMBED), float("nan"), dtype=torch.float16)


@pytest.mark.parametrize("changes, said", [
    ({"kept": [3, 1, 3]}, r"unequal: words.codes \[6, 20\] for \[7, 20\]"),
    ({"kept": [3, 1]}, "as many numbers of phrasings as names"),
    ({"names": []}, "at least one"),
    ({"taught": [30, 20, 1]}, "no more than it was taught"),
    ({"kept": [3, 0, 3]}, "at least one phrasing of each word"),
    ({"kept": [3, -1, 4]}, "at least one phrasing of each word"),
    ({"kept": [3, 1, 10**6], "taught": [3, 1, 10**6]}, "at most 4,096 phrasings"),
    ({"names": ["a", "b", " "]}, "names have 1 to 60 characters"),
    ({"names": ["a", "b", "\x1b[2J"]}, "characters that can be printed"),
    ({"names": ["a", "b", 3]}, "each item a text"),
    ({"known_at": 0.1}, "thresholds"),
    ({"unsure_at": -9.0}, "thresholds"),
    ({"known_at": "high"}, "finite number"),
    ({"known_at": None}, "lack known_at"),
    ({"more": 1}, "unknown more"),
    ({"codes": BROKEN}, "NaN or infinite"),
    ({"codes": torch.zeros(6, 7, dtype=torch.float16)}, "unequal: words.codes"),
    ({"codes": torch.zeros(6, EMBED, dtype=torch.int32)}, "of a type that weights do not have"),
    ({"codes": None}, "missing: words.codes"),
])
def test_damaged_words_are_refused_with_one_sentence(
    tmp_path: Path, changes: dict[str, Any], said: str,
) -> None:
    path = damaged(tmp_path, **changes)
    with pytest.raises(LGFAError, match=said) as error:
        formats.load(path, "motion")
    assert str(path) in str(error.value) and str(error.value).isprintable()


def test_codes_without_words_are_left_over(tmp_path: Path) -> None:
    model, path = taught(), tmp_path / "a.safetensors"
    state = model.state_dict()
    model.words = None
    formats.save(path, model)
    header = safetensors_io.own_header(safetensors_io.read_header(path), path)
    safetensors_io.write_tensors(path, state, {"lgfa": json.dumps(header)})
    with pytest.raises(LGFAError, match="left over: words.codes"):
        formats.load(path, "motion")


def test_as_many_words_as_a_file_may_have(tmp_path: Path) -> None:
    model = tiny_motion()
    codes = list(torch.randn(MOST_WORDS, 1, EMBED))
    model.words = Vocabulary.of([f"word {i}" for i in range(MOST_WORDS)], [1] * MOST_WORDS, codes,
                                Thresholds(0.9, 0.5))
    formats.save(tmp_path / "a.safetensors", model)
    assert len(formats.load(tmp_path / "a.safetensors", "motion").words) == MOST_WORDS


# ---- thresholds

@pytest.mark.parametrize("true, strange", [
    ((0.9, 0.03), (0.4, 0.1)),              # far apart
    ((0.7, 0.1), (0.6, 0.1)),               # they overlap
    ((0.5, 0.1), (0.5, 0.1)),               # nobody could tell them apart
    ((0.2, 0.1), (-0.3, 0.05)),
])
def test_the_thresholds_keep_their_promises(
    true: tuple[float, float], strange: tuple[float, float],
) -> None:
    rng = torch.Generator().manual_seed(0)
    for count in (1, 7, 100, 997):
        meant, other = (mean + std * torch.randn(count, generator=rng)
                        for mean, std in (true, strange))
        known_at, unsure_at = calibrate(meant, other)
        assert known_at >= unsure_at
        assert float((meant < unsure_at).float().mean()) <= LOST
        assert float((other >= known_at).float().mean()) <= 0.1


def test_between_two_kinds_far_apart_the_model_is_unsure() -> None:
    known_at, unsure_at = calibrate(torch.full((50,), 0.9), torch.full((50,), 0.2))
    assert unsure_at == pytest.approx(0.2, abs=1e-3) and known_at == pytest.approx(0.9, abs=1e-3)
    assert unsure_at > 0.2 and known_at <= 0.9


# ---- sentences about other things

def test_foreign_sentences_are_many_of_all_kinds_and_parted_evenly() -> None:
    every = foreign.CALIBRATING + foreign.MEASURING
    assert len(every) >= 200 and len({text.casefold() for text in every}) == len(every)
    assert all(set(kind[::2]) <= set(foreign.CALIBRATING)
               and set(kind[1::2]) <= set(foreign.MEASURING) for kind in foreign.KINDS.values())
    clip = CLIP(tiny_clip_config())
    assert clip.tokenize(every, quiet=True).shape == (len(every), 16)
