"""Eyes: the networks that look at clips, each loaded when it is first asked.

What enters a figure should not have entered a loss: on the toon domain the attribute network and
the second identity network ("judge") were trained for measuring alone. CLIP scores are by the
CLIP of the loss, and say so.
"""
from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .. import domains, formats
from ..errors import LGFAError
from .changes import apart
from .inception import i3d_features, load_inception
from .metric import Shown, batched

# extractor -> the kind of network that its file holds
KINDS = {"identity": "identity", "attributes": "attributes", "clip": "clip", "irse50": "identity",
         "inceptionresnet": "inception_resnet"}
FOREIGN = ("inception", "i3d")              # of other projects, see foreign.py
# extractor -> its file's name in a domain's folder
OWN = {"identity": "judge", "attributes": "attributes", "clip": "clip"}
PACKAGES = ("cv2",)

Part = nn.Module | str | PathLike[str]


class Eyes:
    """The extractors of one evaluation, on one device, frozen."""

    def __init__(
        self,
        domain: str | None = "toon",            # whose own networks are taken; None = no domain
        device: str | torch.device = "cpu",
        **parts: Part | None,
        # identity: instead of the domain's judge; attributes, clip: instead of its own;
        # irse50, inceptionresnet: files of face recognition networks; inception: clean-fid's file;
        # i3d: a module. Each a network or a file's name
    ) -> None:
        known = (*KINDS, *FOREIGN)
        strange = sorted(set(parts) - set(known))
        if strange:
            raise LGFAError(f"there is no extractor {', '.join(strange)}; "
                            f"there are {', '.join(known)}.")
        self.domain, self.device = domain, torch.device(device)
        self._given = {name: part for name, part in parts.items() if part is not None}
        self._loaded: dict[str, Any] = {}
        self._texts: dict[str, Tensor] = {}
        self._latest: Seen | None = None

    # ---- what there is

    def has(self, need: str) -> bool:
        """Whether an extractor, the toon domain ("toon") or a package ("cv2") is at hand."""
        if need == "toon":
            return self.domain == "toon"
        if need in PACKAGES:
            return importlib.util.find_spec(need) is not None
        return need in self._given or (need in OWN and self._own_file(need) is not None)

    def network(self, name: str) -> nn.Module:
        """An extractor's network; LGFAError says what to give where it is not there."""
        if name not in self._loaded:
            given = self._given.get(name)
            if given is None:
                given = self._own_file(name)
            if given is None:
                raise LGFAError(f"there is no {name} network to measure with: give its file as "
                                f"`{name}`.")
            if not isinstance(given, nn.Module):
                given = _load(name, given)
            # a network that is shared with others keeps its gradients; nothing here takes any
            self._loaded[name] = given.to(self.device).eval()
        return self._loaded[name]

    def _own_file(self, name: str) -> Path | None:
        if self.domain is None or name not in OWN:
            return None
        file = domains.MODELS / self.domain / f"{OWN[name]}.safetensors"
        return file if file.is_file() else None

    # ---- looking

    @torch.no_grad()
    def identity(self, frames: Tensor, network: str = "identity") -> Tensor:
        """[T, 3, H, W], -1..1 -> unit vectors [T, d] on the CPU; `network` names the extractor."""
        return self._look(self.network(network), frames)

    @torch.no_grad()
    def attributes(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """[T, 3, H, W] -> expression logits [T, 14] and parameters [T, K] of the toon table."""
        return self._look(self.network("attributes"), frames)

    @torch.no_grad()
    def features(self, frames: Tensor) -> Tensor:
        """[T, 3, H, W] -> the attribute network's features [T, 192]."""
        return self._look(self.network("attributes").features, frames)

    @torch.no_grad()
    def all_attributes(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features, logits and parameters in one pass."""
        network = self.network("attributes")

        def look(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            seen = network.features(x)
            return seen, network.expression(seen), network.parameters_(seen)
        return self._look(look, frames)

    @torch.no_grad()
    def clip_image(self, frames: Tensor) -> Tensor:
        """[T, 3, H, W] -> unit vectors [T, d]."""
        return self._look(self.network("clip").encode_image, frames)

    @torch.no_grad()
    def clip_text(self, text: str) -> Tensor:
        """A sentence -> unit vector [d]; remembered."""
        if text not in self._texts:
            self._texts[text] = self.network("clip").encode_text([text])[0].float().cpu()
        return self._texts[text]

    @torch.no_grad()
    def inception(self, frames: Tensor) -> Tensor:
        """[T, 3, H, W] -> features of FID [T, 2048]."""
        return self._look(self.network("inception"), frames)

    @torch.no_grad()
    def i3d(self, frames: Tensor) -> Tensor:
        """One clip [T, 3, H, W] -> features of FVD [1, 400]."""
        return i3d_features(self.network("i3d"), frames.to(self.device)).float().cpu()

    def _look(self, look: Callable[[Tensor], Any], frames: Tensor) -> Any:
        out = batched(lambda x: look(x.to(self.device)), frames)
        return tuple(o.float().cpu() for o in out) if isinstance(out, tuple) else out.float().cpu()

    @cached_property
    def strangers(self) -> float:
        """Mean identity distance of two random people of the toon domain, by `identity`."""
        from .toon_truth import random_pairs  # late: eyes of other domains need no toons

        one, other = (self.identity(x) for x in random_pairs())
        return float(apart(one, other).mean())

    # ---- a clip, each network once

    def seen(self, shown: Shown) -> Seen:
        """What the networks see in a clip; the latest one is remembered."""
        if self._latest is None or self._latest.shown is not shown:
            self._latest = Seen(shown, self)
        return self._latest


def _load(name: str, file: str | PathLike[str]) -> nn.Module:
    """An extractor from its file."""
    if name == "inception":
        return load_inception(file)
    if name == "i3d":
        raise LGFAError("I3D is a TorchScript program, which this project does not run from a "
                        "file: load it yourself and give the module as `i3d`.")
    return formats.load(file, KINDS[name])


class Seen:
    """A clip through the networks, each asked once; row 0 of vectors is the still, then frames."""

    def __init__(self, shown: Shown, eyes: Eyes) -> None:
        self.shown, self.eyes = shown, eyes
        self._vectors: dict[str, Tensor] = {}

    @cached_property
    def pictures(self) -> Tensor:
        """[1 + T, 3, H, W]: the still and the frames."""
        return torch.cat([self.shown.still[None].to(self.shown.frames), self.shown.frames])

    def identity(self, network: str = "identity") -> Tensor:
        """Unit vectors [1 + T, d] of an identity network."""
        if network not in self._vectors:
            self._vectors[network] = self.eyes.identity(self.pictures, network)
        return self._vectors[network]

    @cached_property
    def attributes(self) -> tuple[Tensor, Tensor, Tensor]:
        """Features [T, 192], logits [T, 14], parameters [T, K] of the frames (not the still)."""
        return self.eyes.all_attributes(self.shown.frames)

    @cached_property
    def clip_scores(self) -> Tensor:
        """Cosine of every frame with the sentence, [T]."""
        return self.eyes.clip_image(self.shown.frames) @ self.eyes.clip_text(self.shown.text)
