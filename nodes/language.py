"""Language and looks: what CLIP makes of sentences and of stills."""
from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..lgfa.embed.sentences import sentences
from ..lgfa.errors import LGFAError
from . import notices, sockets
from .checks import Node
from .memory import Network, compute, ready, stop_if_interrupted

CATEGORY = "LGFA/language"
CHUNK = 16                                  # images that CLIP sees at once
TEMPLATE = "The person is {}"


def check_text(text: str | None, template: str | None) -> bool | str:
    """For validate_inputs: True, or what is wrong; None comes over a link and is not known yet."""
    try:
        sentences("smiling" if text is None else text, "{}" if template is None else template)
    except LGFAError as error:
        return str(error)
    return True


def tell(motion: Network, model: Any, text: sockets.Words) -> None:
    """Shows on the node that runs what a motion model, `model`, takes sentences for. Encode Text
    has warned of them where the CLIP is the model's own."""
    found = model.understand(text.texts, z_t=compute(text.z)) or ()
    notices.understood(found, told=bool(text.understood) and text.clip == motion.clip)


class EncodeText(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_EncodeText",
            display_name="Encode Text (LGFA)",
            category=CATEGORY,
            description="Reads expressions as the motion model understands them. Each line is a "
                        "prompt of its own.",
            inputs=[
                sockets.Clip.Input("clip", tooltip="The CLIP that belongs to the motion model."),
                io.String.Input(
                    "text", multiline=True, default="smiling",
                    tooltip="One expression a line, such as smiling, crying or winking; several "
                            "lines are several prompts. Empty lines do not count."),
                io.String.Input(
                    "template", default=TEMPLATE,
                    tooltip="The sentence in which {} is replaced by each line. It should be the "
                            "one of the motion model's training; use {} alone where the lines are "
                            "sentences already."),
            ],
            outputs=[
                sockets.TextCode.Output(
                    "text_code", "text", "The sentences and their embeddings."),
                io.String.Output(
                    "understood", "understood", "What the motion model takes each line for, such "
                    "as known: smiling 0.93; or unsure, or unknown. Empty where the CLIP did not "
                    "come with a motion model that keeps its words."),
            ],
        )

    @classmethod
    def validate_inputs(cls, text: str | None, template: str | None) -> bool | str:
        return check_text(text, template)

    @classmethod
    def execute(cls, clip: Network, text: str, template: str) -> io.NodeOutput:
        texts = sentences(text, template)
        model, = ready(clip)
        # One by one: a line's code does not depend on the others.
        z = torch.cat([model.encode_text([one]) for one in texts])
        understood = () if clip.words is None else tuple(clip.words.understand(texts, z))
        notices.understood(understood)
        said = "\n".join(f"{one.verdict}: {one.nearest[0][0]} {one.nearest[0][1]:.2f}"
                         for one in understood)
        return io.NodeOutput(sockets.Words(z, texts, clip.name, understood), said)


class EncodeImage(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_EncodeImage",
            display_name="Encode Image (LGFA)",
            category=CATEGORY,
            description="Shows a still to CLIP, so that the motion can depend on the face. Motion "
                        "models that were trained on latents alone do not look at it.",
            inputs=[
                sockets.Clip.Input("clip", tooltip="The CLIP that belongs to the motion model."),
                io.Image.Input("image", tooltip="The still, or several; the centre square of each "
                                                "is looked at."),
            ],
            outputs=[sockets.ImageCode.Output(
                "image_code", "image code", "What CLIP sees in the stills.")],
        )

    @classmethod
    def execute(cls, clip: Network, image: torch.Tensor) -> io.NodeOutput:
        from ..lgfa.media.images import read_batch

        model, = ready(clip)
        seen = []
        for part in read_batch(image).split(CHUNK):
            stop_if_interrupted()
            seen.append(model.encode_image(compute(part)))
        return io.NodeOutput(sockets.Look(torch.cat(seen), clip.name))


NODES: list[Any] = [EncodeText, EncodeImage]
