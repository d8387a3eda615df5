"""Files of trajectories, and of codes to train on. Damaged ones: tests/fuzz."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lgfa.errors import LGFAError
from lgfa.formats import safetensors_io
from lgfa.formats.latents import KEY, check_latents_target, load_codes, load_latents, save_latents

PATH = torch.arange(3 * 4 * 5.0).view(3, 4, 5) / 7


def test_a_trajectory_comes_back_with_what_was_said_of_it(tmp_path: Path) -> None:
    file = save_latents(tmp_path / "a.safetensors", PATH, {"workflow": "x"}, fps=12.5,
                        texts=["gr\u00fc\u00dfen"])
    latents, info = load_latents(file)
    assert torch.equal(latents, PATH) and info == {"fps": 12.5, "texts": ["gr\u00fc\u00dfen"]}
    assert safetensors_io.read_header(file)["__metadata__"]["workflow"] == "x"


def test_the_header_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, read = [], safetensors_io.read_header
    monkeypatch.setattr(safetensors_io, "read_header", lambda path: seen.append(path) or read(path))
    file = save_latents(tmp_path / "a.safetensors", PATH, fps=1.0)
    assert load_latents(file)[1] == {"fps": 1.0} and seen == [file]


@pytest.mark.parametrize("said", ["", "[1]", "nonsense", "{", "[" * 100_000, "null"])
def test_a_strange_description_is_as_good_as_none(tmp_path: Path, said: str) -> None:
    save_file({"latents": PATH}, tmp_path / "a.safetensors", {KEY: said})
    assert load_latents(tmp_path / "a.safetensors")[1] == {}


def test_a_single_frame_and_other_files(tmp_path: Path) -> None:
    torch.save({"latents": PATH[0].double()}, tmp_path / "a.pt")
    latents, info = load_latents(tmp_path / "a.pt")
    assert torch.equal(latents, PATH[:1]) and latents.dtype == torch.float32 and info == {}


@pytest.mark.parametrize("content", [PATH, {"w": PATH}, {"latents": PATH[0, 0]}, {"latents": 3},
                                     {"latents": PATH[:0]}])
def test_what_is_no_trajectory(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(LGFAError, match="a.pt holds no latents"):
        load_latents(tmp_path / "a.pt")


def test_what_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(LGFAError, match="saved as .safetensors, not as 'a.pt'"):
        check_latents_target(tmp_path / "a.pt")
    with pytest.raises(LGFAError, match="NaN or infinite numbers: not written"):
        save_latents(tmp_path / "a.safetensors", PATH / 0)
    with pytest.raises(LGFAError, match=r"must be \[T, L, w_dim\], not \[4, 5\]"):
        save_latents(tmp_path / "a.safetensors", PATH[0])
    assert not list(tmp_path.iterdir())


# ---- codes to train on

@pytest.mark.parametrize("content", [
    PATH, {"latents": PATH}, list(PATH), {f"{i}.png": row[None] for i, row in enumerate(PATH)},
    [PATH[:2].double(), "a text", PATH[2]], {"a": PATH[0], "bias": torch.zeros(5), "b": PATH[1:]}])
def test_codes_of_stills(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pt")
    codes = load_codes(tmp_path / "w.pt")
    assert torch.equal(codes, PATH) and codes.dtype == torch.float32


@pytest.mark.parametrize("content, said", [
    (torch.zeros(3, 6, 16, dtype=torch.int64), "int64"), (torch.ones(3, 6, 16).bool(), "bool"),
    ([torch.zeros(6, 16), torch.zeros(6, 16, dtype=torch.int32)], "int32"),
    (torch.zeros(3, 6, 16, dtype=torch.complex64), "complex64"),
    ({"a": {"b": torch.zeros(3, 6, 16)}}, "no latents"),
    (torch.zeros(0, 6, 16), "no latents"), (torch.zeros(3, 0, 16), "no latents"),
    (torch.full((2, 6, 16), 1e300, dtype=torch.float64), "infinite"), ("text", "no latents"),
    ([torch.zeros(1, 10, 6000)[:, :, :600]] * 9000, "far larger than it is"),
    ({"x": torch.zeros(3)}, "no latents"), (torch.full((1, 6, 16), float("nan")), "infinite"),
    ([torch.zeros(2, 6, 16), torch.zeros(2, 4, 16)], "no latents"), ([], "no latents"),
])
def test_files_without_codes_are_refused(tmp_path: Path, content: object, said: str) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(LGFAError, match=said):
        load_codes(tmp_path / "w.pt")
