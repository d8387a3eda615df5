"""InceptionResNet-V1: our file, and the crop of the face; the public file: test_facenet.py."""
from __future__ import annotations

import pytest
import torch

from lgfa import formats
from lgfa.config import InceptionResNetConfig
from lgfa.errors import LGFAError
from lgfa.formats import build


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return build.new_network("inception_resnet", InceptionResNetConfig()).eval()


def test_our_file_round_trips(network, tmp_path):
    file = tmp_path / "x.safetensors"
    formats.save(file, network)
    twin = formats.load(file, "inception_resnet")
    assert twin.config == network.config


def test_pictures_of_another_size_are_cropped_to_the_face(network):
    x = torch.full((1, 3, 256, 256), -1.0)
    x[:, :, 35:223, 32:220] = 1
    assert float(network.prepare(x).min()) == pytest.approx(1, abs=1e-5)
    assert network.prepare(x).shape == (1, 3, 160, 160)
    with pytest.raises(LGFAError, match="shape"):
        network.prepare(x[0])
