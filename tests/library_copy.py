"""A copy of the library that a test adds to, as somebody would who extends it."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def copied(folder: Path) -> tuple[Path, dict[str, bytes]]:
    """The copy's folder lgfa/, and what it holds."""
    library = folder / "lgfa"
    shutil.copytree(ROOT / "lgfa", library, ignore=shutil.ignore_patterns("__pycache__"))
    return library, contents(library)


def contents(library: Path) -> dict[str, bytes]:
    """Every file of a folder, but for what Python compiles."""
    return {path.relative_to(library).as_posix(): path.read_bytes()
            for path in library.rglob("*") if path.is_file() and "__pycache__" not in path.parts}


def touched(library: Path, before: Mapping[str, bytes]) -> set[str]:
    """The files that have changed, come or gone since then."""
    after = contents(library)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def add_rows(
    library: Path,
    rows: Mapping[str, str],                # line of registry.py -> what is put below it
) -> None:
    table = library / "registry.py"
    text = table.read_text(encoding="utf-8")
    for line, row in rows.items():
        assert text.count(f"\n{line}") == 1, line
        text = text.replace(f"\n{line}", f"\n{line}{row}")
    table.write_text(text, encoding="utf-8")


def python(library: Path, *arguments: str) -> str:
    """What a Python says that finds this library first."""
    paths = os.pathsep.join(map(str, (library.parent, ROOT / "tests")))
    end = subprocess.run([sys.executable, "-W", "ignore", *arguments], cwd=library.parent,
                         env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True)
    assert end.returncode == 0, end.stderr
    return end.stdout
