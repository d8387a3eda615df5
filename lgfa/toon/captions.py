"""Sentences about toon faces: paraphrases of every expression and attribute, and held-out ones.

Training sees `PHRASES` in the forms of `drawn.captions.Captioner`; `HELD_OUT` sentences are never
trained on: they are new ones, made of words that a reader of the training sentences knows.
"""
from __future__ import annotations

from torch import Tensor

from ..drawn.captions import Phrases, Words
from ..drawn.parameters import category
from . import parameters
from .parameters import EXPRESSION_NAMES, INDEX

SUBJECTS = (
    "the person", "the cartoon person", "a person", "someone", "a cartoon face", "the face",
    "the woman", "the man", "a toon",
)

#: expression -> (what completes "The person is ...", what completes "a person with ...")
PHRASES: dict[str, Phrases] = {
    "neutral": (
        ("neutral", "calm", "relaxed", "showing no expression", "looking calm", "serious"),
        ("a neutral face", "a calm face", "no expression", "a relaxed expression", "a blank stare"),
    ),
    "smiling": (
        ("smiling", "happy", "smiling happily", "cheerful", "grinning", "pleased"),
        ("a smile", "a happy smile", "a big smile", "a cheerful face", "a happy expression"),
    ),
    "laughing": (
        ("laughing", "laughing out loud", "laughing hard", "giggling", "bursting with laughter"),
        ("a laugh", "a loud laugh", "a laughing face", "a wide open laughing mouth"),
    ),
    "sad": (
        ("sad", "unhappy", "looking sad", "gloomy", "frowning sadly", "feeling down"),
        ("a sad face", "a sad expression", "a frown", "sad eyes", "an unhappy face"),
    ),
    "crying": (
        ("crying", "weeping", "in tears", "sobbing", "crying loudly", "shedding tears"),
        ("tears", "a crying face", "tears running down", "tears in the eyes", "wet cheeks"),
    ),
    "angry": (
        ("angry", "mad", "looking angry", "furious", "annoyed", "glaring"),
        ("an angry face", "an angry expression", "angry eyes", "angry brows", "a furious look"),
    ),
    "surprised": (
        ("surprised", "shocked", "amazed", "astonished", "stunned", "looking surprised"),
        ("a surprised face", "a shocked expression", "a round open mouth", "an amazed look"),
    ),
    "closing eyes": (
        ("closing eyes", "closing the eyes", "asleep", "sleeping", "dreaming", "resting"),
        ("closed eyes", "both eyes closed", "eyes shut", "a sleeping face", "shut eyes"),
    ),
    "winking": (
        ("winking", "giving a wink", "winking with one eye", "winking playfully",
         "closing one eye"),
        ("a wink", "one eye closed", "a playful wink", "a winking eye", "one eye shut"),
    ),
    "pouting": (
        ("pouting", "sulking", "pouting the lips", "making duck lips", "pursing the lips"),
        ("a pout", "pouting lips", "duck lips", "pursed lips", "a sulking face"),
    ),
    "disgusted": (
        ("disgusted", "looking disgusted", "sticking out the tongue", "feeling sick",
         "grossed out"),
        ("a disgusted face", "the tongue out", "a disgusted expression", "a disgusted look"),
    ),
    "sleepy": (
        ("sleepy", "tired", "drowsy", "bored", "yawning", "looking tired"),
        ("sleepy eyes", "a tired face", "half closed eyes", "a bored expression", "a yawn"),
    ),
    "shouting": (
        ("shouting", "yelling", "screaming", "shouting angrily", "shouting in rage", "raging"),
        ("a shout", "a shouting mouth", "an angry open mouth", "a scream", "a yelling face"),
    ),
    "scared": (
        ("scared", "afraid", "frightened", "nervous", "terrified", "looking scared"),
        ("a scared face", "a frightened expression", "a nervous look", "scared wide eyes", "fear"),
    ),
}

#: about each expression, never trained on
HELD_OUT: dict[str, tuple[str, ...]] = {
    "neutral": ("The person is looking relaxed", "a toon with a serious calm expression"),
    "smiling": ("The person is giving a cheerful smile", "a happy grinning face"),
    "laughing": ("The person is giggling out loud", "someone bursting with a loud laugh"),
    "sad": ("The person is looking gloomy", "a toon with an unhappy frown"),
    "crying": ("The person is sobbing in tears", "someone weeping with wet eyes"),
    "angry": ("The person is looking mad", "a toon with a furious glaring face"),
    "surprised": ("The person is looking shocked", "someone amazed and stunned"),
    "closing eyes": ("The person is asleep with the eyes shut", "a dreaming face, eyes closed"),
    "winking": ("The person is giving a playful wink", "someone shutting one eye, a wink"),
    "pouting": ("The person is making a pout", "a sulking toon with duck lips"),
    "disgusted": ("The person is feeling disgusted, tongue out", "a sick and disgusted look"),
    "sleepy": ("The person is looking drowsy", "a bored toon with tired eyes"),
    "shouting": ("The person is yelling in rage", "someone screaming with an angry shout"),
    "scared": ("The person is looking frightened", "a terrified toon with nervous eyes"),
}

HAIR = ("{} hair", "{}-haired", "{} coloured hair", "hair of {} colour")
GLASSES = (
    ("no glasses", "without glasses", "not wearing glasses"),
    ("glasses", "wearing glasses", "with round glasses", "spectacles"),
)
AGE = (
    ("a child", "young", "a kid with freckles", "freckles"),
    ("an adult", "a grown-up", "middle-aged"),
    ("old", "an elderly person", "with wrinkles", "aged"),
)
BACKDROP = {
    "sunny": ("sunny day", "sunny weather", "the sun in a blue sky", "sunshine"),
    "cloudy": ("cloudy day", "clouds in the sky", "cloudy weather", "overcast sky"),
    "rainy": ("rain", "rainy weather", "a rainy day", "raining"),
    "night": ("night", "at night", "stars and a moon", "a night sky"),
    "sunset": ("sunset", "at sunset", "an evening sky", "the setting sun"),
    "meadow": ("meadow", "green hills", "on a green meadow", "grass in spring"),
}

#: name -> words of each of its classes, in the order of `labels`
PARTS = {
    "hair": tuple(tuple(form.format(name) for form in HAIR) for name, _ in parameters.HAIR),
    "glasses": GLASSES,
    "age": AGE,
    "backdrop": tuple(BACKDROP[name] for name, _, _ in parameters.BACKDROP),
}
ATTRIBUTES = ("expression", *PARTS)


def labels(
    params: Tensor,                         # [B, K]
) -> dict[str, Tensor]:
    """Classes of the attributes that captions speak of, but for expression: name -> long [B]."""
    age = params[:, INDEX["age"]]
    return {
        "hair": category(params[:, INDEX["hair_color"]], len(parameters.HAIR)),
        "glasses": (params[:, INDEX["glasses"]] > 0.5).long(),
        "age": (age > 0.25).long() + (age > 0.65).long(),
        "backdrop": category(params[:, INDEX["backdrop"]], len(parameters.BACKDROP)),
    }


def zero_shot(
    attribute: str,                         # of ATTRIBUTES
) -> list[list[str]]:
    """Sentences of each class to measure CLIP with, in the words of the training."""
    if attribute == "expression":
        return [[f"The person is {verb}" for verb in verbs]
                + [f"a person with {noun}" for noun in nouns]
                for verbs, nouns in (PHRASES[name] for name in EXPRESSION_NAMES)]
    if attribute == "hair":
        return [[f"a person with {name} hair"] for name, _ in parameters.HAIR]
    if attribute == "glasses":
        return [["a person without glasses"], ["a person wearing glasses"]]
    if attribute == "age":
        return [[f"the person, {words}" for words in group] for group in AGE]
    return [[f"a person, {words}" for words in group] for group in PARTS["backdrop"]]


WORDS = Words(
    subjects=SUBJECTS,
    expressions=PHRASES,
    held_out=HELD_OUT,
    attributes=PARTS,
    said={"hair": 0.3, "glasses": 0.25, "age": 0.15, "backdrop": 0.3},
    labels=labels,
    questions=zero_shot,
)
