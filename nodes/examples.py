"""Bundled pictures, so that the shipped workflows run without anything to look for."""
from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..lgfa.media import examples
from . import folders
from .checks import Node
from .memory import hand_out


class LoadExample(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_LoadExample",
            display_name="Load Example (LGFA)",
            category="LGFA/load",
            description="Loads a picture that comes with the pack: one toon face, or a scene with "
                        "two toons. Use Load Image in its place for pictures of your own.",
            inputs=[io.Combo.Input("picture", options=examples.names(),
                                   tooltip="The bundled picture.")],
            outputs=[
                io.Image.Output("image", "image", "The picture."),
                io.String.Output("points", "points", "The five points of each face in it, a line "
                                 "a face, for Align Face."),
            ],
        )

    @classmethod
    def validate_inputs(cls, picture: str | None = None) -> bool | str:
        if picture is None or picture in examples.names():
            return True
        return (f"there is no example picture {picture!r}: choose "
                f"{' or '.join(examples.names())}.")

    @classmethod
    def fingerprint_inputs(cls, picture: str | None = None) -> str:
        return folders.fingerprint(examples.FOLDER / f"{picture}.png")

    @classmethod
    def execute(cls, picture: str) -> io.NodeOutput:
        image, points = examples.load(picture)
        return io.NodeOutput(hand_out(image), points)


NODES: list[Any] = [LoadExample]
