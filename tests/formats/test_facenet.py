"""facenet-pytorch's file of InceptionResNet-V1: its keys and shapes, and refusals."""
from __future__ import annotations

import pytest
import torch

from lgfa import formats
from lgfa.config import InceptionResNetConfig
from lgfa.errors import LGFAError
from lgfa.formats import build
from lgfa.formats.layouts import facenet

# facts of 20180402-114759-vggface2.pt, for one layer of each sort
SHAPES = {
    "conv2d_1a.conv.weight": (32, 3, 3, 3), "conv2d_2b.conv.weight": (64, 32, 3, 3),
    "conv2d_3b.conv.weight": (80, 64, 1, 1), "conv2d_4a.conv.weight": (192, 80, 3, 3),
    "conv2d_4b.bn.running_var": (256,), "repeat_1.4.branch2.2.conv.weight": (32, 32, 3, 3),
    "repeat_1.0.branch0.conv.weight": (32, 256, 1, 1), "repeat_1.2.conv2d.weight": (256, 96, 1, 1),
    "mixed_6a.branch0.conv.weight": (384, 256, 3, 3),
    "mixed_6a.branch1.2.conv.weight": (256, 192, 3, 3),
    "repeat_2.9.branch1.1.conv.weight": (128, 128, 1, 7),
    "repeat_2.0.branch1.2.conv.weight": (128, 128, 7, 1), "repeat_2.5.conv2d.bias": (896,),
    "mixed_7a.branch0.1.conv.weight": (384, 256, 3, 3),
    "mixed_7a.branch2.2.bn.weight": (256,), "mixed_7a.branch1.1.conv.weight": (256, 256, 3, 3),
    "repeat_3.4.branch1.1.conv.weight": (192, 192, 1, 3),
    "block8.branch1.2.conv.weight": (192, 192, 3, 1), "block8.conv2d.weight": (1792, 384, 1, 1),
    "last_linear.weight": (512, 1792), "last_bn.running_mean": (512,),
}


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return build.new_network("inception_resnet", InceptionResNetConfig()).eval()


@pytest.fixture(scope="module")
def original(network) -> dict[str, torch.Tensor]:
    """The network's weights under their original names, with the classifier of such files."""
    own = network.state_dict()
    state = {old: own[new] for old, new in facenet.table().items()}
    return state | {"logits.weight": torch.zeros(8631, 512), "logits.bias": torch.zeros(8631)}


def test_keys_and_shapes_are_those_of_the_public_file(original):
    assert len(original) == 716
    for name, shape in SHAPES.items():
        assert tuple(original[name].shape) == shape, name


def test_the_file_loads_and_gives_unit_vectors(network, original, tmp_path):
    file = tmp_path / "20180402-114759-vggface2.pt"
    old = {k: v for k, v in original.items() if not k.endswith("num_batches_tracked")}
    torch.save(old, file)
    twin = formats.load(file, "inception_resnet")
    x = torch.rand(2, 3, 160, 160) * 2 - 1
    with torch.no_grad():
        seen = twin(x)
        assert torch.equal(seen, network(x))
    assert seen.shape == (2, 512)
    torch.testing.assert_close(seen.norm(dim=1), torch.ones(2))


def test_refusals(original, tmp_path):
    with pytest.raises(LGFAError, match="lacks block8.conv2d.weight: it is not whole"):
        facenet.convert({k: v for k, v in original.items()
                                  if k != "block8.conv2d.weight"})
    torch.save(original, tmp_path / "x.pt")
    with pytest.raises(LGFAError, match="facenet-pytorch checkpoint with an InceptionResNet, "
                                        "but an identity network is needed"):
        formats.load(tmp_path / "x.pt", "identity")
    with pytest.raises(LGFAError, match="left over: extra"):
        form = formats.recognise(original, "inception_resnet")
        build.from_tree({**original, "extra": torch.zeros(1)}, form)
    with pytest.raises(LGFAError, match="at least 75 px"):
        InceptionResNetConfig(input_size=60)
