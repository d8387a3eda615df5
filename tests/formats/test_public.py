"""The table of public models. Fetching them: test_download.py."""
from __future__ import annotations

import re
from pathlib import Path

import pytest

from lgfa.errors import LGFAError
from lgfa.formats import public
from lgfa.formats.recognition import all_formats
from lgfa.registry import KINDS


@pytest.mark.parametrize("name", public.MODELS)
def test_every_row_is_whole(name: str) -> None:
    model = public.MODELS[name]
    assert model.address.startswith("https://") and Path(model.file).name == model.file
    assert model.kind is None or model.kind in KINDS
    assert model.what and model.format and model.licence
    assert model.sha256 is None or re.fullmatch("[0-9a-f]{8,64}", model.sha256)
    if model.size is not None:
        assert abs(model.size / 1e6 - (model.megabytes or model.size / 1e6)) < 1
    assert public.known(name) is public.known(model.file) is model


def test_rows_name_the_formats_that_will_read_them() -> None:
    """By the words that `inspect` says, for those that are networks."""
    names = " | ".join(form.name for form in all_formats() if form.refuse is None)
    for name, model in public.MODELS.items():
        if model.kind is not None and model.kind != "inception_resnet":
            assert model.format in names, name


def test_files_and_addresses_are_not_shared() -> None:
    models = public.MODELS.values()
    assert len({model.file for model in models}) == len(models)
    assert len({model.address for model in models}) == len(models)


def test_names_that_are_not_known_are_answered_with_the_list() -> None:
    with pytest.raises(LGFAError, match="no known model 'x'; known are stylegan2-ffhq, .*yunet"):
        public.known("x")


def test_yunet_is_looked_for_under_any_name(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, models = tmp_path / "home", tmp_path / "models"
    monkeypatch.setenv("LGFA_HOME", str(home))
    assert public.find_yunet([models]) is None and not public.is_present("yunet")
    models.mkdir()
    (models / "other.onnx").write_bytes(b"")
    assert public.find_yunet([models]) is None
    (models / "Face_YuNet_2023.onnx").write_bytes(b"")
    assert public.find_yunet([models]) == models / "Face_YuNet_2023.onnx"
    home.mkdir()
    (home / public.MODELS["yunet"].file).write_bytes(b"")       # its own name goes first
    assert public.find_yunet([models]) == home / public.MODELS["yunet"].file
