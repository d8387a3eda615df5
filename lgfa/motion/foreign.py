"""Sentences about other things than a face's expression, by kind.

Every second of a kind calibrates the thresholds of a model's verdicts (motion/understanding.py);
the others measure them, and enter no training and no calibration.
"""
from __future__ import annotations

ACTIONS = (
    "turning the head", "dancing the tango", "walking to the left", "running up the stairs",
    "she waves with her hand", "jumping over a fence", "the person is swimming",
    "he climbs a ladder", "riding a bicycle", "cooking dinner", "the woman opens the door",
    "playing the violin", "nodding slowly", "looking over the shoulder", "the man sits down",
    "zooming out", "the camera moves to the right", "spinning around", "combing her hair",
    "putting on a hat", "the person is typing a letter", "driving home", "throwing a ball",
    "he reads the newspaper", "washing the dishes", "she lifts a box", "falling from the roof",
    "painting the wall", "fishing by the river", "the girl kicks a stone",
)
THINGS = (
    "a red sports car", "a bowl of soup", "an old castle on a hill", "two cups of coffee",
    "a wooden table", "the Eiffel tower at night", "a steam engine", "a bunch of keys",
    "a field of wheat", "an elephant", "a bridge over the river", "a slice of bread",
    "mountains under snow", "a broken window", "the inside of a church", "a pair of shoes",
    "a sailing ship", "a green bottle", "fresh vegetables on a market", "a brick wall",
    "a lamp on the desk", "the surface of the moon", "a map of Europe", "an empty parking lot",
    "a violin and a bow", "a fern in the forest", "a heap of old tyres", "a swimming pool",
    "two bicycles and a tent", "a spider in its web",
)
TECHNICAL = (
    "8k, ultra detailed, sharp focus", "unreal engine render", "steps: 30, sampler: euler",
    "<lora:detail:0.8>", "isometric pixel art tileset", "blueprint of a machine",
    "wide angle lens, f/1.8, bokeh", "seamless texture of marble", "trending on artstation",
    "cfg scale 7, seed 12345", "SELECT name FROM users", "import numpy as np",
    "https://example.com/index.html", "def main(): return 0", "error 404 not found",
    "C:\\Windows\\System32", "git commit and push", "volumetric light, octane",
    "cyberpunk city at night, neon", "low poly 3d model of a tree",
    "{\"key\": \"value\"}", "the quarterly report is due on Monday", "x^2 + y^2 = r^2",
    "resolution 1920x1080, 60 fps",
)
LETTERS = (
    "asdf qwerty", "xxxxx", "qqq", "zxcvbnm", "jkl", "fghj dfgh rtzu", "lorem ipsum dolor",
    "blorptang", "aaaaaaaaaa", "wrtz plmk", "hhhhhh jjjjj", "kqxv", "abcdefgh", "o", "ggnbvc ll",
    "znork the frimble", "q w e r t", "vvvvbbbb", "mxyzptlk", "dskjfhsdkjfh", "uiop", "yx cv bn",
    "grblfx", "tt tt tt",
)
NUMBERS = (
    "12345", "3.14159", "0", "1 2 3 4 5 6", "42 and 17", "1,000,000", "2024-05-17", "#####",
    "99%", "-7", "10:45", "&&& ???", "+49 30 1234", "()", "7 x 8 = 56", "...",
)
SCRIPTS = (
    "\u732b\u5750\u5728\u684c\u5b50\u4e0a", "\u4eca\u5929\u5929\u6c14\u5f88\u597d",
    "\u8d64\u3044\u8eca", "\u6771\u4eac\u3078\u884c\u304f", "\u043a\u0440\u0430\u0441\u043d\u0430"
    "\u044f \u043c\u0430\u0448\u0438\u043d\u0430", "\u043e\u043d\u0430 \u0438\u0434\u0451\u0442 "
    "\u0434\u043e\u043c\u043e\u0439", "\u0633\u064a\u0627\u0631\u0629 \u062d\u0645\u0631\u0627"
    "\u0621", "\u0643\u062a\u0627\u0628 \u0639\u0644\u0649 \u0627\u0644\u0637\u0627\u0648\u0644"
    "\u0629", "\u0932\u093e\u0932 \u0917\u093e\u0921\u093c\u0940", "\u092a\u093e\u0928\u0940",
    "\u03c4\u03bf \u03c3\u03c0\u03af\u03c4\u03b9", "\u03ba\u03cc\u03ba\u03ba\u03b9\u03bd\u03bf "
    "\u03b1\u03c5\u03c4\u03bf\u03ba\u03af\u03bd\u03b7\u03c4\u03bf",
    "\u0e23\u0e16\u0e2a\u0e35\u0e41\u0e14\u0e07", "\u0e1a\u0e49\u0e32\u0e19",
    "\ube68\uac04 \uc790\ub3d9\ucc28", "\uc9d1", "\u05de\u05db\u05d5\u05e0\u05d9\u05ea",
    "\u05d1\u05d9\u05ea", "\U0001f697\U0001f697", "\U0001f355", "\u2603\ufe0f\u2600\ufe0f",
    "\U0001f3b8 \U0001f3b9",
)
QUESTIONS = (
    "what time is it", "where is the railway station", "how do I install this",
    "who won the match", "can you hear me", "why is the sky blue", "how much does it cost",
    "which way to the airport", "is it raining", "when does the shop open",
    "what is the capital of France", "do you speak English", "did the parcel arrive",
    "how old is the universe", "whose umbrella is this", "may I borrow your pen",
    "what does this button do", "how many legs has a spider",
)
LANGUAGES = (
    "ein rotes Auto", "das Haus am See", "la voiture rouge", "il pleut ce matin",
    "un perro grande en la calle", "el libro de mi hermano", "la macchina rossa",
    "domani andiamo al mare", "o barco no rio", "uma casa amarela", "een groene fiets",
    "de trein naar Amsterdam", "det regnar i dag", "en gammal bok", "punainen talo",
    "kissa istuu puussa", "czerwony samochod", "stary most", "kirmizi araba", "evin kapisi",
    "mfupa wa samaki", "nyumba kubwa", "rumah di tepi pantai", "buku merah",
)
SAYINGS = (
    "the train leaves at nine", "water boils at a hundred degrees", "prices went up again",
    "the cat sleeps on the sofa", "the meeting was moved to Friday", "add two spoons of sugar",
    "turn left at the lights", "the battery is empty", "it snows in the mountains",
    "the dog chased the postman", "copy the file to the server", "the soup needs more salt",
)

KINDS = {"actions": ACTIONS, "things": THINGS, "technical": TECHNICAL, "letters": LETTERS,
         "numbers": NUMBERS, "scripts": SCRIPTS, "questions": QUESTIONS, "languages": LANGUAGES,
         "sayings": SAYINGS}

CALIBRATING = tuple(text for kind in KINDS.values() for text in kind[::2])
MEASURING = tuple(text for kind in KINDS.values() for text in kind[1::2])
