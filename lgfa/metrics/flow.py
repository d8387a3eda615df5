"""Warping error: how much a frame differs from its neighbour brought back along the motion.

Lai et al., "Learning Blind Video Temporal Consistency" (2018), without their occlusion mask. The
flow is OpenCV's DIS (Kroeger et al. 2016), where that package is installed.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import LGFAError
from ..media.images import levels, to_unit


def warp(pictures: Tensor, flow: Tensor) -> Tensor:
    """Pictures [B, 3, H, W] read at p + flow(p); flow [B, 2, H, W] in pixels, x then y.

    Bilinear; places outside take the border's colour.
    """
    if flow.shape != (len(pictures), 2, *pictures.shape[-2:]):
        raise LGFAError(f"the flow of pictures {list(pictures.shape)} is "
                        f"[B, 2, H, W], not {list(flow.shape)}.")
    height, width = pictures.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    at = torch.stack([x, y]).to(flow) + flow
    # pixel centres 0 .. size-1 -> -1 .. 1
    scale = torch.tensor([width - 1, height - 1]).clamp(min=1).to(flow).view(1, 2, 1, 1)
    grid = (2 * at / scale - 1).permute(0, 2, 3, 1)
    return F.grid_sample(pictures, grid.to(pictures), mode="bilinear", padding_mode="border",
                         align_corners=True)


def dis_flow(frames: Tensor) -> Tensor:
    """Flow from each frame to the next, [T, 3, H, W] in -1..1 -> [T-1, 2, H, W] in pixels."""
    try:
        import cv2
    except ImportError as error:
        raise LGFAError("optical flow needs OpenCV: run `python -m pip install "
                        "opencv-python-headless`, or leave warp_flow out.") from error
    weights = torch.tensor([0.299, 0.587, 0.114], device=frames.device).view(1, 3, 1, 1)
    grey = levels(to_unit((frames * weights).sum(1))).byte().cpu().numpy()
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flows = [torch.from_numpy(dis.calc(one, other, None).copy())
             for one, other in zip(grey[:-1], grey[1:], strict=True)]
    return torch.stack(flows).permute(0, 3, 1, 2)


def warping_error(frames: Tensor, flow: Tensor | None = None) -> float:
    """Mean |frame i - frame i+1 brought back| over pixels and time, in the pictures' units."""
    frames = frames.float().cpu()
    flow = dis_flow(frames) if flow is None else flow
    return float((frames[:-1] - warp(frames[1:], flow)).abs().mean())
