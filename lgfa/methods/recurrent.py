"""The paper's recurrent motion model as a Method (section III-C)."""
from __future__ import annotations

from torch import Tensor

from ..embed.clip import CLIP
from ..errors import LGFAError
from ..motion.model import MotionModel


class Recurrent:
    """The paper's recurrent motion model as a Method."""

    def __init__(self, motion: MotionModel, clip: CLIP | None = None) -> None:
        self.motion, self.clip = motion, clip
        self.num_layers, self.w_dim = motion.config.num_layers, motion.config.w_dim
        self.resolution = motion.config.resolution
        self.visual = motion.config.visual or motion.config.visual_mapper
        lent = None if clip is None else clip.embed_dim
        if motion.encoder is None and lent != motion.config.embed_dim:
            raise LGFAError(
                f"this motion model reads CLIP embeddings of length {motion.config.embed_dim} and "
                f"its file holds no CLIP: give the one of its training"
                f"{'' if lent is None else f', not one of length {lent}'}.")

    def embed(self, x: Tensor | None, text: str) -> tuple[Tensor | None, Tensor]:
        z_t = self.motion.encode_text([text], self.clip)
        return self.motion.encode_image(x, self.clip), z_t

    def content(self, w_inv: Tensor, z_v: Tensor | None) -> Tensor:
        return self.motion.content(w_inv, z_v=z_v)

    def __call__(
        self, w_s: Tensor, z_v: Tensor | None, z_t: Tensor, frames: int, seed: int,
    ) -> Tensor:
        return self.motion.path(w_s, z_t, z_v, frames, seed=seed)

