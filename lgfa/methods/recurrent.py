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
        return move(self.motion, w_s, z_v, z_t, frames, seed)


# ---- the paper's motion, by steps, where the embeddings are there already
def motion_codes(
    motion: MotionModel, z_v: Tensor | None, z_t: Tensor, frames: int, seed: int,
) -> Tensor:
    """Embeddings [1, d] -> motion codes z(1..T) [1, T, d] with inference's step sizes."""
    return motion.rnn(motion.first_code(z_t, z_v), frames, seed=seed, training=False)


def frame_codes(motion: MotionModel, w_s: Tensor, codes: Tensor) -> Tensor:
    """Content code [1, L, w_dim] and motion codes [1, T, d] -> trajectory [1, T, L, w_dim]."""
    if codes.shape[-1] != motion.config.embed_dim:
        raise LGFAError(f"the motion codes have {codes.shape[-1]} numbers a frame, but the motion "
                        f"model maps {motion.config.embed_dim}: take the motion model that made "
                        f"them.")
    return w_s[:, None] + motion.offsets(codes).to(w_s)


def move(
    motion: MotionModel, w_s: Tensor, z_v: Tensor | None, z_t: Tensor, frames: int, seed: int,
) -> Tensor:
    """Both steps: `Method.__call__` of a motion model that needs no CLIP any more."""
    return frame_codes(motion, w_s, motion_codes(motion, z_v, z_t, frames, seed))
