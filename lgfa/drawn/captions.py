"""Random true sentences about drawn faces, from a domain's words, in the forms that people type."""
from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

DENIED = 0.4                                # how often a sentence about the first expression, which
#                                             is the neutral one, says what the face does not do
EVERY = 5                                   # each fifth phrase of a list enters no training


class Phrases(NamedTuple):
    """Phrases for one thing. {own} stands for her, his, their, my, your, the."""

    being: tuple[str, ...]                  # completes "she is .."
    having: tuple[str, ...]                 # completes "she has .."
    doing: tuple[str, ...] = ()             # completes "they ..", in the base form

    @property
    def count(self) -> int:
        """All of them."""
        return sum(map(len, self))


@dataclass(frozen=True)
class Ways:
    """How one expression is said."""

    plain: Phrases                          # what people say; each fifth of a list is held out
    wider: Phrases = Phrases((), (), ())    # rarer words, idioms, causes: all are taught

    def taught(self) -> Phrases:
        """What trainings see."""
        return Phrases(*(taught(one) + other
                         for one, other in zip(self.plain, self.wider, strict=True)))

    def kept(self) -> Phrases:
        """What no training sees: every fifth of each plain list."""
        return Phrases(*(kept(phrases) for phrases in self.plain))


def taught(phrases: Sequence[str]) -> tuple[str, ...]:
    """All but each fifth."""
    return tuple(phrase for i, phrase in enumerate(phrases) if i % EVERY != EVERY - 1)


def kept(phrases: Sequence[str]) -> tuple[str, ...]:
    """Each fifth."""
    return tuple(phrases[EVERY - 1::EVERY])


@dataclass(frozen=True)
class Words:
    """The language of a domain. Attributes are what sentences say beside the expression."""

    subjects: tuple[str, ...]               # who it is about: "the person", ..
    expressions: Mapping[str, Ways]         # name of an expression, in the order of their numbers
    asked: Mapping[str, tuple[str, ...]]    # name -> what somebody asked for who had not read the
    #                                         rest; enters no training
    pairs: tuple[tuple[str, str], ...]      # names of two expressions that one face can show
    attributes: Mapping[str, tuple[tuple[str, ...], ...]]   # name -> words of each of its classes
    said: Mapping[str, float]               # how often each attribute is said beside an expression;
    #                                         what is said where nothing else is comes first
    labels: Callable[[Tensor], dict[str, Tensor]]           # params [B, K] -> class of each
    #                                         attribute, long [B]
    questions: Callable[[str], list[list[str]]]             # "expression" or an attribute ->
    #                                         sentences of each class to measure CLIP with

    def held_out(self) -> dict[str, list[str]]:
        """Name of an expression -> sentences of its phrases that no training sees, one each."""
        return {name: sentences(ways.kept()) for name, ways in self.expressions.items()}

    def lessons(self) -> dict[str, list[str]]:
        """Name of an expression -> a sentence of each phrase that trainings see."""
        return {name: sentences(ways.taught()) for name, ways in self.expressions.items()}

    def names_of(self, number: int) -> tuple[str, ...]:
        """One expression's name, or both of a pair, whose numbers follow the expressions'."""
        names = tuple(self.expressions)
        return (names[number],) if number < len(names) else self.pairs[number - len(names)]


# ---- sentences of a phrase

WHO = (                                     # subject, its possessive, is it said without -s
    ("she", "her", False), ("he", "his", False), ("they", "their", True), ("I", "my", True),
    ("you", "your", True), ("the girl", "her", False), ("the boy", "his", False),
    ("the woman", "her", False), ("the man", "his", False), ("the person", "their", False),
    ("a young man", "his", False), ("an old woman", "her", False), ("my friend", "their", False),
    ("somebody", "their", False), ("the face", "its", False),
    ("a cartoon character", "their", False),
)
FOLK = ("woman", "man", "girl", "boy", "person", "face", "character", "portrait", "lady", "guy")


def third(verb: str) -> str:
    """"burst into tears" -> "bursts into tears"; also of "do not ..", "be .." and "cannot .."."""
    first, _, rest = verb.partition(" ")
    if first in ("cannot", "can"):
        return verb
    known = {"do": "does", "be": "is", "have": "has", "go": "goes"}
    if first in known:
        form = known[first]
    elif re.search(r"(s|sh|ch|x|z)$", first):
        form = first + "es"
    elif re.search(r"[^aeiou]y$", first):
        form = first[:-1] + "ies"
    else:
        form = first + "s"
    return f"{form} {rest}".strip()


def says(subject: str, own: str, plural: bool, form: str, phrase: str) -> str:
    """A plain sentence. `form` is a field of Phrases, `plural` whether the subject has no -s."""
    phrase = phrase.replace("{own}", own)
    if form == "doing":
        return f"{subject} {phrase if plural else third(phrase)}"
    verb = {"I": ("am", "have"), "you": ("are", "have"), "they": ("are", "have")}.get(
        subject, ("is", "has"))[form == "having"]
    return f"{subject} {verb} {phrase}"


def sentences(phrases: Phrases) -> list[str]:
    """One sentence of each phrase, about different people in turn."""
    found = []
    for form, listed in phrases._asdict().items():
        for i, phrase in enumerate(listed):
            subject, own, plural = WHO[(i * 7 + len(found)) % len(WHO)]
            found.append(says(subject, own, plural, form, phrase))
    return found


class Captioner:
    """Says what is true of a face, in words and an order that chance picks."""

    def __init__(
        self,
        words: Words,
        rng: torch.Generator,               # on the CPU; moves on with every sentence
        habits: float = 0.35,               # how often a sentence is dressed as `dressed` does
    ) -> None:
        self.words, self.rng, self.habits = words, rng, habits
        self._ways = {name: ways.taught() for name, ways in words.expressions.items()}
        self._parts = {name: [taught(group) for group in groups]
                       for name, groups in words.attributes.items()}

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
        return self.pick(self._parts[attribute][value])

    # ---- expressions

    def expression(
        self,
        value: int,                         # number of the expression, or of a pair
    ) -> str:
        """A sentence for one expression, or two at once, alone."""
        names = self.words.names_of(value)
        text = self._one(names[0]) if len(names) == 1 else self._both(*names)
        if self.chance(self.habits):
            text = self.dressed(text)
        return text[0].upper() + text[1:] if self.chance(0.4) else text

    def _form(self, name: str) -> tuple[str, str]:
        """A phrase of an expression and the form that it is of, each form as likely."""
        ways = self._ways[name]._asdict()
        form = self.pick([form for form, phrases in ways.items() if phrases])
        return form, self.pick(ways[form])

    def _who(self) -> tuple[str, str, bool]:
        if self.chance(0.4):
            return self.pick(self.words.subjects), self.pick(("her", "his", "their", "the")), False
        return self.pick(WHO)

    def _denied(self) -> str:
        """Some expression that the face does not show (any more), in one of the simple ways."""
        name = self.pick([*self._ways][1:])
        form, phrase = self._form(name)
        subject, own, plural = self._who()
        said = phrase.replace("{own}", own)
        be = says(subject, own, plural, "being", "")
        do, bare = "do" if plural else "does", re.sub("^(an?|the) ", "", said)
        if form == "being":
            ways = ["{be}not {said}", "{be}no longer {said}", "not {said}", "never {said}",
                    "{be}not {said} any more", "not {said}, calm", "no longer {said}"]
            if said.partition(" ")[0].endswith("ing"):
                ways += ["{who} stop{s} {said}", "stop {said}", "{who} is done {said}"] * 2
        elif form == "having":
            ways = ["{who} without {said}", "no {bare}", "without {said}", "{who} with no {bare}",
                    "{who} {do} not have {said}"]
        else:
            ways = ["{who} {do} not {said}", "do not {said}", "don't {said}", "never {said}",
                    "{who} will not {said}", "{who} {do}n't {said}",
                    "{who} {do} not {said} any more"]
        return self.pick(ways).format(who=subject, said=said, bare=bare, be=be, do=do,
                                      s="" if plural else "s")

    def _one(self, name: str) -> str:
        if name == next(iter(self._ways)) and self.chance(DENIED):
            return self._denied()
        form, phrase = self._form(name)
        subject, own, plural = self._who()
        said = phrase.replace("{own}", own)
        if self.chance(0.35):                               # a plain sentence
            return says(subject, own, plural, form, phrase)
        if self.chance(0.25):                               # nothing but the phrase
            return said
        if form == "being":
            loose = self.pick(("{who} {said}", "{who} who is {said}", "a {folk} who is {said}",
                               "{who} looking {said}", "{who}, {said}", "make {who} {said}",
                               "{who} looks {said}", "{who} seems {said}", "{who} is very {said}",
                               "a {said} {folk}", "the {said} {folk}", "{who} becomes {said}",
                               "{who} is now {said}"))
            if " " in said and loose.endswith("{said} {folk}"):
                loose = "{who}, {said}"
        elif form == "having":
            loose = self.pick(("{who} with {said}", "a {folk} with {said}", "{who} shows {said}",
                               "{who}, {said}", "with {said}", "give {who} {said}",
                               "{said} on the face", "{who} is showing {said}"))
        else:
            loose = self.pick(("make {who} {said}", "let {who} {said}", "{who} starts to {said}",
                               "{who} begins to {said}", "{who} should {said}", "please {said}",
                               "{who} will {said}", "{who} suddenly {third}", "{who} {third}",
                               "a {folk} who {third}", "{said}!", "now {said}",
                               "{who} {third} a little"))
        return loose.format(who=subject, said=said, folk=self.pick(FOLK), third=third(said))

    def _both(self, one: str, other: str) -> str:
        """Two expressions in one sentence, in either order."""
        if self.chance(0.5):
            one, other = other, one
        subject, own, plural = self._who()
        first, phrase = self._form(one)
        if self.chance(0.3):
            first, phrase = "being", self.pick(self._ways[one].being)
        ways = self._ways[other]
        second = self.pick([form for form in ("being", first) if getattr(ways, form)])
        joint = {"being": (" and ", " while ", ", "), "having": (" and ", " with ", ", "),
                 "doing": (" and ", ", ")}[second]
        if ways.having and self.chance(0.4):
            second, joint = "having", (" with ", " with ", ", ")
        added = self.pick(getattr(ways, second)).replace("{own}", own)
        if second == "doing" and not plural:
            added = third(added)
        if second == "being" and first != "being":
            joint = (" while ", ", ")
        text = says(subject, own, plural, first, phrase)
        if self.chance(0.3):
            text = phrase.replace("{own}", own)
        return text + self.pick(joint) + added

    # ---- habits of those who type

    def dressed(self, text: str) -> str:
        """The sentence with tags, brackets and weights, in a picture's words, or misspelt."""
        kind = int(torch.randint(7, (), generator=self.rng))
        if kind == 0:
            return f"({text}:1.{int(torch.randint(1, 6, (), generator=self.rng))})"
        if kind == 1:
            return f"{self.pick(FRAMES)} {text}"
        if kind == 2:
            return f"{text}, {self.pick(TAGS)}, {self.pick(TAGS)}"
        if kind == 3:
            return f"{self.pick(TAGS)}, {text}"
        if kind == 4:
            return text + self.pick(ENDS)
        return self.misspelt(text)

    def misspelt(self, text: str) -> str:
        """A letter dropped, doubled or swapped in one of the longer words."""
        places = [match.span() for match in re.finditer(r"[a-zA-Z]{5,}", text)]
        if not places:
            return text
        start, end = places[int(torch.randint(len(places), (), generator=self.rng))]
        i = start + 1 + int(torch.randint(end - start - 2, (), generator=self.rng))
        kind = int(torch.randint(3, (), generator=self.rng))
        if kind == 0:
            return text[:i] + text[i + 1:]
        if kind == 1:
            return text[:i] + text[i] + text[i:]
        return text[:i] + text[i + 1] + text[i] + text[i + 2:]

    # ---- everything that is to be said

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


FRAMES = ("portrait of", "a portrait of", "close-up of", "a picture of", "photo of", "a drawing of",
          "a cartoon of", "headshot of", "an image of", "animation of", "a clip of", "a toon of")
TAGS = ("masterpiece", "best quality", "1girl", "1boy", "solo", "highly detailed", "cartoon style",
        "portrait", "4k", "looking at viewer", "simple background", "upper body", "cute", "toon",
        "illustration", "close-up")
ENDS = (" in a park", " at home", " at the party", " right now", " today", " on stage", " at work",
        " in front of the camera", " again", " slowly", " for a moment", " at school", "!", ".",
        " in the kitchen", " with friends", " all of a sudden", " a bit", " very much")
