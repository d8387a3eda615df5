"""The known public models: a table, and where their files lie.

Sizes and hashes are in the table only where they are certain.
"""
from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import LGFAError


@dataclass(frozen=True)
class Model:
    """One public file."""

    file: str                   # its name in the cache folder
    what: str                   # what it is for
    format: str                 # as `inspect` would say
    licence: str
    address: str                # where the file itself is
    megabytes: int | None       # about; None = unknown
    size: int | None = None     # bytes, exactly
    sha256: str | None = None   # of the file: 64 hex digits, or its beginning
    kind: str | None = None     # the network that reading it must give (build.KINDS)


_RESEARCHMM = ("https://github.com/researchmm/language-guided-animation/releases/download/"
               "v0.0.0/")


_NVIDIA = "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/"


_OPENAI = "https://openaipublic.azureedge.net/clip/models/"


_TORCH = "https://download.pytorch.org/models/"


_NVIDIA_LICENCE = "NVIDIA Source Code License, non-commercial"


_UNKNOWN = "of the repository MIT, of the weights unknown"


MODELS: dict[str, Model] = {
    "stylegan2-ffhq": Model(
        "stylegan2-ffhq-config-f.pt", "generator, photographed faces, 1024 px", "rosinality .pt",
        _UNKNOWN, _RESEARCHMM + "stylegan2-ffhq-config-f.pt", None, kind="generator"),
    "stylegan2-metfaces": Model(
        "stylegan2-awesome-network-snapshot-metfaces2.pt", "generator, painted faces, 1024 px",
        "rosinality .pt", _UNKNOWN,
        _RESEARCHMM + "stylegan2-awesome-network-snapshot-metfaces2.pt", None, kind="generator"),
    "celeba-latents": Model(
        "celeba_e4e_latents.pt", "e4e codes of CelebA-HQ, for training", "latent codes (.pt)",
        _UNKNOWN, _RESEARCHMM + "celeba_e4e_latents.pt", None),
    "ffhq": Model(
        "ffhq.pkl", "generator, photographed faces, 1024 px", "NVIDIA stylegan2-ada .pkl",
        _NVIDIA_LICENCE, _NVIDIA + "ffhq.pkl", 382, 381_624_121,
        "a205a346e86a9ddaae702e118097d014b7b8bd719491396a162cca438f2f524c", "generator"),
    "metfaces": Model(
        "metfaces.pkl", "generator, painted faces, 1024 px", "NVIDIA stylegan2-ada .pkl",
        _NVIDIA_LICENCE, _NVIDIA + "metfaces.pkl", None, kind="generator"),
    "e4e-ffhq": Model(
        "e4e_ffhq_encode.pt", "encoder for FFHQ generators, and a generator", "e4e checkpoint",
        "MIT", "https://drive.usercontent.google.com/download"
        "?id=1cUv_reLE6k3604or78EranS7XzuVMWeO&export=download&confirm=t", 1200, kind="encoder"),
    "ir-se50": Model(
        "model_ir_se50.pth", "identity network, for the identity loss", "IR-SE50 checkpoint",
        "MIT", "https://github.com/xinntao/facexlib/releases/download/v0.1.0/"
        "recognition_arcface_ir_se50.pth", 175, 175_367_323,
        "a035c768259b98ab1ce0e646312f48b9e1e218197a0f80ac6765e88f8b6ddf28", "identity"),
    "inception-resnet": Model(
        "20180402-114759-vggface2.pt", "identity network of the paper's ACD",
        "facenet-pytorch checkpoint", "of the repository MIT, of the weights unknown",
        "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/"
        "20180402-114759-vggface2.pt", 107, kind="inception_resnet"),
    "clip-rn50": Model(
        "RN50.pt", "CLIP of the paper's main results (RN50/openai)", "OpenAI CLIP archive", "MIT",
        _OPENAI + "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762/RN50.pt", 256,
        sha256="afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762", kind="clip"),
    "clip-vit-b-32": Model(
        "ViT-B-32.pt", "CLIP, usual in comparisons (ViT-B-32/openai)", "OpenAI CLIP archive",
        "MIT", _OPENAI + "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af/"
        "ViT-B-32.pt", 354,
        sha256="40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af", kind="clip"),
    "lpips-alex": Model(
        "alexnet-owt-7be5be79.pth", "trunk of LPIPS (alex)", "torchvision AlexNet",
        "of torchvision BSD-3-Clause, of the weights unknown",
        _TORCH + "alexnet-owt-7be5be79.pth", 244, 244_408_911,
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02", "perceptual"),
    "lpips-vgg": Model(
        "vgg16-397923af.pth", "trunk of LPIPS (vgg)", "torchvision VGG-16",
        "of torchvision BSD-3-Clause, of the weights unknown",
        _TORCH + "vgg16-397923af.pth", 553, sha256="397923af", kind="perceptual"),
    "yunet": Model(
        "yunet_n_640_640.onnx", "face detector, to crop photographs", "ONNX", "Apache-2.0",
        "https://raw.githubusercontent.com/ShiqiYu/libfacedetection.train/"
        "0047ac24afb1a50a0c6105001c89d1b5b805dbf1/onnx/yunet_n_640_640.onnx", 0, 317_466,
        "25a606a145a5b6d7271ae138fbd00eba91dad8b83222ae3f2c7ecd0f4a7b0e31"),
}


def folder() -> Path:
    """Where downloads lie: $LGFA_HOME, or ~/.cache/lgfa."""
    home = os.environ.get("LGFA_HOME")
    return Path(home) if home else Path.home() / ".cache" / "lgfa"


def known(name: str) -> Model:
    """A row of the table by its name or its file's name; LGFAError lists the names."""
    for key, model in MODELS.items():
        if name in (key, model.file):
            return model
    raise LGFAError(f"there is no known model {name!r}; known are {', '.join(MODELS)}.")


def is_present(name: str) -> bool:
    """Whether a model has been downloaded."""
    return (folder() / known(name).file).is_file()


def local(name: str) -> Path:
    """The file of a model that has been downloaded; LGFAError says how to get it otherwise."""
    path = folder() / known(name).file
    if not path.is_file():
        raise LGFAError(f"{name} is not there: fetch it with "
                        f"`python -m lgfa models download {name}`, or put it at {path}.")
    return path


YUNET = "yunet"                             # the face detector's row


def find_yunet(folders: Iterable[str | Path] = ()) -> Path | None:
    """YuNet's file in the folders, or where the command line downloads it; None = nowhere."""
    file = known(YUNET).file
    places = [*map(Path, folders), folder()]
    for place in places:
        if (place / file).is_file():
            return place / file
    others = [one for place in places if place.is_dir() for one in sorted(place.glob("*.onnx"))
              if "yunet" in one.name.lower()]
    return others[0] if others else None
