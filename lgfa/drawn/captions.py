"""Random true sentences about drawn faces, from a domain's words."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

#: what completes "The person is ...", and what completes "a person with ..."
Phrases = tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True)
class Words:
    """The language of a domain. Attributes are what sentences say beside the expression."""

    subjects: tuple[str, ...]               # who it is about: "the person", ..
    expressions: Mapping[str, Phrases]      # name of an expression, in the order of their numbers
    held_out: Mapping[str, tuple[str, ...]]     # sentences about each that nothing is trained on
    attributes: Mapping[str, tuple[tuple[str, ...], ...]]   # name -> words of each of its classes
    said: Mapping[str, float]               # how often each attribute is said beside an expression;
    #                                         what is said where nothing else is comes first
    labels: Callable[[Tensor], dict[str, Tensor]]           # params [B, K] -> class of each
    #                                         attribute, long [B]
    questions: Callable[[str], list[list[str]]]             # "expression" or an attribute ->
    #                                         sentences of each class to measure CLIP with


class Captioner:
    """Says what is true of a face, in words and an order that chance picks."""

    def __init__(
        self,
        words: Words,
        rng: torch.Generator,               # on the CPU; moves on with every sentence
    ) -> None:
        self.words, self.rng = words, rng
        self._names = tuple(words.expressions)

    def pick(self, options: Sequence[str]) -> str:
        """One of them, each as likely."""
        return options[int(torch.randint(len(options), (), generator=self.rng))]

    def chance(self, p: float) -> bool:
        """True with this probability."""
        return float(torch.rand((), generator=self.rng)) < p

    def phrase(
        self,
        attribute: str,                     # of Words.attributes
        value: int,                         # its class
    ) -> str:
        """Words for one attribute, to stand after "with" or between commas."""
        return self.pick(self.words.attributes[attribute][value])

    def expression(
        self,
        value: int,                         # number of the expression
    ) -> str:
        """A sentence for one expression alone."""
        verbs, nouns = self.words.expressions[self._names[value]]
        subject = self.pick(self.words.subjects)
        if self.chance(0.55):
            link = self.pick(("is ", "is ", "is ", "", "who is "))
            text = f"{subject} {link}{self.pick(verbs)}"
        else:
            form = self.pick((f"{subject} with {{}}", "{}", f"{subject} has {{}}"))
            text = form.format(self.pick(nouns))
        return text[0].upper() + text[1:] if self.chance(0.6) else text

    def sentence(
        self,
        values: Mapping[str, int],          # "expression" and attributes -> class
    ) -> str:
        """A sentence that says exactly these, in random order after the face."""
        names = [name for name in values if name != "expression"]
        order = torch.randperm(len(names), generator=self.rng).tolist()
        rest = [self.phrase(names[i], values[names[i]]) for i in order]
        if "expression" in values:
            head = self.expression(values["expression"])
        else:
            somebody = self.chance(0.8) or not rest
            head = self.pick(self.words.subjects) if somebody else rest.pop(0)
        joint = self.pick((", ", ", ", " and ", " with "))
        return head + "".join(joint + words for words in rest)
