"""Pickles that mean harm, and how they are refused."""
from __future__ import annotations

import io
import os
import struct
import subprocess
from pathlib import Path

import pytest
import torch

from lgfa.errors import LGFAError
from lgfa.formats.unpickle import reader


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


def legacy_file(numel: int, blob: bytes = b"\0" * 16) -> bytes:
    """torch's older layout with a tensor that claims `numel` elements."""
    out = io.BytesIO()
    torch.save(torch.zeros(4), out, _use_new_zipfile_serialization=False)
    data = out.getvalue()
    claim = b"\x8a" + bytes([8]) + struct.pack("<q", numel)
    assert data.count(b"K\x04N") == 1
    return data.replace(b"K\x04N", claim + b"N")
