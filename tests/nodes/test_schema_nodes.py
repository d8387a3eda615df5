"""What every node must have, whatever it does."""
from __future__ import annotations

import ast
import importlib
import inspect
import json
from pathlib import Path

import pytest


def _groups(pack):
    """Modules of nodes/ that list NODES."""
    folder = Path(pack.nodes.__file__).parent
    names = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    modules = [importlib.import_module(f"{pack.nodes.__name__}.{name}") for name in names]
    return [module for module in modules if hasattr(module, "NODES")]


def _node_ids():
    """Keys of the literal mapping, read without running anything, as tools do."""
    source = (Path(__file__).resolve().parents[2] / "nodes" / "__init__.py").read_text()
    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign) and node.target.id == "NODE_CLASS_MAPPINGS":
            return [ast.literal_eval(key) for key in node.value.keys]
    return []


@pytest.fixture(params=_node_ids())
def node(request, pack):
    return pack.nodes.NODE_CLASS_MAPPINGS[request.param]


def test_the_mapping_holds_all_nodes_once(pack):
    listed = [cls for module in _groups(pack) for cls in module.NODES]
    mapping = pack.nodes.NODE_CLASS_MAPPINGS
    assert sorted(c.__name__ for c in listed) == sorted(c.__name__ for c in mapping.values())
    assert list(mapping) == _node_ids() and len(set(mapping)) == len(_node_ids())
    assert {name: cls.GET_SCHEMA().node_id for name, cls in mapping.items()} \
        == {name: name for name in mapping}


def test_extension_gives_the_mapping(pack):
    import asyncio

    extension = asyncio.run(pack.comfy_entrypoint())
    assert asyncio.run(extension.get_node_list()) == list(pack.nodes.NODE_CLASS_MAPPINGS.values())
    assert not hasattr(pack, "NODE_CLASS_MAPPINGS")     # it would hide the entry point


def test_names_and_words(node):
    schema = node.GET_SCHEMA()
    assert schema.node_id.startswith("LGFA_")
    assert schema.display_name.endswith(" (LGFA)")
    assert schema.category.startswith("LGFA/")
    assert len(schema.description) > 20 and schema.description.endswith(".")
    for one in [*(schema.inputs or []), *(schema.outputs or [])]:
        where = f"{schema.node_id}.{one.id}"
        assert one.tooltip and len(one.tooltip) > 5, f"{where} has no tooltip"
        assert one.id == one.id.lower() and one.id.isidentifier(), where
    for one in schema.outputs or []:
        assert one.display_name, f"{schema.node_id}.{one.id} has no display name"


def _rank(one):
    """Sockets, then numbers and texts, the seed, combos; then widgets that came later, for which
    stored workflows have no value."""
    from comfy_api.latest import io

    if one.optional and hasattr(one, "default"):
        return 4
    if isinstance(one, io.Combo.Input):
        return 3
    if isinstance(one, io.Int.Input) and one.control_after_generate:
        return 2
    return 1 if hasattr(one, "default") else 0


def test_order_of_inputs(node):
    schema = node.GET_SCHEMA()
    ranks = [_rank(one) for one in schema.inputs or []]
    assert ranks == sorted(ranks), [(one.id, _rank(one)) for one in schema.inputs]
    assert ranks.count(2) <= 1


def test_defaults_work(node):
    from comfy_api.latest import io

    for one in node.GET_SCHEMA().inputs or []:
        where = f"{node.GET_SCHEMA().node_id}.{one.id}"
        if isinstance(one, io.Combo.Input):
            assert isinstance(one.options, list), where
            assert one.default is None or one.default in one.options, where
            assert len(set(one.options)) == len(one.options), where
        elif isinstance(one, (io.Int.Input, io.Float.Input)):
            assert None not in (one.min, one.max, one.default), where
            assert one.min <= one.default <= one.max, where
            assert one.step is not None or one.control_after_generate, where
        elif hasattr(one, "default"):
            assert one.default is not None, where


def test_execute_takes_what_the_schema_says(node):
    schema = node.GET_SCHEMA()
    ids = [one.id for one in schema.inputs or []]
    taken = inspect.signature(node.execute).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in taken.values()):
        assert set(taken) == set(ids)
    for one in schema.inputs or []:
        if one.optional and one.id in taken:
            assert taken[one.id].default is not inspect.Parameter.empty, one.id


def test_checks_take_what_the_schema_says(node):
    from comfy_api.latest import io

    ids = {one.id for one in node.GET_SCHEMA().inputs or []}
    for name in ("validate_inputs", "fingerprint_inputs", "check_lazy_status"):
        own = getattr(node, name)
        if own.__func__ is getattr(io.ComfyNode, name).__func__:
            continue
        taken = inspect.signature(own).parameters
        if any(p.kind is p.VAR_KEYWORD for p in taken.values()):
            continue
        assert set(taken) <= ids, name
        if name == "fingerprint_inputs":        # ComfyUI hands it every input
            assert set(taken) == ids


def test_object_info_is_json(node, comfy_home):
    if not comfy_home.real:
        pytest.skip("the stand-in has no server")
    info = node.GET_NODE_INFO_V1()
    assert json.loads(json.dumps(info))["name"] == node.GET_SCHEMA().node_id


def test_validation_waits_for_links(node, run):
    """Over a link a value is None until the graph runs."""
    ids = {one.id: None for one in node.GET_SCHEMA().inputs or []}
    assert run.validate(node.GET_SCHEMA().node_id, **ids) is True
