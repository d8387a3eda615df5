"""StyleCLIP's latent mapper (Patashnik et al. 2021, section 5): one network for one sentence.

    w_edit = w + 0.1 (M_c(w_c), M_m(w_m), M_f(w_f))

Style codes 0..3 are coarse, 4..7 medium, the rest fine. Each sub-mapper is pixel norm and four
linear layers with StyleGAN2's learning-rate multiplier 0.01 and leaky ReLU; it maps the codes of
its part one by one. The published code's pixel norm goes over axis 1, which is the layers of a part
and not the channels of a code: published weights need that (`norm` "layers"). Where all layers
share one code it leaves nothing but signs, so trainings of ours take the channels, as
StyleGAN2's mapping network does.
"""
from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...config import Frozen, check_codes
from ...embed.clip import CLIP
from ...embed.e4e import Encoder
from ...errors import LGFAError
from ...nn.layers import EqualizedLinear
from ...nn.ops import scaled_leaky_relu
from ..method import Edit, Embedded, Prompt

RATE_MULTIPLIER = 0.01                      # of the linear layers
SLICES = {"coarse": slice(0, 4), "medium": slice(4, 8), "fine": slice(8, None),
          "all": slice(None)}               # part -> style codes that it maps


@dataclass(frozen=True)
class MapperConfig(Frozen):
    """StyleCLIP's latent mapper ; the defaults are its authors'."""

    text: str = ""                          # the sentence that it shows; "" = nobody noted it
    num_layers: int = 18                    # L of its generator
    w_dim: int = 512                        # length of a style code
    parts: tuple[str, ...] = ("coarse", "medium", "fine")   # sub-mappers; or ("all",)
    depth: int = 4                          # linear layers of a sub-mapper
    norm: str = "layers"                    # pixel norm over a code's "channels", as StyleGAN2's,
    #                                         or over the "layers" of a part: the published code
    size: float = 0.1                       # factor of the mapper's output
    resolution: int | None = None           # side of its generator's images; None = any

    def _check(self) -> None:
        known = ("coarse", "medium", "fine")
        if self.parts != ("all",) and (not self.parts or self.parts != tuple(
                part for part in known if part in self.parts)):
            raise LGFAError(f"a mapper has the parts coarse, medium and fine, some of them, or "
                            f"all alone, not {', '.join(self.parts) or 'none'}.")
        if self.norm not in ("channels", "layers"):
            raise LGFAError(f"a mapper's norm goes over channels or layers, not {self.norm!r}.")
        if min(self.num_layers, self.w_dim, self.depth) < 1:
            raise LGFAError("a mapper needs num_layers, w_dim and depth of at least 1.")


class SubMapper(nn.Module):
    """Pixel norm and linear layers, each with leaky ReLU. [B, l, w_dim] -> the same"""

    def __init__(self, config: MapperConfig) -> None:
        super().__init__()
        self.axis = {"channels": 2, "layers": 1}[config.norm]
        self.layers = nn.ModuleList(EqualizedLinear(config.w_dim, config.w_dim, RATE_MULTIPLIER)
                                    for _ in range(config.depth))

    def forward(self, w: Tensor) -> Tensor:
        x = w * torch.rsqrt(w.square().mean(self.axis, keepdim=True) + 1e-8)
        for layer in self.layers:
            x = scaled_leaky_relu(layer(x))
        return x


class LatentMapper(nn.Module):
    """The change of a code that shows one sentence; a part without sub-mapper stays as it is."""

    def __init__(self, config: MapperConfig) -> None:
        super().__init__()
        self.config = config
        self.parts = nn.ModuleDict({part: SubMapper(config) for part in config.parts})

    def forward(self, w: Tensor) -> Tensor:
        """Codes [B, L, w_dim] -> edited codes [B, L, w_dim], in w's dtype."""
        check_codes("the codes", w, self.config, "the StyleCLIP mapper")
        change = torch.zeros_like(w)
        for part, mapper in self.parts.items():
            change[:, SLICES[part]] = mapper(w[:, SLICES[part]].float()).to(w)
        return w + self.config.size * change


# ---- as a Method
def plain(text: str) -> str:
    """A sentence as it is compared: capitals, spaces and a last full stop make no other one."""
    return " ".join(text.casefold().split()).rstrip(".")


def file_name(text: str) -> str:
    """Name of the file of a sentence's mapper: readable, and different for different sentences."""
    slug = re.sub(r"[^a-z0-9]+", "-", plain(text)).strip("-")[:40]
    return f"mapper-{slug}-{hashlib.sha256(plain(text).encode()).hexdigest()[:8]}.safetensors"


class Mapped(Edit):
    """Latent mappers as a Method: a straight way from the still to its edited code.

    Every mapper shows its own sentence and no other; one whose file names none takes any.
    """

    carries_on = True                       # a later sentence begins from what it sees

    def __init__(self, mappers: Sequence[LatentMapper]) -> None:
        if not mappers:
            raise LGFAError("there is no StyleCLIP mapper: train one for each sentence.")
        first = mappers[0].config
        for config in (mapper.config for mapper in mappers):
            if (config.num_layers, config.w_dim) != (first.num_layers, first.w_dim):
                raise LGFAError(f"the mappers of {first.text!r} and {config.text!r} belong to "
                                f"different generators ({first.num_layers} and "
                                f"{config.num_layers} codes of {first.w_dim} and {config.w_dim}).")
        super().__init__(first)
        self.mappers = list(mappers)

    @classmethod
    def of(
        cls, network: LatentMapper, clip: CLIP | None = None, encoder: Encoder | None = None,
    ) -> Mapped:
        return cls([network])

    def embed(self, still: Tensor | None, prompt: Prompt) -> Embedded:
        """No z_v; z_t [1, number of mappers] is 1 at the sentence's own. LGFAError for others."""
        text = prompt.text
        known = [mapper.config.text for mapper in self.mappers]
        fitting = [i for i, name in enumerate(known) if not name or plain(name) == plain(text)]
        if not fitting:
            names = ", ".join(repr(name) for name in known[:20])
            raise LGFAError(f"a StyleCLIP mapper shows the one sentence of its training, and there "
                            f"is none for {text!r}: use {names}, or train another.")
        z_t = torch.zeros(1, len(known), device=next(self.mappers[0].parameters()).device)
        z_t[0, fitting[0]] = 1.0
        return Embedded(None, z_t)

    @torch.no_grad()
    def edited(self, w_s: Tensor, embedded: Embedded) -> Tensor:
        if embedded.z_t.shape[-1] != len(self.mappers):
            raise LGFAError("StyleCLIP mappers choose by sentence: take z_t from their own embed.")
        return self.mappers[int(embedded.z_t[0].argmax())](w_s)
