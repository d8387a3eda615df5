"""From a file to a tree, and what is said of trees. Pickles: test_reader.py, test_machine.py."""
from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lgfa.errors import LGFAError
from lgfa.formats import trees


def test_a_tree_and_what_lies_beside_it(tmp_path: Path) -> None:
    save_file({"w": torch.ones(2)}, tmp_path / "a.pt", {"by": "somebody"})      # any name
    tree, metadata = trees.described(tmp_path / "a.pt")
    assert torch.equal(tree["w"], torch.ones(2)) and metadata == {"by": "somebody"}
    torch.save({"w": torch.ones(2), "step": 3}, tmp_path / "b.safetensors")
    tree, metadata = trees.described(tmp_path / "b.safetensors")
    assert tree["step"] == 3 and metadata == {}
    assert trees.tree_of(tmp_path / "b.safetensors")["step"] == 3


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty.pt").touch()
    os.mkfifo(tmp_path / "pipe.pt")                     # opening it would wait for ever
    for name, said in (("", "is a folder; give a file in it"), ("no.pt", "there is no file"),
                       ("empty.pt", "is empty; download"), ("pipe.pt", "is no plain file")):
        with pytest.raises(LGFAError, match=said):
            trees.check_file(tmp_path / name)
    assert trees.check_file(__file__) == Path(__file__)


@pytest.mark.parametrize(("tree", "said"), (
    ({}, "an empty dict"), ({"a": 1, 2: 3}, "2 entries: a, 2"),
    (torch.zeros(2, 3), "one tensor [2, 3]"),
    ({str(i): i for i in range(9)}, "9 entries: 0, 1, 2, 3, 4 and 4 more"),
    ({"x" * 99: 0}, "1 entries: " + "x" * 60), ([1], "one list"), (None, "one NoneType")))
def test_what_a_tree_holds_in_a_few_words(tree: object, said: str) -> None:
    assert trees.summary(tree) == said


def test_our_own_files_are_told_by_both_names() -> None:
    own = {"lgfa": {"kind": "encoder", "info": {"steps": 3}}, "state_dict": {}}
    assert trees.is_own(own) and trees.info(own) == {"steps": 3}
    for other in ({"lgfa": {}}, {**own, "more": 1}, [], None):
        assert not trees.is_own(other) and trees.info(other) == {}
    assert trees.info({"lgfa": {"info": "text"}, "state_dict": {}}) == {}
