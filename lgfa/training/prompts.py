"""Sentences to train on: words, their paraphrases, templates; a batch never holds a word twice."""
from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch

from ..embed.sentences import check_text, has_words
from ..errors import LGFAError, reason

T = TypeVar("T")

LARGEST = 4 * 2**20                 # bytes of a prompt file; a hundred thousand words need less
MOST = 1_000_000                    # sentences: words with their paraphrases, times templates
PLAIN = "The person is "            # begins sentences, and says nothing of what is meant

#: The paper's 28 words (IV-A).
PAPER_WORDS = (
    "smiling", "angry", "closing eyes", "winking", "shocked", "pouting", "crying", "disgusted",
    "appalled", "opening mouth", "hatred", "surprised", "aha", "annoyed", "awkward",
    "biting tongues", "blank stare", "confused", "duck lips", "incredulous", "mocking", "nervous",
    "no comment", "oh no", "serious", "stunned", "whatever", "wtf",
)


class Prompts:
    """Words to draw sentences from.

    A word is a list of paraphrases ("smiling", "happy", "with a grin"): they mean one thing, so no
    two of them meet in one batch, where the contrastive loss would push them apart. A sentence is
    a random template filled with a random paraphrase; a paraphrase that is to stand for itself
    goes with the template "{}".
    """

    def __init__(
        self,
        words: Sequence[str | Sequence[str]] = PAPER_WORDS,         # each with its paraphrases
        templates: Sequence[str] = ("The person is {}",),           # "{}" where the word goes
        held_out: Sequence[str] = (),       # sentences that mean one of the words and are never
        #                                     drawn: what the model makes of them says how it may
        #                                     judge sentences that it does not know
        weights: Sequence[float] | None = None,     # how often each word is drawn, in any unit;
        #                                     None = all alike
    ) -> None:
        self.templates, self.held_out = tuple(templates), tuple(held_out)
        self.weights = None if weights is None else torch.tensor(weights, dtype=torch.float64)
        self.words = tuple((word,) if isinstance(word, str) else tuple(word) for word in words)
        self._check()

    @classmethod
    def read(
        cls,
        path: str | Path,                   # UTF-8 text
    ) -> Prompts:
        """One word a line, paraphrases parted by "|"; lines "template: The person is {}" give the
        templates (without any, the lines are the sentences); "#" begins a comment line."""
        text = _text(path)
        try:
            return cls.parse(text)
        except LGFAError as error:
            raise LGFAError(f"the prompt file {path} cannot be used: {error}") from error

    @classmethod
    def parse(
        cls,
        text: str,                          # lines, as `read` has them
        templates: Sequence[str] = ("{}",),     # where no line gives one
    ) -> Prompts:
        """The same of a text that is no file."""
        words, given = [], []
        for line in map(str.strip, text.splitlines()):
            if line.lower().startswith("template:"):
                given.append(line.split(":", 1)[1].strip())
            elif has_words(line) and not line.startswith("#"):
                words.append([part.strip() for part in line.split("|") if has_words(part)])
        return cls(words, given or templates)

    @property
    def names(self) -> list[str]:
        """What each word is called: its first paraphrase, without "The person is"."""
        return [word[0][len(PLAIN):] if word[0].lower().startswith(PLAIN.lower())
                and has_words(word[0][len(PLAIN):]) else word[0] for word in self.words]

    def sentences(self) -> list[str]:
        """Every sentence that can be drawn."""
        return [sentence for word in self.words for one in word for sentence in self.say(one)]

    def say(
        self,
        one: str,                           # a word, or a paraphrase of one
    ) -> list[str]:
        """Its sentences, one for each template."""
        return [template.replace("{}", one) for template in self.templates]

    def draw(
        self,
        count: int,                         # sentences wanted, each of another word
        generator: torch.Generator,         # on the CPU
    ) -> list[str]:
        """`count` sentences that mean different things."""
        self.check_batch(count)
        if self.weights is None:
            chosen = torch.randperm(len(self.words), generator=generator)[:count].tolist()
        else:
            chosen = torch.multinomial(self.weights, count, generator=generator).tolist()
        return [self._sentence(self.words[index], generator) for index in chosen]

    def check_batch(self, count: int) -> None:
        """Raises LGFAError when there are fewer words than sentences in a batch."""
        if count > len(self.words):
            raise LGFAError(f"a batch of {count} needs {count} different words, but there are "
                            f"{len(self.words)} prompts: add words or lower the batch.")

    def _sentence(self, word: tuple[str, ...], generator: torch.Generator) -> str:
        """A random paraphrase in a random template; two draws always, so that lists compare."""
        one = word[_index(len(word), generator)]
        return self.templates[_index(len(self.templates), generator)].replace("{}", one)

    def _check(self) -> None:
        for template in self.templates:
            if "{}" not in template:
                raise LGFAError(f"the template {template!r} has no {{}} where the word goes.")
        if not self.words or not all(self.words):
            raise LGFAError("there are no prompts: give at least one word or sentence a line.")
        if sum(map(len, self.words)) * len(self.templates) > MOST:
            raise LGFAError(f"there are more than {MOST:,} sentences: give fewer words or "
                            "templates.")
        if self.weights is not None and (
                len(self.weights) != len(self.words) or not bool((self.weights > 0).all())):
            raise LGFAError(f"the prompts need a weight above 0 for each of {len(self.words)} "
                            f"words, not {self.weights.tolist()}.")
        for sentence in self.held_out:
            check_text(sentence)
        seen: dict[str, int] = {}
        for index, word in enumerate(self.words):
            for one in word:
                check_text(one)
                if seen.setdefault(one.casefold(), index) != index:
                    raise LGFAError(f"the prompt {one!r} stands for two words: a sentence must "
                                    "mean one thing.")


def _index(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


def _text(path: str | Path) -> str:
    """A prompt file's text; LGFAError for what is no text."""
    name = f"the prompt file {path}"
    try:
        # A named pipe may never begin; the shell's <(..) gives one in /dev.
        if os.path.exists(path) and not os.path.isfile(path) and \
                not str(path).startswith("/dev/"):
            raise LGFAError(f"{name} cannot be read: it is no file.")
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, LGFAError):
            raise
        raise LGFAError(f"{name} cannot be read: {reason(error)}.") from error
    if len(data) > LARGEST:
        raise LGFAError(f"{name} is larger than {LARGEST:,} bytes: is it the right one?")
    if b"\0" in data:
        raise LGFAError(f"{name} holds zero bytes, which no UTF-8 text does: save it as UTF-8.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LGFAError(f"{name} cannot be read as UTF-8 text: save it as UTF-8.") from error


def evenly(
    items: Sequence[T],
    most: int,
) -> list[T]:
    """At most so many of them, over the whole list."""
    step = max(1.0, len(items) / most)
    return [items[int(i * step)] for i in range(min(len(items), most))]
