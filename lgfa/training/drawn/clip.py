"""Training of a drawn domain's CLIP: English (english.py), then drawn faces and sentences that are
true of them, then the generator's pictures."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...drawn.captions import Captioner
from ...drawn.world import World
from ...embed.clip import CLIP
from ...frames.stylegan2 import Generator
from ...nn.modules import half
from ...nn.random import fresh_weights
from ..loop import Trained
from . import faces
from .english import English, meant
from .fit import fit
from .judges import reading_loss
from .strays import Pictures

NAMED = 0.75                                # how often a sentence says the expression, if it has a
#                                             name
ALONE = 2.2                                 # so much more often attributes are said without one
EACH = 3                                    # sentences for a picture of a batch
BOTH = 0.3                                  # share of faces with two expressions at once
FOREIGN = 32                                # sentences about other things in a batch
FAR = 0.45                                  # .. whose codes have at most this cosine with captions'
RECALLED = 96                               # sentences in a batch whose meaning is asked again
RECALL = 0.5                                # weight of that
MOST_SCALE = 50                             # of the contrastive scores
BETAS = (0.9, 0.98)


def says(
    world: World,
    seen: faces.Batch,
    captioner: Captioner,
    each: int = 1,                          # sentences for a picture
) -> tuple[list[str], Tensor]:
    """True sentences for each picture, and which pictures each is true of: [each B, B] bool.

    A sentence names the expression most of the time, other attributes now and then.
    """
    if each > 1:
        rounds = [says(world, seen, captioner) for _ in range(each)]
        return sum((texts for texts, _ in rounds), []), torch.cat([true for _, true in rounds])
    classes = world.words.labels(seen.params)
    classes["expression"] = seen.look
    n = len(seen.params)
    texts, true_of = [], torch.ones(n, n, dtype=torch.bool)
    for i in range(n):
        named = int(seen.look[i]) >= 0
        names = ["expression"] if named and captioner.chance(NAMED) else []
        for name, p in world.words.said.items():
            if captioner.chance(p if names else ALONE * p):
                names.append(name)
        if not names:
            names = [next(iter(world.words.said))]
        values = {name: int(classes[name][i]) for name in names}
        texts.append(captioner.sentence(values))
        for name, value in values.items():
            true_of[i] &= classes[name] == value
    return texts, true_of


def agreement(
    image: Tensor,                          # [images, d], unit vectors
    text: Tensor,                           # [texts, d], unit vectors
    true_of: Tensor,                        # [texts, images], bool
    scale: Tensor,                          # [], of the scores
) -> Tensor:
    """Contrastive loss with several right answers. []"""
    score = text @ image.t() * scale
    want = true_of.to(score)
    # what has no right answer is a wrong one of the others, never a question
    asking = want.any(1)
    share = want / want.sum(1, keepdim=True).clamp(min=1)
    by_text = -(share * F.log_softmax(score, 1))[asking].sum(1).mean()
    asked = want.any(0)
    back = want.t() / want.t().sum(1, keepdim=True).clamp(min=1)
    by_image = -(back * F.log_softmax(score.t(), 1))[asked].sum(1).mean()
    return (by_text + by_image) / 2


# ---- other sentences

class Others:
    """Broad English that a text tower has learned: what all of it means, so that it is not
    forgotten, and such as is about other things than faces."""

    def __init__(
        self,
        clip: CLIP,                         # whose tokenizer reads it
        english: English,
        to_teacher: nn.Module,              # map from CLIP's space to the teacher's; learns on
    ) -> None:
        self.english, self.map = english, to_teacher
        self.tokens = clip.tokenize(english.texts).to(torch.int32)
        codes, own = english.codes, english.captions
        known = codes[-own:][:: max(1, own // 4096)].float()
        nearest = torch.cat([(part.float() @ known.T).amax(1) for part in codes[:-own].split(4096)])
        self.foreign = (nearest < FAR).nonzero()[:, 0]

    def pick(self, n: int, rng: torch.Generator) -> Tensor:
        """Tokens of n sentences about other things. [n, context]"""
        rows = torch.randint(len(self.foreign), (n,), generator=rng)
        return self.tokens[self.foreign[rows]].long()

    def recalled(self, clip: CLIP, rng: torch.Generator, device: str) -> Tensor:
        """How far what is said of some sentences is from what the teacher says. []"""
        rows = torch.randint(len(self.tokens), (RECALLED,), generator=rng)
        with half(torch.device(device)):
            said = clip.model.encode_text(self.tokens[rows].long().to(device)).float()
        codes = self.english.codes[rows].float().to(device)
        return meant(self.map, F.normalize(said, dim=1), codes)


def _texts(
    clip: CLIP,
    texts: list[str],                       # true sentences
    others: Others | None,                  # .. to which foreign ones are added
    rng: torch.Generator,
    device: str,
) -> Tensor:
    """Unit vectors [B, d], those of foreign sentences last."""
    tokens = clip.tokenize(texts)
    if others is not None:
        tokens = torch.cat([tokens, others.pick(FOREIGN, rng)])
    with half(torch.device(device)):
        text = clip.model.encode_text(tokens.to(device)).float()
    return F.normalize(text, dim=1)


# ---- first lesson: drawings


class _Taught(nn.Module):
    """CLIP with a head that names expression and parameters; the head is dropped afterwards."""

    def __init__(
        self,
        clip: CLIP,
        outputs: int,                       # of the head
        recall: nn.Module | None,           # map to the teacher's space, which learns, too
    ) -> None:
        super().__init__()
        self.clip = clip
        self.head = nn.Linear(clip.embed_dim, outputs)
        self.recall = recall


def train_clip(
    world: World,
    clip: CLIP,                             # of 64 px pictures; learns in place
    folder: Path,                           # of checkpoints; an interrupted training goes on
    steps: int,
    seed: int,                              # of the head's weights, pictures and sentences
    others: Others | None = None,          # what its text tower has learned before
    batch: int = 96,
    device: str = "cpu",
) -> Trained:
    """CLIP, beside a lesson in parameters that fades."""
    rng = torch.Generator().manual_seed(seed)
    captioner, sizes = Captioner(world.words, rng), (world.count, world.columns)
    with fresh_weights(seed):
        network = _Taught(clip, sum(sizes), None if others is None else others.map)
    network.to(device)
    with torch.no_grad():
        clip.model.logit_scale.fill_(2.7)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        seen = faces.faces(world, batch, 64, rng, named=0.9, weakest=0.5, both=BOTH)
        texts, true_of = says(world, seen, captioner, EACH)
        x = faces.harder(seen.image, rng, 0.8).to(device)
        with half(torch.device(device)):
            image = clip.model.encode_image(clip.prepare_image(x)).float()
            out = network.head(image)
        text = _texts(clip, texts, others, rng, device)
        value = _agreement(clip, F.normalize(image, dim=1), text, true_of.to(device))
        logits, guess = out.float().split(sizes, 1)
        reading, figures = reading_loss(world, logits, guess, seen, (0.7, 3))
        figures = {"contrastive": float(value.detach()), **figures}
        # the lessons of the head fade: what is shipped is the contrastive network
        value = value + (1 - 0.8 * step / steps) * reading
        if others is not None:
            recalled = others.recalled(clip, rng, device)
            value, figures["recall"] = value + RECALL * recalled, float(recalled.detach())
        return value, figures

    # the token table is sparse: words must move fast enough in few steps, if they know nothing yet
    table = clip.model.token_embedding.weight
    slow = [p for p in network.parameters() if p is not table and p.requires_grad]
    groups = [{"params": slow, "lr": 1.2e-3},
              {"params": [table], "lr": 4e-3 if others is None else 1.2e-3, "weight_decay": 0.0}]
    trained = fit("clip", network, loss, steps, 1.2e-3, folder, rng, groups=groups, betas=BETAS,
                  weight_decay=0.02, ema=0.996, warmup=200)
    return replace(trained, network=clip)


def _agreement(clip: CLIP, image: Tensor, text: Tensor, true_of: Tensor) -> Tensor:
    """Of sentences and pictures, of which the last ones fit nothing. []"""
    true_of = F.pad(true_of, (0, len(image) - true_of.shape[1], 0, len(text) - len(true_of)))
    scale = clip.model.logit_scale.exp().clamp(max=MOST_SCALE)
    return agreement(image, text, true_of, scale)


# ---- second lesson: the generator's pictures


def toughen(
    world: World,
    clip: CLIP,                             # learns in place
    generator: Generator,                   # frozen
    folder: Path,                           # of checkpoints
    steps: int,
    seed: int,                              # of pictures and sentences
    others: Others | None = None,          # what its text tower has learned
    batch: tuple[int, int, int] = (64, 24, 48),     # drawings, good and bad generator pictures
    device: str = "cpu",
) -> Trained:
    """Teaches CLIP the generator's pictures, and that what strays from faces fits no sentence.

    A network that saw drawings only is fooled by codes off the generator's cloud; a motion model
    trained against it goes there. Bad pictures are wrong answers for every sentence; none is a
    question.
    """
    rng = torch.Generator().manual_seed(seed)
    captioner, pictures = Captioner(world.words, rng), Pictures(world, generator, rng)
    drawings, good, bad = batch

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        seen = faces.faces(world, drawings + good, 64, rng, named=1.0, weakest=0.7, both=BOTH)
        texts, true_of = says(world, seen, captioner, EACH)
        with torch.no_grad(), half(torch.device(device)):
            codes = pictures.codes(seen.params[drawings:])
            made = pictures.draw(torch.cat([codes, pictures.bad(bad)]).to(device)).float()
        made = F.avg_pool2d(made, made.shape[-1] // 64).clamp(-1.2, 1.2)
        x = torch.cat([seen.image[:drawings].to(device), made])
        x = faces.harder(x, rng, 0.6)
        with half(torch.device(device)):
            image = clip.model.encode_image(clip.prepare_image(x)).float()
        text = _texts(clip, texts, others, rng, device)
        value = _agreement(clip, F.normalize(image, dim=1), text, true_of.to(device))
        if others is not None:
            value = value + RECALL * others.recalled(clip, rng, device)
        return value, {}

    return fit("clip_tough", clip, loss, steps, 4e-4, folder, rng, betas=BETAS, weight_decay=0.02,
               ema=0.99, warmup=20)


# ---- what it knows


@torch.no_grad()
def class_texts(
    world: World,
    clip: CLIP,
    attribute: str,                         # "expression", or of World.words.attributes
) -> Tensor:
    """One unit vector for each class, the mean of its sentences'. [C, d]"""
    rows = [clip.encode_text(group).mean(0) for group in world.words.questions(attribute)]
    return F.normalize(torch.stack(rows), dim=1)


@torch.no_grad()
def zero_shot(
    world: World,
    clip: CLIP,
    n: int = 1000,                          # held-out renders
    seed: int = 9001,
) -> dict[str, float]:
    """Accuracies 0..1 by name; those of `held_out` sentences are of ones never trained on."""
    rng = torch.Generator().manual_seed(seed)
    seen = faces.faces(world, n, 128, rng, named=1.0, weakest=0.8)
    image = torch.cat([clip.encode_image(x) for x in seen.image.split(100)])
    truth = {"expression": seen.expression, **world.words.labels(seen.params)}
    found = {}
    for name, classes in truth.items():
        nearest = (image @ class_texts(world, clip, name).t()).argmax(1)
        found[name] = float((nearest == classes).float().mean())
    return {**found, **_held_out(world, clip, image, seen.expression)}


def _held_out(
    world: World,
    clip: CLIP,
    image: Tensor,                          # [n, d], unit vectors of pictures
    expression: Tensor,                     # [n], long, what they show
) -> dict[str, float]:
    """Accuracies 0..1 with sentences that were never trained on."""
    # every held-out sentence alone against one sentence of each other class
    known, held = class_texts(world, clip, "expression"), world.words.held_out()
    hits, count, owners, vectors = 0, 0, [], []
    for which, name in enumerate(world.names):
        mine = image[expression == which]
        for vector in clip.encode_text(held[name]):
            texts = known.clone()
            texts[which] = vector
            hits += int(((mine @ texts.t()).argmax(1) == which).sum())
            count += len(mine)
            owners.append(which)
            vectors.append(vector)
    nearest = (image @ torch.stack(vectors).t()).argmax(1)
    right = float((torch.tensor(owners)[nearest] == expression).float().mean())
    return {"expression, image to held-out sentence": hits / count,
            "expression, among held-out sentences": right}
