"""What layouts share: numbers in names, wrappers, prefixes, renaming."""
from __future__ import annotations

import pytest

from lgfa.errors import LGFAError
from lgfa.formats import tables


def test_numbers_are_counted_without_looking_at_their_size() -> None:
    keys = ["a.0.w", "a.1.w", "a.1.b", "b.9.w"]
    assert tables.count_of(keys, "a.") == 2
    assert tables.count_of(["m.1.w", "m.2.w"], "m.", first=1) == 2
    for strange in ("3", "1000000000", "01", "1" * 5000, "-2", "\u0662", "x", ""):
        with pytest.raises(LGFAError, match="without a gap"):
            tables.count_of([*keys, f"a.{strange}.w"], "a.")
    with pytest.raises(LGFAError, match=r"no weights c.0"):
        tables.count_of(keys, "c.")
    with pytest.raises(LGFAError, match="500 parts .* more than 100"):
        tables.count_of([f"a.{n}.w" for n in range(500)], "a.")


def test_prefixes_and_wrappings() -> None:
    plain = {"a.w": 1, "b": 2}
    for tree in (plain, {"state_dict": plain}, {"model": {"state_dict": plain}, "epoch": 3},
                 {"module.a.w": 1, "module.b": 2},
                 {"model_state_dict": {"module.model.a.w": 1, "module.model.b": 2}}):
        assert tables.bare(tree) == plain
    assert tables.bare({"module.a": 1, "b": 2}) == {"module.a": 1, "b": 2}
    for tree in ({}, {"state_dict": {}}, {3: 1, "a": 2}, {"lgfa": {}, "state_dict": plain}, 5):
        assert tables.bare(tree) == {}


def test_state_dict_is_the_table_beside_options() -> None:
    plain = {"a.weight": 1, "b": 2}
    wrapped = {f"module.{key}": value for key, value in plain.items()}
    for state in (plain, wrapped):
        assert tables.state_dict({"state_dict": state, "opts": {}}) == plain
    own = {"lgfa": {"kind": "encoder"}, "state_dict": plain}
    for tree in (plain, own, {"state_dict": [1]}, {"state_dict": {1: 2}}, [], None):
        assert tables.state_dict(tree) == {}


def test_renamed_by_a_table() -> None:
    table = {"a.weight": "x.weight", "a.num_batches_tracked": "x.num_batches_tracked"}
    state = {"a.weight": 1, "new": 2, "x.weight": 3}
    assert tables.renamed(state, table) == {"x.weight": 1, "new": 2, "(original) x.weight": 3}
    whole = tables.renamed({"a.weight": 1}, table, "network")
    assert set(whole) == set(table.values()) and int(whole["x.num_batches_tracked"]) == 0
    with pytest.raises(LGFAError, match="the network of this file lacks a.weight"):
        tables.renamed({"new": 2}, table, "network")
