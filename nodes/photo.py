"""Photographs: cut the face out as the generator knows faces, and put the frames back."""
from __future__ import annotations

from typing import Any

import comfy.utils
import folder_paths
import torch
from comfy_api.latest import io
from torch import Tensor

from ..lgfa.config import FRAMINGS, ORDERS, REGIONS
from ..lgfa.errors import LGFAError, reading
from . import folders, sockets
from .checks import Node
from .memory import hand_out, preview, stop_if_interrupted

CATEGORY = "LGFA/photo"
NONE, YUNET, FETCH = "none", "YuNet", "YuNet (download 0.3 MB if missing)"
DETECTORS = (NONE, YUNET, FETCH)
LARGEST = 16 << 30                          # bytes of finished pictures that are still meant
SHOWN_EACH = 4                              # pictures, of which one is shown while it works

# What ComfyUI's own nodes call faces that they found; later versions have the first two.
Detections = [io.Custom("FACE_LANDMARKS"), io.Custom("BOUNDING_BOX"), io.BBOX]


def detector(choice: str) -> Any:
    """The detector behind a choice, or None; LGFAError when it cannot be had."""
    from ..lgfa.formats import download, public
    from ..lgfa.photo import faces

    if choice == NONE:
        return None
    faces.opencv()
    places = folder_paths.get_folder_paths(folders.KEY)
    model = public.find_yunet(places)
    if model is None and choice == FETCH:
        model = download.fetch_yunet(places[0])
    if model is None:
        raise LGFAError(f"YuNet's model is not in {places[0]}: choose {FETCH!r} once; or "
                        f"{faces.FOUR_WAYS}.")
    return faces.YuNet(model)


class AlignFace(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_AlignFace",
            display_name="Align Face (LGFA)",
            category=CATEGORY,
            description="Cuts one face out of a photograph, upright and framed as the pictures "
                        "that the generator was trained on. Where the face is, one of four tells: "
                        "points typed by hand, landmarks or boxes of ComfyUI's own face "
                        "detection, a mask, or YuNet where some OpenCV is installed.",
            inputs=[
                io.Image.Input("image", tooltip="The photograph, or several."),
                io.Mask.Input("mask", optional=True, tooltip=(
                    "A mask over the face from forehead to chin, such as one painted in Load "
                    "Image; one blot for each face. An empty mask says nothing.")),
                io.MultiType.Input("detections", Detections, optional=True, tooltip=(
                    "Face landmarks or boxes that another node found, such as ComfyUI's own face "
                    "detection; boxes have x, y, width, height in pixels.")),
                io.Int.Input("size", default=256, min=64, max=2048, step=8, tooltip=(
                    "Pixels a side of the crop. Larger than the generator's pictures keeps more "
                    "detail for pasting back.")),
                io.Int.Input("face_index", default=0, min=0, max=999, step=1, tooltip=(
                    "Which of several faces, counted from 0 in the order below; of points typed "
                    "by hand, which line.")),
                io.String.Input("points", default="", multiline=True, tooltip=(
                    "Five points by hand, in pixels of the photograph: left eye, right eye, tip "
                    "of the nose, left and right corner of the mouth as seen in the picture, "
                    'like "170,285 242,279 208,307 180,332 241,326", a line for each face. Empty '
                    "= find the face.")),
                io.Combo.Input("order", options=list(ORDERS),
                               default="left to right",
                               tooltip="How faces that were found are counted."),
                io.Combo.Input("framing", options=list(FRAMINGS), tooltip=(
                    "How the generator's training pictures frame a face: toon = the bundled "
                    "domain, FFHQ = photographs.")),
                io.Combo.Input("detector", options=list(DETECTORS), default=YUNET, tooltip=(
                    "Finds human faces when nothing else tells where they are. YuNet needs some "
                    "OpenCV and its model file in models/lgfa, which the last choice downloads "
                    "once. It does not know toons.")),
            ],
            outputs=[
                io.Image.Output("aligned", "aligned", "The face, cut out and upright."),
                sockets.Alignment.Output("alignment", "alignment",
                                         "Where it was, for Paste Face Back."),
                io.String.Output("points_found", "points", "The five points that were used, as "
                                 "they can be typed."),
                io.Image.Output("preview", "preview", "The photograph with the crop and the "
                                "points of all faces drawn on it."),
            ],
        )

    @classmethod
    def validate_inputs(cls, points: str | None = None) -> bool | str:
        from ..lgfa.photo import faces

        try:
            return not (points or "").strip() or len(faces.parse_points(points)) > 0
        except LGFAError as error:
            return str(error)

    @classmethod
    def execute(
        cls, image: Tensor, size: int, face_index: int, points: str, order: str, framing: str,
        detector: str, mask: Tensor | None = None, detections: Any = None,
    ) -> io.NodeOutput:
        from ..lgfa.photo import align, faces
        from ..lgfa.photo.preview import sketch

        if detections is not None and not points.strip():
            with reading(f"{cls.define_schema().display_name}: detections"):
                for number in range(len(image)):
                    faces.from_detections(detections, framing, number)
        finder = _Finder(detector)
        masks = [None] if mask is None else mask
        found = [faces.find(one, framing, points, detections, masks[min(i, len(masks) - 1)],
                            finder, order, i) for i, one in enumerate(image)]
        chosen = [faces.pick(one, face_index) for one in found]
        crops, where = align.align(image, chosen, size, framing)
        preview = torch.stack([sketch(one, found[i], face_index, where, i)
                               for i, one in enumerate(image)])
        return io.NodeOutput(hand_out(crops), where, align.points_text(where.points),
                             hand_out(preview))


class _Finder:
    """A detector that is made when it is first needed, so that a missing one hurts nobody."""

    def __init__(self, choice: str) -> None:
        self.choice, self.made, self.found = choice, False, None

    def __call__(self, image: Tensor) -> Any:
        from ..lgfa.photo import faces

        if not self.made:
            self.found, self.made = detector(self.choice), True
        if self.found is None:
            raise LGFAError(f"nothing tells where the face is: {faces.FOUR_WAYS}.")
        return self.found(image)


class PasteFaceBack(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_PasteFaceBack",
            display_name="Paste Face Back (LGFA)",
            category=CATEGORY,
            description="Puts animated frames of an aligned face back into the photograph: turned "
                        "back, in the photograph's colours, under a soft mask. For several faces "
                        "of one photograph, connect the pictures of one such node as the photo of "
                        "the next.",
            inputs=[
                io.Image.Input("photo", tooltip=(
                    "The photograph that was aligned, or as many pictures as there are frames.")),
                io.Image.Input("frames", tooltip="The animated face, from Render Animation."),
                sockets.Alignment.Input("alignment", tooltip="Where the face was: from Align "
                                                             "Face."),
                io.Image.Input("reconstruction", optional=True, tooltip=(
                    "What Invert Face made of the aligned face. With it only what moved is taken "
                    "from the frames, and the photograph keeps its own pixels elsewhere.")),
                io.Float.Input("feather", default=0.08, min=0.0, max=0.5, step=0.01, tooltip=(
                    "Width of the mask's soft edge, as a share of the crop's side.")),
                io.Float.Input("colour_match", default=1.0, min=0.0, max=1.0, step=0.05, tooltip=(
                    "How far mean and contrast of the face's colours follow the photograph.")),
                io.Float.Input("detail", default=1.0, min=0.0, max=1.0, step=0.05, tooltip=(
                    "How much of the photograph's own detail is kept where the face does not "
                    "change; needs the reconstruction.")),
                io.Combo.Input("region", options=list(REGIONS), tooltip=(
                    "What is taken from the frames: the face alone, or all that was cut out, hair "
                    "and backdrop too.")),
            ],
            outputs=[
                io.Image.Output("images", "images", "The photograph with the animated face, one "
                                "picture for each frame."),
                io.Mask.Output("mask", "mask", "Where the frames were laid over the photograph."),
            ],
        )

    @classmethod
    def execute(
        cls, photo: Tensor, frames: Tensor, alignment: Any, feather: float, colour_match: float,
        detail: float, region: str, reconstruction: Tensor | None = None,
    ) -> io.NodeOutput:
        from ..lgfa.photo import paste

        size = paste.frames_bytes(photo, frames)
        if size > LARGEST:
            raise LGFAError(f"{len(frames)} pictures of {photo.shape[2]} x {photo.shape[1]} px "
                            f"would take {size / 2**30:.0f} GiB: make the photo smaller, or "
                            f"render fewer frames.")
        style = paste.Style(feather, region, colour_match, detail)
        where = alignment.resized(*photo.shape[1:3])
        progress = comfy.utils.ProgressBar(len(frames))
        out = torch.empty(len(frames), *photo.shape[1:3], 3)
        finished = paste.paste(photo, frames.to(photo), where, style, reconstruction)
        for number, picture in enumerate(finished):
            stop_if_interrupted()
            out[number] = picture[0].to(out)
            shown = preview(picture[0]) if number % SHOWN_EACH == 0 else None
            progress.update_absolute(number + 1, len(frames), shown)
        masks = torch.stack([paste.mask(where, i, style) for i in range(len(where))])
        return io.NodeOutput(hand_out(out), hand_out(masks))


NODES: list[Any] = [AlignFace, PasteFaceBack]
