"""Which file a name means."""
from __future__ import annotations

from pathlib import Path

import pytest

from lgfa.domains import MODELS
from lgfa.errors import LGFAError
from lgfa.formats import public
from lgfa.formats.names import domain_kinds, resolve
from lgfa.registry import KINDS


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of downloads."""
    monkeypatch.setenv("LGFA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_domains_networks() -> None:
    assert resolve("toon", "generator") == MODELS / "toon" / "generator.safetensors"
    kinds = domain_kinds("toon")
    assert {"generator", "encoder", "motion", "identity"} <= set(kinds) <= set(KINDS)
    assert all(resolve("toon", kind).is_file() for kind in kinds)
    with pytest.raises(LGFAError, match="'toon' is a domain of several networks: say which .gener"):
        resolve("toon")
    with pytest.raises(LGFAError, match="domain 'toon' has no MoCoGAN-HD motion generator at"):
        resolve("toon", "mocogan")


def test_paths_stay_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.pt", "folder/a", "/nowhere/toon", "unknown"):
        assert resolve(name, "generator") == Path(name)
    monkeypatch.chdir(tmp_path)
    Path("toon").write_bytes(b"a file of this name goes first")
    assert resolve("toon", "generator") == Path("toon")


def test_public_models_are_found_once_they_are_downloaded(home: Path) -> None:
    with pytest.raises(LGFAError, match="ffhq is not there: fetch it with .* models download ffhq"):
        resolve("ffhq", "generator")
    home.mkdir()
    (home / "ffhq.pkl").write_bytes(b"x")
    assert resolve("ffhq", "generator") == home / "ffhq.pkl" == public.local("ffhq")


def test_a_domain_that_does_not_exist_has_no_networks() -> None:
    assert domain_kinds("nowhere") == []
