"""The assembly point: a still and prompts -> a trajectory -> frames.

An Animator holds one network of each kind and knows in which order they work; the mathematics
is theirs. What moves the latents is a Method (methods/method.py): the paper's motion model, or
another.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .config import check_codes, check_fits
from .devices import pick_device
from .domains import check_domain, sample_latent
from .embed.clip import CLIP
from .embed.e4e import Encoder
from .embed.invert import invert, warn_unlike
from .errors import LGFAError
from .formats.latents import load_latents, save_latents
from .frames.render import Progress, render
from .frames.stylegan2 import Generator
from .media.images import MIN_SIDE, read_image, square
from .methods.method import FPS, Embedded, Method, Prompt, as_method, as_prompts, class_for
from .motion.understanding import Understanding, warn
from .registry import METHODS
from .trajectory.chain import perform
from .trajectory.timing import check_motion


@dataclass(frozen=True)
class Clip:
    """A finished animation."""

    frames: Tensor                          # [T, H, W, 3], 0..1, float32, CPU
    latents: Tensor                         # [T, L, w_dim], float32, CPU
    fps: float = FPS                        # frames a second
    texts: tuple[str, ...] = ()             # the sentences, in order
    seed: int = 0                           # of the motion
    understood: tuple[Understanding | None, ...] = ()   # what the model took each prompt for; None
    #                                         where it has no saying

    def __len__(self) -> int:
        return len(self.frames)

    def save(self, path: str | Path) -> Path:
        """Writes the frames; the suffix chooses the format (see clips.write)."""
        from .media.clips import write

        return write(path, self.frames, self.fps)

    def save_latents(self, path: str | Path) -> Path:
        """Writes the trajectory as .safetensors."""
        return save_latents(path, self.latents, fps=self.fps, texts=self.texts, seed=self.seed)


# ---------------------------------------------------------------- the animator
class Animator:
    """Generator, encoder, CLIP and motion model that belong together."""

    def __init__(
        self,
        generator: Generator,
        encoder: Encoder | None = None,                 # only images need it
        clip: CLIP | None = None,                       # only a motion model without its own
        motion: nn.Module | Method | None = None,       # only prompts need it
        domain: str | None = None,                      # whose stills `sample` draws
        dtype: torch.dtype = torch.float32,             # of the arithmetic of rendering
    ) -> None:
        self.generator, self.encoder = generator, encoder
        self.domain, self.dtype = domain, dtype
        self.method = None if motion is None else as_method(motion, clip, encoder)
        self._check_parts()

    @classmethod
    def from_pretrained(
        cls,
        source: str | Mapping[str, str | Path] | None = "toon",     # domain, or {kind: file}
        device: str | torch.device | None = None,       # None = an accelerator if there is one
        dtype: torch.dtype = torch.float32,             # of the arithmetic of rendering
        parts: Sequence[str] = ("generator", "encoder", "motion"),  # kinds to load
        **files: str | Path | None,                     # generator=, encoder=, clip=, motion=
    ) -> Animator:
        """Loads a domain ("toon"), or networks file by file, or a domain with some replaced.

        Nothing is downloaded, unless the CLIP is named by an open_clip tag ("RN50/openai").
        """
        given = dict(source) if isinstance(source, Mapping) else {}
        given |= {kind: file for kind, file in files.items() if file is not None}
        domain = source if isinstance(source, str) else None
        strange = sorted(set(given) - {"generator", "encoder", "clip", "motion"})
        if strange:
            raise LGFAError(f"an animator has no {', '.join(strange)}: give generator, encoder, "
                            f"clip and motion.")
        if domain is not None:
            check_domain(domain)
        wanted = [kind for kind in ("generator", "encoder", "motion")
                  if kind in given or (domain is not None and kind in parts)]
        if "generator" not in wanted:
            raise LGFAError('there is no generator: give a domain such as "toon", or its file.')

        device = pick_device(device)
        networks = {kind: _load(given.get(kind, domain), kind, device) for kind in wanted}
        motion, clip = networks.get("motion"), given.get("clip", domain)
        if motion is not None and clip is not None and class_for(motion).borrows_clip(motion):
            networks["clip"] = _load(clip, "clip", device)
        return cls(**networks, domain=None if "generator" in given else domain, dtype=dtype)

    def sample(self, seed: int = 0, truncation: float = 0.7) -> Tensor:
        """The latent of a still that nobody photographed, [1, L, w_dim]; repeatable."""
        return sample_latent(self.generator, seed, truncation, self.domain)

    @torch.no_grad()
    def invert(self, image: Any) -> Tensor:
        """Image (see images.read_image) -> w_inv [1, L, w_dim]; warns when it comes out unlike."""
        return self._inverted(self._still(image))

    @torch.no_grad()
    def understand(
        self, text: str | Prompt | Sequence[str | Prompt],      # one prompt, or several
    ) -> tuple[Understanding | None, ...]:
        """What the model takes each prompt for; None from one that cannot tell (methods of other
        papers, older files)."""
        prompts = self._prompts(text)
        return tuple(self.method.understand(prompt) for prompt in prompts)

    @torch.no_grad()
    def trajectory(
        self,
        image: Any,                         # image, latent [L, w_dim] or .safetensors of latents
        text: str | Prompt | Sequence[str | Prompt],    # one prompt, or several in a row
        frames: int = 16,                   # of the whole clip, everything included
        seed: int = 0,                      # of the motion; another seed, another performance
        strength: float = 1.0,              # 0 = still, 1 = as trained, beyond = more
        easing: str = "none",               # timing along the path, one of config.EASINGS
        hold: int = 0,                      # frames for which each expression rests
        loop: bool = False,                 # softly back to the still, to repeat without a seam
        ping_pong: bool = False,            # back by the same way
        content: bool | None = None,        # add H_v(z_v) to the code; None = for images only
        add: bool = False,                  # later sentences add to what came before (paper IV-E2);
        #                                     else that fades while they come
        told: Callable[[Understanding | None], object] = lambda understood: None,
        #                                     called with what each prompt is taken for
    ) -> Tensor:
        """Codes of exactly `frames` frames [T, L, w_dim], float32 on the CPU; frame 1 = still.
        Warns of sentences that the model does not surely know."""
        check_motion(frames, seed, strength, easing, hold, loop, ping_pong, len(as_prompts(text)))
        prompts = self._prompts(text)
        w, x, is_image = self._start(image)

        embedded = [self.method.embed(x, prompt) for prompt in prompts]
        self._tell(prompts, embedded, told)
        if content if content is not None else is_image:
            w = self.method.content(w, embedded[0])

        # A method that looks where it starts, as an optimisation does, lets go by itself.
        path = perform(self.method, w.float(), embedded, frames, seed, strength, easing, hold,
                       loop, ping_pong, add or self.method.carries_on)
        return path.float().cpu()

    def render(
        self,
        latents: Tensor,                    # [T, L, w_dim]
        chunk: int = 8,                     # frames at a time; halved when memory runs out
        noise: str = "const",               # "const", "random" or "none"
        progress: Progress | None = None,   # (frames done, frames in all)
        should_stop: Callable[[], bool] | None = None,
    ) -> Iterator[Tensor]:
        """Frames [c, H, W, 3], 0..1, chunk by chunk: memory does not grow with T."""
        self._check_latents(latents, "the latents")
        return render(self.generator, latents, chunk, noise, progress=progress,
                      should_stop=should_stop, dtype=self.dtype)

    def animate(
        self,
        image: Any,                         # as for trajectory
        text: str | Prompt | Sequence[str | Prompt],    # as for trajectory
        frames: int = 16,
        seed: int = 0,
        strength: float = 1.0,
        fps: float = FPS,                   # noted in the clip
        chunk: int = 8,                     # as for render
        noise: str = "const",               # as for render
        progress: Progress | None = None,
        should_stop: Callable[[], bool] | None = None,
        **motion: Any,                      # easing, hold, loop, ping_pong, content, add
    ) -> Clip:
        """Still and prompts -> Clip. Stopped early, it holds the frames that were finished."""
        prompts, understood = as_prompts(text), []
        latents = self.trajectory(image, prompts, frames, seed, strength, told=understood.append,
                                  **motion)
        parts = list(self.render(latents, chunk, noise, progress, should_stop))
        done = torch.cat(parts) if parts else torch.zeros(0, *[self.generator.resolution] * 2, 3)
        texts = tuple(prompt.text for prompt in prompts if prompt.text)
        return Clip(done, latents[:len(done)], float(fps), texts, seed, tuple(understood))

    # ---- inside

    def _check_parts(self) -> None:
        """Refuses networks that were made for another generator."""
        for what, part in (("encoder", self.encoder and self.encoder.config),
                           ("motion model", self.method)):
            if part is not None:
                check_fits(what, part, self.generator.config)

    def _prompts(self, text: str | Prompt | Sequence[str | Prompt]) -> tuple[Prompt, ...]:
        """The prompts, if there is a method that can read them."""
        prompts = as_prompts(text)
        if self.method is None:
            raise LGFAError("a sentence needs a motion model: give one.")
        for prompt in prompts:
            prompt.check_for(self.method)
        return prompts

    def _tell(
        self,
        prompts: Sequence[Prompt],
        embedded: Sequence[Embedded],       # of each
        told: Callable[[Understanding | None], object],
    ) -> None:
        """Tells what each prompt is taken for, and warns of what is not surely known."""
        understood = [self.method.understand(prompt, read)
                      for prompt, read in zip(prompts, embedded, strict=True)]
        for one in understood:
            told(one)
        warn(understood)

    def _still(self, image: Any) -> Tensor:
        """Image -> [1,3,R,R], -1..1, R the generator's resolution, on its device."""
        x = square(read_image(image), self.generator.resolution)
        return x.to(self.generator.latent_avg.device)

    @torch.no_grad()
    def _inverted(self, x: Tensor) -> Tensor:
        """Still [1,3,R,R], -1..1 -> w_inv [1,L,w_dim]."""
        if self.encoder is None:
            raise LGFAError("an image needs an encoder: give one, or start from a sampled still.")
        w_inv, _, distances = invert(self.encoder, self.generator, x)
        warn_unlike(distances)
        return w_inv

    def _start(self, image: Any) -> tuple[Tensor, Tensor | None, bool]:
        """Anything to start from -> code [1,L,w_dim], its picture if needed, was it an image."""
        if isinstance(image, (str, Path)) and Path(image).suffix.lower() == ".safetensors":
            image = load_latents(image)[0][-1]
            self._check_latents(image[None], "the stored latents")
        latent = self._latent(image)
        if latent is None:
            x = self._still(image)
            return self._inverted(x), x, True
        if not self.method.sees_still:          # nobody looks at the picture
            return latent, None, False
        x = self.generator.synthesis(latent)
        return latent, x.clamp(-1, 1), False

    def _latent(self, image: Any) -> Tensor | None:
        """[1,L,w_dim] of a latent [L,w_dim], [1,L,w_dim] or [w_dim]; None for an image."""
        if not _looks_like_latent(image, self.generator.config.w_dim):
            return None
        latent = torch.as_tensor(image)
        if latent.ndim == 1:
            latent = latent.expand(self.generator.num_layers, -1)
        if latent.ndim == 3 and len(latent) != 1:
            raise LGFAError(f"one latent is animated at a time, not {len(latent)} of them: "
                            f"pass latents[-1], for example.")
        latent = latent.reshape(1, *latent.shape[-2:])
        self._check_latents(latent, "the codes of the latent")
        return latent.to(self.generator.latent_avg.device, torch.float32)

    def _check_latents(self, latents: Tensor, what: str) -> None:
        """Refuses codes of another generator, naming both sides, and numbers that are none."""
        check_codes(what, latents, self.generator.config)
        if not bool(torch.isfinite(latents).all()):
            raise LGFAError(f"there are NaN or infinite numbers in {what}.")


def _looks_like_latent(image: Any, w_dim: int) -> bool:
    """Floats with fewer rows than the smallest picture, or with the rows and length of codes."""
    if not isinstance(image, (Tensor, np.ndarray)) or "float" not in str(image.dtype):
        return False
    shape = tuple(image.shape)
    if len(shape) == 1:
        return True
    if len(shape) not in (2, 3) or shape[-1] <= 4:          # [H,W,C] is a picture
        return False
    return shape[-2] < MIN_SIDE or (shape[-2] in (16, 18) and shape[-1] in (w_dim, 512))


def _load(name: str | Path | None, kind: str, device: torch.device) -> nn.Module:
    """One network; a CLIP may also be named as open_clip does."""
    from . import formats

    if kind == "clip":
        from .formats.loading import load_clip

        return load_clip(name, device)
    # Whatever can animate serves as the motion model; a domain's own is the first kind.
    return formats.load(name, tuple(METHODS) if kind == "motion" else kind, device)
