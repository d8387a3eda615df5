"""ComfyUI around the nodes: the real modules or the stand-in, the pack, and a small executor."""
from __future__ import annotations

import ast
import asyncio
import atexit
import contextlib
import dataclasses
import enum
import importlib.util
import inspect
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
STANDIN = Path(__file__).resolve().parent / "standin"
MODULES = ("folder_paths", "comfy.utils", "comfy.model_management", "comfy.model_patcher",
           "comfy.cli_args", "comfy_execution.graph_utils", "comfy_execution.utils",
           "comfy_api.latest")


# ---------------------------------------------------------------- ComfyUI's modules
def comfyui() -> Path | None:
    """Folder of a ComfyUI with the V3 interface, $COMFYUI_DIR or ~/ComfyUI; None without one."""
    folder = Path(os.environ.get("COMFYUI_DIR") or Path.home() / "ComfyUI")
    return folder if (folder / "comfy_api" / "latest").is_dir() else None


def use_standin() -> bool:
    """Is it the stand-in that this process uses?"""
    return os.environ.get("LGFA_STANDIN") == "1" or comfyui() is None


def bring_comfy(*more: str) -> Path:
    """Imports ComfyUI's modules, real ones on the CPU, and `more` of them; returns their temporary
    base folder."""
    base = Path(tempfile.mkdtemp(prefix="lgfa_comfy_")).resolve()
    atexit.register(shutil.rmtree, base, ignore_errors=True)
    for name in ("models", "input", "output", "temp"):
        (base / name).mkdir()
    home = STANDIN if use_standin() else comfyui()
    with _on_path(home), _arguments("--cpu", "--base-directory", str(base)):
        if not use_standin():
            import comfy.options

            comfy.options.enable_args_parsing()
            # As main.py does: another module would take the name.
            importlib.import_module("utils.extra_config")
        for name in (*MODULES, *more):
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


def signatures() -> dict[str, Any]:
    """{name: parameters} of all that the stand-in defines, looked up in the loaded modules."""
    found: dict[str, Any] = {}
    for file in sorted(STANDIN.rglob("*.py")):
        parts = file.relative_to(STANDIN).with_suffix("").parts
        module = ".".join(part for part in parts if part != "__init__")
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            _signatures(module, sys.modules[module], node, found)
    arguments = sys.modules["comfy.cli_args"].args
    for name in ("cpu", "gpu_only", "disable_metadata", "preview_size"):
        found[f"args.{name}"] = hasattr(arguments, name)
    return found


def _signatures(where: str, holder: Any, node: ast.AST, found: dict[str, Any]) -> None:
    """Adds a function, or a class with its public methods and nested classes."""
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return
    internal = node.name.startswith("_") and node.name != "__init__"
    if internal or node.name in ("ComfyTypeI", "ComfyTypeIO", "HiddenHolder"):
        return
    name = f"{where}.{node.name}"
    value = getattr(holder, node.name, None)
    if not isinstance(node, ast.ClassDef):
        if callable(value):
            found[name] = [(p.name, str(p.kind), repr(p.default) if p.default is not p.empty
                            else "-") for p in inspect.signature(value).parameters.values()]
        elif not any(isinstance(d, ast.Name) and d.id == "property" for d in node.decorator_list):
            found[name] = None
        return
    if isinstance(value, type) and dataclasses.is_dataclass(value):
        found[name] = [(f.name, repr(f.default) if f.default is not dataclasses.MISSING else "-")
                       for f in dataclasses.fields(value)]
    elif isinstance(value, type) and issubclass(value, enum.Enum):
        own = [t.id for one in node.body if isinstance(one, ast.Assign) for t in one.targets]
        found[name] = {key: value[key].value for key in own if key in value.__members__}
    else:
        found[name] = value is not None
    for one in node.body:
        _signatures(name, value, one, found)


# ---------------------------------------------------------------- the executor
class Page:
    """ComfyUI's server as far as it shows texts on the nodes of a user's page."""

    def __init__(self) -> None:
        self.client_id: str | None = uuid.uuid4().hex
        self.last_node_id: str | None = None
        self.texts: dict[str, str] = {}             # what stands on each node
        self.sent: list[tuple[str, str]] = []       # (client, text), in order

    def send_progress_text(self, text: str, node_id: str, sid: str | None = None) -> None:
        self.sent.append((sid, text))
        self.texts[node_id] = text


class Runner:
    """Calls nodes as ComfyUI does: checked inputs, a locked class, inference mode, expansion.

    `executed` lists the ids of the nodes that ran, in order, those of expanded graphs included;
    `ui` is what the last one showed, `node` the id of the one that is called. With `caching` on, a
    node of an expanded graph whose inputs and ancestors are as before does not run again.
    """

    def __init__(self, classes: dict[str, Any]) -> None:
        self.classes = classes
        self.executed: list[str] = []
        self.ui: dict[str, Any] | None = None
        self.caching = False
        self.hidden: dict[str, Any] = {}
        self.node = "1"
        self.page: Page | None = None       # the server, if there is one
        self._cache: dict[Any, tuple] = {}
        self._kept: list[Any] = []          # objects whose ids are in keys must live

    def __call__(self, node_id: str, **inputs: Any) -> tuple:
        """Outputs of a node; inputs that are left out take their defaults."""
        return self._checked(node_id, inputs)

    def _checked(self, node_id: str, inputs: dict[str, Any], running: str | None = None) -> tuple:
        values = self._fill(self.classes[node_id].GET_SCHEMA(), inputs)
        self._refuse_blocked(values)
        message = self.validate(node_id, **values)
        if message is not True:
            raise ValueError(message)
        return self._run(node_id, values, running)

    def linked(self, node_id: str, **inputs: Any) -> tuple:
        """The same where all inputs come over links: ComfyUI knows none of them beforehand."""
        return self._run(node_id, self._fill(self.classes[node_id].GET_SCHEMA(), inputs))

    def _run(self, node_id: str, values: dict[str, Any], running: str | None = None) -> tuple:
        """Outputs of a node for all of its inputs; `running` = its id in an expanded graph."""
        self._running = running or self.node
        cls = self.classes[node_id]
        schema = cls.SCHEMA
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
        from comfy_execution.graph_utils import GraphBuilder
        from comfy_execution.utils import CurrentNodeContext

        clone = _locked(cls.PREPARE_CLASS_CLONE(self.hidden))
        GraphBuilder.set_default_prefix(self._running, 0, 0)
        if self.page is not None:
            self.page.last_node_id = self.node
        with CurrentNodeContext("prompt", self._running, 0), torch.inference_mode():
            if inspect.iscoroutinefunction(cls.execute):
                return asyncio.run(cls.EXECUTE_NORMALIZED_ASYNC.__func__(clone, **values))
            return cls.EXECUTE_NORMALIZED.__func__(clone, **values)

    def _expand(self, graph: dict[str, Any], results: tuple) -> tuple:
        """Runs what a node expanded into; what the last of its nodes showed stays in `ui`."""
        done: dict[str, tuple] = {}
        keys: dict[str, Any] = {}
        shown = []
        for one in graph:
            self.ui = None
            self._node(graph, one, done, keys)
            shown.append(self.ui)
        self.ui = next((ui for ui in reversed(shown) if ui), None)
        return tuple(done[r[0]][r[1]] if _is_link(r) else r for r in results)

    def _node(self, graph: dict[str, Any], one: str, done: dict, keys: dict) -> tuple:
        """Outputs of one node of an expanded graph; what it links to runs before it."""
        if one in done:
            return done[one]
        values, parts = {}, []
        for name, value in graph[one]["inputs"].items():
            if _is_link(value):
                values[name] = self._node(graph, value[0], done, keys)[value[1]]
                parts.append((name, keys[value[0]], value[1]))
                continue
            values[name] = value
            plain = isinstance(value, (str, int, float, bool, type(None)))
            parts.append((name, value if plain else f"object {id(value)}"))
            self._kept.append(value)
        key = keys[one] = (graph[one]["class_type"], tuple(sorted(parts, key=str)))
        if not (self.caching and key in self._cache):
            self._cache[key] = self._checked(graph[one]["class_type"], values, one)
        done[one] = self._cache[key]
        return done[one]


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
