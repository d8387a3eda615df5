"""Sentences about toon faces: what hair, glasses, age and backdrop are called, and how CLIP is
asked. What faces do is in phrases.py; of these lists, too, each fifth phrase enters no training.
"""
from __future__ import annotations

from torch import Tensor

from ..drawn.captions import Words, sentences, taught
from ..drawn.parameters import category
from . import parameters
from .parameters import EXPRESSION_NAMES, INDEX
from .phrases import ASKED, PHRASES

SUBJECTS = (
    "the person", "the cartoon person", "a person", "someone", "a cartoon face", "the face",
    "the woman", "the man", "a toon",
)

HAIR = {
    "black": (
        "black hair", "black-haired", "black coloured hair", "hair of black colour",
        "jet-black hair", "raven hair", "raven-haired", "ebony hair", "ink-black hair",
        "hair as black as coal", "coal-black hair", "hair dyed black", "black locks",
        "black tresses", "pitch-black hair", "dark black hair", "midnight-black hair",
        "black-coloured curls",
    ),
    "brown": (
        "brown hair", "brown-haired", "brown coloured hair", "hair of brown colour", "brunette",
        "a brunette", "brunette hair", "chestnut hair", "chestnut-brown hair",
        "chocolate-brown hair", "hazel hair", "mousy hair", "light brown hair", "dark brown hair",
        "brown locks", "coffee-coloured hair", "hazelnut hair", "hair dyed brown",
    ),
    "red": (
        "red hair", "red-haired", "red coloured hair", "hair of red colour", "a redhead", "ginger",
        "ginger hair", "ginger-haired", "auburn hair", "auburn-haired", "copper hair",
        "copper-red hair", "flame-red hair", "fiery red hair", "carrot-coloured hair",
        "titian hair", "redheaded", "hair dyed red",
    ),
    "blonde": (
        "blonde hair", "blonde-haired", "blonde coloured hair", "hair of blonde colour", "a blonde",
        "blond", "blond hair", "blond-haired", "fair hair", "fair-haired", "golden hair",
        "golden-haired", "flaxen hair", "yellow hair", "straw-coloured hair", "honey-blonde hair",
        "platinum blonde hair", "hair dyed blonde",
    ),
    "gray": (
        "gray hair", "gray-haired", "gray coloured hair", "hair of gray colour", "grey hair",
        "grey-haired", "silver hair", "silver-haired", "silvery hair", "white hair", "white-haired",
        "ashen hair", "ash-gray hair", "steel-gray hair", "salt-and-pepper hair", "greying hair",
        "graying hair", "hair dyed gray",
    ),
    "blue": (
        "blue hair", "blue-haired", "blue coloured hair", "hair of blue colour", "azure hair",
        "sky-blue hair", "navy hair", "cobalt hair", "sapphire-blue hair", "electric blue hair",
        "dark blue hair", "light blue hair", "bright blue hair", "hair dyed blue", "blue locks",
        "royal-blue hair", "blue curls", "pastel blue hair",
    ),
    "green": (
        "green hair", "green-haired", "green coloured hair", "hair of green colour", "emerald hair",
        "lime-green hair", "mint-green hair", "olive-green hair", "jade hair", "grass-green hair",
        "moss-green hair", "forest-green hair", "bright green hair", "dark green hair",
        "neon green hair", "green locks", "hair dyed green", "green curls",
    ),
    "pink": (
        "pink hair", "pink-haired", "pink coloured hair", "hair of pink colour",
        "rose-coloured hair", "rosy hair", "bubblegum hair", "bubblegum-pink hair", "hot pink hair",
        "fuchsia hair", "magenta hair", "pastel pink hair", "cotton-candy hair", "salmon-pink hair",
        "light pink hair", "pink locks", "hair dyed pink", "sakura-pink hair",
    ),
}
GLASSES = (
    (
        "no glasses", "without glasses", "not wearing glasses", "no spectacles",
        "without spectacles", "no eyeglasses", "without eyeglasses", "no eyewear", "no specs",
        "without specs", "glasses-free", "not bespectacled", "glasses off",
        "having taken off the glasses", "bare eyes without lenses", "wearing no glasses",
        "nothing on the nose", "without any glasses", "no frames", "who does not need glasses",
    ),
    (
        "glasses", "wearing glasses", "with round glasses", "spectacles", "wearing spectacles",
        "eyeglasses", "wearing eyeglasses", "specs", "wearing specs", "bespectacled",
        "a pair of glasses", "round glasses", "round-rimmed spectacles", "reading glasses",
        "in glasses", "glasses on", "wire-rimmed glasses", "big round spectacles",
        "glasses on the nose", "a bespectacled face",
    ),
)
AGE = (
    (
        "a child", "young", "a kid with freckles", "freckles", "a kid", "a little kid", "a toddler",
        "a youngster", "a schoolchild", "a small child", "a little girl", "a little boy",
        "a preschooler", "childlike", "a freckled kid", "five years old", "a child of seven",
        "a little one", "a kindergartner", "a young child",
    ),
    (
        "an adult", "a grown-up", "middle-aged", "grown up", "in the prime of life",
        "a thirty-year-old", "in her thirties", "in his forties", "forty years old",
        "a mature person", "a mum", "a dad", "a parent", "an adult woman", "an adult man",
        "a grown man", "a grown woman", "of middle age", "of working age", "a middle-aged person",
    ),
    (
        "old", "an elderly person", "with wrinkles", "aged", "elderly", "wrinkles",
        "a wrinkled face", "wrinkled", "a grandma", "a grandpa", "a grandmother", "a grandfather",
        "a granny", "a senior citizen", "a pensioner", "an old lady", "an old man", "a retiree",
        "eighty years old", "in old age",
    ),
)
BACKDROP = {
    "sunny": (
        "sunny day", "sunny weather", "the sun in a blue sky", "sunshine", "a sunny sky",
        "bright sunshine", "in the sun", "a clear blue sky", "under a blue sky", "a cloudless sky",
        "the sun shining", "a bright summer day", "beautiful weather", "fine weather",
        "a bright day", "sunlight", "on a sunny day", "a sunny backdrop", "blue skies",
        "a shining sun",
    ),
    "cloudy": (
        "cloudy day", "clouds in the sky", "cloudy weather", "overcast sky", "overcast",
        "cloudy skies", "a cloudy sky", "gray clouds", "a gray sky", "grey clouds", "a grey sky",
        "clouds behind", "an overcast day", "dull weather", "a sky full of clouds", "fluffy clouds",
        "a cloudy backdrop", "a cloud-covered sky", "cloud cover", "on a cloudy day",
    ),
    "rainy": (
        "rain", "rainy weather", "a rainy day", "raining", "drizzle", "a downpour", "in the rain",
        "heavy rain", "pouring rain", "raindrops", "a rain shower", "wet weather", "rain falling",
        "a rainy backdrop", "showers", "drizzling rain", "a rainstorm", "raining cats and dogs",
        "a rainy sky", "on a rainy day",
    ),
    "night": (
        "night", "at night", "stars and a moon", "a night sky", "a starry sky", "a starry night",
        "moonlight", "under the moon", "midnight", "at midnight", "a moonlit night",
        "a dark sky with stars", "in the dark of night", "nighttime", "the moon in the sky",
        "a crescent moon", "stars in the sky", "late at night", "under the stars", "the full moon",
    ),
    "sunset": (
        "sunset", "at sunset", "an evening sky", "the setting sun", "dusk", "at dusk", "twilight",
        "at twilight", "in the evening", "evening light", "a sunset sky", "an orange sky",
        "a red evening sky", "sundown", "the sun going down", "golden hour", "the evening sun",
        "evening glow", "an orange sunset", "nightfall approaching, the sky still red",
    ),
    "meadow": (
        "meadow", "green hills", "on a green meadow", "grass in spring", "grassy hills",
        "rolling hills", "a green field", "a grassy field", "in a meadow", "green grass",
        "a pasture", "a lawn", "countryside", "hills behind", "a meadow backdrop",
        "a spring meadow", "rolling green hills", "grassland", "a hillside of grass",
        "a grassy meadow",
    ),
}

#: name -> words of each of its classes, in the order of `labels`
PARTS = {
    "hair": tuple(HAIR[name] for name, _ in parameters.HAIR),
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
        return [sentences(PHRASES[name].taught()) for name in EXPRESSION_NAMES]
    if attribute == "hair":
        return [[f"a person with {name} hair"] for name, _ in parameters.HAIR]
    if attribute == "glasses":
        return [["a person without glasses"], ["a person wearing glasses"]]
    if attribute == "age":
        return [[f"the person, {words}" for words in group] for group in map(taught, AGE)]
    return [[f"a person, {words}" for words in group] for group in map(taught, PARTS["backdrop"])]


WORDS = Words(
    subjects=SUBJECTS,
    expressions=PHRASES,
    asked=ASKED,
    pairs=parameters.PAIRS,
    attributes=PARTS,
    said={"hair": 0.3, "glasses": 0.25, "age": 0.15, "backdrop": 0.3},
    labels=labels,
    questions=zero_shot,
)
