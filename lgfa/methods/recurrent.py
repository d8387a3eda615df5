"""The paper's recurrent motion model as a Method (section III-C)."""
from __future__ import annotations

from torch import Tensor

from ..embed.clip import CLIP
from ..embed.e4e import Encoder
from ..errors import LGFAError
from ..motion.model import MotionModel
from ..motion.understanding import Understanding
from .method import Embedded, Method, Prompt


class Recurrent(Method):
    """The paper's recurrent motion model as a Method."""

    def __init__(self, motion: MotionModel, clip: CLIP | None = None) -> None:
        super().__init__(motion.config)
        self.motion, self.clip = motion, clip
        self.sees_still = motion.config.visual or motion.config.visual_mapper
        lent = None if clip is None else clip.embed_dim
        if motion.encoder is None and lent != motion.config.embed_dim:
            raise LGFAError(
                f"this motion model reads CLIP embeddings of length {motion.config.embed_dim} and "
                f"its file holds no CLIP: give the one of its training"
                f"{'' if lent is None else f', not one of length {lent}'}.")

    @classmethod
    def of(
        cls, network: MotionModel, clip: CLIP | None = None, encoder: Encoder | None = None,
    ) -> Recurrent:
        return cls(network, clip)

    @classmethod
    def borrows_clip(cls, network: MotionModel) -> bool:
        return network.encoder is None

    def embed(self, still: Tensor | None, prompt: Prompt) -> Embedded:
        z_t = self.motion.encode_text([prompt.text], self.clip)
        return Embedded(self.motion.encode_image(still, self.clip), z_t)

    def understand(self, prompt: Prompt, embedded: Embedded | None = None) -> Understanding | None:
        z_t = None if embedded is None else embedded.z_t
        found = self.motion.understand([prompt.text], self.clip, z_t)
        return found[0] if found else None

    def content(self, w_inv: Tensor, embedded: Embedded) -> Tensor:
        return self.motion.content(w_inv, z_v=embedded.z_v)

    def __call__(self, w_s: Tensor, embedded: Embedded, frames: int, seed: int) -> Tensor:
        z_v, z_t = embedded
        return self.motion.path(w_s, z_t, z_v, frames, seed=seed)
