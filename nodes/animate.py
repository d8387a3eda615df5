"""One node: a picture or a seed and a sentence -> an animation."""
from __future__ import annotations

from typing import Any

from comfy_api.latest import io
from comfy_execution.graph_utils import GraphBuilder

from ..lgfa.config import MOST_SEED
from ..lgfa.registry import DOMAINS
from ..lgfa.trajectory.timing import check_motion
from . import folders
from .checks import Node
from .language import check_text
from .motion import easing_input, strength_input
from .render import fps_input, frame_outputs

CATEGORY = "LGFA/animate"
DOMAIN = "toon"                                         # whose generator and encoder are taken
MOST_FRAMES = 10_000


class AnimateFace(Node):
    """Expands into the stage nodes, so that ComfyUI's cache works inside: another strength needs
    neither CLIP nor e4e again."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_AnimateFace",
            display_name="Animate Face (LGFA)",
            category=CATEGORY,
            description="A toon face and an expression become a short clip. Connect an image of a "
                        "face, or leave it out: then a face is made up from the face seed. Other "
                        "generators, timelines and photographs need the single nodes.",
            inputs=[
                # As a link, not as a tensor: the cache of the stages knows links only.
                io.Image.Input("image", optional=True, extra_dict={"rawLink": True},
                               tooltip="A toon face, upright, filling the picture; several give a "
                                       "clip each. Without it a face is made up."),
                io.String.Input(
                    "text", multiline=True, default="smiling",
                    tooltip="The expression, such as smiling, angry, crying, surprised, winking "
                            "or sad. Several lines follow each other in one clip."),
                io.Int.Input("frames", default=16, min=1, max=MOST_FRAMES, step=1,
                             tooltip="Frames of the clip; frame 1 is the still."),
                strength_input(), fps_input(),
                io.Float.Input("truncation", default=0.7, min=0.0, max=1.5, step=0.05,
                               tooltip="Of a made-up face: lower = nearer to the average face. "
                                       "The bundled toon faces leave it out of account."),
                io.Int.Input("face_seed", default=7, min=0, max=MOST_SEED, step=1,
                             tooltip="Of a made-up face: another seed, another person."),
                io.Int.Input("seed", default=0, min=0, max=MOST_SEED, control_after_generate=True,
                             tooltip="Of the motion: another seed, another performance of the "
                                     "same expression."),
                easing_input(),
                io.Combo.Input("motion_model", options=folders.choices("motion"),
                               tooltip="The motion model: the bundled one, or one that was "
                                       "trained for the toon generator."),
            ],
            outputs=frame_outputs(),
            enable_expand=True,
        )

    @classmethod
    def validate_inputs(cls, text: str | None = None,
                        motion_model: str | None = None) -> bool | str:
        said = check_text(text, None)
        return said if said is not True else folders.check(motion_model, "motion")

    @classmethod
    def fingerprint_inputs(cls, motion_model: str | None = None, **others: Any) -> str:
        """Of the file: the stages look at it again, but only if this node runs."""
        return folders.model_fingerprint(motion_model, "motion")

    @classmethod
    def execute(cls, text: str, frames: int, strength: float, fps: float, truncation: float,
                face_seed: int, seed: int, easing: str, motion_model: str,
                image: Any = None) -> io.NodeOutput:
        check_motion(frames, seed, strength, easing)
        graph, chosen = GraphBuilder(), DOMAIN + folders.BUNDLED
        generator = graph.node("LGFA_LoadGenerator", model=chosen).out(0)
        moving = graph.node("LGFA_LoadMotionModel", model=motion_model)
        motion, clip = moving.out(0), moving.out(1)

        if image is None:
            still = graph.node("LGFA_SampleFace", generator=generator, truncation=truncation,
                               batch_size=1, seed=face_seed)
        else:
            encoder = graph.node("LGFA_LoadFaceEncoder", model=chosen).out(0)
            still = graph.node("LGFA_InvertFace", encoder=encoder, generator=generator,
                               image=image)
        look = graph.node("LGFA_EncodeImage", clip=clip,
                          image=still.out(1) if image is None else image)
        words = graph.node("LGFA_EncodeText", clip=clip, text=text,
                           template=DOMAINS[DOMAIN].template)
        path = graph.node("LGFA_ChainExpressions", motion=motion, text=words.out(0),
                          latent=still.out(0), image_code=look.out(0), frames=frames,
                          strength=strength, hold=0, seed=seed, easing=easing)
        drawn = graph.node("LGFA_RenderAnimation", generator=generator, trajectory=path.out(0),
                           fps=fps, chunk=8, layout="one after another", noise="const",
                           precision="full")
        return io.NodeOutput(drawn.out(0), drawn.out(1), expand=graph.finalize())


NODES: list[Any] = [AnimateFace]
