"""A path, a domain ("toon") or a public model's name: which file is meant."""
from __future__ import annotations

import os
from pathlib import Path

from ..domains import MODELS
from ..errors import LGFAError
from ..registry import KINDS
from . import public


def resolve(name: str | os.PathLike[str], kind: str | None = None) -> Path:
    """The file behind a path, a domain ("toon") or a known public model's name.

    A domain's networks lie in models/<domain>/<kind>.safetensors; a public model is found when
    it has been downloaded. Raises LGFAError otherwise; nothing is downloaded here.
    """
    path = Path(name)
    if os.path.exists(path) or path.suffix or len(path.parts) != 1:
        return path
    if (MODELS / path).is_dir():
        if kind is None:
            raise LGFAError(f"{name!r} is a domain of several networks: "
                            f"say which ({', '.join(domain_kinds(str(name)))}).")
        file = MODELS / path / f"{kind}.safetensors"
        if not file.is_file():
            raise LGFAError(f"the domain {name!r} has no {KINDS[kind].what} at {file}.")
        return file
    if str(name) in public.MODELS:
        return public.local(str(name))
    return path


def domain_kinds(domain: str) -> list[str]:
    """The kinds of networks that a domain's folder holds."""
    return [k for k in KINDS if (MODELS / domain / f"{k}.safetensors").is_file()]
