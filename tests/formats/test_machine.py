"""The stack machine of pickles: what it refuses, and that nothing ever runs.

The names that it may mention (allowed.py) and build (values.py) are tested here too.
"""
from __future__ import annotations

import io
import os
import pickle
import struct
import sys
from pathlib import Path

import pytest
import torch
from hostile import Calls, canary_calls, named, opcodes, refused, text

from lgfa.errors import LGFAError
from lgfa.formats.unpickle import allowed, reader

ROOT = Path(__file__).resolve().parents[2]


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
