"""Imports go one way: the layers of lgfa/ as data, and every import in it, late ones too."""
from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# From the ground up. A module imports from lower layers and from its own package only. A longer
# name stands for itself: what reads pickles lies in formats/ and knows nothing of it.
LAYERS = (
    ("errors", "registry", "signals", "version"),
    ("config", "devices", "files", "formats.unpickle", "nn", "optional"),
    ("domains", "drawn", "hashes", "media"),
    ("embed", "photo"),
    ("frames", "motion", "toon", "trajectory"),
    ("formats",),
    ("metrics", "training"),
    ("methods",),
    ("animate",),
    ("bulk", "evaluate"),
    ("cli",),
)
TOP = ("__init__", "__main__")          # the doors: they may open everything
MOST_LAYERS, MOST_LOOSE, DOCSTRING = 11, 13, 3

# What stands beside lgfa/, and what of it they must not import.
BESIDE = {"nodes": ("cli", "evaluate", "bulk"), "tools": (), "benchmarks": ()}


def modules(folder: Path) -> dict[str, ast.Module]:
    """Dotted name below the folder -> its syntax tree."""
    return {".".join(path.relative_to(folder).with_suffix("").parts):
            ast.parse(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.py"))}


def imported(module: str, tree: ast.Module, known: set[str], top: str = "lgfa") -> set[str]:
    """The modules of lgfa that a module imports anywhere in it, but for annotations alone."""
    skipped = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.If)
               and ast.unparse(node.test).endswith("TYPE_CHECKING")
               for part in node.body for inner in ast.walk(part)}
    package = [top, *module.split(".")[:-1]]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and id(node) not in skipped:
            found |= {tuple(alias.name.split(".")) for alias in node.names}
        if isinstance(node, ast.ImportFrom) and id(node) not in skipped:
            base = package[:len(package) - node.level + 1] if node.level else []
            base = tuple(base) + tuple(node.module.split(".") if node.module else ())
            found |= {(*base, alias.name) for alias in node.names}
    names = {".".join(parts[1:]) for parts in found if parts[0] == "lgfa"}
    return {name if name in known else name.rpartition(".")[0] or "__init__" for name in names}


def place(module: str) -> tuple[int, str]:
    """(layer, package or module) of the longest name of LAYERS that a module begins with."""
    parts = module.removesuffix(".__init__").split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        for number, layer in enumerate(LAYERS):
            if name in layer:
                return number, name
    raise AssertionError(f"lgfa/{module.replace('.', '/')}.py stands in no layer: give it one")


def wrong_arrows(trees: dict[str, ast.Module]) -> list[str]:
    """One sentence for each import that runs up, or aside."""
    known = set(trees) | {name.removesuffix(".__init__") for name in trees}
    wrong = []
    for module, tree in trees.items():
        if module in TOP:
            continue
        number, home = place(module)
        for other in sorted(imported(module, tree, known)):
            if other in TOP:
                wrong.append(f"{module} imports lgfa itself")
                continue
            height, where = place(other)
            if where != home and height >= number:
                wrong.append(f"{module} imports {other}, which stands "
                             f"{'above' if height > number else 'beside'} it")
    return wrong


def cycle(trees: dict[str, ast.Module]) -> list[str]:
    """Modules that import each other in a circle, or none; late imports count too."""
    known = set(trees) | {name.removesuffix(".__init__") for name in trees}
    graph = {name.removesuffix(".__init__"): imported(name, tree, known)
             for name, tree in trees.items() if name not in TOP}
    done: set[str] = set()

    def walk(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name):], name]
        if name in done:
            return []
        for other in sorted(graph.get(name, ())):
            if found := walk(other, [*way, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(graph) if (found := walk(name, []))), [])


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.Module]:
    return modules(ROOT / "lgfa")


def test_imports_go_one_way(trees) -> None:
    wrong = wrong_arrows(trees)
    assert not wrong, "\n".join(wrong)
    assert len(LAYERS) <= MOST_LAYERS


def test_no_imports_in_a_circle(trees) -> None:
    assert not cycle(trees), " -> ".join(cycle(trees))


def test_an_arrow_turned_round_is_found(trees) -> None:
    late = ast.parse("def f():\n    from ..methods.method import Method\n")
    assert wrong_arrows({**trees, "motion.model": late}) == [
        "motion.model imports methods.method, which stands above it"]
    assert wrong_arrows({**trees, "media.clips": ast.parse("from ..hashes import file_hash")}) == [
        "media.clips imports hashes, which stands beside it"]
    assert wrong_arrows({**trees, "nn.ops": ast.parse("from .. import __version__")}) == [
        "nn.ops imports lgfa itself"]
    shown = "if TYPE_CHECKING:\n    from ..methods.method import Method\n"
    assert not wrong_arrows({**trees, "motion.model": ast.parse(shown)})
    round_trip = {"nn.a": ast.parse("from .b import x"), "nn.b": ast.parse("from . import a")}
    assert cycle({**trees, **round_trip}) == ["nn.a", "nn.b", "nn.a"]


def test_loose_modules(trees) -> None:
    loose = {name for name in trees if "." not in name}
    assert loose - set(TOP) == {name for layer in LAYERS for name in layer
                                if "." not in name and (ROOT / "lgfa" / f"{name}.py").is_file()}
    assert len(loose) <= MOST_LOOSE


def test_every_package_says_what_lives_there(trees) -> None:
    for name, tree in trees.items():
        if name.endswith("__init__") and name not in TOP:
            text = ast.get_docstring(tree, clean=False)
            assert text and len(text.splitlines()) <= DOCSTRING, name
            names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
                     for alias in node.names}
            assert names <= {"importlib"}, name


def test_no_package_imports_torch() -> None:
    packages = sorted(".".join(path.parent.relative_to(ROOT).parts)
                      for path in (ROOT / "lgfa").rglob("__init__.py"))
    code = f"import sys, {', '.join(packages)}; print('torch' in sys.modules)"
    end = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert end.stdout.strip() == "False", end


@pytest.mark.parametrize("folder", BESIDE)
def test_what_stands_beside(folder: str, trees) -> None:
    known = set(trees) | {name.removesuffix(".__init__") for name in trees}
    for name, tree in modules(ROOT / folder).items():
        used = {one.split(".")[0] for one in imported(name, tree, known, top=folder)}
        assert not used & set(BESIDE[folder]), f"{folder}/{name}.py imports {used}"
    for name, tree in trees.items():
        strange = {alias.name.split(".")[0] for node in ast.walk(tree)
                   if isinstance(node, ast.Import) for alias in node.names}
        strange |= {(node.module or "").split(".")[0] for node in ast.walk(tree)
                    if isinstance(node, ast.ImportFrom) and not node.level}
        assert folder not in strange, f"lgfa/{name} imports {folder}"
