"""From a batch to one number: the motion model's forward pass and the paper's total (III-E).

Only here do the generator, the loss CLIP and the other frozen networks meet what learns.
"""
from __future__ import annotations

import contextlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..errors import LGFAError
from ..frames.latent_space import samples, spread
from ..nn.covariance import floored, whitening
from ..nn.modules import normal_tensors
from . import augment, losses
from .config import TrainConfig
from .distributed import Ranks


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
        perceptual: nn.Module | None,       # frozen; needed where config.lpips > 0
        identity: nn.Module | None,         # frozen; needed where config.identity > 0
        ranks: Ranks,                       # whose device is taken
    ) -> None:
        super().__init__()
        self.config, self.ranks = config, ranks
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
        """One forward pass: "total" and the terms in it, scalars, before their weights."""
        config, motion = self.config, self.motion
        still = clips.image
        if still is None and (self.sees or config.lpips or config.identity):
            with torch.no_grad():
                still = self.render(clips.w_inv)

        # Codes of all frames, then pictures of those that a loss looks at.
        z_t = self._z_t(clips.texts)
        z_v = motion.encode_image(still, self.lent) if self.sees else None
        w_s = motion.content(clips.w_inv, z_v=z_v)
        codes = motion.rnn(motion.first_code(z_t, z_v), config.frames, h1=clips.h1, training=True)
        w = w_s[:, None] + motion.offsets(codes)
        looked = self.looked_at(clips)
        chosen = sorted({index for indices in looked.values() for index in indices})
        if chosen:
            pictures = self.render(w[:, chosen].flatten(0, 1)).unflatten(0, (-1, len(chosen)))
        seen = {name: pictures[:, [chosen.index(index) for index in indices]]
                for name, indices in looked.items() if indices}

        # The terms, in the order of the paper's equation 12.
        terms = {}
        if config.w_reg:
            terms["w_reg"] = losses.w_reg(w, w_s, self.unit)
        if config.path_reg and config.path_order:
            terms["path_reg"] = losses.path_reg(w, config.path_order, self.unit)
        if "cont" in seen:
            terms["cont"] = self._cont(seen["cont"][:, 0], clips)
        with self.half():
            if "lpips" in seen:
                terms["lpips"] = losses.perceptual(seen["lpips"], still, self.perceptual)
            if "identity" in seen:
                terms["identity"] = losses.identity(seen["identity"], still, self.identity)
        total = sum(getattr(config, name) * value.float() for name, value in terms.items())
        return {"total": total, **terms}

    def _z_t(self, texts: list[str]) -> Tensor:
        """E_t's sentences [B, d]; those of a lent, frozen encoder are remembered."""
        if self.lent is not None:
            return self._loss_texts(texts)
        return self.motion.encode_text(texts)

    def looked_at(self, clips: TrainingBatch) -> dict[str, list[int]]:
        """Loss -> indices of the frames whose pictures it looks at."""
        config, last = self.config, self.config.frames - 1
        index = {"first": 0, "last": last, "random": min(clips.middle, last)}
        looked = {"cont": [last] if config.cont else [],
                  "identity": [last] if config.identity else [],
                  "lpips": sorted({index[name] for name in config.lpips_frames}
                                  if config.lpips else ())}

        # A first frame that is the rendered still itself has a distance of zero: it is skipped.
        motion = self.motion
        if motion.config.start_at_still and clips.image is None and motion.v_mapper is None:
            looked["lpips"] = [index for index in looked["lpips"] if index]
        return looked

    def render(self, w: Tensor) -> Tensor:
        """Codes [N, L, w_dim] -> pictures [N, 3, R, R]; in chunks whose inner maps are computed
        again for the gradient, where memory is short."""
        chunk = self.config.render_chunk or len(w)
        with self.half():
            if chunk >= len(w) or not torch.is_grad_enabled():
                return torch.cat([self.generator.synthesis(part) for part in w.split(chunk)])
            return torch.cat([checkpoint(self.generator.synthesis, part, use_reentrant=False)
                              for part in w.split(chunk)])

    def _cont(self, pictures: Tensor, clips: TrainingBatch) -> Tensor:
        """Contrastive (or pairwise) term of last frames [B, 3, R, R] and their sentences."""
        with self.half():
            views = [augment.apply(pictures, draws) for draws in clips.views] or [pictures]
            v = self.clip.encode_image(torch.cat(views))
        v = v.float().unflatten(0, (len(views), -1)).mean(0)
        v, t = nn.functional.normalize(v, dim=-1), self._loss_texts(clips.texts)
        if self.config.cont_form == "pairwise":
            return losses.pairwise(v, t)
        return losses.contrastive(v, t, self.config.tau, gather=self.ranks.size > 1)

    @torch.no_grad()
    def _loss_texts(self, texts: list[str]) -> Tensor:
        """Frozen embeddings [B, d]; each sentence alone, so that none depends on its neighbours
        (a resumed training must meet the same bits)."""
        for text in texts:
            if text not in self._texts:
                self._texts[text] = self.clip.encode_text([text])[0].float()
        return torch.stack([self._texts[text] for text in texts])

    def half(self) -> contextlib.AbstractContextManager:
        """Half precision for the frozen networks; what learns stays in float32."""
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.config.precision)
        if dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.ranks.device.type, dtype)

    # ---- preparation

    def check(self) -> None:
        """Raises LGFAError when the parts do not fit each other."""
        config, motion, generator = self.config, self.motion, self.generator
        sizes = {"the motion model": (motion.config.num_layers, motion.config.w_dim),
                 "the generator": (generator.num_layers, generator.config.w_dim)}
        wanted = sizes["the generator"]
        for name, size in sizes.items():
            if size != wanted:
                raise LGFAError(f"{name} has {size[0]} codes of length {size[1]} an image, the "
                                f"generator {wanted[0]} of {wanted[1]}: they do not belong "
                                "together.")
        if motion.config.train_frames != config.frames:
            raise LGFAError(f"the motion model was made for training clips of "
                            f"{motion.config.train_frames} frames, the settings say "
                            f"{config.frames}: make them equal.")
        for weight, network in (("cont", "clip"), ("lpips", "perceptual"),
                                ("identity", "identity")):
            if getattr(config, weight) and getattr(self, network) is None:
                raise LGFAError(f"the loss {weight} has a weight of {getattr(config, weight):g}, "
                                f"but there is no {network} network: give one or set it to 0.")
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
