"""Small networks with random weights that belong together, for tests that need a whole set."""
from __future__ import annotations

from pathlib import Path

import torch

from lgfa import formats
from lgfa.config import ClipConfig, EncoderConfig, GeneratorConfig, MotionConfig
from lgfa.embed.clip import CLIP
from lgfa.embed.e4e import Encoder
from lgfa.frames.stylegan2 import Generator
from lgfa.motion.model import MotionModel
from lgfa.motion.understanding import Thresholds, Vocabulary

RESOLUTION, LAYERS, W_DIM, EMBED = 16, 6, 24, 20


def tiny_generator(resolution: int = RESOLUTION, w_dim: int = W_DIM) -> Generator:
    torch.manual_seed(0)
    channels = (8,) * (resolution.bit_length() - 2)
    generator = Generator(GeneratorConfig(resolution, channels, 12, w_dim, mapping_layers=2))
    with torch.no_grad():
        generator.latent_avg.normal_(0, 0.1)
    return generator.eval()


def tiny_encoder(layers: int = LAYERS, resolution: int = RESOLUTION) -> Encoder:
    torch.manual_seed(1)
    return Encoder(EncoderConfig(layers, resolution, 32, (4, 4, 8, 8, 8), (1, 1, 1, 1), W_DIM,
                                 coarse=2, middle=4)).eval()


def tiny_clip_config(embed: int = EMBED) -> ClipConfig:
    return ClipConfig(
        embed, {"image_size": 16, "layers": 1, "width": 64, "patch_size": 8},
        {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1})


def tiny_motion(layers: int = LAYERS, clip: bool = True, **others: object) -> MotionModel:
    torch.manual_seed(2)
    config = MotionConfig(EMBED, layers, W_DIM, 16, 16, 2, **others)
    motion = MotionModel(config, tiny_clip_config() if clip else None)
    return motion.eval()


def teach(
    model: MotionModel,                     # with a CLIP of its own; changed
    words: dict[str, str],                  # {word: the sentence that it was taught}
    known_at: float,
    unsure_at: float,
) -> MotionModel:
    """Gives a motion model words, as trainings do."""
    codes = model.encode_text([*words.values()]).detach().split(1)
    model.words = Vocabulary.of([*words], [1] * len(words), codes, Thresholds(known_at, unsure_at))
    return model


#: three sentences that `taught` makes known, unsure and unknown
SENTENCES = ("The person is smiling", "the girl weeps", "asdf qwerty 17")


@torch.no_grad()
def taught(model: MotionModel) -> MotionModel:
    """The model with two words, smiling and crying; the SENTENCES have one verdict each."""
    words = {"smiling": SENTENCES[0], "crying": "The person is crying"}
    codes = model.encode_text(SENTENCES)
    near = teach(model, words, 2, -2).words.similarities(codes).amax(dim=1).tolist()
    assert near[0] > near[1] > near[2], near
    return teach(model, words, (near[0] + near[1]) / 2, (near[1] + near[2]) / 2)


def save_all(folder: Path) -> dict[str, str]:
    """One file for each network: kind -> path."""
    torch.manual_seed(3)
    networks = {
        "generator": tiny_generator(), "encoder": tiny_encoder(), "motion": tiny_motion(),
        "clip": CLIP(tiny_clip_config()).eval(),
    }
    for kind, network in networks.items():
        formats.save(folder / f"{kind}.safetensors", network)
    return {kind: str(folder / f"{kind}.safetensors") for kind in networks}
