"""Training: new words for a motion model, in the graph."""
from __future__ import annotations

from typing import Any

from comfy_api.latest import io, ui
from torch import Tensor

from ..lgfa.config import CONT_FORMS, LATENT_UNITS, MOST_SEED
from ..lgfa.errors import LGFAError
from ..lgfa.training.losses import TERMS
from . import folders, sockets, train_losses, train_run, train_stills
from .checks import Node
from .memory import PRECISIONS, Network, hand_out

CATEGORY = "LGFA/train"
KINDS = ("samples", "images", "folder")
#: the weights that stored workflows know; those of later terms stand behind all other widgets,
#: where workflows have no value for them
FIRST = ("w_reg", "path_reg", "cont", "lpips", "identity")
WORDS = """red-haired | with red hair
blue-haired | with blue hair
green-haired | with green hair
wearing glasses | with round glasses
at night | under a night sky
in sunny weather | on a sunny day"""


def _weights(*names: str, optional: bool = False) -> list[io.Input]:
    """Widgets for the weights of terms."""
    rows = {term.name: term for term in TERMS}
    return [io.Float.Input(name, default=rows[name].widget, min=0.0, max=1000.0, step=0.01,
                           optional=optional, tooltip=rows[name].tooltip) for name in names]


class TrainingSource(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_TrainingSource",
            display_name="Training Source (LGFA)",
            category=CATEGORY,
            description="Stills that a training animates: faces that the generator makes up, a "
                        "batch of images, or a folder of them. No labels are needed.",
            inputs=[
                sockets.Generator.Input("generator", tooltip="The StyleGAN2 of the training."),
                sockets.Encoder.Input("encoder", optional=True,
                                      tooltip="The e4e of that generator; samples need none."),
                io.Image.Input("images", optional=True,
                               tooltip="Aligned faces, for the kind images."),
                io.Float.Input("truncation", default=0.7, min=0.0, max=1.0, step=0.05,
                               tooltip="Of samples: lower = nearer to the average face. The "
                                       "bundled toon faces leave it out of account."),
                io.Combo.Input("folder", options=train_stills.input_folders(),
                               tooltip="For the kind folder: a folder inside ComfyUI's input "
                                       "folder, with all that lies below it. Each image is "
                                       "encoded once and its latent kept."),
                io.Combo.Input("kind", options=list(KINDS),
                               tooltip="samples = made up by the generator, images = the batch "
                                       "that is connected, folder = the folder that is chosen."),
            ],
            outputs=[sockets.Source.Output("source", "source", "The stills of a training.")],
        )

    @classmethod
    def validate_inputs(cls, kind: str | None, folder: str | None) -> bool | str:
        if kind is not None and kind not in KINDS:
            return f"there is no kind of source {kind!r}: use {', '.join(KINDS)}."
        if kind == "folder" and folder is not None:
            return train_stills.check_folder(folder)
        return True

    @classmethod
    def fingerprint_inputs(cls, kind: str | None = None, folder: str | None = None,
                           **others: Any) -> str:
        return train_stills.folder_fingerprint(folder) if kind == "folder" else str(kind)

    @classmethod
    def execute(cls, generator: Network, truncation: float, folder: str, kind: str,
                encoder: Network | None = None, images: Tensor | None = None) -> io.NodeOutput:
        source = None
        if kind != "samples" and encoder is None:
            raise LGFAError(f"the latents of {kind} come from a face encoder: connect one, or use "
                            f"the kind samples.")
        if kind == "images":
            if images is None:
                raise LGFAError("there are no images: connect some, or use another kind.")
            source = train_stills.encode_images(images, encoder, generator)
        elif kind == "folder":
            source = train_stills.encode_folder(folder, encoder, generator)
        return io.NodeOutput(train_stills.Stills(generator.name, truncation, source))


class LossWeights(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_LossWeights",
            display_name="Loss Weights (LGFA)",
            category=CATEGORY,
            description="What a training strives for. The defaults suit new words in the bundled "
                        "toon domain; the tooltips say the paper's values.",
            inputs=[
                *_weights("w_reg", "path_reg"),
                io.Int.Input("path_order", default=2, min=0, max=2, step=1,
                             tooltip="Of the path's difference: 2 (paper) leaves even motion free, "
                                     "1 charges all motion, 0 = no such term."),
                *_weights("cont"),
                io.Float.Input("tau", default=0.07, min=0.001, max=10.0, step=0.001,
                               tooltip="Temperature of the contrast: lower = sharper. Paper: "
                                       "0.07."),
                *_weights("lpips", "identity"),
                io.Combo.Input("cont_form", options=list(CONT_FORMS),
                               tooltip="contrastive (paper) tells the sentences of a batch apart; "
                                       "pairwise only pulls pairs together and tends to give "
                                       "every word the same face."),
                io.Combo.Input("latent_units", options=list(LATENT_UNITS), default="white",
                               tooltip="In which w_reg and path_reg measure: white = by how faces "
                                       "of the generator differ, std = by the spread of each "
                                       "number, raw = as they are (paper), auto = std or raw."),
                train_losses.network_input("perceptual", "The LPIPS trunk of the term lpips"),
                train_losses.network_input("identity_network",
                                           "The face recognition of the term identity"),
                *_weights(*(term.name for term in TERMS if term.name not in FIRST), optional=True),
            ],
            outputs=[sockets.Losses.Output("losses", "losses", "Weights, and the networks that "
                                                               "they need.")],
        )

    @classmethod
    def validate_inputs(cls, lpips: float | None, identity: float | None, perceptual: str | None,
                        identity_network: str | None) -> bool | str:
        try:
            train_losses.check({"lpips": lpips, "identity": identity},
                               {"perceptual": perceptual, "identity": identity_network})
        except LGFAError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, perceptual: str | None = None,
                           identity_network: str | None = None, **others: Any) -> str:
        return " ".join((folders.model_fingerprint(perceptual, "perceptual"),
                         folders.model_fingerprint(identity_network, "identity")))

    @classmethod
    def execute(cls, perceptual: str, identity_network: str, **settings: Any) -> io.NodeOutput:
        return io.NodeOutput(train_losses.chosen(
            settings, {"perceptual": perceptual, "identity": identity_network}))


class TrainMotionModel(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_TrainMotionModel",
            display_name="Train Motion Model (LGFA)",
            category=CATEGORY,
            description="Teaches a motion model words of your own. Shows losses and samples while "
                        "it works; cancel keeps the last step, and the same name goes on from it. "
                        "The result lies in output/lgfa and in the dropdown of Load Motion Model.",
            inputs=[
                sockets.Generator.Input("generator", tooltip="The StyleGAN2 that draws; it does "
                                                             "not learn."),
                sockets.Clip.Input("clip", tooltip="The CLIP that judges the frames. A copy of it "
                                                   "learns with the motion model."),
                sockets.Source.Input("source", tooltip="The stills to animate."),
                sockets.Losses.Input("losses", optional=True,
                                     tooltip="What to strive for. Without it: the bundled toon "
                                             "domain's own weights, else the paper's."),
                sockets.Motion.Input("motion", optional=True,
                                     tooltip="A motion model to go on from, with its own CLIP on "
                                             "clip. Its frames and directions stay. Without it a "
                                             "fresh one is made."),
                io.String.Input("words", multiline=True, default=WORDS,
                                tooltip="A word a line, its paraphrases after a |. Words must mean "
                                        "different things, and CLIP must know them. A line that "
                                        "begins with # is left out."),
                io.String.Input("template", default="The person is {}",
                                tooltip="Sentence with {} where the word goes; use the same in "
                                        "Encode Text afterwards. {} alone if the lines are "
                                        "sentences."),
                io.String.Input("name", default="my_words",
                                tooltip="Of the training and of its file in output/lgfa."),
                io.Int.Input("iterations", default=120, min=1, max=1_000_000, step=1,
                             tooltip="Steps in all. The paper took 2000; six toon words need "
                                     "about 120. More of them go on with a finished training."),
                io.Int.Input("batch", default=0, min=0, max=256, step=1,
                             tooltip="Clips a step, each with another word. 0 = one of each word, "
                                     "at most 16. Paper: 4."),
                io.Int.Input("frames", default=4, min=2, max=64, step=1,
                             tooltip="Frames of a training clip; animations may have any number. "
                                     "Paper: 4."),
                io.Float.Input("mapper_rate", default=0.005, min=0.0, max=1.0, step=0.0001,
                               tooltip="Learning rate of the mappers, at the start. Paper: 0.001."),
                io.Float.Input("motion_rate", default=0.001, min=0.0, max=1.0, step=0.0001,
                               tooltip="Learning rate of the recurrent network. Paper: 0.001."),
                io.Float.Input("clip_rate", default=0.00001, min=0.0, max=1.0, step=0.000001,
                               tooltip="Learning rate of the copy of CLIP. Paper: 0.00001."),
                io.Float.Input("rate_end", default=0.02, min=0.0, max=1.0, step=0.01,
                               tooltip="Part of the rates that is left at the last step; 1 = "
                                       "constant rates (paper)."),
                io.Float.Input("gain", default=0.0, min=0.0, max=10.0, step=0.05,
                               tooltip="Motions become this much larger when the training has "
                                       "ended. 0 = as the domain does it (toon: 1.2, expressions "
                                       "only 1.5), else 1."),
                io.Int.Input("render_chunk", default=0, min=0, max=256, step=1,
                             tooltip="Frames held in memory for the gradient; 0 = all. 1 needs "
                                     "least memory and a third more time."),
                io.Int.Input("save_every", default=50, min=0, max=100_000, step=1,
                             tooltip="Steps between checkpoints, for a power cut; cancel always "
                                     "saves. 0 = at the end."),
                io.Int.Input("sample_every", default=30, min=0, max=100_000, step=1,
                             tooltip="Steps between sample strips; 0 = none."),
                io.Boolean.Input("resume", default=True,
                                 tooltip="On: goes on with the training of this name, if there is "
                                         "one. Off: refuses a name that is taken."),
                io.Int.Input("seed", default=0, min=0, max=MOST_SEED, control_after_generate=True,
                             tooltip="Of first weights, stills and words. A training that goes on "
                                     "keeps its own."),
                io.Combo.Input("offsets", options=list(train_run.OFFSETS),
                               tooltip="What motions may change: the whole picture (hair, glasses, "
                                       "backdrop ..); expressions only (bundled toon domain; "
                                       "elsewhere as before); raw = any numbers, as in the "
                                       "paper."),
                io.Combo.Input("precision", options=list(PRECISIONS),
                               tooltip="Of the networks that do not learn: full, or half where "
                                       "ComfyUI says that the device can."),
            ],
            outputs=[
                sockets.Motion.Output("trained", "motion", "The trained motion model."),
                sockets.Clip.Output("trained_clip", "clip", "Its CLIP, for Encode Text."),
                io.Image.Output("report", "report", "The losses and the last sample strips."),
            ],
            is_output_node=True,
            is_experimental=True,
        )

    @classmethod
    def validate_inputs(cls, words: str | None, template: str | None, batch: int | None,
                        name: str | None) -> bool | str:
        try:
            if name is not None:
                train_run.check_name(name)
            if None not in (words, template, batch):
                train_run.parse_words(words, template, batch)
        except LGFAError as error:
            return str(error)
        return True

    @classmethod
    def execute(cls, generator: Network, clip: Network, source: train_stills.Stills,
                losses: train_losses.Losses | None = None, motion: Network | None = None,
                **options: Any) -> io.NodeOutput:
        motion, clip, picture = train_run.train(
            generator, clip, source, losses, motion, train_run.Options(**options))
        report = hand_out(_image(picture))
        return io.NodeOutput(motion, clip, report, ui=ui.PreviewImage(report, cls=cls))


def _image(picture: Any) -> Tensor:
    """PIL -> IMAGE [1, H, W, 3], 0..1."""
    from ..lgfa.media.images import from_uint8

    return from_uint8(picture.convert("RGB"))[None]


NODES: list[Any] = [TrainingSource, LossWeights, TrainMotionModel]
