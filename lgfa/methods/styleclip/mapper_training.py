"""Training of StyleCLIP's latent mappers: sampled stills, one sentence, three losses (section 5).

    clip (1 - cos(E_v(G(w_edit)), z_t)) + l2 mean((w_edit - w)^2)
        + identity (1 - cos(R(G(w_edit)), R(G(w))))

with the published weights 1, 0.8 and 0.1. Published are 50,000 steps of two stills with Ranger
(rectified Adam, averaged every sixth step) at a rate of 0.5; here a few hundred larger batches
with Adam do, whose rate rises and falls as in the latent optimisation.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ... import formats
from ...errors import LGFAError
from ...nn.modules import half, normal_tensors
from ...nn.random import fresh_weights
from ...training import loop, resume, setup
from ..baselines import Parts
from .mapper import LatentMapper, Mapped, MapperConfig, file_name
from .optimisation import rate_at, text_loss

SEED = 3_000                                # of the stills and of the initial weights


@dataclasses.dataclass(frozen=True)
class Settings:
    """Numbers of a training; weights of the losses are the published ones."""

    steps: int = 150
    batch: int = 8
    rate: float = 0.5                       # peak of Adam's; weights are stored 100 times enlarged
    clip: float = 1.0
    l2: float = 0.8                         # of a mean over codes and channels
    identity: float = 0.1
    truncation: float = 0.7                 # of stills in domains that have no own
    half: bool = True                       # bfloat16 for the frozen networks


def units(texts: Sequence[str]) -> list[str]:
    """One mapper per sentence: the unit's name is the sentence."""
    return list(dict.fromkeys(texts))


def train(
    unit: str,                              # the sentence
    parts: Parts,
    folder: Path,
    note: Callable[[str], None] = print,
    scale: float = 1.0,                     # factor of the number of steps
    settings: Settings = Settings(),        # noqa: B008
) -> Path:
    """Trains the mapper of a sentence and writes it in half precision; its file."""
    settings = dataclasses.replace(settings, steps=max(int(settings.steps * scale), 1))
    trained = fit(unit, parts, settings, note)
    info = {"training": dataclasses.asdict(settings), "minutes": round(trained.minutes, 2)}
    path = Path(folder) / file_name(unit)
    formats.save(path, trained.network, info, torch.float16)
    return path


def load(parts: Parts, folder: Path, texts: Sequence[str]) -> Mapped:
    """The mappers of these sentences, from files that `train` wrote."""
    device = parts.generator.latent_avg.device
    mappers = []
    for text in units(texts):
        path = Path(folder) / file_name(text)
        if not path.is_file():
            raise LGFAError(f"there is no StyleCLIP mapper of {text!r} at {path}: train it first.")
        mappers.append(formats.load(path, "mapper", device))
    return Mapped(mappers)


def fit(
    text: str,
    parts: Parts,
    settings: Settings,
    note: Callable[[str], None] = print,
) -> loop.Trained:
    """A mapper, in eval mode, and the minutes that it took; a stopped training begins anew."""
    clock = resume.Clock()
    generator = parts.generator
    if settings.identity and parts.identity is None:
        raise LGFAError("the identity loss has a weight, but there is no identity network: give "
                        "one or set the weight to 0.")
    for network in (generator, parts.clip, parts.identity):
        if network is not None:
            normal_tensors(network)
            network.requires_grad_(False)
    source = setup.samples(setup.own_training(parts.domain), generator, settings.truncation)
    mapper = fresh(text, generator)
    adam = torch.optim.Adam(mapper.parameters(), lr=settings.rate)
    rates, rng = loop.Rates(adam), torch.Generator().manual_seed(SEED)
    z_t = parts.clip.encode_text([text]).detach().float()

    def step(number: int) -> dict[str, float]:
        rates.set(rate_at((number + 0.5) / settings.steps))
        terms = losses(mapper, source.draw(settings.batch, rng).w_inv, z_t, parts, settings)
        total = sum(getattr(settings, name) * value for name, value in terms.items())
        adam.zero_grad(set_to_none=True)
        total.backward()
        adam.step()
        return {name: float(value.detach()) for name, value in terms.items()}

    name = f"mapper {text!r}"
    loop.run(step, settings.steps, name=f"the training of the {name}",
             log=loop.Lines(name, settings.steps, 50, note, form=".4f", smooth=False))
    return loop.Trained(mapper.eval(), clock.seconds / 60)


def fresh(text: str, generator: torch.nn.Module) -> LatentMapper:
    """An untrained mapper for a generator; always the same one."""
    config = MapperConfig(text, generator.num_layers, generator.config.w_dim, norm="channels",
                          resolution=generator.resolution)
    with fresh_weights(SEED):
        return LatentMapper(config).to(generator.latent_avg.device)


def losses(
    mapper: LatentMapper,
    w: Tensor,                              # stills' codes [B, L, w_dim]
    z_t: Tensor,                            # [1, d]
    parts: Parts,
    settings: Settings,
) -> dict[str, Tensor]:
    """The terms before their weights, means over the batch."""
    w_edit = mapper(w)
    with half(w.device, wanted=settings.half):
        x = parts.generator.synthesis(w_edit)
        terms = {"clip": text_loss(parts.clip.encode_image(x).float(), z_t).mean()}
        if settings.identity:
            with torch.no_grad():
                person = parts.identity(parts.generator.synthesis(w)).float()
            terms["identity"] = text_loss(parts.identity(x).float(), person).mean()
    return {**terms, "l2": (w_edit - w).square().mean()}
