"""Render: trajectories -> pictures, as IMAGE and as VIDEO."""
from __future__ import annotations

from fractions import Fraction
from typing import Any

import comfy.model_management as management
import comfy.utils
import torch
from comfy_api.latest import InputImpl, Types, io
from torch import Tensor

from ..lgfa.config import LAYOUTS, NOISES
from . import sockets
from .checks import Node
from .memory import PRECISIONS, Network, arithmetic, preview, ready, stop_if_interrupted

CATEGORY = "LGFA/render"
MOST_FPS = 240.0


def fps_input() -> io.Input:
    return io.Float.Input("fps", default=10.0, min=0.1, max=MOST_FPS, step=0.1,
                          tooltip="Frames a second of the video. The images do not depend on it.")


def frame_outputs() -> list[io.Output]:
    return [
        io.Image.Output("images", "images", "All frames as a batch of images."),
        io.Video.Output("video", "video", "The frames as a video without sound, for Save Video."),
    ]


class RenderAnimation(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_RenderAnimation",
            display_name="Render Animation (LGFA)",
            category=CATEGORY,
            description="Draws the frames of a trajectory, some at a time, and shows them while "
                        "it works. Cancel ends it within a chunk.",
            inputs=[
                sockets.Generator.Input("generator", tooltip="The StyleGAN2 whose latents these "
                                                             "are."),
                sockets.Trajectory.Input("trajectory", tooltip="The latents of the frames, of one "
                                                               "or several clips."),
                fps_input(),
                io.Int.Input("chunk", default=8, min=1, max=64, step=1,
                             tooltip="Frames drawn at once. More is faster on a large GPU; it is "
                                     "halved by itself when memory runs out."),
                io.Combo.Input("layout", options=list(LAYOUTS),
                               tooltip="Several clips: one after another in time, or side by side "
                                       "in one picture."),
                io.Combo.Input("noise", options=list(NOISES),
                               tooltip="Fine texture of the StyleGAN2: const = as stored with it, "
                                       "random = drawn once for all frames, none = smooth."),
                io.Combo.Input("precision", options=list(PRECISIONS),
                               tooltip="full = float32. half = faster and with half the memory "
                                       "where ComfyUI says that the device can, else as full; "
                                       "colours may differ a little."),
            ],
            outputs=frame_outputs(),
        )

    @classmethod
    def execute(cls, generator: Network, trajectory: sockets.Path, fps: float, chunk: int,
                layout: str, noise: str, precision: str) -> io.NodeOutput:
        from ..lgfa.frames import arrange

        config, (clips, frames) = generator.config, trajectory.w.shape[:2]
        device = management.intermediate_device()
        out = arrange.blank(arrange.film_shape(clips, frames, config.resolution, layout),
                         management.get_free_memory(device), device)

        network, = ready(generator, memory=arrange.working_bytes(config, chunk))
        progress = comfy.utils.ProgressBar(clips * frames)
        stop_if_interrupted()
        dtype = arithmetic(precision, generator.device, (torch.float16, torch.bfloat16))
        for done, picture in arrange.film(network, trajectory.w, out, layout, chunk, noise, dtype):
            progress.update_absolute(done, clips * frames, preview(picture))
            stop_if_interrupted()
        return io.NodeOutput(out, _video(out, fps))


def _video(images: Tensor, fps: float) -> Any:
    """A VIDEO of the same frames, not copied; the rate in thousandths, as containers have it."""
    rate = max(Fraction(round(fps * 1000), 1000), Fraction(1, 1000))
    return InputImpl.VideoFromComponents(Types.VideoComponents(images=images, frame_rate=rate))


NODES: list[Any] = [RenderAnimation]
