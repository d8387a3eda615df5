"""numpy's files: what is read, what is refused, and that nothing else ever comes out."""
from __future__ import annotations

import io
import random
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from lgfa.errors import LGFAError
from lgfa.formats import npy

PLAIN = np.arange(12, dtype="float32").reshape(3, 4) / 7


def stored(array: np.ndarray, **options) -> bytes:
    """The bytes that numpy writes."""
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def headed(header: str, data: bytes = b"\0" * 48, version: tuple[int, int] = (1, 0)) -> bytes:
    """A file with any header."""
    text = header.encode("latin1") + b"\n"
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return npy.MAGIC + bytes(version) + length + text + data


@pytest.mark.parametrize("array", [
    PLAIN, PLAIN.astype("float64"), PLAIN.astype("float16"), PLAIN.astype(">f4"),
    np.asfortranarray(PLAIN), PLAIN[:, ::2], np.arange(12, dtype="uint8").reshape(3, 4),
    np.arange(12, dtype="int64").reshape(3, 4)])
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_plain_numbers_are_read(tmp_path: Path, array, version) -> None:
    (tmp_path / "a.npy").write_bytes(stored(array, version=version))
    found = npy.read(tmp_path / "a.npy", 2)
    assert found.dtype == torch.float32 and found.is_contiguous()
    assert torch.equal(found, torch.from_numpy(array.astype("float32")))


HEADER = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }"


@pytest.mark.parametrize("data, match", [
    (b"", "no array of numbers"),
    (npy.MAGIC[:4], "no array of numbers"),
    (b"nothing at all", "no array of numbers"),
    (stored(PLAIN)[:60], "a.npy"),
    (stored(PLAIN)[:-1], "not whole"),
    (stored(PLAIN) + b"0", "not whole"),
    (stored(np.zeros((0, 4), "float32")), "not whole"),
    (stored(np.array([[1, None]], object), allow_pickle=True), "array of object"),
    (stored(np.array([["a"]])), "plain numbers"),
    (stored(np.array([[True]])), "array of bool"),
    (stored(np.array([[1j]])), "array of complex128"),
    (stored(np.zeros((2, 2), [("a", "f4")])), "plain numbers"),
    (stored(np.zeros((2, 2), "datetime64[s]")), "plain numbers"),
    (stored(np.array([[np.nan]])), "NaN or infinite"),
    (stored(np.array([[1e300]])), "NaN or infinite"),
    (stored(np.zeros(4, "float32")), "1 dimensions, and 2"),
    (headed(HEADER.replace("(3, 4)", "(3, 400000000000000)")), "not whole"),
    (headed(HEADER.replace("(3, 4)", f"({10**500}, 4)")), "more than 10"),
    (headed(HEADER.replace("(3, 4)", "(-3, -4)")), "a shape that no array has"),
    (headed(HEADER.replace("(3, 4)", "(True, 12)")), "a shape that no array has"),
    (headed(HEADER.replace("(3, 4)", "(1.5, 4)")), "a.npy"),
    (headed(HEADER.replace("(3, 4)", "(" + "1, " * 70 + ")")), "a shape that no array has"),
    (headed(HEADER.replace("'<f4'", "'<f4' \x00")), "a.npy"),
    (headed(HEADER[:-1]), "a.npy"),
    (headed("(" * 5000), "a.npy"),
    (headed("{" + " " * 20_000 + "}"), "a.npy"),
    (headed("{" + " " * 2_000_000 + "}", version=(2, 0)), "a.npy"),
    (headed(HEADER, version=(3, 0)), "version 3.0"),
    (headed(HEADER, version=(255, 7)), "version 255.7"),
])
def test_others_are_one_sentence(tmp_path: Path, data: bytes, match: str) -> None:
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(LGFAError, match=match) as caught:
        npy.read(tmp_path / "a.npy", 2)
    assert "a.npy" in str(caught.value)


def test_archives_folders_and_missing_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=PLAIN)
    with pytest.raises(LGFAError, match=r"archive of arrays \(.npz\)"):
        npy.read(tmp_path / "a.npz", 2)
    for name in ("missing.npy", "."):
        with pytest.raises(LGFAError, match="cannot be read"):
            npy.read(tmp_path / name, 2)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One seeded mutation: flips, a cut, a repeat, digits, brackets, doubled parts."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(max(len(out), 1))
        kind = rng.randrange(6)
        if kind == 0 and out:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del out[at:]
        elif kind == 2:
            out[at:at] = out[at:at + rng.randrange(40)] * rng.randrange(1, 50)
        elif kind == 3:
            out[at:at + 1] = str(rng.choice((0, -1, 7, 2**31, 2**63, 10**40))).encode()
        elif kind == 4:
            out[at:at] = rng.choice((b"(", b"[", b"{", b"'", b"\\", b"\n", b"\0", b"#", b"L")) \
                * rng.choice((1, 1, 90, 3000))
        else:
            del out[at:at + rng.randrange(1, 9)]
    return bytes(out)


def fuzz(folder: Path, count: int) -> dict[str, int]:
    """Reads so many mutations; any exception but LGFAError passes through."""
    found = {"read": 0, "refused": 0}
    for seed in range(count):
        rng = random.Random(seed)
        base = rng.choice((PLAIN, PLAIN.astype("float64"), PLAIN.astype("int32")))
        (folder / "f.npy").write_bytes(mutated(stored(base, version=rng.choice(((1, 0), (2, 0)))),
                                               rng))
        try:
            assert bool(torch.isfinite(npy.read(folder / "f.npy", 2)).all())
            found["read"] += 1
        except LGFAError as error:
            assert "f.npy" in str(error)
            found["refused"] += 1
    return found


def test_mutations(tmp_path: Path) -> None:
    found = fuzz(tmp_path, 400)
    assert found["read"] > 5 and found["refused"] > 100


@pytest.mark.slow
def test_many_mutations(tmp_path: Path) -> None:
    fuzz(tmp_path, 5000)
