"""Which way every style channel moves CLIP's view of pictures: measured once per generator.

Published procedure (Patashnik et al. 2021, section 6.2): on 100 pictures of random z, truncated
to 0.7, a channel is set to its mean plus and minus five standard deviations; the difference of
the two unit embeddings, made unit, is averaged over pictures and made unit again. A domain that
knows nice stills shows those in place of random z: on toon pictures, whose expressions would
differ, that raises the share of expressions recognised from a third to nine tenths.

Public files hold the same: fs3.npy [n, d] of the channels of all convolutions, coarse first, the
finest perhaps left out; beside it S_mean_std, a pickle [means, deviations] with an array for each
convolution and each ToRGB, in the order in which they draw.
"""
from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ... import formats
from ...domains import sample_latent
from ...errors import LGFAError, reading
from ...formats import npy, safetensors_io
from ...formats.trees import check_file, is_own
from ...formats.unpickle import reader
from ...frames.latent_space import samples
from ...nn.modules import half
from ..baselines import Parts
from .directions import Directions, GlobalDirection, changed, split, styles, widths
from .directions import Settings as EditSettings

SEED = 3_100                                # of the pictures
UNIT, FILE, KIND = "directions", "directions.safetensors", "directions"


@dataclasses.dataclass(frozen=True)
class Settings:
    """Numbers of the measurement; the published ones but for fewer pictures."""

    pictures: int = 8                       # 100 in the published code
    far: float = 5.0                        # standard deviations to either side
    truncation: float = 0.7                 # of random z
    samples: int = 4096                     # codes that measure mean and deviation
    chunk: int = 32                         # pictures drawn at once
    half: bool = True                       # bfloat16 for the networks' arithmetic


# Tried on toon people, 13 expressions of 2 or 3 each: beta 0.25 (97% recognised) against the 100,
# 150, 200 and 300 most relevant channels (87, 85, 95, 95%); alpha 3 and 6 (87, 90%) against 4 with
# 200 channels; "The person is neutral" as neutral words (58%); templates (92%, their words are
# unknown to this CLIP).
TUNED = {"toon": EditSettings(beta=0.25, templates=("{}",))}


def units(texts: Sequence[str]) -> list[str]:
    return [UNIT]


def train(
    unit: str,
    parts: Parts,
    folder: Path,
    note: Callable[[str], None] = print,
    scale: float = 1.0,                     # factor of the number of pictures
    settings: Settings = Settings(),        # noqa: B008
) -> Path:
    """Measures all channels and writes them; the file."""
    settings = dataclasses.replace(settings, pictures=max(int(settings.pictures * scale), 1))
    begun = time.monotonic()
    found = measure(parts, settings, note)
    info = {"training": dataclasses.asdict(settings),
            "minutes": round((time.monotonic() - begun) / 60, 2)}
    path = Path(folder) / FILE
    safetensors_io.write(path, vars(found), {"version": 1, "kind": KIND, "info": info})
    return path


def load(parts: Parts, folder: Path, texts: Sequence[str]) -> GlobalDirection:
    """The method, from the file that `train` wrote."""
    path = Path(folder) / FILE
    if not path.is_file():
        raise LGFAError(f"the style channels' relevance is not at {path}: measure it first.")
    settings = TUNED.get(parts.domain, EditSettings())
    return GlobalDirection(parts.generator, parts.clip, read(path, parts), settings)


# ---- measuring
@torch.no_grad()
def measure(
    parts: Parts,
    settings: Settings = Settings(),        # noqa: B008
    note: Callable[[str], None] = print,    # told after each layer
) -> Directions:
    """Relevance and deviation of every style channel."""
    synthesis = parts.generator.synthesis
    mean, std = statistics(parts, settings)
    w = stills(parts, settings)
    rows, begun = [], time.monotonic()
    for i, (middle, spread) in enumerate(zip(split(mean, synthesis), split(std, synthesis),
                                             strict=True)):
        ends = torch.stack([middle - settings.far * spread, middle + settings.far * spread])
        rows += [_relevance(parts, settings, w, i, channel, ends[:, channel])
                 for channel in range(len(middle))]
        note(f"directions: convolution {i + 1} of {len(synthesis.convs)}, {len(rows)} channels, "
             f"{(time.monotonic() - begun) / 60:.1f} min")
    return Directions(torch.stack(rows), std)


def stills(parts: Parts, settings: Settings) -> Tensor:
    """Codes of the pictures [N, L, w_dim]."""
    return torch.cat([sample_latent(parts.generator, SEED + i, settings.truncation, parts.domain)
                      for i in range(settings.pictures)])


@torch.no_grad()
def statistics(parts: Parts, settings: Settings) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [n] of every style channel over random codes."""
    generator = parts.generator
    w = samples(generator, settings.samples, SEED, settings.truncation)
    w = w[:, None].repeat(1, generator.num_layers, 1)
    found = torch.cat([styles(generator.synthesis, part) for part in w.split(512)])
    return found.mean(0), found.std(0)


def _relevance(
    parts: Parts,
    settings: Settings,
    w: Tensor,                              # [N, L, w_dim]
    layer: int,                             # number of the convolution
    channel: int,
    ends: Tensor,                           # [2], low and high value
) -> Tensor:
    """[d], of length 1; zeros where the channel changes nothing that CLIP sees."""
    seen = []
    for end in ends:
        def put(style: Tensor, value: Tensor = end) -> Tensor:
            style = style.clone()
            style[:, channel] = value
            return style

        with changed(parts.generator.synthesis, {layer: put}), half(w.device, wanted=settings.half):
            seen.append(torch.cat([parts.clip.encode_image(parts.generator.synthesis(part))
                                   for part in w.split(settings.chunk)]).float())
    return direction(seen[0], seen[1])


def direction(low: Tensor, high: Tensor) -> Tensor:
    """Mean direction between unit embeddings [N, d] of pictures, of length 1. -> [d]"""
    steps = nn.functional.normalize(high - low, dim=1)
    return nn.functional.normalize(steps.mean(0), dim=0)


# ---- files
def read(path: str | Path, parts: Parts) -> Directions:
    """Directions of our own .safetensors or of a public fs3.npy (with S_mean_std beside it, or
    deviations measured here); LGFAError for files of another generator."""
    path = check_file(path)
    if path.suffix == ".npy":
        return _read_public(path, parts)
    tree = formats.read(path)
    if not is_own(tree) or tree["lgfa"]["kind"] != KIND:
        raise LGFAError(f"{path} holds no relevance of style channels: give directions.safetensors "
                        "or fs3.npy.")
    found = tree["state_dict"]
    if set(found) != {"relevance", "std"}:
        raise LGFAError(f"{path} is not whole: it holds {', '.join(sorted(found)) or 'nothing'}.")
    for name, ndim in (("relevance", 2), ("std", 1)):
        if found[name].ndim != ndim or not found[name].is_floating_point():
            raise LGFAError(f"{path} is damaged: its {name} is no table of real numbers with "
                            f"{ndim} dimension{'s' if ndim > 1 else ''}.")
    return _checked(found["relevance"], found["std"], parts, path)


def _read_public(path: Path, parts: Parts) -> Directions:
    relevance = npy.read(path, 2)
    beside = path.with_name("S_mean_std")
    if beside.is_file():
        with reading(beside):
            std = torch.cat(_public_std(beside, parts))
    else:
        std = statistics(parts, Settings())[1].cpu()
    return _checked(relevance, std[:len(relevance)], parts, path)


def _public_std(path: Path, parts: Parts) -> list[Tensor]:
    """Deviations of the convolutions' channels, those of ToRGB left out."""
    tree = reader.read(path)
    if parts.generator.config.architecture != "skip":
        raise LGFAError(f"{path} is of StyleGAN2's skip architecture, and this generator has the "
                        f"{parts.generator.config.architecture} architecture: measure its own.")
    levels = len(parts.generator.synthesis.to_rgbs)
    rgb = [1 + 3 * level for level in range(levels)]    # conv, RGB, then conv, conv, RGB a level
    if not _is_row(tree) or len(tree) != 2 or not _is_row(tree[1]) \
            or len(tree[1]) != 3 * levels - 1:
        raise LGFAError(f"{path} is no S_mean_std of this generator: it must hold the means and "
                        f"deviations of {3 * levels - 1} layers.")
    rows = [_numbers(row, path) for i, row in enumerate(tree[1]) if i not in rgb]
    if [len(row) for row in rows] != widths(parts.generator.synthesis):
        raise LGFAError(f"{path} belongs to a generator with other widths "
                        f"({', '.join(str(len(row)) for row in rows)}).")
    return rows


def _is_row(value: object) -> bool:
    return isinstance(value, list | tuple)


def _numbers(row: object, path: Path) -> Tensor:
    """One layer's deviations as a tensor of one dimension."""
    row = torch.from_numpy(row) if isinstance(row, np.ndarray) and row.dtype.kind == "f" else row
    if not isinstance(row, Tensor) or not row.is_floating_point():
        raise LGFAError(f"{path} holds one {type(row).__name__} where an array of a layer's "
                        "deviations should be: it is damaged.")
    return row.float().flatten()


def _checked(relevance: Tensor, std: Tensor, parts: Parts, path: Path) -> Directions:
    """Both on the networks' device, finite, and of this generator and CLIP."""
    device = parts.generator.latent_avg.device
    found = Directions(relevance.float().to(device), std.float().to(device))
    if not all(bool(torch.isfinite(value).all()) for value in (found.relevance, found.std)):
        raise LGFAError(f"{path} holds NaN or infinite numbers.")
    with reading(path):
        GlobalDirection(parts.generator, parts.clip, found)
    return found
