"""Done to whole networks: freezing, copying, making their tensors ordinary ones."""
from __future__ import annotations

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
