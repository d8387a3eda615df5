"""StyleCLIP's global directions (Patashnik et al. 2021, section 6): style channels by CLIP.

A sentence becomes a direction dt between two ensembles of prompts in CLIP's space. Every channel of
the style space (Wu et al. 2021: the affine outputs of all convolutions, ToRGB left out) has a
relevance di [d], the mean direction in which it moves CLIP's view of pictures
(relevance.py). The edit moves channels whose |di . dt| reaches beta, in proportion to
di . dt over its largest, by at most alpha standard deviations:

    s_edit = s + alpha * std * (di . dt) / max |di . dt|            where |di . dt| >= beta

A trajectory is in W+, so the styles' change is turned into one of the codes, layer by layer, by
least squares: the convolution that reads a code takes its change, and the ToRGB that reads the
same code none. That is exact while both together have no more channels than a code has numbers:
on the toon generator (256 for 512) pictures agree with those of changed styles to more than 100
dB. FFHQ's wide layers are approximated.
"""
from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...embed.clip import CLIP
from ...embed.sentences import fill_template
from ...errors import LGFAError
from ...frames.stylegan2 import Generator, Synthesis
from ..method import Edit, Embedded, Prompt

NEUTRAL = "a face"
TEMPLATES = ("{}", "a picture of {}", "a drawing of {}", "a cartoon of {}", "an image: {}")


@dataclass(frozen=True)
class Settings:
    """What a direction is made of."""

    alpha: float = 4.0                      # largest change of a channel, in its deviations
    beta: float | None = None               # smallest relevance; None = by `channels`
    channels: int = 20                      # most relevant channels that are kept
    neutral: str = NEUTRAL                  # what the sentence is compared with
    templates: tuple[str, ...] = TEMPLATES  # around both

    def __post_init__(self) -> None:
        if self.channels < 1 or not self.templates:
            raise LGFAError("a global direction needs a channel and a template at least.")


@dataclass(frozen=True)
class Directions:
    """What is known about the style channels of one generator under one CLIP."""

    relevance: Tensor                       # [n, d], unit rows; n channels, coarse layers first
    std: Tensor                             # [n], of each channel over random pictures


# ---- style space
def widths(synthesis: Synthesis) -> list[int]:
    """Style channels of every convolution, coarse first."""
    return [conv.affine.weight.shape[0] for conv in synthesis.convs]


def split(values: Tensor, synthesis: Synthesis) -> list[Tensor]:
    """Values of channels [.., n] -> one [.., channels] for each convolution; n may end early, at
    any convolution, as in published files that leave out the finest."""
    sizes, count = [], values.shape[-1]
    for width in widths(synthesis):
        if sum(sizes) < count:
            sizes.append(width)
    if sum(sizes) != count:
        raise LGFAError(f"there are values of {count} style channels, but the generator's "
                        f"convolutions have {', '.join(map(str, widths(synthesis)))}: they were "
                        "measured with another one.")
    return list(values.split(sizes, dim=-1))


def styles(synthesis: Synthesis, w: Tensor) -> Tensor:
    """Style channels [B, sum of widths] of codes [B, L, w_dim]."""
    return torch.cat([conv.affine(w[:, i]) for i, conv in enumerate(synthesis.convs)], dim=1)


@contextlib.contextmanager
def changed(
    synthesis: Synthesis,
    change: Mapping[int, Callable[[Tensor], Tensor]],   # convolution -> styles [B, I] to others
) -> Iterator[None]:
    """Within it pictures are drawn with changed styles, whatever their codes say."""
    hooks = [synthesis.convs[i].affine.register_forward_hook(
        lambda module, inputs, style, function=function: function(style))
        for i, function in change.items()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def to_codes(synthesis: Synthesis, ds: Sequence[Tensor]) -> Tensor:
    """Changes of styles, one [I] for each of the first convolutions -> of codes [L, w_dim].

    The shortest change of each code that comes nearest to its layers' wishes; codes that nothing
    wishes to change stay exactly.
    """
    dw = torch.zeros(synthesis.num_layers, synthesis.w_dim, dtype=torch.float64)
    for i, wish in enumerate(ds):
        if not bool(wish.any()):
            continue
        affines = [synthesis.convs[i].affine]
        if i % 2 and synthesis.architecture == "skip":  # a level's ToRGB reads the odd codes
            affines.append(synthesis.to_rgbs[i // 2].affine)
        matrix = torch.cat([_matrix(affine) for affine in affines])
        want = matrix.new_zeros(len(matrix))
        want[:len(wish)] = wish.to(want)
        dw[i] = torch.linalg.lstsq(matrix, want[:, None], driver="gelsd").solution[:, 0]
    return dw.to(ds[0])


def _matrix(affine: nn.Module) -> Tensor:
    """An equalised layer's effective weights [O, I], float64 on the CPU."""
    weight = affine.weight.detach().double().cpu()
    return weight * (affine.lr_multiplier / weight.shape[1] ** 0.5)


# ---- from a sentence to channels
@torch.no_grad()
def ensemble(clip: CLIP, text: str, templates: Sequence[str]) -> Tensor:
    """Mean of a sentence's embeddings within templates, of length 1. [d]"""
    found = clip.encode_text([fill_template(template, text) for template in templates]).float()
    return nn.functional.normalize(found.mean(0), dim=0)


def text_direction(clip: CLIP, text: str, settings: Settings) -> Tensor:
    """dt [d] of length 1, from the neutral words to the sentence."""
    there, here = (ensemble(clip, one, settings.templates) for one in (text, settings.neutral))
    if float((there - here).norm()) < 1e-4:
        raise LGFAError(f"CLIP reads {text!r} as it reads the neutral {settings.neutral!r}, so "
                        "there is no direction between them: choose other neutral words.")
    return nn.functional.normalize(there - here, dim=0)


def chosen(relevance: Tensor, dt: Tensor, settings: Settings) -> Tensor:
    """Weights of the channels [n], the largest 1 or -1, zero below beta.

    The published tool takes the largest beta of a grid that keeps more than 20 channels; here
    exactly `channels` are kept where no beta is given.
    """
    r = relevance @ dt.to(relevance)
    beta = settings.beta
    if beta is None:
        beta = float(r.abs().topk(min(settings.channels, len(r))).values[-1])
    kept = torch.where(r.abs() >= beta, r, torch.zeros_like(r))
    if not bool(kept.any()):
        raise LGFAError(f"no style channel has a relevance of {beta:g} for this sentence; the "
                        f"largest is {float(r.abs().max()):.3f}: lower beta.")
    return kept / kept.abs().max()


class GlobalDirection(Edit):
    """Global directions as a Method: a straight way, the same for every still."""

    def __init__(
        self,
        generator: Generator,
        clip: CLIP,
        directions: Directions,
        settings: Settings = Settings(),                # noqa: B008
    ) -> None:
        count, dim = directions.relevance.shape
        if dim != clip.embed_dim:
            raise LGFAError(f"the relevance of style channels was measured with a CLIP of "
                            f"embeddings of length {dim}, not {clip.embed_dim}: use that CLIP.")
        if len(directions.std) != count:
            raise LGFAError(f"there are {count} relevances and {len(directions.std)} deviations "
                            "of style channels: they do not belong together.")
        split(directions.std, generator.synthesis)      # refuses those of another generator
        super().__init__(generator.config)
        self.synthesis, self.clip = generator.synthesis, clip
        self.directions, self.settings = directions, settings

    def embed(self, still: Tensor | None, prompt: Prompt) -> Embedded:
        """No z_v; z_t [1, d] is the direction dt."""
        return Embedded(None, text_direction(self.clip, prompt.text, self.settings)[None])

    def styles(self, z_t: Tensor) -> list[Tensor]:
        """Changes of the styles of each convolution, for z_t [1, d]."""
        weights = chosen(self.directions.relevance, z_t[0], self.settings)
        return split(self.settings.alpha * weights * self.directions.std, self.synthesis)

    def offset(self, z_t: Tensor) -> Tensor:
        """Change of the codes [L, w_dim]."""
        return to_codes(self.synthesis, self.styles(z_t))

    @torch.no_grad()
    def edited(self, w_s: Tensor, embedded: Embedded) -> Tensor:
        return w_s + self.offset(embedded.z_t).to(w_s)
