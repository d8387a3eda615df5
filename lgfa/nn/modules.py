"""Done to whole networks: freezing, copying, half precision, making their tensors ordinary ones."""
from __future__ import annotations

import contextlib
import copy

import torch
from torch import nn


def freeze(network: nn.Module) -> nn.Module:
    """No gradients to the weights (gradients to the input still flow) and evaluation mode."""
    return network.requires_grad_(False).eval()


def private_copy(network: nn.Module) -> nn.Module:
    """A copy that may learn or be moved, whatever mode the network was made in; on its device.

    Tensors made in inference mode take no gradient; copies made outside of it do.
    """
    with torch.inference_mode(False):
        return copy.deepcopy(network)


def half(
    device: torch.device,                   # of the networks that are called within
    precision: str = "bf16",                # or "fp16"; "fp32" changes nothing
    wanted: bool = True,                    # False changes nothing either
) -> contextlib.AbstractContextManager:
    """Half precision for the arithmetic of frozen networks; weights and tensors stay as they are,
    and what is to learn in full precision is computed outside of it."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    if dtype is None or not wanted:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype)


def normal_tensors(network: nn.Module) -> None:
    """Replaces a network's inference-mode tensors, in place, by ordinary ones of equal values."""
    for module in network.modules():
        for name, value in module._parameters.items():
            if value is not None and value.is_inference():
                module._parameters[name] = nn.Parameter(value.detach().clone(),
                                                        value.requires_grad)
        for name, value in module._buffers.items():
            if value is not None and value.is_inference():
                module._buffers[name] = value.clone()
