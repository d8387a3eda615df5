"""Python packages that are needed late, and may have been forgotten."""
from __future__ import annotations

import importlib
from typing import Any

from .errors import LGFAError

INSTALLED_AS = {"open_clip": "open_clip_torch"}     # where pip's name is another one
OPTIONAL = ("matplotlib",)                          # not in requirements.txt: few need them


def package(name: str) -> Any:
    """The module of that name; LGFAError that says how it is installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or name).partition(".")[0]
        what, where = "-r requirements.txt", "in this project's folder, "
        if missing in OPTIONAL:
            what, where = INSTALLED_AS.get(missing, missing), ""
        raise LGFAError(f"the package {INSTALLED_AS.get(missing, missing)} is not installed: run "
                        f"`python -m pip install {what}` {where}"
                        f"with the Python that runs this, and start it again.") from error
