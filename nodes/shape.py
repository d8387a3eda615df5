"""Shape: what can be done to trajectories before they are rendered."""
from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..lgfa.trajectory import wplus
from ..lgfa.trajectory.timing import MAX_FRAMES, retime
from . import sockets
from .checks import Node
from .memory import compute
from .motion import check_path_room, easing_input, hold_input, strength_input

CATEGORY = "LGFA/motion"
WAYS_BACK = ("none", "loop", "ping-pong", "reverse")


def _path(id: str, tooltip: str) -> io.Input:
    return sockets.Trajectory.Input(id, tooltip=tooltip)


def _out(tooltip: str) -> list[io.Output]:
    return [sockets.Trajectory.Output("shaped", "trajectory", tooltip)]


def _room(*paths: sockets.Path, frames: int) -> int:
    """How many clips come of these trajectories, if there is memory for so many frames."""
    from ..lgfa.nn.batch import same_count

    clips = max(len(one.w) for one in paths)
    for one in paths:
        same_count(trajectories=one.w, clips=range(clips))
        check_path_room(clips, frames, _Sizes(one))
    return clips


class _Sizes:
    """num_layers and w_dim of a trajectory, as a network's settings have them."""

    def __init__(self, path: sockets.Path) -> None:
        self.num_layers, self.w_dim = path.w.shape[2:]


def _pair(a: sockets.Path, b: sockets.Path, sign: str, frames: int) -> tuple:
    """Both trajectories with the same number of clips, and what their sentences become."""
    clips = _room(a, b, frames=frames)
    texts = [one.texts * clips if len(one.texts) == 1 else one.texts or ("",) * clips
             for one in (a, b)]
    joined = tuple(sign.join(filter(None, pair)) for pair in zip(*texts, strict=False))
    first, second = (compute(one.w).expand(clips, -1, -1, -1) for one in (a, b))
    return first, second, joined


class ShapeTrajectory(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_ShapeTrajectory",
            display_name="Shape Trajectory (LGFA)",
            category=CATEGORY,
            description="Another length, strength, timing or way back for a finished trajectory; "
                        "no network runs.",
            inputs=[
                _path("trajectory", "The trajectory; each clip of a batch is shaped alike."),
                io.Int.Input("frames", default=0, min=0, max=MAX_FRAMES, step=1,
                             tooltip="Frames of the result, rest and way back included; 0 = as "
                                     "many as it has."),
                strength_input(), hold_input(), easing_input(),
                io.Combo.Input(
                    "way_back", options=list(WAYS_BACK),
                    tooltip="none = ends at the expression, loop = softly back to the still, so "
                            "that the clip repeats without a seam, ping-pong = back by the same "
                            "frames, reverse = from the expression to the still."),
            ],
            outputs=_out("The shaped trajectory."),
        )

    @classmethod
    def execute(cls, trajectory: sockets.Path, frames: int, strength: float, hold: int,
                easing: str, way_back: str) -> io.NodeOutput:
        frames = frames or trajectory.w.shape[1]
        _room(trajectory, frames=frames)
        paths = torch.stack([
            retime(one, frames, strength, easing, hold, way_back == "loop",
                   way_back == "ping-pong") for one in compute(trajectory.w)])
        if way_back == "reverse":
            paths = wplus.reverse(paths)
        return io.NodeOutput(sockets.Path(paths, trajectory.texts))


class JoinTrajectories(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_JoinTrajectories",
            display_name="Join Trajectories (LGFA)",
            category=CATEGORY,
            description="One trajectory after another, with a crossfade of latents where they "
                        "meet: faces move there, they are not blended as pictures.",
            inputs=[
                _path("trajectory_a", "What comes first."),
                _path("trajectory_b", "What follows. A batch needs as many clips in both, or one "
                                      "in either."),
                io.Int.Input("overlap", default=4, min=0, max=MAX_FRAMES, step=1,
                             tooltip="Frames in which the end of the first moves into the "
                                     "beginning of the second; the result is shorter by them. "
                                     "0 = no crossfade; a frame that both share comes once."),
            ],
            outputs=_out("Both, one after the other."),
        )

    @classmethod
    def execute(cls, trajectory_a: sockets.Path, trajectory_b: sockets.Path,
                overlap: int) -> io.NodeOutput:
        frames = trajectory_a.w.shape[1] + trajectory_b.w.shape[1]
        a, b, texts = _pair(trajectory_a, trajectory_b, ", then ", frames)
        return io.NodeOutput(sockets.Path(wplus.join(a, b, overlap), texts))


class BlendTrajectories(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_BlendTrajectories",
            display_name="Blend Trajectories (LGFA)",
            category=CATEGORY,
            description="A trajectory between two: two expressions at once, or one performance "
                        "between two seeds. The shorter one is stretched to the longer one's "
                        "length.",
            inputs=[
                _path("trajectory_a", "The trajectory at amount 0."),
                _path("trajectory_b", "The trajectory at amount 1. A batch needs as many clips in "
                                      "both, or one in either."),
                io.Float.Input("amount", default=0.5, min=-1.0, max=2.0, step=0.01,
                               tooltip="0 = the first, 1 = the second; below 0 and above 1 go on "
                                       "the same way."),
            ],
            outputs=_out("The trajectory in between."),
        )

    @classmethod
    def execute(cls, trajectory_a: sockets.Path, trajectory_b: sockets.Path,
                amount: float) -> io.NodeOutput:
        frames = max(trajectory_a.w.shape[1], trajectory_b.w.shape[1])
        a, b, texts = _pair(trajectory_a, trajectory_b, " + ", frames)
        return io.NodeOutput(sockets.Path(wplus.blend(a, b, amount), texts))


NODES: list[Any] = [ShapeTrajectory, JoinTrajectories, BlendTrajectories]
