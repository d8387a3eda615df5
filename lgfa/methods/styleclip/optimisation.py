"""StyleCLIP's latent optimisation (Patashnik et al. 2021, section 4), then a straight way.

The still's code w_s is the start; Adam looks for the code whose picture fits the sentence:

    (1 - cos(E_v(G(w)), z_t)) + l2 ||w - w_s||^2 + identity (1 - cos(R(G(w)), R(G(w_s))))

The paper's equation 1 with its D_CLIP; the published code writes the first term as 1 - logit / 100,
which is the same for CLIP's logit scale of 100. The L2 term is a sum over layers and channels. The
LGFA paper (IV-A5) compares with the weights 0.08 and 0.05 and 300 steps, and interpolates linearly
to T frames. The published code hands pictures to CLIP without its mean and std; here CLIP gets
them as it was trained to.
"""
from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...errors import LGFAError
from ...frames.latent_space import samples, spread
from ...hashes import tensor_hash
from ...nn.modules import half
from ...training import losses
from ..baselines import Parts
from ..method import Edit, Embedded, Prompt


@dataclass(frozen=True)
class Settings:
    """Numbers of the optimisation; the papers' where nothing else is said."""

    steps: int = 300                        # of Adam
    rate: float = 0.1                       # peak learning rate
    rampup: float = 0.05                    # share of the steps in which the rate rises
    rampdown: float = 0.25                  # share of the steps in which it falls, cosine
    l2: float = 0.08                        # weight of ||w - w_s||^2, a sum
    identity: float = 0.05                  # weight of the identity loss; 0 needs no network
    units: str = "raw"                      # of w - w_s: "raw", or "std" = W's std per number
    half: bool = True                       # bfloat16 for the networks' arithmetic

    def __post_init__(self) -> None:
        if self.units not in ("raw", "std"):
            raise LGFAError(f"unknown units {self.units!r}: use raw or std.")
        if self.steps < 1:
            raise LGFAError(f"the optimisation needs a step at least, not {self.steps}.")


# As printed (0.08) the distance holds codes of the toon generator where they are: 0 of 13
# expressions are recognised. 0.008, the published code's own, gives 9 of 13, 0.002 as many, 0.0008
# gives 11 and 0.0002 gives 8, whose pictures leave what the generator can draw. A peak rate of 0.03
# gives 9 in place of 11. Weights from 0.008 to 0.0008 are thus close, and the smaller one changes
# more than the face. Other units do not help: W's deviation is 1.08 a number.
TUNED = Settings(l2=0.0008)


def rate_at(t: float, rampdown: float = 0.25, rampup: float = 0.05) -> float:
    """Factor of the rate after a share t in 0..1 of the steps (StyleGAN2's projection schedule)."""
    down = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - t) / rampdown))
    return down * min(1.0, t / rampup)


def text_loss(v: Tensor, z_t: Tensor) -> Tensor:
    """1 - cosine of unit vectors [B, d], [B, d] -> [B], 0 to 2."""
    return 1 - (v * z_t).sum(dim=-1)


def distance(w: Tensor, w_s: Tensor, unit: Tensor | None = None) -> Tensor:
    """Sum over layers and channels of ((w - w_s) / unit)^2. [B, L, w_dim] -> [B]"""
    return losses.measured(w - w_s, unit).square().sum(dim=(1, 2))


class Optimisation(Edit):
    """Latent optimisation as a Method; every call optimises, the seed changes nothing."""

    carries_on = True                       # a later sentence begins from what it sees

    def __init__(self, parts: Parts, settings: Settings = Settings()) -> None:   # noqa: B008
        if settings.identity and parts.identity is None:
            raise LGFAError("the identity loss has a weight, but there is no identity network: "
                            "give one or set the weight to 0.")
        super().__init__(parts.generator.config)
        self.parts, self.settings = parts, settings
        self.unit = spread(samples(parts.generator)) if settings.units == "std" else None
        self._begun: dict[str, Tensor] = {}

    @torch.no_grad()
    def embed(self, still: Tensor | None, prompt: Prompt) -> Embedded:
        """No z_v; z_t [1, d] of the frozen CLIP."""
        return Embedded(None, self.parts.clip.encode_text([prompt.text]).float())

    def edited(self, w_s: Tensor, embedded: Embedded) -> Tensor:
        known = self._begun.get(_name(w_s, embedded.z_t))
        return self.edit(w_s, embedded.z_t) if known is None else known

    def begin(self, stills: Tensor, prompts: Sequence[Prompt]) -> None:
        """Optimises the clips together, in half the time; what was kept of earlier ones goes."""
        z_t = torch.cat([self.embed(None, prompt).z_t for prompt in prompts])
        edited = self.edit(stills, z_t)
        self._begun = {_name(*one): edited[i:i + 1] for i, one in
                       enumerate(zip(stills.split(1), z_t.split(1), strict=True))}

    def edit(
        self,
        w_s: Tensor,                        # [B, L, w_dim], stills
        z_t: Tensor,                        # [B, d] or [1, d], unit vectors
        note: Callable[[int, dict[str, float]], None] | None = None,   # step, means of the terms
    ) -> Tensor:
        """w_edit [B, L, w_dim] of each still alone; a batch is only faster.

        Adam works number by number and the losses of clips are summed, so a clip's result does
        not depend on its neighbours (up to rounding).
        """
        self.parts.generator.synthesis.check(w_s)
        if len(z_t) not in (1, len(w_s)):
            raise LGFAError(f"{len(w_s)} stills need as many sentences or one, not {len(z_t)}.")
        settings = self.settings
        with torch.inference_mode(False), torch.enable_grad(), _frozen(self.parts):
            w_s, z_t = w_s.detach().float().clone(), z_t.detach().float().clone()
            person = self._person(w_s)
            w = w_s.clone().requires_grad_(True)
            adam = torch.optim.Adam([w], lr=settings.rate)
            for step in range(settings.steps):
                # set the rate
                share = rate_at(step / settings.steps, settings.rampdown, settings.rampup)
                adam.param_groups[0]["lr"] = settings.rate * share

                # one step
                terms = self.terms(w, w_s, z_t, person)
                total = self.total(terms)
                (w.grad,) = torch.autograd.grad(total.sum(), w)
                adam.step()
                if note is not None:
                    means = {name: float(value.detach().mean()) for name, value in terms.items()}
                    note(step, {"total": float(total.detach().mean()), **means})
        return w.detach()

    def terms(
        self, w: Tensor, w_s: Tensor, z_t: Tensor, person: Tensor | None,
    ) -> dict[str, Tensor]:
        """Every term [B] before its weight."""
        with half(w.device, wanted=self.settings.half):
            x = self.parts.generator.synthesis(w)
            v = self.parts.clip.encode_image(x)
            face = None if person is None else self.parts.identity(x)
        terms = {"text": text_loss(v.float(), z_t), "l2": distance(w, w_s, self.unit)}
        if face is not None:
            terms["identity"] = text_loss(face.float(), person)
        return terms

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """[B]: the text's weight is 1."""
        weights = {"text": 1.0, "l2": self.settings.l2, "identity": self.settings.identity}
        return sum(weights[name] * value for name, value in terms.items())

    def _person(self, w_s: Tensor) -> Tensor | None:
        """The stills' identity embeddings [B, e]."""
        if not self.settings.identity:
            return None
        with torch.no_grad(), half(w_s.device, wanted=self.settings.half):
            return self.parts.identity(self.parts.generator.synthesis(w_s)).float()


def _name(w_s: Tensor, z_t: Tensor) -> str:
    """What an optimisation depends on."""
    return tensor_hash(w_s.float()) + tensor_hash(z_t.float())


@contextlib.contextmanager
def _frozen(parts: Parts) -> Iterator[None]:
    """No gradients to weights in here: they would cost time and memory."""
    networks = (parts.generator, parts.clip, parts.identity)
    learning = [p for n in networks if n is not None for p in n.parameters() if p.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


# ---- the table's three functions
def units(texts: Sequence[str]) -> list[str]:
    return []


def train(unit: str, parts: Parts, folder: Path, note: Callable[[str], None], scale: float) -> Path:
    raise LGFAError("StyleCLIP's latent optimisation has nothing to train.")


def load(parts: Parts, folder: Path, texts: Sequence[str]) -> Optimisation:
    return Optimisation(parts, TUNED)
