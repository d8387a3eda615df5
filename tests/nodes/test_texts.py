"""What artists read: help pages and the names and tooltips in other languages."""
from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tools import locales

CHINESE = re.compile(r"[\u4e00-\u9fff]")
FILES = ("model", "motion_model", "domain", "picture", "file", "folder", "perceptual",
         "identity_network", "easing")       # choices that depend on files, or are many
CORE = {"Create Video", "Load Image", "Preview Image", "Save Image", "Save Video", "Upscale Image"}


@pytest.fixture(scope="module")
def schemas(pack):
    return {name: cls.GET_SCHEMA() for name, cls in pack.nodes.NODE_CLASS_MAPPINGS.items()}


@pytest.fixture(scope="module")
def texts(pack):
    return locales.all_texts(pack.nodes.NODE_CLASS_MAPPINGS)


@pytest.fixture(scope="module")
def pages(schemas):
    """{node id: page}, cut into {heading: text}; what comes before is under ""."""
    return {name: _sections((locales.PAGES / f"{name}.md").read_text(encoding="utf-8"))
            for name in schemas}


def _sections(page):
    heads = re.split(r"^## (.*)\n", page, flags=re.M)
    return {"": heads[0], **dict(zip(heads[1::2], heads[2::2], strict=True))}


def _rows(table):
    """First cells of a table, those in backticks."""
    return re.findall(r"^\| `([^`]+)` \|", table, flags=re.M)


# ---------------------------------------------------------------- help pages
def test_every_node_has_a_page_and_no_page_lacks_its_node(schemas):
    assert {path.stem for path in locales.PAGES.glob("*")} == set(schemas)
    for path in locales.PAGES.glob("*.md"):
        page = path.read_bytes().decode("utf-8")
        page.encode("cp1252")
        assert "\r" not in page and page.endswith("\n") and len(page.splitlines()) <= 60, path.name


def test_tables_fit_into_the_narrow_pane():
    for path in locales.PAGES.glob("*.md"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("|"):
                assert len(re.findall(r"(?<!\\)\|", line)) == 3, f"{path.name}: {line}"
            else:
                assert len(line) <= 100, f"{path.name}: {line}"


def test_pages_describe_every_input_and_output_in_its_order(schemas, pages):
    for name, schema in schemas.items():
        page = pages[name]
        assert len(page[""].strip()) > 60, f"{name}: says nothing before the tables"
        assert _rows(page["Inputs"]) == [one.id for one in schema.inputs or []], name
        outputs = [one.display_name or one.id for one in schema.outputs or []]
        assert _rows(page["Outputs"]) == outputs, name
        assert "Tips" in page and "Before and after" in page, name


def test_pages_say_which_inputs_are_optional(schemas, pages):
    for name, schema in schemas.items():
        for one in schema.inputs or []:
            line = next(line for line in pages[name]["Inputs"].splitlines()
                        if line.startswith(f"| `{one.id}` |"))
            assert ("| Optional. " in line) == bool(one.optional), f"{name}.{one.id}"


def test_pages_name_the_choices(schemas, pages):
    """Those that do not depend on files."""
    for name, schema in schemas.items():
        for one in schema.inputs or []:
            options = getattr(one, "options", None) or []
            if one.id in FILES:
                continue
            page = "".join(pages[name].values())
            for option in options:
                assert f"`{option}`" in page, f"{name}.{one.id} has the choice {option}"


def test_a_line_that_a_page_lacks_is_its_tooltip(schemas):
    for name, schema in schemas.items():
        page = (locales.PAGES / f"{name}.md").read_text(encoding="utf-8")
        assert locales.completed(page, schema) == page
        for one in schema.inputs or []:
            line = next(line for line in page.splitlines(keepends=True)
                        if line.startswith(f"| `{one.id}` |"))
            text = ("Optional. " if one.optional else "") + one.tooltip.replace("|", "\\|")
            new = f"| `{one.id}` | {text} |\n"
            assert locales.completed(page.replace(line, "", 1), schema) == \
                page.replace(line, new, 1)


def test_pages_name_nodes_that_there_are(schemas, pages):
    known = CORE | {schema.display_name.removesuffix(" (LGFA)") for schema in schemas.values()}
    for name, page in pages.items():
        for text in page.values():
            for other in re.findall(r"\*\*([^*]+)\*\*", text):
                assert " ".join(other.split()) in known, f"{name}: {other}"


# ---------------------------------------------------------------- locales
def test_english_equals_the_schemas(texts):
    assert locales.read("en") == locales.english(texts), "run `python tools/locales.py`"


def test_texts_with_syntax_of_the_front_end_are_left_out():
    texts = {"N": {"display_name": "N", "description": "a {} b", "inputs": {},
                   "outputs": {"0": {"name": "n", "tooltip": "x | y"}}}}
    assert locales.english(texts) == {"N": {"display_name": "N", "outputs": {"0": {"name": "n"}}}}


@pytest.mark.parametrize("language", locales.languages())
def test_translations_are_complete(texts, language):
    translated = locales.read(language)
    assert locales.differences(texts, translated) == []
    assert list(translated) == list(texts)
    for name, node in translated.items():
        assert list(node.get("inputs", {})) == list(texts[name]["inputs"]), name


@pytest.mark.parametrize("file", sorted(locales.LOCALES.glob("*/*.json")),
                         ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_no_text_is_empty_or_has_syntax(file):
    content = json.loads(file.read_text(encoding="utf-8"))
    for key, text in locales.leaves(content):
        assert isinstance(text, str) and text.strip() == text != "", key
        assert not locales.SYNTAX & set(text), f"{key}: the front end would misread {text!r}"
        if file.parent.name == "zh" and text != "CLIP":
            assert CHINESE.search(text), f"{key} is not translated: {text!r}"


def test_translated_categories_are_those_of_nodes(schemas):
    used = {part for schema in schemas.values() for part in schema.category.split("/")} - {"LGFA"}
    for file in locales.LOCALES.glob("*/main.json"):
        assert set(json.loads(file.read_text(encoding="utf-8"))["nodeCategories"]) == used


def test_comfyui_finds_the_locales(comfy_home, monkeypatch):
    """By the code that answers /i18n."""
    if not comfy_home.real:
        pytest.skip("the stand-in has no server")
    import folder_paths
    from host import comfyui

    monkeypatch.setattr(sys, "path", [str(comfyui()), *sys.path])
    from app.custom_node_manager import CustomNodeManager

    monkeypatch.setattr(folder_paths, "get_folder_paths",
                        lambda key: [str(Path(locales.ROOT).parent)])
    found = CustomNodeManager().build_translations()
    assert found["en"]["nodeDefs"]["LGFA_AnimateFace"] == locales.read("en")["LGFA_AnimateFace"]
    assert found["zh"]["nodeDefs"]["LGFA_Timeline"] == locales.read("zh")["LGFA_Timeline"]
    assert found["zh"]["nodeCategories"]["motion"]
