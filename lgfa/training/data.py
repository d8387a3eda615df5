"""Where a training's stills come from: image folders, latents in a file, the mapping network.

A source hands out batches of stills for random numbers that the caller brings. It keeps no place
of its own: equal generators give equal batches, so a resumed training goes on where it was.
"""
from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import torch

from ..errors import LGFAError, printable, reading, warn
from ..formats.latents import load_codes
from ..hashes import tensor_hash, text_hash
from .store import Store, read_code, read_still

IMAGE_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"))


class Batch(NamedTuple):
    """Stills to animate."""

    w_inv: torch.Tensor                     # [B, L, w_dim], their codes
    image: torch.Tensor | None              # [B, 3, H, W], -1..1, their pictures, or none


class Source(Protocol):
    """What the trainer asks of a source."""

    num_layers: int                         # L of the codes
    w_dim: int                              # length of a code

    def draw(
        self,
        count: int,                         # stills of the whole batch
        generator: torch.Generator,         # on the CPU; advances as if all were drawn
        rows: slice = slice(None),          # those of them to hand out
    ) -> Batch: ...

    def describe(self) -> str:
        """A line that is equal for equal sources only."""


def check_truncation(truncation: float) -> None:
    """LGFAError unless it is one."""
    if not 0 <= truncation <= 1:
        raise LGFAError(f"the truncation is {truncation:g}: it must be from 0 to 1.")


class SampleSource:
    """People who do not exist: z ~ N(0, I) through the mapping network (paper: other domains)."""

    def __init__(
        self,
        generator: torch.nn.Module,         # Generator; draws on its device
        truncation: float = 1.0,            # pulls codes towards the average, 0 .. 1
        render: bool = False,               # hand out the rendered stills too (the trainer
        #                                     renders what it needs by itself)
        sample_still: Callable[[int, torch.Generator], torch.Tensor] | None = None,
        #                                     (count, generator) -> codes [count, L, w_dim]: for
        #                                     domains that know nicer stills
        spread: Callable[[int], torch.Tensor] | None = None,
        #                                     count -> codes [count, w_dim] that show how W spreads,
        #                                     for domains that know it better than random z
    ) -> None:
        check_truncation(truncation)
        self.generator, self.truncation = generator, truncation
        self.render, self.sample_still, self.spread = render, sample_still, spread
        self.num_layers: int = generator.num_layers
        self.w_dim: int = generator.config.w_dim

    @torch.no_grad()
    def draw(
        self,
        count: int,
        generator: torch.Generator,
        rows: slice = slice(None),
    ) -> Batch:
        """Codes [B, L, w_dim] and, if asked for, images [B, 3, R, R] as rendered, unclamped."""
        if self.sample_still is not None:
            w_inv = self.sample_still(count, generator)[rows]
        else:
            z = torch.randn(count, self.generator.config.z_dim, generator=generator)[rows]
            z = z.to(self.generator.latent_avg.device)
            w_inv = self.generator.mapping(z, truncation=self.truncation)
        return Batch(w_inv, self.generator.synthesis(w_inv) if self.render else None)

    def describe(self) -> str:
        call = self.sample_still
        name = "z" if call is None else getattr(call, "__qualname__", type(call).__qualname__)
        return f"samples of {name}, truncation {self.truncation:g}"


class LatentSource:
    """Codes that were inverted before, such as celeba_e4e_latents.pt."""

    def __init__(
        self,
        latents: str | Path | torch.Tensor,     # a file, or codes [N, L, w_dim]
    ) -> None:
        if not isinstance(latents, torch.Tensor):
            latents = load_codes(latents)
        if latents.ndim != 3 or 0 in latents.shape:
            raise LGFAError(f"latents to train on must be codes [N, L, w_dim], not "
                            f"{list(latents.shape)}.")
        self.latents = latents.detach().float()
        self.num_layers: int = self.latents.shape[1]
        self.w_dim: int = self.latents.shape[2]
        self._hash = tensor_hash(self.latents)

    def draw(
        self,
        count: int,
        generator: torch.Generator,
        rows: slice = slice(None),
    ) -> Batch:
        """Codes [B, L, w_dim] on the CPU, no images."""
        return Batch(self.latents[_choose(len(self.latents), count, generator)[rows]], None)

    def describe(self) -> str:
        return f"{len(self.latents)} latents {self._hash[:16]}"


class ImageSource:
    """Aligned images that are in memory, with their codes."""

    def __init__(
        self,
        images: torch.Tensor,               # [N, 3, R, R], -1..1
        codes: torch.Tensor,                # [N, L, w_dim], of e4e
    ) -> None:
        if len(images) != len(codes) or not len(images):
            raise LGFAError(f"a training needs as many codes as images and at least one, not "
                            f"{len(codes)} for {len(images)}.")
        self.images, self.codes = images, codes
        self.num_layers: int = codes.shape[1]
        self.w_dim: int = codes.shape[2]
        self._hash = text_hash(tensor_hash(images) + tensor_hash(codes))

    def draw(
        self,
        count: int,
        generator: torch.Generator,
        rows: slice = slice(None),
    ) -> Batch:
        """Codes [B, L, w_dim] and images [B, 3, R, R], where they lie."""
        chosen = _choose(len(self.images), count, generator)[rows]
        return Batch(self.codes[chosen], self.images[chosen])

    def describe(self) -> str:
        return f"{len(self.images)} images {self._hash[:16]} at {self.images.shape[-1]} px"


class FolderSource:
    """Aligned images; their codes come from e4e once and are kept on the disk (store.py).

    Renamed images are found again there, changed ones and other encoders are not. Several
    processes may fill one store together: each begins at another place of the list.
    """

    def __init__(
        self,
        folder: str | Path,                 # searched with its subfolders
        encoder: torch.nn.Module,           # Encoder; encodes on its device
        resolution: int,                    # side in pixels of the images handed out
        cache: str | Path | None = None,    # the store; None = FOLDER/.lgfa
        report: Callable[[str], None] = warn,     # told of each skipped file
        progress: Callable[[int, int], None] | None = None,     # (images done, images in all)
        turn: tuple[int, int] = (0, 1),     # this process and how many fill the store
    ) -> None:
        self.folder, self.resolution = Path(folder), resolution
        self.num_layers: int = encoder.config.num_layers
        self.w_dim: int = encoder.config.w_dim
        self.skipped: list[str] = []
        paths = _images_under(self.folder)
        store = Store(Path(cache) if cache else self.folder / ".lgfa", encoder)
        self.encoder_hash: str = store.encoder_hash
        self._items = self._encode(paths, store, report, progress, turn)
        if not self._items:
            raise LGFAError(f"the folder {folder} holds no image that can be used: give a folder "
                            "of aligned faces (png, jpg, webp).")

    def __len__(self) -> int:
        return len(self._items)

    def draw(
        self,
        count: int,
        generator: torch.Generator,
        rows: slice = slice(None),
    ) -> Batch:
        """Codes [B, L, w_dim] and images [B, 3, resolution, resolution], -1..1, on the CPU."""
        chosen = _choose(len(self._items), count, generator)[rows].tolist()
        picked = [self._items[index] for index in chosen]
        images = [read_still(path, self.resolution) for path, _, _ in picked]
        return Batch(torch.stack([read_code(code) for _, code, _ in picked]), torch.stack(images))

    def describe(self) -> str:
        digest = text_hash("".join(digest for _, _, digest in self._items))
        return f"{len(self._items)} images {digest[:16]} at {self.resolution} px"

    def _encode(
        self,
        paths: list[Path],
        store: Store,
        report: Callable[[str], None],
        progress: Callable[[int, int], None] | None,
        turn: tuple[int, int],
    ) -> list[tuple[Path, Path, str]]:
        """(image, its code's file, its hash) of every readable image, in the order of names."""
        found: dict[Path, tuple[Path, Path, str]] = {}
        begin = len(paths) * turn[0] // turn[1]
        for done, path in enumerate(paths[begin:] + paths[:begin], 1):
            try:
                with reading(path):
                    digest = store.digest(path)
                    image = store.missing(path, digest)
                code = None if image is None else store.encode(image)
            except LGFAError as error:
                self.skipped.append(printable(f"{path.name} is skipped: {error}"))
                report(self.skipped[-1])
            else:
                found[path] = (path, store.keep(digest, code), digest)
            if progress:
                progress(done, len(paths))
        store.close()
        return [found[path] for path in paths if path in found]


def _images_under(folder: Path) -> list[Path]:
    """Files with an image's suffix, sorted; hidden files and folders are left out."""
    if not folder.is_dir():
        raise LGFAError(f"there is no folder {folder}: give a folder of aligned images.")
    found = []
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(root) / name for name in files
                  if Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith(".")
                  and os.path.isfile(os.path.join(root, name))]     # no pipes and devices
    return sorted(found)


def _choose(total: int, count: int, generator: torch.Generator) -> torch.Tensor:
    """`count` of `total` indices, all different while there are enough."""
    if count <= total:
        return torch.randperm(total, generator=generator)[:count]
    return torch.randint(total, (count,), generator=generator)
