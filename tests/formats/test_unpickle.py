"""The reader of pickles: what it gives, what it refuses, and that nothing ever runs."""
from __future__ import annotations

import argparse
import collections
import io
import os
import pickle
import random
import struct
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from lgfa.errors import LGFAError
from lgfa.formats.unpickle import allowed, reader

ROOT = Path(__file__).resolve().parents[2]


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function, *args):
        self.parts = function, args

    def __reduce__(self):
        return self.parts


def canary_calls(canary: Path) -> dict[str, Calls]:
    """Objects that act when a careless reader loads them, most by creating the canary file."""
    touch = f"open({str(canary)!r}, 'w').close()"
    return {
        "system": Calls(os.system, f"touch {canary}"),
        "eval": Calls(eval, touch),
        "exec": Calls(exec, touch),
        "open": Calls(open, str(canary), "w"),
        "getattr": Calls(getattr, "text", "upper"),
        "import": Calls(__import__, "antigravity"),
        "load": Calls(torch.load, str(canary)),
        "Popen": Calls(subprocess.Popen, ["touch", str(canary)]),
    }


def refused(data: bytes, *words: str) -> str:
    """The sentence with which a pickle is refused."""
    with pytest.raises(LGFAError) as caught:
        reader.loads(data)
    text = str(caught.value)
    assert "\n" not in text and all(word in text for word in words), text
    return text


def opcodes(*parts: bytes) -> bytes:
    return b"\x80\x04" + b"".join(parts) + b"."


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


# ---- hostile files

@pytest.mark.parametrize("protocol", range(6))
def test_calls_are_refused_by_name_and_nothing_runs(tmp_path, protocol):
    canary = tmp_path / "canary"
    for name, call in canary_calls(canary).items():
        data = pickle.dumps({"g_ema": [call]}, protocol)
        refused(data, "refused", name)
        file = tmp_path / "bad.pkl"
        file.write_bytes(data)
        with pytest.raises(LGFAError, match="refused"):
            reader.read(file)
    assert not canary.exists() and "antigravity" not in sys.modules


@pytest.mark.parametrize("new_layout", [True, False])
def test_calls_in_torch_files_are_refused(tmp_path, new_layout):
    canary, file = tmp_path / "canary", tmp_path / "bad.pt"
    tree = {"w": torch.ones(3), "x": Calls(os.system, f"touch {canary}")}
    torch.save(tree, file, _use_new_zipfile_serialization=new_layout)
    with pytest.raises(LGFAError, match="system"):
        reader.read(file)
    assert not canary.exists()


def test_calls_in_nested_blobs_are_refused(tmp_path):
    canary = tmp_path / "canary"
    inner = io.BytesIO()
    torch.save(Calls(os.system, f"touch {canary}"), inner, _use_new_zipfile_serialization=False)
    refused(pickle.dumps(Calls(torch.storage._load_from_bytes, inner.getvalue()), 3), "system")
    assert not canary.exists()


def test_nested_blobs_have_a_limit():
    blob = pickle.dumps(None, 2)
    for _ in range(8):
        outer = io.BytesIO()
        torch.save(Calls(torch.storage._load_from_bytes, blob), outer,
                   _use_new_zipfile_serialization=False)
        blob = outer.getvalue()
    refused(blob, "nests blobs")


def test_other_ways_to_name_a_function(tmp_path):
    canary = tmp_path / "canary"
    argument = text(f"touch {canary}")
    system = text("os") + text("system") + b"\x93"
    assert "os.system" in refused(opcodes(system, argument, b"\x85R"))              # STACK_GLOBAL
    assert "os.system" in refused(opcodes(b"(ios\nsystem\n"))                       # INST
    assert "os.system" in refused(opcodes(b"(", named("os", "system"), argument, b"o"))   # OBJ
    assert "os.system" in refused(opcodes(named("os", "system"), argument, b"\x85\x81"))  # NEWOBJ
    assert "refused" in refused(opcodes(text("builtins"), text("object.__class__"), b"\x93"))
    assert "refused" in refused(opcodes(text("collections"), text("OrderedDict.fromkeys"), b"\x93"))
    assert "text" in refused(opcodes(b"K\x01", text("x"), b"\x93"))
    refused(opcodes(b"\x82\x01"), "extensions")
    refused(opcodes(text("anything"), b"Q"), "outside")
    refused(opcodes(b"Panything\n"), "outside")
    assert not canary.exists()


def test_nothing_is_imported():
    assert "antigravity" not in sys.modules
    refused(opcodes(named("antigravity", "fly")), "antigravity.fly")
    assert "antigravity" not in sys.modules


def test_data_only_names_cannot_be_called():
    refused(opcodes(named("numpy", "ndarray"), b"(K\x03t\x85R"), "it calls numpy.ndarray")
    refused(opcodes(named("torch", "FloatStorage"), b"K\x05\x85R"), "it calls torch.FloatStorage")
    refused(opcodes(named("builtins", "object"), b")\x81"), "builtins.object")
    refused(opcodes(text("a"), b")R"), "no function")
    refused(opcodes(b"K\x01K\x02R"), "no function")


@pytest.mark.parametrize("name, arguments", [
    ("collections.OrderedDict", b"K\x05"),
    ("builtins.set", b"]]a"),
    ("builtins.bytearray", b"J\xff\xff\xff\x7f"),
    ("builtins.bytes", b"J\xff\xff\xff\x7f"),
    ("_codecs.encode", text("a")),
    ("torch.Size", b"K\x05"),
    ("torch._utils._rebuild_tensor_v2", b"K\x05"),
    ("torch._utils._rebuild_parameter", b"K\x05"),
    ("torch.storage._load_from_bytes", b"K\x05"),
    ("torch_utils.persistence._reconstruct_persistent_obj", b"K\x05"),
    ("numpy.dtype", text("O")),
    ("numpy.dtype", text("V1000000000")),
    ("numpy.core.multiarray.scalar", b"K\x05"),
    ("copyreg._reconstructor", b"K\x05"),
])
def test_allowed_names_with_odd_arguments(name, arguments):
    module, _, function = name.rpartition(".")
    call = named(module, function)
    if name in ("collections.OrderedDict", "_codecs.encode"):
        assert reader.loads(opcodes(call, arguments, b"\x85R")) in ({}, b"a")
    else:
        refused(opcodes(call, arguments, b"\x85R"), "damaged or was made to do harm")
    refused(opcodes(call, b"(", b"K\x01" * 30, b"tR")) if name != "collections.OrderedDict" else 0
    refused(opcodes(call, b"}" + text("a") + b"K\x01sb"), "damaged or was made to do harm")


@pytest.mark.parametrize("tricks", [
    b"h\x05",                                   # a memo that was never filled
    b"(q\x00",                                  # a mark in the memo
    b"a", b"e", b"s", b"u", b"b", b"t", b"R",   # nothing on the stack
    b"K\x01(K\x02a",                            # append to a mark
    b"K\x01K\x02a",                             # append to a number
    b"K\x01K\x02K\x03s",                        # item of a number
    b"](K\x01K\x02\x90",                        # a list as a set
    b"}]K\x01s",                                # a list as a key
    b"}(K\x01u",                                # a key without its value
    b"]q\x00h\x00a",                            # a list that holds itself
    b"}q\x00K\x01h\x00s",                       # a table that holds itself
    b"\xff",                                    # no opcode
    b"I1x\n", b"Fabc\n", b"Sabc\n", b"L99999999999999999x\n",
    b"X\x02\x00\x00\x00\xff\xfe",               # no UTF-8
    b"\x80\x09",                                # protocol 9
    b"", b"(",
])
def test_memo_and_stack_tricks(tricks):
    refused(opcodes(tricks), "damaged or was made to do harm")


def test_code_of_a_function_cannot_be_replaced():
    """BUILD sets attributes in Python's own reader; here nothing on the stack has any."""
    before = allowed._dict.__defaults__
    refused(opcodes(named("collections", "OrderedDict"), b"N}", text("__defaults__"),
                    b"K\x01\x85s\x86b"))
    assert allowed._dict.__defaults__ is before


# ---- claims

@pytest.mark.parametrize("claim", [
    b"\x8e" + struct.pack("<Q", 10 * 2**30),            # BINBYTES8
    b"\x96" + struct.pack("<Q", 10 * 2**30),            # BYTEARRAY8
    b"\x8d" + struct.pack("<Q", 10 * 2**30),            # BINUNICODE8
    b"B\xff\xff\xff\xff", b"X\xff\xff\xff\xff",
    b"\x8b\xff\xff\xff\x7f", b"\x8b\xff\xff\xff\xff",   # LONG4
])
def test_claimed_lengths_are_compared_with_the_file(claim):
    refused(opcodes(claim), "damaged or was made to do harm")


def legacy_file(numel: int, blob: bytes = b"\0" * 16) -> bytes:
    """torch's older layout with a tensor that claims `numel` elements."""
    out = io.BytesIO()
    torch.save(torch.zeros(4), out, _use_new_zipfile_serialization=False)
    data = out.getvalue()
    claim = b"\x8a" + bytes([8]) + struct.pack("<q", numel)
    assert data.count(b"K\x04N") == 1
    return data.replace(b"K\x04N", claim + b"N")


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


def test_one_blob_cannot_be_loaded_again_and_again():
    blob = io.BytesIO()
    torch.save(torch.zeros(100_000).untyped_storage(), blob, _use_new_zipfile_serialization=False)
    load = named("torch.storage", "_load_from_bytes") + b"\x94"
    raw = b"B" + struct.pack("<I", len(blob.getvalue())) + blob.getvalue() + b"\x94"
    again = b"h\x00h\x01\x85R"
    once = reader.loads(opcodes(load, raw, b"0", again))
    assert len(once) == 400_000
    refused(opcodes(load, raw, b"00(", again * 50, b"t"), "more bytes")


def test_depth_and_number_of_steps_have_limits():
    refused(opcodes(b"]" * 100_000 + b"a" * 99_999), "too deep")
    refused(opcodes(b")" + b"\x85" * 200_000), "too deep")
    nested = b"K\x01" + b"\x85" * 100_000
    refused(opcodes(b"}", nested, b"K\x01s"), "key")            # hashing it would overflow


def test_shared_containers_stay_shared():
    """Thirty levels of pairs have a thousand million leaves, and thirty objects."""
    level: list = []
    for _ in range(30):
        level = [level, level]
    tree = reader.loads(pickle.dumps(level))
    assert tree[0] is tree[1]


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
