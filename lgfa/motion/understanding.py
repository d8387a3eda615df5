"""What a motion model knows of language, and what it made of a sentence.

A model keeps its words: their names, and the codes z_t of the phrasings that it was taught. A
sentence is as much like a word as the largest cosine between its own z_t and those codes; two
thresholds, calibrated on sentences that mean a word and on sentences about other things, make a
verdict of it. Models without words (the authors', older files) have no verdict.
"""
from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import Frozen
from ..errors import LGFAError, LGFAWarning, printable, short

VERDICTS = ("known", "unsure", "unknown")
NEAREST = 3                 # words that an understanding names
MOST_WORDS = 4096           # that a model keeps, and codes of all of them together
MOST_NAME = 60              # characters of a word's name

# Shares by which the thresholds are set; what is promised is 0.05 and 0.90.
LOST = 0.015                # of true sentences, called unknown at most
CAUGHT = 0.95               # of foreign sentences, not called known at least


@dataclass(frozen=True)
class Understanding:
    """What a model made of one sentence."""

    text: str                               # the sentence
    verdict: str                            # one of VERDICTS
    nearest: tuple[tuple[str, float], ...]  # (word, similarity), best first, at most NEAREST
    words: int                              # that the model knows

    @property
    def known(self) -> bool:
        """Whether the sentence is surely one of the words."""
        return self.verdict == "known"

    @property
    def unknown(self) -> bool:
        """Whether the sentence is like none of the words."""
        return self.verdict == "unknown"

    def sentence(self) -> str:
        """The understanding in one sentence for people, without a point at its end."""
        text, (word, similarity) = f"'{printable(short(self.text, 80))}'", self.nearest[0]
        if self.verdict == "known":
            return f"{text} is understood as '{word}' ({similarity:.2f})"
        if self.verdict == "unsure":
            others = ", ".join(f"'{name}' ({value:.2f})" for name, value in self.nearest[1:])
            return (f"{text} is perhaps '{word}' ({similarity:.2f}): the model is unsure"
                    + (f"; it is less like {others}" if others else ""))
        none = f"like none of the {self.words} words" if self.words > 1 else "not like the one word"
        return f"{text} is {none} that this model knows; nearest: {word} {similarity:.2f}"

    def plain(self) -> dict[str, Any]:
        """Everything as JSON has it, the sentence for people too."""
        return {**asdict(self), "nearest": [list(one) for one in self.nearest],
                "sentence": self.sentence()}


def warn(understood: Iterable[Understanding | None]) -> None:
    """A warning for each sentence, told once, that the model does not surely know."""
    for one in dict.fromkeys(understood):
        if one is not None and not one.known:
            warnings.warn(one.sentence() + ".", LGFAWarning, stacklevel=3)


def refuse_unknown(understood: Iterable[Understanding | None], how: str = "") -> None:
    """LGFAError for the first sentence that is like nothing that the model knows; `how` says what
    the user may do instead."""
    for one in understood:
        if one is not None and one.unknown:
            raise LGFAError(one.sentence() + (f": {how}." if how else "."))


@dataclass(frozen=True)
class VocabularyConfig(Frozen):
    """The words of a motion model, as its file's header has them."""

    names: tuple[str, ...]                  # of the words, in the order in which they were taught
    taught: tuple[int, ...]                 # phrasings that each was taught
    kept: tuple[int, ...]                   # .. of which the codes of so many lie in the file
    known_at: float                         # similarity from which a sentence is known
    unsure_at: float                        # .. and from which it is not unknown; at most known_at

    LONGEST = MOST_WORDS                    # list of a file

    def _check(self) -> None:
        if not 1 <= len(self.names) == len(self.taught) == len(self.kept):
            raise LGFAError(f"a vocabulary needs as many numbers of phrasings as names, at least "
                            f"one, not {len(self.names)} names, {len(self.taught)} and "
                            f"{len(self.kept)} numbers.")
        if not all(1 <= kept <= taught
                   for kept, taught in zip(self.kept, self.taught, strict=True)):
            raise LGFAError("a vocabulary keeps at least one phrasing of each word, and no more "
                            "than it was taught.")
        if sum(self.kept) > MOST_WORDS:
            raise LGFAError(f"a vocabulary keeps at most {MOST_WORDS:,} phrasings, not "
                            f"{sum(self.kept):,}.")
        if not all(name.strip() and name.isprintable() and len(name) <= MOST_NAME
                   for name in self.names):
            raise LGFAError(f"a vocabulary's names have 1 to {MOST_NAME} characters that can be "
                            f"printed.")
        if not -2 <= self.unsure_at <= self.known_at <= 2:
            raise LGFAError(f"a vocabulary's thresholds are cosines, the one of known not below "
                            f"that of unsure, not {self.known_at} and {self.unsure_at}.")


class Vocabulary(nn.Module):
    """The words of a motion model and their codes, [N, d] in float16 on every device."""

    def __init__(
        self,
        config: VocabularyConfig,
        embed_dim: int,                     # d
    ) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("codes", torch.zeros(sum(config.kept), embed_dim,
                                                  dtype=torch.float16))

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        taught: Sequence[int],              # phrasings of each
        codes: Sequence[Tensor],            # of each word [kept, d], unit vectors
        thresholds: Thresholds,
    ) -> Vocabulary:
        """The vocabulary of these words on their codes' device."""
        short_names = tuple(short(printable(name), MOST_NAME - 2) for name in names)
        config = VocabularyConfig(short_names, tuple(taught), tuple(map(len, codes)), *thresholds)
        words = cls(config, codes[0].shape[1]).to(codes[0].device)
        words.codes.copy_(torch.cat(list(codes)))
        return words

    def __len__(self) -> int:
        return len(self.config.names)

    def similarities(self, z_t: Tensor) -> Tensor:
        """Codes of sentences [B, d] -> how much each is like each word [B, words], float32."""
        return similarities(z_t, self.codes, self.config.kept)

    def understand(
        self,
        texts: Sequence[str],               # B sentences
        z_t: Tensor,                        # their codes [B, d]
    ) -> list[Understanding]:
        """What these sentences are taken for."""
        values, order = self.similarities(z_t).sort(dim=1, descending=True, stable=True)
        values, order = values[:, :NEAREST].tolist(), order[:, :NEAREST].tolist()
        out = []
        for text, value, which in zip(texts, values, order, strict=True):
            nearest = tuple((self.config.names[i], v) for i, v in zip(which, value, strict=True))
            out.append(Understanding(text, self.verdict(value[0]), nearest, len(self)))
        return out

    def verdict(self, similarity: float) -> str:
        """One of VERDICTS, by the similarity to the nearest word."""
        at = (("known", self.config.known_at), ("unsure", self.config.unsure_at))
        return next((name for name, least in at if similarity >= least), "unknown")

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Codes move between devices and stay what they are in other arithmetic."""
        codes = self.codes
        super()._apply(fn, recurse)
        if self.codes.dtype != codes.dtype:
            self.codes = codes.to(self.codes.device)
        return self


def similarities(
    z_t: Tensor,                            # [B, d]
    codes: Tensor,                          # [N, d], word by word
    kept: Sequence[int],                    # rows of each word
) -> Tensor:
    """The largest cosine between a sentence and the codes of each word [B, words], float32."""
    cosines = F.normalize(z_t.float(), dim=-1) @ F.normalize(codes.to(z_t.device).float(), dim=-1).T
    return torch.stack([part.amax(dim=1) for part in cosines.split(list(kept), dim=1)], dim=1)


class Thresholds(NamedTuple):
    """Where verdicts begin."""

    known_at: float
    unsure_at: float


def calibrate(
    true: Tensor,                           # [N] similarities of sentences that mean a word
    foreign: Tensor,                        # [M] .. of sentences that mean none, to the nearest
) -> Thresholds:
    """Thresholds such that at most LOST of the true are unknown and at least CAUGHT of the
    foreign are not known.

    One value has LOST of the true below it, another CAUGHT of the foreign. Between them the model
    is unsure, whichever is lower: where the two kinds overlap both could be meant, and where
    there is a gap nobody knows who would stand in it.
    """
    low, high = true.float().sort().values, foreign.float().sort().values
    lost = low[int(LOST * len(low))].item()
    caught = high[min(len(high) - 1, int(CAUGHT * len(high)))].item()
    lost, caught = math.floor(lost * 1e4) / 1e4, (math.floor(caught * 1e4) + 1) / 1e4
    return Thresholds(max(lost, caught), min(lost, caught))
