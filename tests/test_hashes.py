"""Names for contents. Stored codes and records of earlier versions are found by these."""
from __future__ import annotations

import hashlib

import pytest
import torch
from tiny import tiny_generator
from torch import nn

from lgfa.hashes import file_hash, network_hash, tensor_hash, text_hash
from lgfa.nn.random import fresh_weights


def test_files_and_texts(tmp_path) -> None:
    data = bytes(range(256)) * 9000                     # more than one block of reading
    (tmp_path / "a").write_bytes(data)
    assert file_hash(tmp_path / "a") == hashlib.sha256(data).hexdigest()
    assert text_hash("gr\u00fcn") == hashlib.sha256("gr\u00fcn".encode()).hexdigest()
    with pytest.raises(FileNotFoundError):
        file_hash(tmp_path / "b")


def test_tensors_are_named_by_their_numbers_in_order() -> None:
    x = torch.arange(6.0).view(2, 3)
    assert tensor_hash(x) == hashlib.sha256(x.numpy().tobytes()).hexdigest()
    assert tensor_hash(x) == tensor_hash(x.t().contiguous().t()) != tensor_hash(x.t())
    assert tensor_hash(x) != tensor_hash(x.double())


HASH = "5f2857ce595ef3c7ed4a2a8abfdfc6c55e85f1be5f1277310d630784688e637a"


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 3)


class Other(Small):
    pass


def small(kind: type = Small, seed: int = 0) -> nn.Module:
    with fresh_weights(seed):
        return kind()


def test_a_network_is_its_class_its_settings_and_its_weights() -> None:
    one = network_hash(small())
    assert one == network_hash(small()) and len(one) == 64
    assert one != network_hash(small(Other)) and one != network_hash(small(seed=1))
    moved = small()
    moved.linear.bias.data[0] += 1e-6
    assert network_hash(moved) != one != network_hash(small().double())


def test_the_hash_of_a_generator_stays_what_it_was() -> None:
    """Its settings count, but for those that came later and are not used."""
    generator = tiny_generator()
    with torch.no_grad():
        for value in generator.state_dict().values():
            value.fill_(0.5)
    assert network_hash(generator) == HASH
    generator.config = type(generator.config)(16, (8, 8, 8), 12, 24, 2, architecture="orig")
    assert network_hash(generator) != HASH
