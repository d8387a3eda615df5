"""A package that somebody forgot to install."""
from __future__ import annotations

import sys

import pytest

from lgfa.errors import LGFAError
from lgfa.optional import package


def test_a_missing_package_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    assert package("json").loads("1") == 1
    monkeypatch.setitem(sys.modules, "open_clip", None)     # import says ModuleNotFoundError
    with pytest.raises(LGFAError, match=r"open_clip_torch is not installed: run .*-m pip install"):
        package("open_clip")


def test_an_optional_package_is_installed_by_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(LGFAError, match="run `python -m pip install matplotlib` with the Python"):
        package("matplotlib")
