"""Frozen settings, one dataclass per network: all that is needed to rebuild it without its file.

Every field survives JSON (`asdict` out, `Config(**dict)` in): lists come back as tuples. Before
them the choices that nodes and the command line offer, behind them what checks single values;
PyTorch is not needed for any of it.
"""
from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from functools import cache
from math import isfinite, nan
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from .errors import LGFAError, short

# ---- choices, in the order in which they are shown; the first is what is usual
EASINGS = ("none", "linear", "ease-in", "ease-out", "ease-in-out", "ease-in-cubic",
           "ease-out-cubic", "ease-in-out-cubic", "overshoot", "anticipate")
NOISES = ("const", "random", "none")        # StyleGAN2's, for a whole clip
LAYOUTS = ("one after another", "side by side")     # of several clips in one batch of pictures
FRAMINGS = ("toon", "FFHQ")                 # how a face was cut out for the generator's training
ORDERS = ("left to right", "largest first")         # of several faces
REGIONS = ("face", "whole crop")            # what goes back into the photograph
SCHEDULES = ("even", "authors", "paper")    # of the motion's steps
CONT_FORMS = ("contrastive", "pairwise")    # of the sentence term
LATENT_UNITS = ("auto", "raw", "std", "white")      # of distances in W
LPIPS_FRAMES = ("first", "last", "random")  # that the perceptual term looks at
AUGMENTATIONS = ("shift", "crop", "colour", "noise")        # before the loss CLIP
PRECISIONS = ("fp32", "bf16", "fp16")       # of the networks that do not learn

MOST_SEED = 2**64 - 1                       # that PyTorch's generators take


class Frozen:
    """Turns the lists that JSON gives back into tuples, so that equal settings compare equal, and
    refuses values that are not of their field's type, NaN and Inf."""

    def __post_init__(self) -> None:
        hints = _hints(type(self))
        for item in fields(self):                                     # type: ignore[arg-type]
            value = getattr(self, item.name)
            if isinstance(value, list):
                object.__setattr__(self, item.name, tuple(value))
                value = tuple(value)
            if not has_type(value, hints[item.name]):
                shown = repr(value)
                raise LGFAError(f"the setting {item.name} is {shown[:60]}: it must be "
                                f"{_words(hints[item.name])}.")
        self._check()

    def _check(self) -> None:
        """Raises LGFAError for settings that no network can have."""


def plain(config: Any) -> dict[str, Any]:
    """Settings as plain data, for headers and hashes.

    Fields marked as "later" are left out while they have their default, so that files and hashes
    stay as they were before such a field came.
    """
    return {name: value for name, value in asdict(config).items() if not _is_unused(config, name)}


def _is_unused(config: Any, name: str) -> bool:
    return any(item.name == name and item.metadata.get("later")
               and getattr(config, name) == item.default for item in fields(config))


_WORDS = {int: "a whole number", float: "a finite number", str: "a text", bool: "true or false",
          dict: "a table", type(None): "nothing"}


@cache
def _hints(cls: type) -> dict[str, Any]:
    """The types of a class's fields; looked up once."""
    return get_type_hints(cls)


def has_type(value: Any, hint: Any) -> bool:
    """Whether a value has a field's type; whole numbers serve as numbers, truth values do not."""
    origin = get_origin(hint) or hint
    if origin in (Union, UnionType):
        return any(has_type(value, one) for one in get_args(hint))
    if origin is tuple:
        return isinstance(value, tuple) and all(has_type(one, get_args(hint)[0]) for one in value)
    if origin in (int, float):
        number = isinstance(value, origin | int) and not isinstance(value, bool)
        return number and (isinstance(value, int) or isfinite(value))
    return isinstance(value, origin)


def _words(hint: Any) -> str:
    """A field's type in words."""
    origin, parts = get_origin(hint) or hint, get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(map(_words, parts))
    if origin is tuple:
        return f"a list, each item {_words(parts[0])}"
    return _WORDS.get(origin, str(origin))


@dataclass(frozen=True)
class GeneratorConfig(Frozen):
    """StyleGAN2 (frames/stylegan2.py)."""

    resolution: int                         # side of the square image in pixels, 8 to 1024
    channels: tuple[int, ...]               # feature maps at 4, 8, 16, .. , resolution px
    z_dim: int = 512                        # length of the input latent z
    w_dim: int = 512                        # length of a style code w
    mapping_layers: int = 8                 # fully connected layers from z to w
    mapping_lr_multiplier: float = 0.01     # stored mapping weights are 1/this times the real ones
    conv_clamp: float | None = None         # clamp activations to +-this (float16); None = never
    architecture: str = field(              # how levels become one picture: "skip", "resnet" or
        default="skip", metadata={"later": True})   # "orig", as NVIDIA calls them

    #: most fully connected layers that a mapping network may have; StyleGAN2's has 8
    MOST_LAYERS = 64

    @property
    def num_layers(self) -> int:
        """L, the number of style codes: 18 at 1024 px, 10 at 64 px."""
        return 2 * (self.resolution.bit_length() - 1) - 2

    def _check(self) -> None:
        sizes = [2**k for k in range(3, 11)]
        if self.resolution not in sizes:
            raise LGFAError(f"generator resolution {self.resolution} is not supported: "
                            f"use one of {', '.join(map(str, sizes))}.")
        levels = self.resolution.bit_length() - 2
        if len(self.channels) != levels:
            raise LGFAError(f"a {self.resolution} px generator needs {levels} channel numbers "
                            f"(4, 8, .. {self.resolution} px), not {len(self.channels)}.")
        if min(*self.channels, self.z_dim, self.w_dim, self.mapping_layers) < 1:
            raise LGFAError("a generator needs channels, z_dim, w_dim and mapping_layers of at "
                            "least 1.")
        if self.mapping_layers > self.MOST_LAYERS:
            raise LGFAError(f"a generator with {self.mapping_layers} mapping layers is not "
                            f"supported: StyleGAN2 has 8, and {self.MOST_LAYERS} is the limit.")
        if not 1e-6 <= self.mapping_lr_multiplier <= 1e6:
            raise LGFAError(f"a generator's mapping_lr_multiplier is a number like 0.01, not "
                            f"{self.mapping_lr_multiplier}.")
        if self.conv_clamp is not None and not 1e-6 <= self.conv_clamp <= 1e6:
            raise LGFAError(f"a generator's conv_clamp is a number like 256, or none, not "
                            f"{self.conv_clamp}.")
        if self.architecture not in ("skip", "resnet", "orig"):
            raise LGFAError(f"generator architecture {self.architecture!r} does not exist: "
                            f"use skip, resnet or orig.")

    @classmethod
    def rosinality(
        cls,
        resolution: int,                    # 8 .. 1024
        channel_multiplier: int = 2,        # 2 = config-f, 1 = half the channels above 32 px
        **others: Any,                      # further fields of GeneratorConfig
    ) -> GeneratorConfig:
        """Channel table of the rosinality layout: 512 up to 32 px, then 256 m, 128 m, .."""
        sizes = [2**k for k in range(2, resolution.bit_length())]
        table = tuple(512 if r <= 32 else 16384 // r * channel_multiplier for r in sizes)
        return cls(resolution, table, **others)

    @classmethod
    def nvidia(
        cls,
        resolution: int,                    # 8 .. 1024
        channel_base: int = 32768,          # channels times pixels of a side
        channel_max: int = 512,             # no level has more
        **others: Any,                      # further fields of GeneratorConfig
    ) -> GeneratorConfig:
        """Channel table of NVIDIA's networks: min(channel_base / r, channel_max) at r px."""
        sizes = [2**k for k in range(2, resolution.bit_length())]
        return cls(resolution, tuple(min(channel_base // r, channel_max) for r in sizes), **others)


def _check_body(
    what: str,                              # the network in words
    input_size: int,
    widths: tuple[int, ...],
    units: tuple[int, ...],
    stem_stride: int,
    least: int,                             # stages
) -> None:
    """An IR-SE body: one width for the stem and one per stage, each stage halving the map."""
    if len(widths) != len(units) + 1 or len(units) < least:
        raise LGFAError(f"{what} needs at least {least} stages and one width more than stages, "
                        f"not {len(widths)} widths and {len(units)} unit counts.")
    step = stem_stride * 2 ** len(units)
    if stem_stride not in (1, 2) or input_size < step or input_size % step:
        raise LGFAError(f"{what} with {len(units)} stages and stem stride {stem_stride} (1 or 2) "
                        f"needs an input size that is a multiple of {step}, not {input_size}.")


@dataclass(frozen=True)
class EncoderConfig(Frozen):
    """e4e: image to W+ (embed/e4e.py)."""

    num_layers: int                         # L, style codes to predict
    resolution: int                         # side of the images of its generator
    input_size: int = 256                   # side to which images are resized
    widths: tuple[int, ...] = (64, 64, 128, 256, 512)   # channels: stem, then the stages
    units: tuple[int, ...] = (3, 4, 14, 3)  # residual blocks of each stage
    w_dim: int = 512                        # length of a style code
    coarse: int = 3                         # style indices below this read the coarsest map
    middle: int = 7                         # .. below this the middle map, the rest the fine one
    start_from_latent_avg: bool = True      # add latent_avg to the predicted codes
    heads: str = "conv"                     # "conv" as in e4e; "linear" is small and fast
    head_width: int = 64                    # channels that a "linear" head pools from a map
    stem_stride: int = 1                    # 2 = every map half as large, much faster

    @property
    def coarsest_size(self) -> int:
        """Side of the last stage's map: 16 for e4e; the two maps above are 2 and 4 times it."""
        return self.input_size // (self.stem_stride * 2 ** len(self.units))

    def level(self, index: int) -> int:
        """The map that a style index reads: 0 coarse, 1 middle, 2 fine."""
        return int(index >= self.coarse) + int(index >= self.middle)

    def _check(self) -> None:
        _check_body("the encoder", self.input_size, self.widths, self.units, self.stem_stride, 3)
        coarsest = self.coarsest_size
        if self.heads not in ("conv", "linear"):
            raise LGFAError(f"encoder heads {self.heads!r} do not exist: use 'conv' or 'linear'.")
        if self.heads == "conv" and coarsest & (coarsest - 1):
            raise LGFAError(f"convolutional encoder heads halve a map down to one pixel, which a "
                            f"side of {coarsest} does not allow: use heads='linear' or an input "
                            "size that is a power of two.")


@dataclass(frozen=True)
class IdentityConfig(Frozen):
    """IR-SE face recognition (embed/identity.py)."""

    input_size: int = 112                   # side of the network's input
    widths: tuple[int, ...] = (64, 64, 128, 256, 512)   # channels: stem, then the stages
    units: tuple[int, ...] = (3, 4, 14, 3)  # residual blocks of each stage
    embed_dim: int = 512                    # length of the embedding
    dropout: float = 0.4                    # before the last linear layer, in training
    crop: tuple[int, ...] | None = (35, 223, 32, 220)   # rows and columns of a 256 px image that
    #                                         it looks at (from, to, from, to); None = all of it
    stem_stride: int = 1                    # 2 = half the resolution throughout, much faster

    @property
    def last_size(self) -> int:
        """Side of the last stage's map: 7 for IR-SE50."""
        return self.input_size // (self.stem_stride * 2 ** len(self.units))

    def _check(self) -> None:
        _check_body("the identity network", self.input_size, self.widths, self.units,
                    self.stem_stride, 1)


@dataclass(frozen=True)
class InceptionResNetConfig(Frozen):
    """InceptionResNet-V1 face recognition (embed/inception_resnet.py)."""

    input_size: int = 160                   # side of the network's input
    embed_dim: int = 512                    # length of the embedding
    crop: tuple[int, ...] | None = (35, 223, 32, 220)   # rows and columns of a 256 px image that
    #                                         it looks at (from, to, from, to); None = all of it

    def _check(self) -> None:
        if self.input_size < 75 or self.embed_dim < 1:
            raise LGFAError("an InceptionResNet reads images of at least 75 px and gives at least "
                            "one number.")
        if self.crop is not None and not (
                len(self.crop) == 4 and 0 <= self.crop[0] < self.crop[1] <= 256
                and 0 <= self.crop[2] < self.crop[3] <= 256):
            raise LGFAError("an InceptionResNet's crop is four numbers: rows from, to, columns "
                            "from, to, inside 256 px.")


@dataclass(frozen=True)
class ClipConfig(Frozen):
    """open_clip's own description of a CLIP (embed/clip.py)."""

    embed_dim: int                          # d, length of image and text embeddings
    vision_cfg: dict[str, Any] = field(default_factory=dict)    # as in open_clip's model_cfg
    text_cfg: dict[str, Any] = field(default_factory=dict)      # as in open_clip's model_cfg
    mean: tuple[float, ...] = (0.48145466, 0.4578275, 0.40821073)    # of its images in 0..1
    std: tuple[float, ...] = (0.26862954, 0.26130258, 0.27577711)    # of its images in 0..1
    options: dict[str, Any] = field(default_factory=dict)       # rest of model_cfg: quick_gelu, ..

    def _check(self) -> None:
        # JSON turns tuples inside the dicts into lists; do it now, so that a copy compares equal.
        for name in ("vision_cfg", "text_cfg", "options"):
            value = getattr(self, name)
            listed = {k: list(v) if isinstance(v, tuple) else v for k, v in value.items()}
            object.__setattr__(self, name, listed)
        if self.embed_dim < 1 or len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise LGFAError("a CLIP needs an embedding length and three numbers in mean and std, "
                            "those of std above 0.")


@dataclass(frozen=True)
class MotionConfig(Frozen):
    """The language-guided motion model (motion/model.py)."""

    embed_dim: int = 512                    # d of its CLIP
    num_layers: int = 18                    # L of its generator
    w_dim: int = 512                        # length of a style code
    hidden: int = 384                       # width of the recurrent state h
    mapper_hidden: int = 1024               # width of the mappers' inner layers
    mapper_depth: int = 3                   # linear layers of a mapper
    schedule: str = "even"                  # step sizes r: "even", "authors" or "paper"
    relative: bool = True                   # mappers read z(i) - z(1), so frame 1 is the still
    code_norm: str = "scale"                # "scale" keeps a code's length, "pixel" erases it
    leaky_slope: float = 0.1                # of the recurrent generator's leaky ReLU
    bias: bool = True                       # the recurrent generator has biases; mappers always
    visual: bool = True                     # z_v is added to z(1)
    visual_mapper: bool = True              # H_v exists
    final_activation: bool = False          # leaky ReLU after a mapper's last layer
    shared_layers: bool = False             # one offset for all L layers
    train_frames: int = 4                   # frames of a training clip
    hidden_std: float = 0.1                 # standard deviation of h(1)
    path_length: float = 0.6                # sum of the step sizes of a clip ("even")
    resolution: int | None = None           # side of its generator's images; None = not known
    start_at_still: bool = True             # subtract the first frame's offset from every frame's

    def _check(self) -> None:
        choices = {"schedule": SCHEDULES, "code_norm": ("scale", "pixel")}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise LGFAError(f"motion {name} {getattr(self, name)!r} does not exist: "
                                f"use {', '.join(known)}.")
        for name in ("embed_dim", "num_layers", "w_dim", "hidden", "mapper_hidden",
                     "mapper_depth", "train_frames"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise LGFAError(f"motion {name} must be a whole number from 1, not {value!r}.")

    @classmethod
    def authors(
        cls,
        **others: Any,                      # further fields of MotionConfig
    ) -> MotionConfig:
        """The published training code: RN50's 1024 numbers, pixel-norm mappers, own schedule.

        Its H_t answers a zero code with its biases' output, so frame 1 is w_s + H_t(0).
        """
        return cls(**{
            "embed_dim": 1024, "schedule": "authors", "relative": True, "code_norm": "pixel",
            "leaky_slope": 0.01, "hidden_std": 0.01, "final_activation": True,
            "start_at_still": False, **others,
        })

    @classmethod
    def paper(
        cls,
        **others: Any,                      # further fields of MotionConfig
    ) -> MotionConfig:
        """Section III to the letter: absolute codes, so that dw(1) = H_t(z(1)) is not zero.

        The paper does not describe its mappers: they are the authors'.
        """
        return cls(**{
            "schedule": "paper", "relative": False, "code_norm": "pixel", "leaky_slope": 0.1,
            "bias": False, "hidden_std": 0.1, "final_activation": True, "start_at_still": False,
            **others,
        })


@dataclass(frozen=True)
class PerceptualConfig(Frozen):
    """LPIPS over a trunk of ours or torchvision's (embed/perceptual.py)."""

    net: str = "alex"                       # trunk: "alex", "vgg" or "squeeze"
    weighted: bool = False                  # the lpips package's channel weights, which were
    #                                         fitted to ImageNet trunks; False = all channels alike
    input_size: int | None = None           # side to which images are resized; None = as they come

    def _check(self) -> None:
        if self.net not in ("alex", "vgg", "squeeze"):
            raise LGFAError(f"perceptual trunk {self.net!r} does not exist: "
                            "use alex, vgg or squeeze.")
        if self.input_size is not None and self.input_size < 32:
            raise LGFAError(f"perceptual input size {self.input_size} is too small: "
                            "use at least 32.")


def check_fits(what: str, part: Any, generator: Any) -> None:
    """Refuses a network that was made for another generator, naming both sides.

    `part` has w_dim, num_layers and, where it knows it, resolution (None = any); `generator` is a
    GeneratorConfig.
    """
    if (part.num_layers not in (None, generator.num_layers) or part.w_dim != generator.w_dim
            or getattr(part, "resolution", None) not in (None, generator.resolution)):
        raise _strangers(f"the {what} makes {_layers(part)}", "the generator", generator)


def check_codes(what: str, codes: Any, reader: Any, whose: str = "the generator") -> None:
    """Refuses codes [N, L, w_dim] that were made for another generator, naming both sides.

    `reader` has num_layers, w_dim and resolution (None = any), as settings and networks do.
    """
    shape = list(codes.shape)
    if len(shape) != 3 or shape[1:] != [reader.num_layers, reader.w_dim]:
        raise _strangers(f"{what} are of the shape {shape}", whose, reader)


def _strangers(made: str, whose: str, reader: Any) -> LGFAError:
    return LGFAError(f"{made}, but {whose} reads {_layers(reader)}: they do not belong together; "
                     "load what was made for the same generator, or make it anew.")


def _layers(part: Any) -> str:
    """How many codes of which length, in words."""
    count = "any" if part.num_layers is None else part.num_layers
    resolution = getattr(part, "resolution", None)
    side = f" for {resolution} px" if resolution else ""
    return f"{count} layers of {part.w_dim} numbers{side}"


def check_seed(seed: int) -> int:
    """The seed, if it is a whole number that a random generator takes."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MOST_SEED:
        raise LGFAError(f"the seed must be a whole number from 0 to 2^64 - 1, not {short(seed)}.")
    return seed


def check_number(value: float, what: str) -> float:
    """The same number, if it is finite."""
    try:
        number = nan if isinstance(value, str) else float(value)
    except (TypeError, ValueError, OverflowError):      # whole numbers may have 400 digits
        number = nan
    if not isfinite(number):
        raise LGFAError(f"{what} must be a finite number, not {short(value)}.")
    return number
