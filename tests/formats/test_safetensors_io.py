"""Our own files: written whole, read after their header was checked.

Headers that claim what is not there: test_loading.py, and tests/fuzz.
"""
from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lgfa.errors import LGFAError
from lgfa.formats import safetensors_io as io

DTYPES = tuple(io.KINDS)          # all that is written


def test_every_type_is_written_as_the_library_reads_it(tmp_path: Path) -> None:
    tensors = {str(dtype): torch.arange(6).view(2, 3).to(dtype) for dtype in DTYPES}
    tensors |= {"scalar": torch.tensor(7.0), "none": torch.zeros(0, 3),
                "turned": torch.arange(6.0).view(2, 3).t()}
    io.write_tensors(tmp_path / "a.safetensors", tensors, {"by": "gr\u00fc\u00dfen"})
    found = load_file(tmp_path / "a.safetensors")
    assert set(found) == set(tensors)
    for name, wanted in tensors.items():
        assert torch.equal(found[name], wanted) and found[name].dtype == wanted.dtype, name
    header = io.read_header(tmp_path / "a.safetensors")
    assert header["__metadata__"] == {"by": "gr\u00fc\u00dfen"}
    for name, wanted in tensors.items():                # each at a place that fits its type
        assert header[name]["data_offsets"][0] % wanted.element_size() == 0


def test_weights_that_share_numbers_are_written_apart(tmp_path: Path) -> None:
    x = torch.arange(4.0)
    io.write(tmp_path / "a.safetensors", {"a": x, "b": x[:2]}, {"kind": "k", "version": 1})
    tree, metadata = io.read(tmp_path / "a.safetensors")
    assert tree["lgfa"] == {"kind": "k", "version": 1} and list(metadata) == ["lgfa"]
    assert torch.equal(tree["state_dict"]["b"], x[:2])


@pytest.mark.parametrize(("tensors", "header", "said"), (
    ({"w": torch.tensor([1.0, float("nan")])}, {}, "w holds NaN or infinite numbers"),
    ({"w": torch.tensor([1e30])}, {}, "w holds NaN or infinite numbers as torch.float16"),
    ({"w": torch.zeros(1)}, {"a": {1, 2}}, "its description is not JSON"),
    ({"w": torch.zeros(1)}, {"a": float("nan")}, "its description is not JSON")))
def test_what_is_not_written(tmp_path: Path, tensors, header, said: str) -> None:
    half = torch.float16 if "float16" in said else None
    with pytest.raises(LGFAError, match=said):
        io.write(tmp_path / "a.safetensors", tensors, header, half)
    with pytest.raises(LGFAError, match="name the output .. .safetensors"):
        io.write(tmp_path / "a.pt", {"w": torch.zeros(1)}, {})
    with pytest.raises(LGFAError, match="is of torch.complex64, which the format lacks"):
        io.write_tensors(tmp_path / "b.safetensors", {"w": torch.zeros(1).cfloat()}, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("text", "said"), (
    ("{", "its own description is not readable"), ("{}", "its own description is not readable"),
    (json.dumps({"kind": "k", "version": 99}), "written by a newer version .its format is 99"),
    (json.dumps({"kind": 1, "version": 1}), "written by a newer version")))
def test_descriptions_that_cannot_be_ours(text: str, said: str) -> None:
    with pytest.raises(LGFAError, match=f"a.safetensors .*{said}"):
        io.own_header({"__metadata__": {"lgfa": text}}, Path("a.safetensors"))


@pytest.mark.parametrize("header", ({}, {"__metadata__": {"by": "x"}}, {"__metadata__": [1]}))
def test_files_of_others_have_no_description_of_ours(header) -> None:
    assert io.own_header(header, Path("a.safetensors")) is None


def test_a_files_first_bytes_tell_it() -> None:
    assert io.is_safetensors(b"\x10" + bytes(7) + b'{"a":{}}') and not io.is_safetensors(b"PK\3\4")
    assert not io.is_safetensors(bytes(8)) and not io.is_safetensors(bytes(16))
