"""Loaders: a choice in a dropdown -> networks on sockets."""
from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker
from torch import nn

from . import folders, sockets
from .checks import Node
from .memory import Network

CATEGORY = "LGFA/load"
FILES = ("bundled, from models/lgfa, or trained here (output/lgfa); .safetensors only, recognised "
         "by its content")


def read(choice: str, kind: str) -> nn.Module:
    """The network behind a choice; LGFAError that names the file and what is wrong with it."""
    from ..lgfa import formats

    path = folders.check_content(folders.locate(choice, kind))

    # Tensors that are made in inference mode could never be trained.
    with torch.inference_mode(False):
        return formats.load(path, kind)


def load_network(choice: str, kind: str) -> Network:
    """A network other than a motion model, ready for a socket."""
    return Network(kind, choice, read(choice, kind), folders.domain_of(choice))


def load_motion(choice: str) -> tuple[Network, Network | None]:
    """A motion model, and apart from it the CLIP that it carried, if it did."""
    model, domain = read(choice, "motion"), folders.domain_of(choice)
    encoder, model.encoder = model.encoder, None
    if encoder is None:
        return Network("motion", choice, model, domain), None
    clip = f"CLIP of {choice}"
    return (Network("motion", choice, model, domain, clip),
            Network("clip", clip, encoder, domain, words=model.words))


def _model(kind: str, what: str) -> io.Combo.Input:
    return io.Combo.Input("model", options=folders.choices(kind), tooltip=f"{what}: {FILES}.")


class _Loader(Node):
    """What loaders of one file have in common."""

    KIND = ""                               # of lgfa.registry.KINDS

    @classmethod
    def validate_inputs(cls, model: str | None) -> bool | str:
        return folders.check(model, cls.KIND)

    @classmethod
    def fingerprint_inputs(cls, model: str | None) -> str:
        return folders.model_fingerprint(model, cls.KIND)

    @classmethod
    def execute(cls, model: str) -> io.NodeOutput:
        return io.NodeOutput(load_network(model, cls.KIND))


class LoadGenerator(_Loader):
    KIND = "generator"

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_LoadGenerator",
            display_name="Load Generator (LGFA)",
            category=CATEGORY,
            description="Loads a StyleGAN2, the network that draws the frames.",
            inputs=[_model(cls.KIND, "The StyleGAN2")],
            outputs=[sockets.Generator.Output(
                "generator", "generator", "The StyleGAN2 that draws stills and frames.")],
        )


class LoadFaceEncoder(_Loader):
    KIND = "encoder"

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_LoadFaceEncoder",
            display_name="Load Face Encoder (LGFA)",
            category=CATEGORY,
            description="Loads an e4e encoder, the network that finds a picture's latent. It must "
                        "have been trained for the generator that draws the frames.",
            inputs=[_model(cls.KIND, "The e4e encoder of the generator")],
            outputs=[sockets.Encoder.Output(
                "encoder", "encoder", "The e4e encoder, for Invert Face.")],
        )


class LoadCLIP(_Loader):
    KIND = "clip"

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_LoadCLIP",
            display_name="Load CLIP (LGFA)",
            category=CATEGORY,
            description="Loads a CLIP by itself: for a motion model whose file holds none, or to "
                        "measure the loss of a training. A motion model that brings its own CLIP "
                        "understands no other.",
            inputs=[_model(cls.KIND, "The CLIP")],
            outputs=[sockets.Clip.Output(
                "clip", "clip", "The CLIP that reads sentences and sees images.")],
        )


class LoadMotionModel(_Loader):
    KIND = "motion"

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_LoadMotionModel",
            display_name="Load Motion Model (LGFA)",
            category=CATEGORY,
            description="Loads the networks that turn a sentence into motion, and the CLIP that "
                        "was trained with them.",
            inputs=[_model(cls.KIND, "The motion model")],
            outputs=[
                sockets.Motion.Output(
                    "motion", "motion", "The recurrent motion network and its mappers."),
                sockets.Clip.Output(
                    "clip", "clip", "The CLIP of the motion model's training. Blocked if its "
                                    "file holds none: then use Load CLIP."),
            ],
        )

    @classmethod
    def execute(cls, model: str) -> io.NodeOutput:
        motion, clip = load_motion(model)
        return io.NodeOutput(motion, clip or ExecutionBlocker(
            f"the file of the motion model {model!r} holds no CLIP: take the CLIP of its training "
            f"from the node Load CLIP (LGFA)."))


class LoadDomain(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_LoadDomain",
            display_name="Load Domain (LGFA)",
            category=CATEGORY,
            description="Loads everything that a bundled domain has: generator, face encoder, and "
                        "the motion model with its CLIP.",
            inputs=[io.Combo.Input("domain", options=folders.bundled(),
                                   tooltip="The domain: networks that belong together. Toon "
                                           "faces come with the pack.")],
            outputs=[
                sockets.Generator.Output(
                    "generator", "generator", "The domain's StyleGAN2, which draws the frames."),
                sockets.Encoder.Output(
                    "encoder", "encoder", "The domain's e4e encoder, for Invert Face."),
                sockets.Clip.Output(
                    "clip", "clip", "The CLIP of the motion model, for Encode Text."),
                sockets.Motion.Output(
                    "motion", "motion", "The domain's motion model."),
            ],
        )

    @classmethod
    def validate_inputs(cls, domain: str | None) -> bool | str:
        return folders.check_domain(domain)

    @classmethod
    def fingerprint_inputs(cls, domain: str | None) -> str:
        return " ".join(folders.model_fingerprint(domain, kind)
                        for kind in ("generator", "encoder", "motion"))

    @classmethod
    def execute(cls, domain: str) -> io.NodeOutput:
        motion, clip = load_motion(domain)
        return io.NodeOutput(load_network(domain, "generator"), load_network(domain, "encoder"),
                             clip, motion)


NODES: list[Any] = [LoadGenerator, LoadFaceEncoder, LoadCLIP, LoadMotionModel, LoadDomain]
