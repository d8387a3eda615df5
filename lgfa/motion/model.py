"""The language-guided motion model: a still's code and a sentence -> a trajectory in W+.

    z_v = E_v(x_v), z_t = E_t(x_t)          CLIP, trainable copies (paper eq. 1-2)
    z(1..T) = M(z_t + z_v)                  recurrent.py (eq. 3-5); z_v detached in the sum
    w_s = w_inv + H_v(z_v)                  content code (eq. 6)
    w(i) = w_s + H_t(z(i))                  frames' codes (eq. 7)

With a sampled still that nobody shows to E_v there is no z_v: z(1) = z_t and w_s = w_inv.
What the model knows of language, and what it takes a sentence for, is in understanding.py.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import ClipConfig, MotionConfig, check_codes
from ..embed.clip import CLIP
from ..errors import LGFAError
from ..nn import covariance
from ..nn.batch import same_count
from ..nn.ops import scaled_leaky_relu
from .mappers import Mapper
from .recurrent import RecurrentMotion
from .understanding import Understanding, Vocabulary, VocabularyConfig

CHUNK = 256             # frames that pass the motion mapper at once when nothing is learned


class MotionModel(nn.Module):
    """E_v and E_t (optional), M, H_v (optional) and H_t; the words that it knows (optional)."""

    def __init__(
        self,
        config: MotionConfig,                       # sizes and choices
        clip_config: ClipConfig | None = None,      # its own encoders; None = they are lent
        words_config: VocabularyConfig | None = None,   # its words; None = it has none
    ) -> None:
        super().__init__()
        self.config = config
        self.clip_config = clip_config
        self.encoder: CLIP | None = None
        if clip_config is not None:
            _check_embed(config, clip_config.embed_dim)
            self.encoder = CLIP(clip_config)
            self.encoder.fixed_statistics = True    # four images are no batch statistics
        self.rnn = RecurrentMotion(config)
        self.v_mapper = Mapper(config) if config.visual_mapper else None
        self.t_mapper = Mapper(config)
        self.words = None if words_config is None else Vocabulary(words_config, config.embed_dim)

        # Turns the mappers' output into W units; the root of W's covariance keeps the offsets
        # in the span in which the generator was trained.
        self.register_buffer("latent_scale", torch.eye(config.w_dim))
        if not self.latent_scale.is_meta:
            self.calibrate(self._unit_inputs())

    # ---- preparation

    def adopt(self, clip: CLIP) -> None:
        """Makes a trainable copy of `clip` the model's own encoders; words that it knew by others
        go."""
        _check_embed(self.config, clip.embed_dim)
        self.words = None
        self.encoder = clip.trainable_copy()
        self.clip_config = clip.config

    @torch.no_grad()
    def calibrate(self, z1: Tensor) -> None:
        """Initial weights that tell sentences apart; for fresh models.

        z1 [N, d] are typical first codes: z_t + z_v, or z_t alone. Each leaky ReLU makes vectors
        more alike, and after four of them all sentences would move together: so the layers
        through which a code passes are scaled and shifted until each unit has mean 0 and variance
        1 over these codes (after Mishkin & Matas, "All you need is a good init", 2016). A step of
        the code keeps the size of the code's own variation, so that paths begin nearly straight,
        and H_t's gain is set so that the last code of a training clip has unit rms. The
        architecture is not changed. Fewer than eight codes, or a network without biases, set the
        gain alone.
        """
        frames, spread = self.config.train_frames, self.config.bias and len(z1) >= 8
        if spread:
            z1 = z1.to(self.rnn.context.weight)
            context = self.rnn._act(_even_out(self.rnn.context, z1))
            still = context.new_zeros(len(z1), self.config.hidden)
            _even_out(self.rnn.code_step, torch.cat([context, still], dim=1),
                      size=z1.std(dim=0).mean().item())
        last = self.rnn(z1, frames, seed=0, training=True)[:, -1]
        self.t_mapper.set_code_rms(last.square().mean().sqrt().item())
        if spread and self.t_mapper.log_gain is not None:
            x = last * self.t_mapper.log_gain.exp()
            for layer in self.t_mapper.layers[:-1]:
                x = scaled_leaky_relu(_even_out(layer, x, layer.gain))

    @torch.no_grad()
    def set_latent_scale(self, w: Tensor) -> None:
        """latent_scale := square root of the covariance of the style codes w [N, w_dim]."""
        if w.ndim != 2 or w.shape[1] != self.config.w_dim or w.shape[0] < 2:
            raise LGFAError(f"the latent scale needs style codes [N, {self.config.w_dim}] with N "
                            f"of at least 2, not {list(w.shape)}.")
        self.latent_scale.copy_(covariance.root(w))

    @property
    def latent_unit(self) -> Tensor:
        """Spread of each number of a style code [w_dim]; ones before `set_latent_scale`."""
        return covariance.deviations(self.latent_scale)

    # ---- language

    @property
    def words_config(self) -> VocabularyConfig | None:
        """The settings of its words, which its file keeps."""
        return None if self.words is None else self.words.config

    @torch.no_grad()
    def understand(
        self,
        texts: str | Sequence[str],             # sentences
        clip: CLIP | None = None,               # encoders to borrow when the model has none
        z_t: Tensor | None = None,              # the sentences' codes [B, d], if they are known
    ) -> list[Understanding] | None:
        """What the model takes each sentence for; None for a model without words."""
        if self.words is None:
            return None
        texts = [texts] if isinstance(texts, str) else list(texts)
        return self.words.understand(texts, self.encode_text(texts, clip) if z_t is None else z_t)

    # ---- the four stages

    def encode_text(
        self,
        texts: str | Sequence[str] | Tensor,    # sentences, or their tokens [B, context]
        clip: CLIP | None = None,               # encoders to borrow when the model has none
        quiet: bool = False,                    # no warning of sentences that are cut
    ) -> Tensor:
        """z_t [B, d], unit vectors."""
        encoder = self._encoder(clip)
        if not isinstance(texts, Tensor):
            texts = encoder.tokenize([texts] if isinstance(texts, str) else texts, quiet)
        return encoder.encode_tokens(texts)

    def encode_image(self, x: Tensor | None, clip: CLIP | None = None) -> Tensor | None:
        """z_v [B, d] of images x [B, 3, H, W] in -1..1; None without images, or when neither
        z(1) nor H_v would look at it."""
        if x is None or not (self.config.visual or self.config.visual_mapper):
            return None
        return self._encoder(clip).encode_image(x)

    def first_code(self, z_t: Tensor, z_v: Tensor | None = None) -> Tensor:
        """z(1) [B, d]: z_t + z_v, without z_v's gradient; z_t alone without an image."""
        if z_v is None or not self.config.visual:
            return z_t
        return z_t + z_v.detach().to(z_t)

    def offsets(self, codes: Tensor) -> Tensor:
        """Motion codes [B, T, d] -> dw [B, T, L, w_dim] in W units.  With start_at_still the
        first frame's offset is taken from every frame's, so that frame 1 is exactly zero."""
        if torch.is_grad_enabled():
            dw = self.t_mapper(codes, self.latent_scale)
        else:
            parts = codes.split(CHUNK, dim=1)       # long clips: the inner layers need memory
            dw = torch.cat([self.t_mapper(part, self.latent_scale) for part in parts], dim=1)
        return dw - dw[:, :1] if self.config.start_at_still else dw

    def content(
        self,
        w_inv: Tensor,                  # [B, L, w_dim] of e4e, or of the mapping network
        x: Tensor | None = None,        # the stills [B, 3, H, W], -1..1
        clip: CLIP | None = None,       # encoders to borrow when the model has none
        z_v: Tensor | None = None,      # E_v(x) where it is known already
    ) -> Tensor:
        """w_s [B, L, w_dim] = w_inv + H_v(E_v(x)); w_inv without an image or without H_v."""
        w_inv = self._check_latent(w_inv)
        if self.v_mapper is None or (x is None and z_v is None):
            return w_inv
        z_v = self.encode_image(x, clip) if z_v is None else z_v
        return w_inv + self.v_mapper(z_v, self.latent_scale).to(w_inv)

    # ---- together

    def motion_codes(
        self,
        z_t: Tensor,                    # [B, d]
        z_v: Tensor | None,             # [B, d]; None without images
        frames: int,                    # T
        h1: Tensor | None = None,       # h(1) [B, hidden]; None = drawn
        seed: int | None = None,        # for drawing it; None = torch's global stream
        training: bool = False,         # step sizes of training, else of inference
    ) -> Tensor:
        """z(1..T) [B, T, d], the first half of `path`."""
        return self.rnn(self.first_code(z_t, z_v), frames, h1=h1, seed=seed, training=training)

    def frame_codes(self, w_s: Tensor, codes: Tensor) -> Tensor:
        """Content codes [B, L, w_dim], motion codes [B, T, d] -> w(1..T) [B, T, L, w_dim], the
        second half of `path`."""
        if codes.shape[-1] != self.config.embed_dim:
            raise LGFAError(f"the motion codes have {codes.shape[-1]} numbers a frame, but the "
                            f"motion model maps {self.config.embed_dim}: take the motion model "
                            f"that made them.")
        return w_s[:, None] + self.offsets(codes).to(w_s)

    def path(
        self,
        w_s: Tensor,                    # content codes [B, L, w_dim]
        z_t: Tensor,                    # as for `motion_codes`, like all that follows
        z_v: Tensor | None,
        frames: int,
        h1: Tensor | None = None,
        seed: int | None = None,
        training: bool = False,
    ) -> Tensor:
        """From embeddings to the frames' codes [B, T, L, w_dim], in w_s's dtype.

        Frame 1 is w_s exactly when the settings say start_at_still (ours do, the authors' not).
        Raises LGFAError for sizes that do not fit and for no frames.
        """
        return self.frame_codes(w_s, self.motion_codes(z_t, z_v, frames, h1, seed, training))

    def trajectory(
        self,
        w_s: Tensor,                            # content codes [B, L, w_dim]
        texts: str | Sequence[str] | Tensor,    # B sentences, or one for all; or tokens
        x: Tensor | None = None,                # the stills [B, 3, H, W], -1..1
        frames: int = 16,                       # T
        seed: int | None = 0,                   # of h(1)
        clip: CLIP | None = None,               # encoders to borrow when the model has none
    ) -> Tensor:
        """`path` of what the encoders read and see; LGFAError for empty text too."""
        w_s = self._check_latent(w_s)
        z_t, z_v = self.encode_text(texts, clip), self.encode_image(x, clip)
        count = same_count(stills=w_s, sentences=z_t, images=z_v)
        w_s, z_t = (item.expand(count, *item.shape[1:]) for item in (w_s, z_t))
        z_v = None if z_v is None else z_v.expand(count, -1)
        return self.path(w_s, z_t, z_v, frames, seed=seed)

    # ---- inside

    def _encoder(self, clip: CLIP | None) -> CLIP:
        if self.encoder is not None:
            return self.encoder
        if clip is None:
            raise LGFAError("this motion model's file holds no CLIP encoders: give the CLIP with "
                            "which it was trained.")
        _check_embed(self.config, clip.embed_dim)
        return clip

    def _check_latent(self, w: Tensor) -> Tensor:
        """w [B, L, w_dim] on the model's device; LGFAError when the generator is another one."""
        check_codes("the latents", w, self.config, "the motion model")
        return w.to(self.latent_scale.device)

    def _unit_inputs(self) -> Tensor:
        """Random first codes [64, d] of a CLIP that nobody knows yet, always the same."""
        generator = torch.Generator().manual_seed(0)
        z = torch.randn(2, 64, self.config.embed_dim, generator=generator)
        z_t, z_v = F.normalize(z, dim=-1)
        return self.first_code(z_t, z_v)


def _even_out(layer: nn.Module, x: Tensor, gain: float = 1.0, size: float = 1.0) -> Tensor:
    """Gives each unit of a linear layer mean 0 and standard deviation `size` over x [N, I];
    returns its output [N, O]."""
    before = x @ layer.weight.t() * gain
    std, mean = torch.std_mean(before, dim=0)
    scale = size / std.clamp(min=1e-3 * std.mean().item() + 1e-12)
    layer.weight.mul_(scale[:, None])
    layer.bias.copy_(-mean * scale)
    return (before - mean) * scale


def _check_embed(config: MotionConfig, embed_dim: int) -> None:
    if embed_dim != config.embed_dim:
        raise LGFAError(f"the motion model reads embeddings of length {config.embed_dim}, but its "
                        f"CLIP makes them of length {embed_dim}: use the CLIP of its training.")

