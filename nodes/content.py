"""Content: the latents of stills - found, drawn, mixed, stored."""
from __future__ import annotations

import json
import os
from typing import Any

import comfy.utils
import folder_paths
import torch
from comfy.cli_args import args
from comfy_api.latest import io, ui
from torch import Tensor

from ..lgfa.config import MOST_SEED
from ..lgfa.errors import LGFAError
from ..lgfa.trajectory.layers import LAYERS, mix_layers
from . import folders, sockets
from .checks import Node
from .memory import Network, compute, hand_out, ready, stop_if_interrupted

CATEGORY = "LGFA/content"
CHUNK = 8                                   # stills that the networks work on at once
MOST = 4096                                 # stills of one batch
STILLS = ("last frame", "first frame", "all frames")


class InvertFace(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_InvertFace",
            display_name="Invert Face (LGFA)",
            category=CATEGORY,
            description="Finds the latent whose picture is most like the image (e4e). Look at the "
                        "reconstruction: what is not in it is lost before anything moves.",
            inputs=[
                sockets.Encoder.Input("encoder", tooltip="The e4e encoder of the generator."),
                sockets.Generator.Input("generator", tooltip="The generator that will draw the "
                                                             "frames."),
                io.Image.Input("image", tooltip="The face, cut out and upright as in the "
                                                "generator's training images; a batch gives a "
                                                "latent for each. The centre square is used."),
            ],
            outputs=[
                sockets.Latent.Output("latent", "latent", "The latents found."),
                io.Image.Output("reconstruction", "reconstruction",
                                "What the generator draws from them: frame 1 of an animation."),
            ],
        )

    @classmethod
    def execute(cls, encoder: Network, generator: Network, image: Tensor) -> io.NodeOutput:
        from ..lgfa.embed.invert import invert, warn_unlike
        from ..lgfa.media.images import read_batch, square, to_pictures

        find, draw = ready(encoder, generator)
        x = square(read_batch(image), generator.config.resolution)
        progress = comfy.utils.ProgressBar(len(x))
        codes, pictures, distances = [], [], []
        for part in x.split(CHUNK):
            stop_if_interrupted()
            w, again, unlike = invert(find, draw, compute(part))
            codes.append(w.float())
            pictures.append(hand_out(to_pictures(again)))
            distances.append(unlike)
            progress.update(len(part))
        warn_unlike(torch.cat(distances))
        return io.NodeOutput(sockets.Still(torch.cat(codes), is_image=True), torch.cat(pictures))


class SampleFace(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_SampleFace",
            display_name="Sample Face (LGFA)",
            category=CATEGORY,
            description="Draws faces that nobody photographed. The bundled toon generator gives "
                        "its own neutral faces.",
            inputs=[
                sockets.Generator.Input("generator", tooltip="The StyleGAN2 that draws them."),
                io.Float.Input(
                    "truncation", default=0.7, min=0.0, max=1.5, step=0.05,
                    tooltip="Lower = nearer to the average face, cleaner and more alike; 1 = as "
                            "varied as in training. The bundled toon faces do not need it and "
                            "leave it out of account."),
                io.Int.Input(
                    "batch_size", default=1, min=1, max=MOST, step=1,
                    tooltip="Number of faces; face k of the batch is the one of seed + k - 1."),
                io.Int.Input(
                    "seed", default=0, min=0, max=MOST_SEED, control_after_generate=True,
                    tooltip="Another seed, another face; the same seed, the same face."),
            ],
            outputs=[
                sockets.Latent.Output("latent", "latent", "The latents of the faces."),
                io.Image.Output("image", "image", "The faces."),
            ],
        )

    @classmethod
    def execute(cls, generator: Network, truncation: float, batch_size: int,
                seed: int) -> io.NodeOutput:
        from ..lgfa.domains import sample_latent
        from ..lgfa.media.images import to_pictures

        network, = ready(generator)
        progress = comfy.utils.ProgressBar(batch_size)
        codes, pictures = [], []
        for start in range(0, batch_size, CHUNK):
            stop_if_interrupted()
            seeds = [(seed + k) % 2**64 for k in range(start, min(start + CHUNK, batch_size))]
            w = torch.cat([sample_latent(network, one, truncation, generator.domain)
                           for one in seeds]).float()
            codes.append(w)
            pictures.append(hand_out(to_pictures(network.synthesis(w))))
            progress.update(len(seeds))
        return io.NodeOutput(sockets.Still(torch.cat(codes)), torch.cat(pictures))


class MixLatents(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_MixLatents",
            display_name="Mix Latents (LGFA)",
            category=CATEGORY,
            description="A still between two stills, in all layers or only in those that draw "
                        "shape, features or colours.",
            inputs=[
                sockets.Latent.Input("latent_a", tooltip="The still at amount 0; layers that are "
                                                         "not mixed stay as here."),
                sockets.Latent.Input("latent_b", tooltip="The still at amount 1. A batch needs as "
                                                         "many in both, or one in either."),
                io.Float.Input(
                    "amount", default=0.5, min=-1.0, max=2.0, step=0.01,
                    tooltip="0 = the first still, 1 = the second; below 0 and above 1 go on the "
                            "same way."),
                io.Combo.Input(
                    "layers", options=list(LAYERS),
                    tooltip="What is mixed: everything, pose and shape of the head, features and "
                            "hair, or colours and texture."),
            ],
            outputs=[sockets.Latent.Output("latent", "latent", "The latents in between.")],
        )

    @classmethod
    def execute(cls, latent_a: sockets.Still, latent_b: sockets.Still, amount: float,
                layers: str) -> io.NodeOutput:
        w = mix_layers(latent_a.w, latent_b.w, amount, layers)
        nearer = latent_a if amount < 0.5 else latent_b
        return io.NodeOutput(sockets.Still(w, nearer.is_image))


class SaveLatents(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_SaveLatents",
            display_name="Save Latents (LGFA)",
            category=CATEGORY,
            description="Writes latents of stills, or trajectories, as .safetensors into the "
                        "output folder: small files from which the frames can be drawn again. "
                        "Load Latents and the command line read them.",
            inputs=[
                sockets.Latent.Input("latent", optional=True,
                                     tooltip="Latents of stills; all go into one file."),
                sockets.Trajectory.Input("trajectory", optional=True,
                                         tooltip="Trajectories; each clip gets its own file."),
                io.String.Input(
                    "filename_prefix", default="latents/lgfa",
                    tooltip="Beginning of the files' names, inside the output folder. Load "
                            "Latents lists what lies in latents/."),
            ],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, filename_prefix: str | None) -> bool | str:
        if filename_prefix is None:         # comes over a link and is not known yet
            return True
        parts = filename_prefix.strip().replace("\\", "/").split("/")
        if ".." in parts or os.path.isabs(filename_prefix) or parts[-1] in {"", "."}:
            return (f"the prefix {filename_prefix!r} is not usable: write a name inside the "
                    f"output folder, such as latents/lgfa.")
        return True

    @classmethod
    def execute(cls, filename_prefix: str, latent: sockets.Still | None = None,
                trajectory: sockets.Path | None = None) -> io.NodeOutput:
        if latent is None and trajectory is None:
            raise LGFAError("there is nothing to save: connect a latent or a trajectory.")
        saved = []
        if latent is not None:
            saved.append(cls._write(filename_prefix, latent.w, kind="stills",
                                    is_image=latent.is_image))
        if trajectory is not None:
            texts = list(trajectory.texts)
            saved += [cls._write(filename_prefix, one, kind="trajectory", texts=texts)
                      for one in trajectory.w]
        return io.NodeOutput(ui={"latents": saved})

    @classmethod
    def _write(cls, prefix: str, w: Tensor, **info: Any) -> ui.SavedResult:
        """One file, numbered after those that are there."""
        from ..lgfa.formats.latents import save_latents

        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
            prefix, folder_paths.get_output_directory())
        file = f"{name}_{counter:05}_.safetensors"
        save_latents(os.path.join(folder, file), w, cls._workflow(), **info)
        return ui.SavedResult(file, subfolder, io.FolderType.output)

    @classmethod
    def _workflow(cls) -> dict[str, str]:
        """The graph that made the file, under the names by which ComfyUI finds it again."""
        if args.disable_metadata or cls.hidden is None:
            return {}
        entries = {"prompt": cls.hidden.prompt, **(cls.hidden.extra_pnginfo or {})}
        return {name: json.dumps(value) for name, value in entries.items() if value is not None}


class LoadLatents(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LGFA_LoadLatents",
            display_name="Load Latents (LGFA)",
            category=CATEGORY,
            description="Reads what Save Latents or the command line wrote: stills to animate, or "
                        "a trajectory to render, to shape, or to go on from.",
            inputs=[
                io.Combo.Input("file", options=folders.latent_choices(),
                               tooltip="A .safetensors of latents: bundled, in the input "
                                       "folder, or in output/latents, where Save Latents "
                                       "writes."),
                io.Combo.Input("still", options=list(STILLS),
                               tooltip="Which frame of a trajectory is given as latent: the last "
                                       "one, to go on from it, the first one, or each. Saved "
                                       "stills are always given all."),
            ],
            outputs=[
                sockets.Latent.Output("latent", "latent", "The stills, or the chosen frames."),
                sockets.Trajectory.Output("trajectory", "trajectory", "The frames, one after "
                                                                      "another."),
            ],
        )

    @classmethod
    def validate_inputs(cls, file: str | None) -> bool | str:
        try:
            return file is None or bool(folders.locate_latents(file))
        except LGFAError as error:
            return str(error)

    @classmethod
    def fingerprint_inputs(cls, file: str | None, still: str | None) -> str:
        try:
            return folders.fingerprint(folders.locate_latents(file or ""))
        except LGFAError:
            return "missing"

    @classmethod
    def execute(cls, file: str, still: str) -> io.NodeOutput:
        from ..lgfa.formats.latents import load_latents

        w, info = load_latents(folders.check_content(folders.locate_latents(file)))
        w = compute(w)
        rows = {"last frame": w[-1:], "first frame": w[:1]}.get(still, w)
        stills = w if info.get("kind") == "stills" else rows
        texts = tuple(map(str, info.get("texts") or ()))
        return io.NodeOutput(sockets.Still(stills, info.get("is_image") is True, info),
                             sockets.Path(w[None], texts))


NODES: list[Any] = [InvertFace, SampleFace, MixLatents, SaveLatents, LoadLatents]
