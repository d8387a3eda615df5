"""Every string of lgfa/registry.py stands for code that is there and can what it is asked for."""
from __future__ import annotations

import dataclasses
import importlib
import inspect
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from lgfa import registry
from lgfa.config import Frozen
from lgfa.formats.recognition import Format
from lgfa.methods.method import Method

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(params=["lgfa", "with_other_name.lgfa"])
def table(request: pytest.FixtureRequest):
    """The registry, as it is and inside a package of another name, as ComfyUI loads the library."""
    if request.param == "lgfa":
        yield registry
        return
    name = request.param.partition(".")[0]
    sys.modules[name] = package = ModuleType(name)
    package.__path__ = [str(ROOT)]
    yield importlib.import_module(f"{request.param}.registry")
    for module in [one for one in sys.modules if one.split(".")[0] == name]:
        del sys.modules[module]


def test_kinds_are_networks_and_their_settings(table):
    for kind, row in table.KINDS.items():
        network = table.named(row.network)
        assert issubclass(network, torch.nn.Module) and row.what, kind
        arguments = list(inspect.signature(network).parameters)
        for position, (attribute, reference) in enumerate(row.configs):
            settings = table.named(reference)
            assert dataclasses.is_dataclass(settings), reference
            assert settings.__mro__[-2].__name__ == Frozen.__name__, reference
            assert arguments[position] == attribute, f"{kind}: {attribute}"


def test_a_class_is_known_by_its_string_whatever_the_package_is_called(table):
    for kind, row in table.KINDS.items():
        network = table.named(row.network)
        assert table.stands_for(row.network, network), kind
        assert [other for other, one in table.KINDS.items()
                if table.stands_for(one.network, network)] == [kind]
    assert not table.stands_for("errors:LGFAError", ValueError)


def test_a_network_of_another_copy_of_the_package_is_another_class(table):
    if table is registry:
        return
    row = table.KINDS["motion"]
    assert not table.stands_for(row.network, registry.named(row.network))


def test_layouts_have_formats_of_known_kinds():
    for layout in registry.LAYOUTS:
        formats = registry.named(layout).FORMATS
        assert formats and all(isinstance(one, Format) for one in formats), layout
        assert {one.kind for one in formats} <= set(registry.KINDS), layout
    assert len(set(registry.LAYOUTS)) == len(registry.LAYOUTS)
    assert registry.LAYOUTS[-1] == "formats.layouts.refused"


def test_every_layout_that_lies_there_has_its_row():
    there = {".".join(path.relative_to(ROOT / "lgfa").with_suffix("").parts)
             for path in [*(ROOT / "lgfa/formats/layouts").glob("*.py"),
                          *(ROOT / "lgfa/methods").glob("*/format.py")]
             if "\nFORMATS = [" in path.read_text(encoding="utf-8")}
    assert there == set(registry.LAYOUTS)


def test_methods_are_of_known_kinds():
    for kind, reference in registry.METHODS.items():
        assert kind in registry.KINDS
        assert issubclass(registry.named(reference), Method), reference
        # What an Animator may lend is taken by name and place alike.
        taken = list(inspect.signature(registry.named(reference).of).parameters)
        assert taken == ["network", "clip", "encoder"], reference
    assert next(iter(registry.METHODS)) == "motion"     # a domain's own


def test_baselines_have_the_functions_that_are_called():
    for name, row in registry.BASELINES.items():
        module = registry.named(row.module)
        assert all((row.title, row.what, row.paper)), name
        for function, arguments in (("units", ["texts"]),
                                    ("train", ["unit", "parts", "folder", "note", "scale"]),
                                    ("load", ["parts", "folder", "texts"])):
            taken = list(inspect.signature(getattr(module, function)).parameters)
            assert taken[:len(arguments)] == arguments, f"{name}: {function}"
    titles = [row.title for row in registry.BASELINES.values()]
    assert len(set(titles)) == len(titles)


def test_domains_have_stills_a_folder_and_a_sentence():
    for name, row in registry.DOMAINS.items():
        assert row.name == name and (ROOT / "models" / name).is_dir()
        assert callable(registry.named(row.stills))
        assert row.words and row.template.count("{}") == 1
        if row.training is not None:
            assert inspect.ismodule(registry.named(row.training))


@pytest.mark.parametrize("wrong", ["motion.modell:MotionModel", "motion.model:MotionModell",
                                   "formats.layouts.nobody"])
def test_a_wrong_string_fails(wrong):
    with pytest.raises((ImportError, AttributeError)):
        registry.named(wrong)


def test_the_table_itself_imports_nothing_of_the_library():
    text = (ROOT / "lgfa" / "registry.py").read_text(encoding="utf-8")
    assert "from ." not in text and "import torch" not in text
