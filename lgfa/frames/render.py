"""A trajectory of codes becomes frames, chunk by chunk, in constant memory."""
from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ..errors import LGFAError, is_out_of_memory
from ..media.images import to_pictures
from .stylegan2 import Generator

Progress = Callable[[int, int], None]       # (frames done, frames in all)


def render(
    generator: Generator,
    latents: Tensor,                    # [T, L, w_dim], a code for every frame
    chunk: int = 8,                     # frames at a time; halved when memory runs out
    noise: str = "const",               # "const", "random" (one map for the whole clip) or "none"
    seed: int = 0,                      # of the random noise
    raw: bool = False,                  # yield [c, 3, H, W], about -1..1, on the device, instead
    progress: Progress | None = None,   # called with (done, total) after every chunk
    should_stop: Callable[[], bool] | None = None,  # asked before every chunk; True ends it
    device: torch.device | str | None = None,       # .. the generator is moved to; None = its own
    dtype: torch.dtype | None = None,   # of the arithmetic; None = the generator's
) -> Iterator[Tensor]:
    """Yields frames in order as [c, H, W, 3] float32 in 0..1 on the CPU, c <= chunk.

    Memory does not grow with T: a chunk's frames belong to the caller as soon as they are
    yielded. The same codes give the same frames, bit for bit on one machine; so do other chunk
    sizes, up to rounding. Raises LGFAError when even a single frame does not fit into memory.
    """
    if latents.ndim != 3 or latents.shape[0] == 0:
        raise LGFAError(f"render takes codes [frames, {generator.num_layers}, "
                        f"{generator.config.w_dim}] of at least one frame, "
                        f"not {list(latents.shape)}.")
    if chunk < 1:
        raise LGFAError(f"the chunk must be at least 1 frame, not {chunk}.")

    home = generator.synthesis.const
    device, dtype = torch.device(device or home.device), dtype or home.dtype
    generator.synthesis.check(latents, noise)
    if device != home.device:
        generator.to(device)
    maker = _Maker(generator, noise, seed, device, dtype)
    return _chunks(maker, latents, chunk, raw, progress, should_stop)


def _chunks(
    maker: _Maker,
    latents: Tensor,                    # [T, L, w_dim]
    chunk: int,
    raw: bool,
    progress: Progress | None,
    should_stop: Callable[[], bool] | None,
) -> Iterator[Tensor]:
    """The loop behind `render`; its arguments have been checked."""
    done, total = 0, latents.shape[0]
    while done < total:
        if should_stop is not None and should_stop():
            return
        codes = latents[done:done + chunk]
        images = maker.images(codes)
        if images is None:
            if len(codes) == 1:
                raise LGFAError(f"not enough memory on {maker.device} for one frame of "
                                f"{maker.generator.resolution} px: close other programs or "
                                f"choose another device.")
            chunk = len(codes) // 2
            maker.release()
            continue

        done += len(codes)
        frames = images if raw else to_frames(images)
        del images                      # while the caller works, only its frames stay
        yield frames
        del frames
        if progress is not None:
            progress(done, total)


class _Maker:
    """Renders chunks of codes and survives a lack of memory."""

    def __init__(
        self,
        generator: Generator,
        noise: str,                     # as in render
        seed: int,                      # as in render
        device: torch.device,           # of the arithmetic
        dtype: torch.dtype,             # of the arithmetic
    ) -> None:
        self.generator, self.seed = generator, seed
        self.device, self.dtype = device, dtype
        self.noise = "shared" if noise == "random" else noise

    def images(self, codes: Tensor) -> Tensor | None:
        """Images of a chunk, or None when the memory does not suffice.

        None is returned outside of the handler: an exception's traceback keeps tensors alive.
        """
        source = None
        if self.noise == "shared":      # from the start again: the chunk's place does not matter
            source = torch.Generator(self.device).manual_seed(self.seed)
        try:
            with torch.no_grad():
                codes = codes.detach().to(device=self.device, dtype=self.dtype)
                return self.generator.synthesis(codes, self.noise, source)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        return None

    def release(self) -> None:
        """Gives cached blocks of an accelerator back, so that a smaller chunk finds room."""
        module = getattr(torch, self.device.type, None)
        if self.device.type != "cpu" and hasattr(module, "empty_cache"):
            module.empty_cache()


def to_frames(images: Tensor) -> Tensor:
    """Images of a generator as finished frames. [B, 3, H, W] -1..1 -> [B, H, W, 3] 0..1, CPU"""
    return to_pictures(images.detach().to("cpu", torch.float32))
