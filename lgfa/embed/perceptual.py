"""Perceptual distance: LPIPS by the `lpips` package over a trunk that is given, never downloaded.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (2018).
The package would fetch ImageNet weights by itself; here the trunk's weights come from our own
safetensors (kind "perceptual"), or from torchvision's file (formats/layouts/torchvision.py).
"""
from __future__ import annotations

import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import PerceptualConfig
from ..errors import LGFAError
from ..formats.unpickle import reader
from ..optional import package

STEP = 16               # pixels: sides below this leave the deepest maps empty


class Perceptual(nn.Module):
    """Distances between images; frozen, in evaluation mode, with gradients to the images."""

    def __init__(
        self,
        config: PerceptualConfig,       # trunk, channel weights, input size
    ) -> None:
        super().__init__()
        self.config = config
        self.lpips = _build(config).requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Perceptual:
        """Stays in evaluation mode: a metric does not change while something else is trained."""
        return super().train(False)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Images [N, 3, H, W] in -1..1, twice -> distances [N], 0 for equal images.

        At each tap of the trunk: features of unit length, squared difference, summed over channels
        (or weighted, with `weighted`), mean over positions; the taps are summed.
        """
        if a.shape != b.shape or a.ndim != 4 or a.shape[1] != 3:
            raise LGFAError(f"the perceptual distance compares images [N, 3, H, W] of one size, "
                            f"not {list(a.shape)} and {list(b.shape)}.")
        return self.lpips(self._prepare(a), self._prepare(b)).flatten()

    def _prepare(self, x: Tensor) -> Tensor:
        """Images at the input size; area averages on the way down, so that nothing aliases."""
        x = x.to(self.lpips.scaling_layer.shift)
        size = self.config.input_size
        if size is not None and x.shape[-2:] != (size, size):
            if min(x.shape[-2:]) >= size:
                return F.adaptive_avg_pool2d(x, size)
            return F.interpolate(x, (size, size), mode="bilinear", align_corners=False)
        if min(x.shape[-2:]) < 2 * STEP:
            raise LGFAError(f"images of {x.shape[-1]} px are too small for the perceptual "
                            f"distance: give it an input size of at least {2 * STEP}.")
        return x


def _build(config: PerceptualConfig) -> nn.Module:
    """The package's module with a random trunk (always the same one), in silence.

    The package builds a whole classifier and drops most of it again: without memory, therefore.
    """
    lpips = package("lpips")
    device = torch.get_default_device()                 # "meta" where only shapes are wanted

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")                 # torchvision on its old argument
        with torch.device("meta"):
            network = lpips.LPIPS(net=config.net, pretrained=False, lpips=config.weighted,
                                  pnet_rand=True, verbose=False)
        network.to_empty(device=device)
        network.scaling_layer = lpips.ScalingLayer()
        torch.manual_seed(0)
        for layer in network.net.modules():
            if isinstance(layer, nn.Conv2d):
                layer.reset_parameters()
    if config.weighted and device.type != "meta":
        file = Path(lpips.__file__).parent / "weights" / "v0.1" / f"{config.net}.pth"
        network.load_state_dict(reader.read(file), strict=False)
    if config.weighted:
        # The package holds its channel weights twice; a file must hold them once.
        layers = list(network.lins)
        del network.lins
        network.lins = layers
    return network
