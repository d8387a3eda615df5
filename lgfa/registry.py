"""Every name that stands for code, as strings: nothing is imported until it is asked for."""
from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Kind:
    """One kind of network: how to build it from its settings."""

    what: str                               # in words, for error sentences
    network: str                            # "module:Class", relative to lgfa
    configs: tuple[tuple[str, str], ...]    # (attribute of the network, "module:Class") in order


KINDS = {
    "generator": Kind("image generator", "frames.stylegan2:Generator",
                      (("config", "config:GeneratorConfig"),)),
    "encoder": Kind("image encoder", "embed.e4e:Encoder",
                    (("config", "config:EncoderConfig"),)),
    "identity": Kind("identity network", "embed.identity:Identity",
                     (("config", "config:IdentityConfig"),)),
    "inception_resnet": Kind("InceptionResNet", "embed.inception_resnet:InceptionResNet",
                             (("config", "config:InceptionResNetConfig"),)),
    "clip": Kind("CLIP", "embed.clip:CLIP",
                 (("config", "config:ClipConfig"),)),
    "motion": Kind("motion model", "motion.model:MotionModel",
                   (("config", "config:MotionConfig"), ("clip_config", "config:ClipConfig"),
                    ("words_config", "motion.understanding:VocabularyConfig"))),
    "mocogan": Kind("MoCoGAN-HD motion generator", "methods.mocogan_hd.motion:MotionGenerator",
                    (("config", "methods.mocogan_hd.motion:MocoganConfig"),)),
    "mapper": Kind("StyleCLIP mapper", "methods.styleclip.mapper:LatentMapper",
                   (("config", "methods.styleclip.mapper:MapperConfig"),)),
    "perceptual": Kind("perceptual trunk", "embed.perceptual:Perceptual",
                       (("config", "config:PerceptualConfig"),)),
    "attributes": Kind("attribute network", "drawn.attributes:Attributes",
                       (("config", "drawn.attributes:AttributesConfig"),)),
}


# File layouts of other projects, each a module with FORMATS, in the order in which they are tried;
# those that are only refused come last.
LAYOUTS = (
    "formats.layouts.rosinality",
    "formats.layouts.nvidia",
    "formats.layouts.tensorflow",
    "formats.layouts.e4e",
    "formats.layouts.ir_se50",
    "formats.layouts.openai_clip",
    "formats.layouts.hf_clip",
    "formats.layouts.open_clip",
    "formats.layouts.lgfa_authors",
    "methods.mocogan_hd.format",
    "methods.styleclip.format",
    "formats.layouts.torchvision",
    "formats.layouts.facenet",
    "formats.layouts.refused",
)


# Ways to animate, by the kind of network that they move: each a sub-class of methods.method.Method.
# Files of these kinds serve as an Animator's motion model; a domain's own is of the first.
METHODS = {
    "motion": "methods.recurrent:Recurrent",
    "mocogan": "methods.mocogan_hd.motion:Mocogan",
    "mapper": "methods.styleclip.mapper:Mapped",
}


@dataclass(frozen=True)
class Entry:
    """One method that ours is compared with."""

    title: str                              # in tables
    what: str                               # one line
    paper: str                              # citation
    module: str                             # with `units`, `train` and `load` (methods/baselines)


_STYLECLIP = "Patashnik et al., StyleCLIP, ICCV 2021"

BASELINES = {
    "styleclip-opt": Entry(
        title="StyleCLIP optimisation",
        what="StyleCLIP latent optimisation, linear interpolation",
        paper=_STYLECLIP, module="methods.styleclip.optimisation"),
    "styleclip-mapper": Entry(
        title="StyleCLIP mapper",
        what="StyleCLIP latent mapper, one per text, linear interpolation",
        paper=_STYLECLIP, module="methods.styleclip.mapper_training"),
    "styleclip-global": Entry(
        title="StyleCLIP directions",
        what="StyleCLIP global directions, linear interpolation",
        paper=_STYLECLIP, module="methods.styleclip.relevance"),
    "mocogan-hd": Entry(
        title="MoCoGAN-HD",
        what="MoCoGAN-HD: an LSTM along the principal axes of W; reads no sentence",
        paper="Tian et al., A Good Image Generator Is What You Need, ICLR 2021",
        module="methods.mocogan_hd.training"),
}


@dataclass(frozen=True)
class Domain:
    """One folder models/<name>/ and what is known about its stills and sentences."""

    name: str                               # of the folder
    stills: str                             # "module:function" (generator, seeds) -> [N,L,w_dim]
    template: str                           # sentence in which its words were trained
    words: tuple[str, ...]                  # expressions that show it well
    unheard: tuple[str, ...] = ()           # sentences to show that nothing was trained on
    training: str | None = None             # module with its own ways of training


DOMAINS = {
    "toon": Domain(
        name="toon",
        stills="toon.sampling:still_latents",
        template="The person is {}",
        words=("smiling", "angry", "crying", "surprised", "winking", "sad"),
        unheard=("the boy can hardly keep his eyes open",),
        training="training.toon.motion",
    ),
}


def named(reference: str) -> Any:
    """What stands behind "module:Name", or the module itself, relative to lgfa; imported now."""
    module, _, name = reference.partition(":")
    found = importlib.import_module(f".{module}", __package__)
    return getattr(found, name) if name else found


def stands_for(reference: str, cls: type) -> bool:
    """Whether "module:Class" means this class, whose module is not imported for the answer."""
    module, _, name = reference.partition(":")
    return (cls.__module__, cls.__name__) == (f"{__package__}.{module}", name)


def on_first_use(
    package: str,                           # its __name__
    homes: Mapping[str, str],               # public name -> module of the package that has it
) -> Callable[[str], Any]:
    """The package's `__getattr__`: a public name's module is imported when it is asked for."""
    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f".{homes[name]}", package), name)
        setattr(sys.modules[package], name, value)
        return value
    return get
