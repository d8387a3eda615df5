"""Train the toon CLIP: open_clip's architecture and tokenizer, sentences about drawn faces."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...config import ClipConfig
from ...drawn.captions import Captioner
from ...embed.clip import CLIP
from ...nn.covariance import covariance
from ...toon import captions, sampling
from ...toon import parameters as tb
from . import faces
from .fit import fit
from .judges import named_loss, parameter_loss

SEED = 404
STEPS = (1000, 220)  # on drawings, then with generator pictures
CONTEXT = 32  # tokens of a sentence, start and end included


def config() -> ClipConfig:
    return ClipConfig(
        embed_dim=256,
        vision_cfg={"image_size": 64, "layers": 3, "width": 128, "head_width": 64,
                    "patch_size": 8, "mlp_ratio": 4.0, "pool_type": "avg"},
        text_cfg={"context_length": CONTEXT, "vocab_size": 49408, "width": 64, "heads": 4,
                  "layers": 3},
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )  # fmt: skip


class _Taught(nn.Module):
    """CLIP with a head that names expression and parameters; the head is dropped afterwards."""

    def __init__(self, clip: CLIP):
        super().__init__()
        self.clip = clip
        self.head = nn.Linear(clip.embed_dim, len(tb.EXPRESSIONS) + tb.K)


def says(seen: faces.Batch, captioner: Captioner) -> tuple[list[str], Tensor]:
    """A true sentence per picture, and which pictures each is true of: [B, B] bool.

    A sentence names the expression most of the time, other attributes now and then.
    """
    classes = captions.labels(seen.params)
    classes["expression"] = seen.expression
    n = len(seen.params)
    texts, true_of = [], torch.ones(n, n, dtype=torch.bool)
    for i in range(n):
        named = int(seen.expression[i]) >= 0
        names = ["expression"] if named and captioner.chance(0.75) else []
        for name, p in (("hair", 0.3), ("glasses", 0.25), ("age", 0.15), ("backdrop", 0.3)):
            if captioner.chance(p if names else 2.2 * p):
                names.append(name)
        if not names:
            names = ["hair"]
        values = {name: int(classes[name][i]) for name in names}
        texts.append(captioner.sentence(values))
        for name, value in values.items():
            true_of[i] &= classes[name] == value
    return texts, true_of


def agreement(image: Tensor, text: Tensor, true_of: Tensor, scale: Tensor) -> Tensor:
    """Contrastive loss with several right answers; true_of [texts, images]."""
    score = text @ image.t() * scale
    want = true_of.to(score)
    by_text = -(want / want.sum(1, keepdim=True) * F.log_softmax(score, 1)).sum(1).mean()
    # pictures of which no sentence is true are wrong answers, never questions
    asked = want.any(0)
    back = want.t() / want.t().sum(1, keepdim=True).clamp(min=1)
    by_image = -(back * F.log_softmax(score.t(), 1))[asked].sum(1).mean()
    return (by_text + by_image) / 2


def train_clip(folder: Path, steps: int = STEPS[0], batch: int = 96, device="cpu") -> CLIP:
    torch.manual_seed(SEED)
    rng = torch.Generator().manual_seed(SEED)
    captioner = Captioner(captions.WORDS, rng)
    network = _Taught(CLIP(config())).to(device)
    clip = network.clip
    with torch.no_grad():
        clip.model.logit_scale.fill_(2.7)

    def loss(step):
        seen = faces.faces(batch, 64, rng, named=0.9, weakest=0.5)
        texts, true_of = says(seen, captioner)
        x = faces.harder(seen.image, rng, 0.8).to(device)
        with torch.autocast(device, torch.bfloat16):
            image = clip.model.encode_image(clip.prepare_image(x)).float()
            text = clip.model.encode_text(clip.tokenize(texts).to(device)).float()
            out = network.head(image)
        scale = clip.model.logit_scale.exp().clamp(max=50)
        value = agreement(
            F.normalize(image, dim=1), F.normalize(text, dim=1), true_of.to(device), scale
        )
        logits, guess = out.float().split((len(tb.EXPRESSIONS), tb.K), 1)
        cross, hit = named_loss(logits, seen.expression.to(device))
        error = parameter_loss(guess, seen.params.to(device))
        # the lessons of the head fade: what is shipped is the contrastive network
        share = 1 - 0.8 * step / steps
        return value + share * (0.7 * cross + 3 * error), {
            "contrastive": float(value.detach()), "accuracy": hit, "mse": float(error.detach()),
        }  # fmt: skip

    # the token table is sparse: words must move fast enough in few steps
    table = clip.model.token_embedding.weight
    others = [p for p in network.parameters() if p is not table and p.requires_grad]
    groups = [
        {"params": others, "lr": 1.2e-3},
        {"params": [table], "lr": 4e-3, "weight_decay": 0.0},
    ]
    network = fit("clip", network, loss, steps, 1.2e-3, folder, rng, groups=groups,
                  betas=(0.9, 0.98), weight_decay=0.02, ema=0.996, warmup=200)  # fmt: skip
    network.clip.minutes = network.minutes
    return network.clip


# ----------------------------------------------------------------------------- second lesson


class Pictures:
    """The generator's pictures, good and bad, as a motion model could make them."""

    def __init__(self, generator, rng: torch.Generator):
        self.generator, self.rng = generator, rng
        codes = self.codes(sampling.domain_params(4096, rng))
        values, vectors = torch.linalg.eigh(covariance(codes))
        live = values > 1e-6 * values.max()
        self.axes = (vectors[:, live] * values[live].sqrt()).T.float()

    def codes(self, params: Tensor) -> Tensor:
        return self.generator.mapping(sampling.z_from_params(params, self.rng))[:, 0]

    def draw(self, w: Tensor) -> Tensor:
        return self.generator.synthesis(w[:, None].expand(-1, self.generator.num_layers, -1))

    def uniform(self, n: int, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, 1, generator=self.rng)

    def bad(self, n: int) -> Tensor:
        """Codes of no face: strayed off W's cloud, expressions turned round, overdone, too weak."""
        people = sampling.identities(n, self.rng)
        which = torch.randint(1, len(tb.EXPRESSIONS), (n,), generator=self.rng)
        calm, full = self.codes(people), self.codes(sampling.with_expression(people, which))
        strayed = torch.randn(n, len(self.axes), generator=self.rng) @ self.axes
        strayed = self.uniform(n, 0.3, 0.9) * strayed
        strayed = torch.lerp(calm, full, self.uniform(n, 0, 1)) + strayed
        ways = [
            strayed,
            calm + self.uniform(n, -1.2, -0.3) * (full - calm),
            calm + self.uniform(n, 1.7, 2.6) * (full - calm),
            calm + self.uniform(n, 0.1, 0.35) * (full - calm),
        ]
        pick = torch.multinomial(torch.tensor([0.5, 0.2, 0.15, 0.15]), n, True, generator=self.rng)
        return torch.stack(ways)[pick, torch.arange(n)]


def toughen(clip: CLIP, generator, folder: Path, steps: int, batch=(64, 24, 48),
            device="cpu") -> CLIP:  # fmt: skip
    """Teach CLIP the generator's pictures, and that what strays from faces fits no sentence.

    A network that saw drawings only is fooled by codes off the generator's cloud; a motion model
    trained against it goes there. Batches: drawings, good and bad generator pictures. Bad ones
    are wrong answers for every sentence; none is a question.
    """
    before = getattr(clip, "minutes", 0.0)
    rng = torch.Generator().manual_seed(SEED + 1)
    captioner, pictures = Captioner(captions.WORDS, rng), Pictures(generator, rng)

    def loss(step):
        seen = faces.faces(batch[0] + batch[1], 64, rng, named=1.0, weakest=0.7)
        texts, true_of = says(seen, captioner)
        with torch.no_grad(), torch.autocast(device, torch.bfloat16):
            good = pictures.codes(seen.params[batch[0] :])
            made = pictures.draw(torch.cat([good, pictures.bad(batch[2])]).to(device)).float()
        made = F.avg_pool2d(made, made.shape[-1] // 64).clamp(-1.2, 1.2)
        x = torch.cat([seen.image[: batch[0]].to(device), made])
        x = faces.harder(x, rng, 0.6)
        with torch.autocast(device, torch.bfloat16):
            image = clip.model.encode_image(clip.prepare_image(x)).float()
            text = clip.model.encode_text(clip.tokenize(texts).to(device)).float()
        scale = clip.model.logit_scale.exp().clamp(max=50)
        image, text = F.normalize(image, dim=1), F.normalize(text, dim=1)
        value = agreement(image, text, F.pad(true_of, (0, batch[2])).to(device), scale)
        return value, {}

    network = fit("clip_tough", clip, loss, steps, 4e-4, folder, rng, betas=(0.9, 0.98),
                  weight_decay=0.02, ema=0.99, warmup=20)  # fmt: skip
    network.minutes += before
    return network


@torch.no_grad()
def class_texts(clip: CLIP, attribute: str) -> Tensor:
    """One unit vector per class, the mean of its sentences': [C, d]."""
    rows = [clip.encode_text(group).mean(0) for group in captions.zero_shot(attribute)]
    return F.normalize(torch.stack(rows), dim=1)


@torch.no_grad()
def zero_shot(clip: CLIP, n: int = 1000, seed: int = 9001) -> dict[str, float]:
    """Accuracies on n held-out renders; `held_out` uses sentences never trained on."""
    rng = torch.Generator().manual_seed(seed)
    seen = faces.faces(n, 128, rng, named=1.0, weakest=0.8)
    image = torch.cat([clip.encode_image(x) for x in seen.image.split(100)])
    truth = {**captions.labels(seen.params), "expression": seen.expression}
    found = {
        name: float(((image @ class_texts(clip, name).t()).argmax(1) == truth[name]).float().mean())
        for name in captions.ATTRIBUTES
    }
    # every held-out sentence alone against one sentence of each other class
    known = class_texts(clip, "expression")
    hits, count = 0, 0
    for which, name in enumerate(tb.EXPRESSION_NAMES):
        mine = image[seen.expression == which]
        for vector in clip.encode_text(captions.HELD_OUT[name]):
            texts = known.clone()
            texts[which] = vector
            hits += int(((mine @ texts.t()).argmax(1) == which).sum())
            count += len(mine)
    found["expression, image to held-out sentence"] = hits / count
    texts = [s for name in tb.EXPRESSION_NAMES for s in captions.HELD_OUT[name]]
    owner = torch.tensor(
        [i for i, name in enumerate(tb.EXPRESSION_NAMES) for _ in captions.HELD_OUT[name]]
    )
    nearest = (image @ clip.encode_text(texts).t()).argmax(1)
    found["expression, among held-out sentences"] = float(
        (owner[nearest] == seen.expression).float().mean()
    )
    return found
