"""A small whole file of every format that is read, to be mutated."""
from __future__ import annotations

import argparse
import io
import json
import pickle
import sys
import types
import warnings
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save


@dataclass(frozen=True)
class Sample:
    """One base file and the ways in which it is looked at."""

    name: str
    data: bytes
    readers: tuple[str, ...] = ("inspect", "load")      # of watched.readers


def torch_file(tree: object, legacy: bool = False) -> bytes:
    file = io.BytesIO()
    torch.save(tree, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape) * 0.02


# ---- our own files

def own_files(folder: Path) -> dict[str, bytes]:
    """A file of ours for each kind of network that is small enough."""
    from tiny import save_all

    from lgfa import formats
    from lgfa.config import IdentityConfig, PerceptualConfig
    from lgfa.drawn.attributes import AttributesConfig
    from lgfa.formats import build
    from lgfa.methods.mocogan_hd.motion import MocoganConfig
    from lgfa.methods.styleclip.mapper import MapperConfig

    files = {f"own_{kind}.safetensors": Path(path).read_bytes()
             for kind, path in save_all(folder).items()}
    others = {
        "identity": IdentityConfig(16, (4, 4, 8), (1, 1), 8, crop=None),
        "mocogan": MocoganConfig(24, 8, 6), "mapper": MapperConfig("smiling", 6, 24, depth=2),
        "attributes": AttributesConfig(32, (4, 4, 8), 8),
    }
    for kind, config in others.items():
        path = folder / f"{kind}.safetensors"
        formats.save(path, build.new_network(kind, config))
        files[f"own_{kind}.safetensors"] = path.read_bytes()
    assert PerceptualConfig().net == "alex"         # LPIPS trunks are too large to be mutated here
    return files


def latents(folder: Path) -> dict[str, bytes]:
    from lgfa.formats.latents import save_latents

    path = folder / "latents.safetensors"
    save_latents(path, random(5, 6, 24), fps=10.0, texts=["The person is smiling"], seed=3)
    return {path.name: path.read_bytes()}


# ---- files of other projects: their names, small sizes

def rosinality(size: int = 16, width: int = 8, w_dim: int = 12) -> dict[str, torch.Tensor]:
    kernel = torch.tensor([1.0, 3, 3, 1])
    kernel = kernel[None] * kernel[:, None] / 16
    out = OrderedDict()
    for i in (1, 2):
        out |= {f"style.{i}.weight": random(w_dim, w_dim), f"style.{i}.bias": random(w_dim)}
    out["input.input"] = random(1, width, 4, 4)

    def conv(name: str, channels: int, side: int, up: bool = False) -> None:
        out[f"{name}.conv.weight"] = random(1, channels, width, side, side)
        out[f"{name}.conv.modulation.weight"] = random(width, w_dim)
        out[f"{name}.conv.modulation.bias"] = torch.ones(width)
        if up:
            out[f"{name}.conv.blur.kernel"] = kernel
        if side == 1:
            out[f"{name}.bias"] = random(1, 3, 1, 1)
        else:
            out[f"{name}.noise.weight"] = random(1)
            out[f"{name}.activate.bias"] = random(channels)

    conv("conv1", width, 3)
    conv("to_rgb1", 3, 1)
    levels = size.bit_length() - 3
    for level in range(levels):
        conv(f"convs.{2 * level}", width, 3, up=True)
        conv(f"convs.{2 * level + 1}", width, 3)
        conv(f"to_rgbs.{level}", 3, 1)
        out[f"to_rgbs.{level}.upsample.kernel"] = kernel
    for i in range(2 * levels + 1):
        side = 2 ** ((i + 5) // 2)
        out[f"noises.noise_{i}"] = random(1, 1, side, side)
    return out


def huggingface_clip(width: int = 64, layers: int = 1) -> dict[str, torch.Tensor]:
    out = {"logit_scale": torch.tensor(4.6), "text_projection.weight": random(width, width),
           "visual_projection.weight": random(width, width)}
    for tower in ("text_model", "vision_model"):
        for i in range(layers):
            at = f"{tower}.encoder.layers.{i}."
            for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                out[f"{at}self_attn.{part}.weight"] = random(width, width)
                out[f"{at}self_attn.{part}.bias"] = random(width)
            for part in ("layer_norm1", "layer_norm2"):
                out |= {f"{at}{part}.weight": random(width), f"{at}{part}.bias": random(width)}
            out |= {f"{at}mlp.fc1.weight": random(4 * width, width),
                    f"{at}mlp.fc1.bias": random(4 * width),
                    f"{at}mlp.fc2.weight": random(width, 4 * width),
                    f"{at}mlp.fc2.bias": random(width)}
    text, vision = "text_model.embeddings.", "vision_model.embeddings."
    out |= {f"{text}token_embedding.weight": random(500, width),
            f"{text}position_embedding.weight": random(77, width),
            "text_model.final_layer_norm.weight": random(width),
            "text_model.final_layer_norm.bias": random(width),
            f"{vision}class_embedding": random(width),
            f"{vision}patch_embedding.weight": random(width, 3, 8, 8),
            f"{vision}position_embedding.weight": random(5, width)}
    for part in ("pre_layrnorm", "post_layernorm"):
        out |= {f"vision_model.{part}.weight": random(width),
                f"vision_model.{part}.bias": random(width)}
    return out


def openai_clip(width: int = 64) -> dict[str, torch.Tensor]:
    """OpenAI's names for the towers of open_clip."""
    import open_clip

    network = open_clip.CLIP(
        embed_dim=16, quick_gelu=True,
        vision_cfg={"layers": 1, "width": width, "patch_size": 8, "image_size": 16},
        text_cfg={"layers": 1, "width": width, "heads": 1, "context_length": 16,
                  "vocab_size": 500})
    return dict(network.state_dict())


def authors_motion() -> dict[str, object]:
    out = {}
    for i, (rows, columns) in {1: (16, 20), 2: (20, 32), 3: (16, 32)}.items():
        out |= {f"module.rnn.fc{i}.weight": random(rows, columns),
                f"module.rnn.fc{i}.bias": random(rows)}
    for mapper in ("t_mapper", "v_mapper"):
        for i, (rows, columns) in {1: (8, 20), 2: (512 * 6, 8)}.items():
            out |= {f"module.mapper.{mapper}.{i}.weight": random(rows, columns),
                    f"module.mapper.{mapper}.{i}.bias": random(rows)}
    return {"iter": 100, "arch": "lgfa", "state_dict": out}


def mocogan(hidden: int = 8, width: int = 12, count: int = 6) -> dict[str, torch.Tensor]:
    out = {"w": random(hidden, count), "b": random(count)}
    for cell in ("enc_cell", "cell"):
        out |= {f"{cell}.weight_ih": random(4 * hidden, width),
                f"{cell}.weight_hh": random(4 * hidden, hidden),
                f"{cell}.bias_ih": random(4 * hidden), f"{cell}.bias_hh": random(4 * hidden)}
    for name, (rows, columns) in {"fc1": (hidden, hidden), "fc2": (width, hidden)}.items():
        out |= {f"{name}.weight": random(rows, columns), f"{name}.bias": random(rows)}
    return out


def mapper() -> dict[str, object]:
    state = {}
    for part in ("course_mapping", "medium_mapping", "fine_mapping"):
        for i in (1, 2):
            state |= {f"mapper.{part}.mapping.{i}.weight": random(24, 24),
                      f"mapper.{part}.mapping.{i}.bias": random(24)}
    return {"state_dict": state, "latent_avg": random(8, 24),
            "opts": {"description": "smiling", "stylegan_size": 32}}


def skeletons() -> dict[str, object]:
    """Trees of networks whose real sizes are too large to be mutated: their names only."""
    small = random(4, 4)
    return {
        "e4e.pt": {"state_dict": {
            f"encoder.{key}": small for key in (
                "input_layer.0.weight", "latlayer1.weight", "latlayer1.bias", "latlayer2.weight",
                "body.0.res_layer.1.weight", "styles.0.linear.weight", "styles.1.linear.weight",
                "styles.2.linear.weight", "styles.3.linear.weight", "styles.0.convs.0.weight")}
            | {f"decoder.{key}": value for key, value in rosinality().items()},
            "latent_avg": random(6, 12), "opts": argparse.Namespace(start_from_latent_avg=True)},
        "ir_se50.pth": {f"body.{i}.res_layer.5.fc1.weight": small for i in range(24)} | {
            "input_layer.0.weight": small, "output_layer.3.weight": small},
        "facenet.pt": {"conv2d_1a.conv.weight": small, "repeat_1.0.branch0.conv.weight": small,
                       "last_linear.weight": small, "logits.weight": small},
        "alexnet.pth": {f"features.{i}.weight": random(3, 3, 2, 2) for i in (0, 3, 6, 8, 10)},
        "lpips_lin.pth": {f"lin{i}.model.1.weight": random(1, 4, 1, 1) for i in range(5)},
        "critic.pt": {"convs.0.0.weight": small, "final_conv.0.weight": small,
                      "final_linear.0.weight": small},
    }


def nvidia() -> bytes:
    """A pickle as NVIDIA's networks are pickled: objects of torch_utils.persistence, tensors in
    blobs of torch's older layout. Its modules are made up while it is written."""
    def rebuild(meta: object) -> object:
        raise AssertionError("written only")

    class Module:
        def __init__(self, name: str, state: dict) -> None:
            self.meta = {"type": "class", "version": 6, "module_src": "raise SystemExit",
                         "class_name": name, "state": state}

        def __reduce__(self) -> tuple:
            return rebuild, (self.meta,)

    class Blob:
        def __init__(self, tensor: torch.Tensor) -> None:
            self.data = torch_file(tensor, legacy=True)

        def __reduce__(self) -> tuple:
            return load_from_bytes, (self.data,)

    def load_from_bytes(data: bytes) -> object:
        raise AssertionError("written only")

    def module(name: str, weights: dict, parts: dict, **attributes: object) -> Module:
        blobs = OrderedDict((key, Blob(value)) for key, value in weights.items())
        return Module(name, {"training": False, "_parameters": blobs, "_buffers": OrderedDict(),
                             "_modules": OrderedDict(parts), **attributes})

    def layer(rows: int, columns: int, gain: float = 0.01) -> Module:
        return module("FullyConnectedLayer", {"weight": random(rows, columns),
                                              "bias": random(rows)}, {},
                      activation="lrelu" if gain == 0.01 else "linear", bias_gain=gain,
                      weight_gain=gain / columns**0.5)

    def conv(channels: int, side: int, resolution: int, up: int = 1) -> Module:
        kernel = torch.tensor([1.0, 3, 3, 1])
        weights = {"weight": random(channels, 8, side, side), "bias": random(channels)}
        if side == 3:
            weights |= {"noise_strength": torch.zeros([]),
                        "noise_const": random(resolution, resolution),
                        "resample_filter": kernel[None] * kernel[:, None] / 64}
        kind = {"activation": "lrelu", "use_noise": True, "up": up, "resolution": resolution} \
            if side == 3 else {}
        return module("SynthesisLayer" if kind else "ToRGBLayer", weights,
                      {"affine": layer(8, 12, 1.0)}, conv_clamp=None, **kind)

    blocks = {}
    for resolution in (4, 8, 16):
        parts = {"conv1": conv(8, 3, resolution), "torgb": conv(3, 1, resolution)}
        weights = {"const": random(8, 4, 4)} if resolution == 4 else {}
        if resolution > 4:
            parts["conv0"] = conv(8, 3, resolution, 2)
        blocks[f"b{resolution}"] = module("SynthesisBlock", weights, parts, architecture="skip")
    mapping = module("MappingNetwork", {"w_avg": random(12)},
                     {f"fc{i}": layer(12, 12) for i in range(2)}, num_layers=2, z_dim=12)
    whole = module("Generator", {}, {"mapping": mapping,
                                     "synthesis": module("SynthesisNetwork", {}, blocks)},
                   c_dim=0, z_dim=12, w_dim=12)

    # pickle looks a function up by its module's name, so both get the names of the originals
    faked = {"torch_utils": types.ModuleType("torch_utils"),
             "torch_utils.persistence": types.ModuleType("torch_utils.persistence")}
    rebuild.__module__, rebuild.__qualname__ = "torch_utils.persistence", \
        "_reconstruct_persistent_obj"
    load_from_bytes.__module__, load_from_bytes.__qualname__ = "torch.storage", \
        "_load_from_bytes"
    faked["torch_utils.persistence"]._reconstruct_persistent_obj = rebuild
    before = torch.storage._load_from_bytes
    sys.modules.update(faked)
    torch.storage._load_from_bytes = load_from_bytes
    try:
        return pickle.dumps({"G": whole, "D": None, "G_ema": whole, "training_set_kwargs": None},
                            2)
    finally:
        torch.storage._load_from_bytes = before
        for name in faked:
            del sys.modules[name]


class _Archive(torch.nn.Module):
    """A module with the weights of a state dict, to be stored as TorchScript."""

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        super().__init__()
        for name, value in state.items():
            at: torch.nn.Module = self
            *path, last = name.split(".")
            for part in path:
                if not hasattr(at, part):
                    at.add_module(part, torch.nn.Module())
                at = getattr(at, part)
            at.register_buffer(last, value)

    def forward(self) -> int:
        return 1


def torchscript(state: dict[str, torch.Tensor]) -> bytes:
    file = io.BytesIO()
    numbers = {"input_resolution": torch.tensor(16), "context_length": torch.tensor(16),
               "vocab_size": torch.tensor(500)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                 # torch advises against its own layout
        torch.jit.save(torch.jit.script(_Archive({**state, **numbers})), file)
    return file.getvalue()


# ---- pictures, tables, texts

def picture(kind: str) -> bytes:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(small).resize((64, 64), Image.BICUBIC).save(file, kind)
    return file.getvalue()


def array(*shape: int) -> bytes:
    file = io.BytesIO()
    np.save(file, np.random.default_rng(0).standard_normal(shape).astype(np.float32))
    return file.getvalue()


WORKFLOW = {"1": {"class_type": "LGFA_AnimateFace", "_meta": {"title": "Animate"},
                  "inputs": {"text": "smiling", "frames": 16, "seed": 0, "strength": 1.0}},
            "2": {"class_type": "SaveVideo", "inputs": {"video": ["1", 1], "format": "mp4"}}}
TABLE = 'name,text,frames\na,"The person is smiling, happily",16\nb,angry,24\nc,,8\n'
TIMELINE = "# a comment\nsmiling | 12 | hold 4 | ease-in-out\n(still) | 8\nwinking | strength 0.5\n"
PROMPTS = "template: The person is {}\nsmiling | happy | grinning\nangry\nsad\n"


def tensorflow(folder: Path) -> dict[str, bytes]:
    import tensorflow_network as made

    return {f"tensorflow_{protocol}.pkl": made.write(
        folder / "tf.pkl", (None, None, made.generator()), protocol).read_bytes()
        for protocol in (0, 2, 4)}


def samples(folder: Path) -> list[Sample]:
    """All of them; `folder` is scratch space."""
    torch.manual_seed(0)
    clip = openai_clip()
    weights = rosinality()
    trees: dict[str, object] = {
        "rosinality.pt": {"g_ema": weights, "latent_avg": random(12)},
        "rosinality_bare.pt": weights, "authors.pth": authors_motion(),
        "mocogan.pth": mocogan(), "mapper.pt": mapper(),
        "open_clip.pt": {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in clip.items()}},
        "huggingface.bin": huggingface_clip(),
        "training.pt": {"lgfa_training": 1, "step": 3, "motion": {"a": random(3)}},
        "latents.pt": {f"{i}.png": random(6, 512) for i in range(3)}, **skeletons(),
    }
    out = [Sample(name, torch_file(tree)) for name, tree in trees.items()]
    out.append(Sample("rosinality_legacy.pt", torch_file(trees["rosinality.pt"], legacy=True)))
    out += [Sample(name, data) for name, data in own_files(folder).items()]
    out += [Sample(name, data) for name, data in tensorflow(folder).items()]
    out += [Sample(name, data, ("latents", "inspect")) for name, data in latents(folder).items()]
    out += [
        Sample("ada.pkl", nvidia()), Sample("openai.pt", torchscript(clip)),
        Sample("huggingface.safetensors", save(huggingface_clip())),
        Sample("open_clip.safetensors", save(clip), ("inspect", "load_clip", "named_clip")),
        Sample("rosinality.safetensors", save({k: v.clone() for k, v in weights.items()})),
        Sample("moments.pkl", pickle.dumps([np.zeros(5, np.float32), np.ones(5)], 2),
               ("unpickle", "inspect")),
        Sample("axes.npy", array(6, 12), ("npy",)),
        *(Sample(f"face.{kind.lower()}", picture(kind), ("image",))
          for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")),
        Sample("jobs.csv", TABLE.encode(), ("queue_table",)),
        Sample("workflow.json", json.dumps(WORKFLOW).encode(), ("queue_workflow",)),
        Sample("timeline.txt", TIMELINE.encode(), ("timeline",)),
        Sample("prompts.txt", PROMPTS.encode(), ("prompts",)),
    ]
    return out
