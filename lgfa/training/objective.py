"""From a batch to one number: the motion model's forward pass and the paper's total (III-E).

Only here do the generator, the loss CLIP and the other frozen networks meet what learns.
"""
from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..config import check_fits
from ..errors import LGFAError
from ..frames.latent_space import samples, spread
from ..nn.covariance import floored, whitening
from ..nn.modules import half, normal_tensors
from . import augment
from .config import TrainConfig
from .distributed import Ranks
from .losses import Seen, Term, terms_of


@dataclass(frozen=True)
class TrainingBatch:
    """One batch: this rank's rows."""

    w_inv: Tensor                           # [B, L, w_dim]
    image: Tensor | None                    # [B, 3, H, W], -1..1, or none
    texts: list[str]                        # B sentences
    h1: Tensor                              # [B, hidden]
    middle: int                             # index of the random frame, 1 .. T - 2
    views: list[augment.Draws]              # for the loss CLIP, one per augmented copy


class Objective(nn.Module):
    """All networks of a training; only `motion` has weights that learn."""

    def __init__(
        self,
        config: TrainConfig,
        motion: nn.Module,                  # MotionModel
        generator: nn.Module,               # Generator, frozen
        clip: nn.Module | None,             # CLIP of the loss, frozen; lends its encoders to a
        #                                     motion model that has none
        perceptual: nn.Module | None,       # frozen; needed where a term in force says so
        identity: nn.Module | None,         # the same
        ranks: Ranks,                       # whose device is taken
    ) -> None:
        super().__init__()
        self.config, self.ranks, self.terms = config, ranks, terms_of(config)
        self.motion, self.generator, self.clip = motion, generator, clip
        self.perceptual, self.identity = perceptual, identity
        self.check()
        self.lent = clip if motion.encoder is None else None
        self.sees = motion.config.visual or motion.config.visual_mapper

        for network in self.frozen().values():
            normal_tensors(network)
            network.to(ranks.device).requires_grad_(False).eval()
        normal_tensors(motion)
        motion.to(ranks.device)
        self.unit = self.latent_unit()
        self._texts: dict[str, Tensor] = {}

    def frozen(self) -> dict[str, nn.Module]:
        """The frozen networks that are there, by name."""
        named = {"generator": self.generator, "clip": self.clip, "perceptual": self.perceptual,
                 "identity": self.identity}
        return {name: network for name, network in named.items() if network is not None}

    def forward(self, clips: TrainingBatch) -> dict[str, Tensor]:
        """One forward pass, paper eq. 12: "total" and the terms in it, scalars, before their
        weights."""
        seen = self._moved(clips)
        looked = {term.name: self._looked_at(term, clips) for term in self.terms}
        pictures = self._pictures(seen.w, looked)
        terms = {term.name: self._value(term, seen, pictures.get(term.name), clips)
                 for term in self.terms if not term.frames or looked[term.name]}
        total = sum(getattr(self.config, name) * value.float() for name, value in terms.items())
        return {"total": total, **terms}

    def render(self, w: Tensor) -> Tensor:
        """Codes [N, L, w_dim] -> pictures [N, 3, R, R]; in chunks whose inner maps are computed
        again for the gradient, where memory is short."""
        chunk = self.config.render_chunk or len(w)
        with self._half():
            if chunk >= len(w) or not torch.is_grad_enabled():
                return torch.cat([self.generator.synthesis(part) for part in w.split(chunk)])
            return torch.cat([checkpoint(self.generator.synthesis, part, use_reentrant=False)
                              for part in w.split(chunk)])

    # ---- parts of a pass

    def _moved(self, clips: TrainingBatch) -> Seen:
        """From stills and sentences to the codes of all frames."""
        motion, still = self.motion, clips.image
        if still is None and (self.sees or any(term.still for term in self.terms)):
            with torch.no_grad():
                still = self.render(clips.w_inv)
        z_t = motion.encode_text(clips.texts) if self.lent is None else self._read(clips.texts)
        z_v = motion.encode_image(still, self.lent) if self.sees else None
        w_s = motion.content(clips.w_inv, z_v=z_v)
        w = motion.path(w_s, z_t, z_v, self.config.frames, h1=clips.h1, training=True)
        return Seen(self.config, w, w_s, self.unit, still, gather=self.ranks.size > 1)

    def _looked_at(self, term: Term, clips: TrainingBatch) -> list[int]:
        """Indices of the frames whose pictures a term looks at, in order."""
        last, names = self.config.frames - 1, term.frames
        if isinstance(names, str):
            names = getattr(self.config, names)
        index = {"first": 0, "last": last, "random": min(clips.middle, last)}

        # A first frame that is the rendered still itself has a distance of zero: it is skipped.
        motion = self.motion
        same = motion.config.start_at_still and clips.image is None and motion.v_mapper is None
        return sorted({index[name] for name in names} - ({0} if term.still and same else set()))

    def _pictures(self, w: Tensor, looked: dict[str, list[int]]) -> dict[str, Tensor]:
        """Pictures [B, F, 3, R, R] of the frames that each term looks at, rendered once for all."""
        chosen = sorted({index for indices in looked.values() for index in indices})
        if not chosen:
            return {}
        pictures = self.render(w[:, chosen].flatten(0, 1)).unflatten(0, (-1, len(chosen)))
        return {name: pictures[:, [chosen.index(index) for index in indices]]
                for name, indices in looked.items() if indices}

    def _value(
        self,
        term: Term,
        seen: Seen,                         # the codes, to which comes what the term's row names
        frames: Tensor | None,              # the pictures that it looks at [B, F, 3, R, R]
        clips: TrainingBatch,
    ) -> Tensor:
        """One term, a scalar, before its weight."""
        if term.network == "clip":
            v, t = self._embedded(frames[:, 0], clips.views), self._read(clips.texts)
            return term.value(replace(seen, v=v, t=t))
        network = getattr(self, term.network) if term.network else None
        with self._half(network is not None):
            return term.value(replace(seen, frames=frames, network=network))

    def _embedded(self, pictures: Tensor, draws: list[augment.Draws]) -> Tensor:
        """The loss CLIP's embeddings [B, d] of pictures [B, 3, R, R], means over their changed
        copies."""
        with self._half():
            views = [augment.apply(pictures, one) for one in draws] or [pictures]
            v = self.clip.encode_image(torch.cat(views))
        return nn.functional.normalize(v.float().unflatten(0, (len(views), -1)).mean(0), dim=-1)

    @torch.no_grad()
    def _read(self, texts: list[str]) -> Tensor:
        """The loss CLIP's embeddings [B, d], remembered; each sentence alone, so that none depends
        on its neighbours (a resumed training must meet the same bits)."""
        for text in texts:
            if text not in self._texts:
                self._texts[text] = self.clip.encode_text([text])[0].float()
        return torch.stack([self._texts[text] for text in texts])

    def _half(self, wanted: bool = True) -> contextlib.AbstractContextManager:
        """Half precision for the frozen networks; what learns stays in float32."""
        return half(self.ranks.device, self.config.precision, wanted)

    # ---- preparation

    def check(self) -> None:
        """Raises LGFAError when the parts do not fit each other."""
        config, motion, generator = self.config, self.motion, self.generator
        check_fits("motion model", motion.config, generator.config)
        if motion.config.train_frames != config.frames:
            raise LGFAError(f"the motion model was made for training clips of "
                            f"{motion.config.train_frames} frames, the settings say "
                            f"{config.frames}: make them equal.")
        for term in self.terms:
            if term.network and getattr(self, term.network) is None:
                raise LGFAError(f"the loss {term.name} has a weight of "
                                f"{getattr(config, term.name):g}, but there is no {term.network} "
                                "network: give one or set it to 0.")
        if motion.encoder is None and self.clip is None:
            raise LGFAError("the motion model has no CLIP encoders: give a CLIP.")
        if motion.encoder is not None and motion.encoder is self.clip:
            raise LGFAError("the CLIP of the loss must not learn: give the motion model a copy of "
                            "it (adopt).")

    @torch.no_grad()
    def latent_unit(self) -> Tensor | None:
        """How w_reg and path_reg measure offsets: losses.measured's unit."""
        scale, units = self.motion.latent_scale, self.config.latent_units
        if units == "white":
            return whitening(scale)
        scaled = not torch.equal(scale, torch.eye(len(scale)).to(scale))
        if units == "raw" or (units == "auto" and not scaled):
            return None
        if scaled:
            return floored(self.motion.latent_unit)
        return spread(samples(self.generator))
