"""Files of torch.save, TorchScript and NVIDIA as trees: what they give, claims, damage."""
from __future__ import annotations

import argparse
import collections
import io
import random
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hostile import legacy_file, refused

from lgfa.errors import LGFAError
from lgfa.formats.unpickle import reader


def test_storage_claims(tmp_path):
    refused(legacy_file(10 * 2**30))
    refused(legacy_file(-1))
    refused(legacy_file(2**62))


def test_tensors_do_not_reach_beyond_their_storage(tmp_path):
    file = tmp_path / "x.pt"
    torch.serialization.set_crc32_options(False)            # they would tell first
    torch.save(torch.arange(6.0).view(2, 3), file)
    torch.serialization.set_crc32_options(True)
    data = file.read_bytes()
    shape = b"K\x02K\x03\x86"
    assert data.count(shape) == 1
    for rows in (3, 255):
        file.write_bytes(data.replace(shape, bytes([0x4B, rows]) + b"K\x03\x86"))
        with pytest.raises(LGFAError, match="beyond its storage"):
            reader.read(file)
    # Stride 0 would turn four bytes into ten gigabytes on the first copy.
    torch.save(torch.zeros(1).expand(50_000, 50_000), file)
    with pytest.raises(LGFAError, match="beyond its storage"):
        reader.read(file)


def test_zip_bombs_and_broken_zips(tmp_path):
    file = tmp_path / "bomb.pt"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 50_000_000)
    with pytest.raises(LGFAError, match="compressed"):
        reader.read(file)

    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("photo.png", b"x")
    with pytest.raises(LGFAError, match="zip archive"):
        reader.read(file)

    torch.save({"w": torch.zeros(1000)}, file)
    data = file.read_bytes()
    # The directory claims four gigabytes for each entry in turn; the file has none of them.
    starts = [at for at in range(len(data) - 28) if data[at:at + 4] == b"PK\x01\x02"]
    sizes = struct.pack("<II", 0xFFFFFF00, 0xFFFFFF00)
    seen = [outcome(data[:at + 20] + sizes + data[at + 28:], file) for at in starts]
    assert "refused" in seen


def test_every_flipped_bit_of_a_torch_file_is_noticed(tmp_path):
    file, rng = tmp_path / "x.pt", random.Random(0)
    torch.save({"w": torch.randn(1000), "b": torch.zeros(3, dtype=torch.float16)}, file)
    data = file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        storages = [(e.header_offset, e.file_size) for e in archive.infolist()
                    if "/data/" in e.filename]
    for _ in range(100):
        damaged = bytearray(data)
        start, size = rng.choice(storages)
        names, extra = struct.unpack("<HH", data[start + 26:start + 30])
        damaged[start + 30 + names + extra + rng.randrange(size)] ^= 1 << rng.randrange(8)
        file.write_bytes(damaged)
        with pytest.raises(LGFAError, match="differs from its check sum"):
            reader.read(file)


def test_files_without_check_sums_are_read(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"w": torch.ones(3)}, tmp_path / "x.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(reader.read(tmp_path / "x.pt")["w"], torch.ones(3))


@pytest.mark.parametrize("legacy", [False, True])
def test_what_stands_before_or_behind_a_file_is_noticed(tmp_path, legacy):
    file = tmp_path / "x.pt"
    torch.save({"w": torch.ones(3)}, file, _use_new_zipfile_serialization=not legacy)
    data = file.read_bytes()
    for changed in (data + b"\0", data + data, data + b"PK\x03\x04"):
        file.write_bytes(changed)
        with pytest.raises(LGFAError, match="after its end|before its beginning|truncated"):
            reader.read(file)


def test_a_storage_cannot_point_outside_its_archive(tmp_path):
    file = tmp_path / "x.pt"
    out = io.BytesIO()
    torch.save({"w": torch.zeros(4)}, out)
    with zipfile.ZipFile(out) as source, zipfile.ZipFile(file, "w") as target:
        for entry in source.infolist():
            if not entry.filename.endswith("data/0"):
                target.writestr(entry.filename, source.read(entry))
    with pytest.raises(LGFAError, match="storage '0' is not there"):
        reader.read(file)


# ---- values

def example() -> dict:
    return {
        "t": torch.arange(6).view(2, 3).t(), "p": torch.nn.Parameter(torch.ones(3)),
        "half": torch.ones(3).bfloat16(), "none": torch.zeros(0, 3), "bool": torch.tensor(True),
        "numpy": np.arange(6.0).reshape(2, 3), "fortran": np.asfortranarray(np.eye(3)[:2]),
        "big_endian": np.arange(3, dtype=">i4"), "scalar": np.float32(2.5), "u16": np.uint16(3),
        "state": torch.nn.Linear(2, 2).state_dict(), "size": torch.Size([1, 2]),
        "opts": argparse.Namespace(lr=0.1, sizes=[1, 2], path=Path("/a/b")),
        "counter": collections.Counter("aab"), "device": torch.device("cuda:0"),
        "dtype": torch.float16, "long": -(10**40), "set": {1, 2}, "frozen": frozenset("ab"),
        "bytes": b"\0\xff", "float": -1.5, "complex": 1 + 2j, "tuple": (1, "a", None, False),
        "unicode": "\u00e9\u4e00", 3: "number", "optimizer": {"state": {0: {"step": 1}}},
    }


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("new_layout", [True, False])
def test_torch_files_give_what_was_stored(tmp_path, protocol, new_layout):
    file, stored = tmp_path / "x.pt", example()
    torch.save(stored, file, pickle_protocol=protocol, _use_new_zipfile_serialization=new_layout)
    tree = reader.read(file)
    assert list(tree) == list(stored)
    for key in ("t", "p", "half", "none", "bool"):
        assert torch.equal(tree[key], stored[key].detach()) and tree[key].dtype == stored[key].dtype
    for key in ("numpy", "fortran", "big_endian"):
        np.testing.assert_array_equal(tree[key], stored[key])
    for key in ("scalar", "u16", "size", "dtype", "long", "set", "frozen", "bytes", "float",
                "complex", "tuple", "unicode", 3, "optimizer", "counter"):
        assert tree[key] == stored[key], key
    assert isinstance(tree["scalar"], float) and type(tree["state"]) is dict
    assert torch.equal(tree["state"]["weight"], stored["state"]["weight"])
    assert tree["opts"] == {"lr": 0.1, "sizes": [1, 2], "path": "/a/b"}
    assert tree["device"] == "cuda:0"


def test_tensors_are_writable_and_share_what_they_shared(tmp_path):
    file, base = tmp_path / "x.pt", torch.arange(6.0)
    torch.save({"a": base, "b": base[2:4]}, file)
    tree = reader.read(file)
    tree["a"][2] = 9
    assert tree["b"].tolist() == [9, 3]


def test_torchscript_archives_are_trees_of_weights(tmp_path):
    file = tmp_path / "script.pt"
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(network, torch.zeros(1, 2)).save(str(file))
    weights = reader.weights(reader.read(file))
    for name, tensor in network.state_dict().items():
        if name in weights or "num_batches" not in name:
            assert torch.equal(weights[name], tensor)


def test_nvidia_sample_is_read_exactly(shared, monkeypatch):
    monkeypatch.syspath_prepend(str(shared / "reference"))
    import recipe
    manifest = recipe.load_manifest(shared / "reference" / "ada_pkl_tiny.manifest.json")
    tree = reader.read(shared / "reference" / "ada_pkl_tiny.pkl")
    assert tree["G_ema"]["class_name"] == "Generator"
    for group in ("G", "D", "G_ema"):
        expected = recipe.build_state_dict(manifest, group=group)
        weights = reader.weights(tree[group])
        assert set(weights) == set(expected)
        assert all(torch.equal(torch.as_tensor(weights[k]), expected[k]) for k in expected)


# ---- damage

def outcome(data: bytes, file: Path) -> str:
    """Reads damaged bytes: a tree or one sentence, never another exception."""
    file.write_bytes(data)
    try:
        reader.read(file)
    except LGFAError as error:
        assert "\n" not in str(error)
        return "refused"
    return "read"


def test_truncated_sample_is_always_refused(shared, tmp_path):
    data = (shared / "reference" / "ada_pkl_tiny.pkl").read_bytes()
    draw = random.Random(0)
    offsets = [1, 2, 3, 10, 100, len(data) - 1] + [draw.randrange(len(data)) for _ in range(30)]
    assert {outcome(data[:n], tmp_path / "x.pkl") for n in offsets} == {"refused"}


@pytest.mark.parametrize("new_layout", [True, False])
def test_damaged_torch_files(tmp_path, new_layout):
    out = io.BytesIO()
    torch.save(example(), out, _use_new_zipfile_serialization=new_layout)
    data, draw = out.getvalue(), random.Random(1)
    for n in [draw.randrange(1, len(data)) for _ in range(150)]:
        outcome(data[:n], tmp_path / "x.pt")
    for _ in range(400):
        broken = bytearray(data)
        for _ in range(draw.randrange(1, 4)):
            broken[draw.randrange(len(data))] = draw.randrange(256)
        outcome(bytes(broken), tmp_path / "x.pt")


@pytest.mark.parametrize("data, words", [
    (b"hello, I am a text", "text file"),
    (b"<!DOCTYPE html><html>", "web page"),
    (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    (b"\x89PNG\r\n\x1a\n" + bytes(20), "picture"),
    (b"\x1f\x8b" + bytes(20), "compressed archive"),
    (bytes(100), "no checkpoint"),
    (b"certainly not a pickle.", "text file"),
])
def test_other_files_are_named(tmp_path, data, words):
    file = tmp_path / "x.pt"
    file.write_bytes(data)
    with pytest.raises(LGFAError, match=words):
        reader.read(file)
