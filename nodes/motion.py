"""Motion: what CLIP read of a sentence -> motion codes -> trajectories."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import comfy.utils
import torch
from comfy_api.latest import io
from torch import Tensor

from ..lgfa.config import EASINGS, MOST_SEED
from ..lgfa.embed.sentences import sentences
from ..lgfa.errors import LGFAError
from ..lgfa.trajectory.timing import MAX_FRAMES, check_motion
from . import sockets
from .checks import Node
from .language import TEMPLATE, tell
from .memory import Network, compute, ready, require, stop_if_interrupted

CATEGORY = "LGFA/motion"
TIMELINE = """# expression | frames | rest | timing
smiling | 12 | hold 4 | ease-in-out
(still) | 8 | ease-in-out
winking | 12 | ease-out"""


# ---------------------------------------------------------------- inputs that nodes share
def _motion() -> io.Input:
    return sockets.Motion.Input("motion", tooltip="The motion model.")


def _text() -> io.Input:
    return sockets.TextCode.Input(
        "text", tooltip="The expressions, from Encode Text with the motion model's own CLIP.")


def _latent() -> io.Input:
    return sockets.Latent.Input(
        "latent", tooltip="The still that moves: frame 1. A batch gives a clip for each.")


def _look(what: str) -> io.Input:
    return sockets.ImageCode.Input(
        "image_code", optional=True,
        tooltip=f"What CLIP sees in the still, from Encode Image: {what}. Models that were "
                "trained on latents alone, such as the bundled one, leave it out of account.")


def _frames() -> io.Input:
    return io.Int.Input("frames", default=16, min=1, max=MAX_FRAMES, step=1,
                        tooltip="Frames of the whole clip; frame 1 is the still.")


def _seed() -> io.Input:
    return io.Int.Input(
        "seed", default=0, min=0, max=MOST_SEED, control_after_generate=True,
        tooltip="Another seed, another performance of the same expression; the same seed, the "
                "same frames. Clip k of a batch has seed + k - 1.")


def strength_input() -> io.Input:
    return io.Float.Input(
        "strength", default=1.0, min=-10.0, max=10.0, step=0.05,
        tooltip="How far the face moves: 0 = the still throughout, 1 = as trained, above 1 = "
                "exaggerated, below 0 = the opposite way.")


def easing_input() -> io.Input:
    return io.Combo.Input(
        "easing", options=list(EASINGS),
        tooltip="Timing along the path: none = as the motion model gives it, linear = constant "
                "speed, ease-in = slow at first, ease-out = slow at the end, overshoot and "
                "anticipate = beyond the end or the beginning.")


def hold_input() -> io.Input:
    return io.Int.Input("hold", default=0, min=0, max=MAX_FRAMES, step=1,
                        tooltip="Frames for which each expression rests; they are among the "
                                "frames of the clip.")


def _trajectory(tooltip: str) -> io.Output:
    return sockets.Trajectory.Output("trajectory", "trajectory", tooltip)


# ---------------------------------------------------------------- checks and rows
def check_clips(motion: Network, *read: Network | sockets.Words | sockets.Look | None) -> None:
    """Refuses another CLIP than the motion model's own, or two different ones, naming both."""
    given = [(one.name if isinstance(one, Network) else one.clip, _did(one))
             for one in read if one is not None]
    for name, did in given:
        if motion.clip is not None and name != motion.clip:
            raise LGFAError(f"the {did} {name!r}, but the motion model {motion.name!r} understands "
                            f"{motion.clip!r} only: connect the CLIP of the node that loads the "
                            f"motion model.")
    if len({name for name, _ in given}) > 1:
        (one, did), (other, too) = given
        raise LGFAError(f"the {did} {one!r}, and the {too} {other!r}: connect one CLIP to both.")
    for one in read:
        length = None if one is None or isinstance(one, Network) else one.z.shape[1]
        if length not in (None, motion.config.embed_dim):
            raise LGFAError(f"the {_did(one)} a CLIP of {length} numbers, but the motion model "
                            f"{motion.name!r} reads {motion.config.embed_dim}: its CLIP is another "
                            f"one.")


def _did(read: Network | sockets.Words | sockets.Look) -> str:
    if isinstance(read, Network):
        return "CLIP is"
    return "text was read by" if isinstance(read, sockets.Words) else "image was seen by"


def check_path_room(clips: int, frames: int, config: Any) -> None:
    """Refuses trajectories that do not fit into memory; `config` has num_layers and w_dim."""
    from ..lgfa.devices import path_bytes

    require(path_bytes(clips, frames, config.num_layers, config.w_dim),
            f"trajectories of {clips} x {frames} frames", "ask for fewer frames or fewer clips")


def _moving(model: Any, progress: comfy.utils.ProgressBar) -> Callable[..., Tensor]:
    """The motion of one expression, with a look at the cancel button before it."""
    def moving(w_s: Tensor, embedded: tuple, frames: int, seed: int) -> Tensor:
        stop_if_interrupted()
        z_v, z_t = embedded
        path = model.path(w_s, z_t, z_v, frames, seed=seed)
        progress.update(1)
        return path

    return moving


def _content(model: Any, latent: sockets.Still, look: sockets.Look | None, index: int) -> tuple:
    """Content code w_s [1, L, w_dim] and z_v [1, d] or None of still `index`; H_v belongs to
    pictures only (paper III-D)."""
    from ..lgfa.nn.batch import row

    z_v = None if look is None else row(compute(look.z), index)
    w = row(compute(latent.w), index).float()
    return model.content(w, z_v=z_v if latent.is_image else None), z_v


def _chained(paths: list[Tensor], texts: Sequence[str]) -> sockets.Path:
    """Clips [T, L, w_dim] that have all gone through the same sentences."""
    return sockets.Path(torch.stack(paths), (", then ".join(texts),) * len(paths))


# ---------------------------------------------------------------- nodes
class RecurrentMotion(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_RecurrentMotion",
            display_name="Recurrent Motion (LGFA)",
            category=CATEGORY,
            description="Unfolds an expression in time: the recurrent network of the motion model "
                        "makes a motion code for each frame. Each prompt is a clip of its own.",
            inputs=[_motion(), _text(), _look("the motion can depend on the face"), _frames(),
                    _seed()],
            outputs=[sockets.MotionCode.Output(
                "motion_code", "motion code", "A code for each frame of each clip.")],
        )

    @classmethod
    def execute(cls, motion: Network, text: sockets.Words, frames: int, seed: int,
                image_code: sockets.Look | None = None) -> io.NodeOutput:
        from ..lgfa.nn.batch import row, same_count
        from ..lgfa.trajectory.chain import seed_of

        check_motion(frames, seed)
        check_clips(motion, text, image_code)
        z_v, z_t = None if image_code is None else compute(image_code.z), compute(text.z)
        clips = same_count(sentences=z_t, image_codes=z_v)
        check_path_room(clips, frames, motion.config)
        model, = ready(motion)
        tell(motion, model, text)
        progress, codes = comfy.utils.ProgressBar(clips), []
        for k in range(clips):              # apart from each other: a clip's bits are its own
            stop_if_interrupted()
            look = None if z_v is None else row(z_v, k)
            codes.append(model.motion_codes(row(z_t, k), look, frames, seed=seed_of(seed, k)))
            progress.update(1)
        texts = text.texts if len(text.texts) == clips else text.texts * clips
        return io.NodeOutput(sockets.Codes(torch.cat(codes), texts))


class MotionMapper(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_MotionMapper",
            display_name="Motion Mapper (LGFA)",
            category=CATEGORY,
            description="Turns motion codes into the latents of the frames: the still plus what "
                        "the text-aware mapper of the motion model makes of each code.",
            inputs=[
                _motion(),
                sockets.MotionCode.Input("motion_code", tooltip="Codes of the same motion model, "
                                                                "from Recurrent Motion."),
                _latent(),
                _look("with an inverted image it adds what the visual mapper keeps of it")],
            outputs=[_trajectory("The latents of the frames; frame 1 is the still.")],
        )

    @classmethod
    def execute(cls, motion: Network, motion_code: sockets.Codes, latent: sockets.Still,
                image_code: sockets.Look | None = None) -> io.NodeOutput:
        from ..lgfa.nn.batch import row, same_count

        check_clips(motion, image_code)
        codes = compute(motion_code.z)
        clips = same_count(motion_codes=codes, stills=latent.w,
                           image_codes=None if image_code is None else image_code.z)
        check_path_room(clips, codes.shape[1], motion.config)
        model, = ready(motion)
        progress, paths = comfy.utils.ProgressBar(clips), []
        for k in range(clips):
            stop_if_interrupted()
            w_s, _ = _content(model, latent, image_code, k)
            paths.append(model.frame_codes(w_s, row(codes, k)).float())
            progress.update(1)
        texts = motion_code.texts
        return io.NodeOutput(sockets.Path(torch.cat(paths),
                                          texts if len(texts) == clips else texts * clips))


class ChainExpressions(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_ChainExpressions",
            display_name="Chain Expressions (LGFA)",
            category=CATEGORY,
            description="One expression after another in one clip: each begins with the last "
                        "latent of the one before, and all get the same share of the frames. "
                        "What came before fades while the next expression comes.",
            inputs=[_motion(), _text(), _latent(),
                    _look("the motion can depend on the face"),
                    _frames(), strength_input(), hold_input(), _seed(), easing_input()],
            outputs=[_trajectory("The latents of the frames, a clip for each still.")],
        )

    @classmethod
    def execute(cls, motion: Network, text: sockets.Words, latent: sockets.Still, frames: int,
                strength: float, hold: int, seed: int, easing: str,
                image_code: sockets.Look | None = None) -> io.NodeOutput:
        from ..lgfa.nn.batch import row, same_count
        from ..lgfa.trajectory.chain import perform, seed_of

        z_t = compute(text.z)
        check_motion(frames, seed, strength, easing, hold, parts=len(z_t))
        check_clips(motion, text, image_code)
        clips = same_count(stills=latent.w,
                           image_codes=None if image_code is None else image_code.z)
        check_path_room(clips, frames, motion.config)
        model, = ready(motion)
        tell(motion, model, text)
        move = _moving(model, comfy.utils.ProgressBar(clips * len(z_t)))
        paths = []
        for k in range(clips):
            w_s, z_v = _content(model, latent, image_code, k)
            embedded = [(z_v, row(z_t, part)) for part in range(len(z_t))]
            paths.append(perform(move, w_s, embedded, frames, seed_of(seed, k), strength, easing,
                                 hold))
        return io.NodeOutput(_chained(paths, text.texts))


class Timeline(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_Timeline",
            display_name="Timeline (LGFA)",
            category=CATEGORY,
            description="A clip written down: a line for each expression, with its frames, its "
                        "rest, its timing and its strength. The clip has as many frames as the "
                        "lines together; frame 1, the still, is the first one of the first line.",
            inputs=[
                _motion(),
                sockets.Clip.Input("clip", tooltip="The CLIP that belongs to the motion model."),
                _latent(),
                _look("the motion can depend on the face"),
                io.String.Input(
                    "timeline", multiline=True, default=TIMELINE,
                    tooltip="A line for each expression: text | frames | hold N | easing | "
                            "strength X. What follows the text may be left out (16 frames, no "
                            "rest, easing none, strength 1) and stands in any order; the rest is "
                            "among the frames. (still) goes back to the still. # begins a "
                            f"comment. Easings: {', '.join(EASINGS)}."),
                io.String.Input(
                    "template", default=TEMPLATE,
                    tooltip="The sentence in which {} is replaced by each line's text; it should "
                            "be the one of the motion model's training."),
                _seed()],
            outputs=[_trajectory("The latents of the frames, a clip for each still.")],
        )

    @classmethod
    def validate_inputs(cls, timeline: str | None = None) -> bool | str:
        """The timeline alone: ComfyUI repeats what is said here for every argument."""
        from ..lgfa.trajectory.timeline import parse

        try:                                # None comes over a link and is not known yet
            return timeline is None or bool(parse(timeline))
        except LGFAError as error:
            return str(error)

    @classmethod
    def execute(cls, motion: Network, clip: Network, latent: sockets.Still, timeline: str,
                template: str, seed: int, image_code: sockets.Look | None = None) -> io.NodeOutput:
        from ..lgfa.nn.batch import same_count
        from ..lgfa.trajectory.chain import perform_cues, seed_of
        from ..lgfa.trajectory.timeline import parse, total_frames

        cues = parse(timeline)
        check_motion(total_frames(cues), seed)
        check_clips(motion, clip, image_code)
        clips = same_count(stills=latent.w,
                           image_codes=None if image_code is None else image_code.z)
        check_path_room(clips, total_frames(cues), motion.config)
        texts, codes = cls._read(clip, cues, template)
        model, = ready(motion)
        read = [(text, z) for text, z in zip(texts, codes, strict=True) if z is not None]
        if read:
            z_t, said = torch.cat([z for _, z in read]), tuple(text for text, _ in read)
            tell(motion, model, sockets.Words(z_t, said, clip.name))
        move = _moving(model, comfy.utils.ProgressBar(clips * len(read)))
        paths = []
        for k in range(clips):
            w_s, z_v = _content(model, latent, image_code, k)
            embedded = [None if z is None else (z_v, z) for z in codes]
            paths.append(perform_cues(move, w_s, cues, embedded, seed_of(seed, k)))
        return io.NodeOutput(_chained(paths, texts))

    @staticmethod
    def _read(clip: Network, cues: tuple, template: str) -> tuple[list, list]:
        """The sentence of each cue and its z_t [1, d]; None for one that leads to the still."""
        texts = [cue.text if cue.back else sentences(cue.text, template)[0] for cue in cues]
        model, = ready(clip)
        codes = []
        for cue, text in zip(cues, texts, strict=True):
            stop_if_interrupted()
            codes.append(None if cue.back else model.encode_text([text]))
        return texts, codes


NODES: list[Any] = [RecurrentMotion, MotionMapper, ChainExpressions, Timeline]
