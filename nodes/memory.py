"""Networks under ComfyUI's memory management."""
from __future__ import annotations

from typing import Any

import comfy.model_management as management
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor, nn


class Network:
    """One network as the sockets carry it: frozen, in evaluation mode, moved by ComfyUI."""

    def __init__(
        self,
        kind: str,                          # of lgfa.registry.KINDS
        name: str,                          # what the user chose, for messages and comparisons
        model: nn.Module,                   # the network, in float32
        domain: str | None = None,          # bundled domain that it belongs to
        clip: str | None = None,            # motion models: name of the CLIP taken out of them
        words: Any = None,                  # CLIPs: Vocabulary of the motion model they came out of
    ) -> None:
        self.kind, self.name, self.domain, self.clip = kind, name, domain, clip
        self.words = words
        self.patcher = ModelPatcher(
            model.eval().requires_grad_(False),
            load_device=management.get_torch_device(),
            offload_device=management.unet_offload_device())

    @property
    def config(self) -> Any:
        """The network's settings; no memory is moved for them."""
        return self.patcher.model.config

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.patcher.load_device


def ready(*networks: Network, memory: int = 0) -> list[nn.Module]:
    """The networks, loaded together onto the compute device; `memory` more bytes are kept free.

    A partial load would leave StyleGAN's own parameters and buffers behind, and --novram loads
    partially whatever it is asked for; so what stayed behind is moved here. Networks are small.
    """
    management.load_models_gpu([one.patcher for one in networks], memory_required=memory,
                               force_full_load=True)
    for one in networks:
        one.patcher.model.to(one.device)
    return [one.patcher.model for one in networks]


PREVIEW = 512                               # px of a preview's longer side
PRECISIONS = ("full", "half")               # of arithmetic, as widgets offer it


def arithmetic(
    choice: str,                            # of PRECISIONS
    device: torch.device,
    halves: tuple[torch.dtype, torch.dtype],    # float16 and bfloat16, the better one first
) -> torch.dtype:
    """The dtype behind a choice: half only where ComfyUI holds the device to be able to."""
    able = {torch.float16: management.should_use_fp16, torch.bfloat16: management.should_use_bf16}
    for dtype in halves if choice == "half" else ():
        if able[dtype](device, prioritize_performance=False):
            return dtype
    return torch.float32


def compute(x: Tensor) -> Tensor:
    """A tensor on the compute device."""
    return x.to(management.get_torch_device())


def hand_out(x: Tensor) -> Tensor:
    """An IMAGE or MASK on ComfyUI's intermediate device, float32."""
    return x.to(management.intermediate_device(), torch.float32)


def preview(picture: Tensor) -> tuple[str, Any, int]:
    """A picture [H, W, 3], 0..1, as a progress bar of ComfyUI shows it."""
    from PIL import Image

    from ..lgfa.media.images import levels

    pixels = levels(picture.detach()).to("cpu", torch.uint8).numpy()
    return "JPEG", Image.fromarray(pixels), PREVIEW


def require(needed: int, what: str, advice: str) -> None:
    """Refuses, before anything is computed, what the compute device has no memory for: `what`
    begins the sentence, `advice` ends it."""
    from ..lgfa.devices import check_room

    check_room(needed, management.get_free_memory(management.get_torch_device()), what, advice)


def stop_if_interrupted() -> None:
    """Raises ComfyUI's exception when the user pressed cancel."""
    management.throw_exception_if_processing_interrupted()
