"""ComfyUI around the nodes: the real modules or the stand-in, the pack, and a small executor."""
from __future__ import annotations

import asyncio
import atexit
import contextlib
import importlib.util
import inspect
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
STANDIN = Path(__file__).resolve().parent / "standin"
MODULES = ("folder_paths", "comfy.utils", "comfy.model_management", "comfy.model_patcher",
           "comfy.cli_args", "comfy_execution.graph_utils", "comfy_api.latest")


# ---------------------------------------------------------------- ComfyUI's modules
def comfyui() -> Path | None:
    """Folder of a ComfyUI with the V3 interface, $COMFYUI_DIR or ~/ComfyUI; None without one."""
    folder = Path(os.environ.get("COMFYUI_DIR") or Path.home() / "ComfyUI")
    return folder if (folder / "comfy_api" / "latest").is_dir() else None


def use_standin() -> bool:
    """Is it the stand-in that this process uses?"""
    return os.environ.get("LGFA_STANDIN") == "1" or comfyui() is None


def bring_comfy() -> Path:
    """Imports ComfyUI's modules, real ones on the CPU; returns their temporary base folder."""
    base = Path(tempfile.mkdtemp(prefix="lgfa_comfy_")).resolve()
    atexit.register(shutil.rmtree, base, ignore_errors=True)
    for name in ("models", "input", "output", "temp"):
        (base / name).mkdir()
    home = STANDIN if use_standin() else comfyui()
    with _on_path(home), _arguments("--cpu", "--base-directory", str(base)):
        if not use_standin():
            import comfy.options

            comfy.options.enable_args_parsing()
        for name in MODULES:
            importlib.import_module(name)
    folders = sys.modules["folder_paths"]
    folders.models_dir = str(base / "models")
    folders.set_input_directory(str(base / "input"))
    folders.set_output_directory(str(base / "output"))
    folders.set_temp_directory(str(base / "temp"))
    return base


@contextlib.contextmanager
def _on_path(folder: Path) -> Iterator[None]:
    """Only while importing: ComfyUI's root has modules named nodes, utils, tests and more."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


@contextlib.contextmanager
def _arguments(*arguments: str) -> Iterator[None]:
    """ComfyUI reads the command line when it is imported."""
    before, sys.argv = sys.argv, ["main.py", *arguments]
    try:
        yield
    finally:
        sys.argv = before


def bring_pack() -> ModuleType:
    """The pack, imported as ComfyUI does it: under its path, which is no proper module name."""
    name = str(ROOT).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(
        name, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    pack = importlib.util.module_from_spec(spec)
    sys.modules[name] = pack
    spec.loader.exec_module(pack)
    importlib.import_module(f"{name}.nodes")
    return pack


# ---------------------------------------------------------------- the executor
class Runner:
    """Calls nodes as ComfyUI does: checked inputs, a locked class, inference mode, expansion.

    `executed` lists the ids of the nodes that ran, in order, those of expanded graphs included;
    `ui` is what the last one showed. With `caching` on, a node of an expanded graph whose inputs
    and ancestors are as before does not run again.
    """

    def __init__(self, classes: dict[str, Any]) -> None:
        self.classes = classes
        self.executed: list[str] = []
        self.ui: dict[str, Any] | None = None
        self.caching = False
        self.hidden: dict[str, Any] = {}
        self._cache: dict[Any, tuple] = {}
        self._kept: list[Any] = []          # objects whose ids are in keys must live

    def __call__(self, node_id: str, **inputs: Any) -> tuple:
        """Outputs of a node; inputs that are left out take their defaults."""
        cls = self.classes[node_id]
        schema = cls.GET_SCHEMA()
        values = self._fill(schema, inputs)
        self._refuse_blocked(values)
        message = self.validate(node_id, **values)
        if message is not True:
            raise ValueError(message)
        out = self._execute(cls, values)
        self.executed.append(node_id)
        self.ui = out.ui if out.ui is None or isinstance(out.ui, dict) else out.ui.as_dict()
        if out.block_execution is not None:
            from comfy_execution.graph_utils import ExecutionBlocker

            return (ExecutionBlocker(out.block_execution),) * len(schema.outputs)
        results = tuple(out.args)
        if len(results) != len(schema.outputs or []):
            raise AssertionError(f"{node_id} gave {len(results)} outputs, its schema has "
                                 f"{len(schema.outputs or [])}")
        return results if out.expand is None else self._expand(out.expand, results)

    def validate(self, node_id: str, **inputs: Any) -> bool | str:
        """What ComfyUI would say before running: True, or a message. Sees literals only."""
        cls = self.classes[node_id]
        literals = {name: value if isinstance(value, (str, int, float, bool)) else None
                    for name, value in inputs.items()}
        wanted = inspect.getfullargspec(cls.validate_inputs)
        own = cls.validate_inputs.__func__ is not _base(cls).validate_inputs.__func__
        names = set(wanted.args) | (set(literals) if wanted.varkw else set())
        if own:
            said = cls.validate_inputs(**{k: v for k, v in literals.items() if k in names})
            if said is not True:
                return said
        for one in cls.GET_SCHEMA().inputs or []:
            value = literals.get(one.id)
            if value is None or (own and one.id in names):
                continue
            low, high = getattr(one, "min", None), getattr(one, "max", None)
            if (low is not None and value < low) or (high is not None and value > high):
                return f"{one.id}: {value} is not within {low}..{high}"
        return True

    def reset(self) -> None:
        """Forgets what ran; the cache stays."""
        self.executed, self.ui = [], None

    # ---- inside

    def _fill(self, schema: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        known = {one.id: one for one in schema.inputs or []}
        strange = set(inputs) - set(known)
        if strange:
            raise AssertionError(f"{schema.node_id} has no input {', '.join(sorted(strange))}")
        values = {}
        for name, one in known.items():
            if name in inputs:
                values[name] = inputs[name]
            elif getattr(one, "default", None) is not None:
                values[name] = one.default
            elif getattr(one, "options", None):
                values[name] = one.options[0]
            elif not one.optional:
                raise AssertionError(f"{schema.node_id} needs the input {name}")
        return values

    def _refuse_blocked(self, values: dict[str, Any]) -> None:
        from comfy_execution.graph_utils import ExecutionBlocker

        for value in values.values():
            if isinstance(value, ExecutionBlocker):
                raise RuntimeError(f"Execution Blocked: {value.message}")

    def _execute(self, cls: Any, values: dict[str, Any]) -> Any:
        clone = _locked(cls.PREPARE_CLASS_CLONE(self.hidden))
        with torch.inference_mode():
            if inspect.iscoroutinefunction(cls.execute):
                return asyncio.run(cls.EXECUTE_NORMALIZED_ASYNC.__func__(clone, **values))
            return cls.EXECUTE_NORMALIZED.__func__(clone, **values)

    def _expand(self, graph: dict[str, Any], results: tuple) -> tuple:
        """Runs what a node expanded into; ui of the last node that showed something stays."""
        done: dict[str, tuple] = {}
        keys: dict[str, Any] = {}
        shown = [self._node(graph, id, done, keys) and self.ui for id in graph]
        self.ui = next((ui for ui in reversed(shown) if ui), None)
        return tuple(done[r[0]][r[1]] if _is_link(r) else r for r in results)

    def _node(self, graph: dict, id: str, done: dict, keys: dict) -> tuple:
        if id in done:
            return done[id]
        values, parts = {}, []
        for name, value in graph[id]["inputs"].items():
            if _is_link(value):
                values[name] = self._node(graph, value[0], done, keys)[value[1]]
                parts.append((name, keys[value[0]], value[1]))
            else:
                values[name] = value
                plain = isinstance(value, (str, int, float, bool, type(None)))
                self._kept.append(None if plain else value)
                parts.append((name, value if plain else f"object {id_of(value)}"))
        key = keys[id] = (graph[id]["class_type"], tuple(sorted(parts, key=str)))
        if self.caching and key in self._cache:
            done[id] = self._cache[key]
        else:
            done[id] = self._cache[key] = self(graph[id]["class_type"], **values)
        return done[id]


def id_of(value: Any) -> int:
    """`id`, whose name is taken where graphs are walked."""
    return id(value)


def _is_link(value: Any) -> bool:
    from comfy_execution.graph_utils import is_link

    return is_link(value)


def _base(cls: type) -> type:
    from comfy_api.latest import io

    return io.ComfyNode


def _locked(cls: type) -> type:
    """A class on which nothing can be set, as ComfyUI hands to `execute`."""
    def refuse(self: type, name: str, value: Any) -> None:
        raise AttributeError(f"{cls.__name__} keeps state: {name}")

    meta = type("Locked", (type(cls),), {"__setattr__": refuse})
    return meta(cls.__name__, (cls,), {})
