"""Seeded damage to a file: bits, lengths, names, numbers, structure. One function for each kind.

Formats with check sums or lengths of their own (zip, safetensors) are taken apart and put together
again, so that the damage lies behind what a check sum would notice at once.
"""
from __future__ import annotations

import io
import json
import re
import struct
import zipfile
from random import Random

DIGITS = (b"-1", b"0", b"2", b"255", b"65536", b"4294967295", b"9999999999999999999", b"1e400",
          b"NaN", b"9" * 400)
WORDS = (b"../../etc/passwd", b"\x00", b"\xff\xfe", b"__class__", b"os.system", b"hf-hub:a/b",
         b"posix\nsystem\n", b"cbuiltins\neval\n", b"\xe2\x80\xae", b"A" * 3000)


def flips(data: bytearray, rng: Random) -> None:
    """A few bits."""
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def truncated(data: bytearray, rng: Random) -> None:
    del data[rng.randrange(len(data)):]


def spliced(data: bytearray, rng: Random) -> None:
    """A stretch in another place."""
    start, length = rng.randrange(len(data)), rng.choice((1, 4, 16, 256, 4096))
    piece = data[start:start + length]
    at = rng.randrange(len(data))
    data[at:at + (length if rng.random() < 0.5 else 0)] = piece


def removed(data: bytearray, rng: Random) -> None:
    start = rng.randrange(len(data))
    del data[start:start + rng.choice((1, 2, 8, 100))]


def zeroed(data: bytearray, rng: Random) -> None:
    start, length = rng.randrange(len(data)), rng.choice((1, 8, 512))
    length = min(length, len(data) - start)
    data[start:start + length] = rng.choice((b"\x00", b"\xff")) * length


def opcodes(data: bytearray, rng: Random) -> None:
    """Bytes that mean something in a pickle."""
    for _ in range(rng.choice((1, 2, 5))):
        data[rng.randrange(len(data))] = rng.choice(b"().012CBGIJKMNPQRTUVX]abcdeghijlopqrstu}"
                                                    b"\x80\x81\x85\x86\x87\x88\x8a\x8c\x93\x94")


def sizes(data: bytearray, rng: Random) -> None:
    """Four or eight bytes as another whole number."""
    width = rng.choice((1, 2, 4, 8))
    at = rng.randrange(max(1, len(data) - width))
    value = rng.choice((0, 1, 2**7, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**48, 2**63, 2**64 - 1))
    data[at:at + width] = (value % 2 ** (8 * width)).to_bytes(width, "little")


def names(data: bytearray, rng: Random) -> None:
    """A letter of a word, or a word as a whole."""
    found = list(re.finditer(rb"[A-Za-z_]{3,40}", bytes(data)))
    if found:
        one = rng.choice(found)
        if rng.random() < 0.5:
            data[rng.randrange(*one.span())] = rng.choice(b"abcxyz._0\x00\xff")
        else:
            data[slice(*one.span())] = rng.choice(WORDS)


def numbers(data: bytearray, rng: Random) -> None:
    """A number that is written out."""
    found = list(re.finditer(rb"\d+", bytes(data)))
    if found:
        data[slice(*rng.choice(found).span())] = rng.choice(DIGITS)


def nesting(data: bytearray, rng: Random) -> None:
    """Very many brackets, or opcodes that open something."""
    at = rng.randrange(len(data))
    data[at:at] = rng.choice((b"[", b"{", b'{"a":', b"(", b"]", b"}", b"\x8f", b"(]")) * \
        rng.choice((10, 1000, 50_000))


def floats(data: bytearray, rng: Random) -> None:
    """Numbers that are none, in the place of others."""
    at = rng.randrange(max(1, len(data) - 8)) // 4 * 4
    value = rng.choice((float("nan"), float("inf"), 1e38, -1e38))
    data[at:at + 4] = struct.pack("<f", value)


def doubled(data: bytearray, rng: Random) -> None:
    """The file behind itself, or something else before or behind it."""
    extra = rng.choice((bytes(data), b"\x00" * 10, b"PK\x03\x04", b"\n"))
    if rng.random() < 0.5:
        data.extend(extra)
    else:
        data[0:0] = extra


KINDS = (flips, truncated, spliced, removed, zeroed, opcodes, sizes, names, numbers, nesting,
         floats, doubled)


def mutate(data: bytes, rng: Random) -> tuple[str, bytes]:
    """The kind of damage, and the damaged file."""
    if data[:4] == b"PK\x03\x04" and rng.random() < 0.75:
        return _inside_zip(data, rng)
    if data[8:9] == b"{" and rng.random() < 0.6:
        return _inside_header(data, rng)
    return _damaged(data, rng)


def _damaged(data: bytes, rng: Random) -> tuple[str, bytes]:
    """One to three kinds of damage, most often near the beginning, where structure is."""
    kind = rng.choice(KINDS)
    for _ in range(rng.choice((1, 1, 2, 3))):
        head = bytearray(data)
        tail = bytearray()
        if len(data) > 2000 and rng.random() < 0.6:
            head, tail = bytearray(data[:2000]), bytearray(data[2000:])
        if head:
            kind(head, rng)
        data = bytes(head + tail)
    return kind.__name__, data


def _inside_zip(data: bytes, rng: Random) -> tuple[str, bytes]:
    """Damage to one entry, under a right check sum; most often to the pickle."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    pickles = [i for i, (name, _) in enumerate(entries) if name.endswith("data.pkl")]
    chosen = rng.choice(pickles) if rng.random() < 0.7 else rng.randrange(len(entries))
    name, content = entries[chosen]
    if rng.random() < 0.05:
        entries[chosen] = (name + "x", content)
        kind = "renamed"
    else:
        kind, content = _damaged(content, rng)
        entries[chosen] = (name, content)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return f"zip {kind}", out.getvalue()


def _inside_header(data: bytes, rng: Random) -> tuple[str, bytes]:
    """Damage to a safetensors header, or to our own within it, whose length is right again."""
    length = int.from_bytes(data[:8], "little")
    header, rest = data[8:8 + length], data[8 + length:]
    tree = json.loads(header)
    own = tree.get("__metadata__", {}).get("lgfa")
    if own is not None and rng.random() < 0.6:
        kind, changed = _damaged(own.encode(), rng)
        tree["__metadata__"]["lgfa"] = changed.decode("latin1")
        header = json.dumps(tree).encode()
        kind = f"own {kind}"
    else:
        kind, header = _damaged(header, rng)
        kind = f"header {kind}"
    return kind, struct.pack("<Q", len(header)) + header + rest
