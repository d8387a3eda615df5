"""Which texts say something (lgfa/embed/sentences.py), wherever one is taken."""
from __future__ import annotations

import pytest
import torch
from tiny import tiny_clip_config

from lgfa.embed.clip import CLIP
from lgfa.embed.sentences import check_text, has_words, sentences
from lgfa.errors import LGFAError
from lgfa.methods.method import as_prompts
from lgfa.training.prompts import Prompts
from lgfa.trajectory.timeline import parse

EMPTY = [
    "", " ", "\t\r\n", "\u200b", "\u200b\u200c\u200d\u2060\ufeff", "\u00ad", "\ufe0f", "\u0301",
    "\x00", "\x1b\x07", "\u00a0\u3000", "\u2800", "\u3164", "\u115f\u1160\uffa0", "\u034f",
    "\u061c\u202e", "\U000e0061\U000e007f", "\U000e0100", "\ufffe", "\u180e", "\U0001d159"]
WHOLE = [
    "smiling", "\u5979\u5728\u5fae\u7b11", "\U0001f600", "!", "1", "a\u0301", "\u200bx", "\u0e32",
    "\U0001faea", "\ue000", "\U0001f468\u200d\U0001f469", "=", "\u0967"]


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return CLIP(tiny_clip_config())


@pytest.mark.parametrize("text", EMPTY)
def test_texts_that_show_nothing_are_empty_everywhere(text: str, clip: CLIP) -> None:
    assert not has_words(text)
    for call in (check_text, as_prompts, sentences, clip.tokenize,
                 lambda text: as_prompts(["smiling", text]), lambda text: Prompts([text]),
                 lambda text: Prompts([["smiling", text]]), Prompts.parse, parse):
        with pytest.raises(LGFAError):
            call(text)
    with pytest.raises(LGFAError, match="no text before"):
        parse(text.replace("\n", "").replace("\r", "") + "| 16")


@pytest.mark.parametrize("text", WHOLE)
def test_texts_of_any_script_say_something(text: str, clip: CLIP) -> None:
    assert check_text(text) == text and parse(text)[0].text == text
    assert Prompts.parse(f"{text}\n\u200b\n").sentences() == [text]
    assert sentences(f"\u200b\n{text}") == (text,)
    assert isinstance(clip.tokenize(text), torch.Tensor)


@pytest.mark.parametrize("text", [None, 5, b"smiling", ["smiling"]])
def test_what_is_no_text(text: object) -> None:
    with pytest.raises(LGFAError, match="empty"):
        check_text(text)


def test_bytes_of_another_encoding(clip: CLIP) -> None:
    for text in ("\udcff", "smil\udce9", "\ud83d"):
        for call in (check_text, as_prompts, clip.tokenize, lambda text: Prompts([text])):
            with pytest.raises(LGFAError, match="UTF-8"):
                call(text)
