"""Trunks of torchvision and whole LPIPS models as perceptual networks; what is refused."""
from __future__ import annotations

import warnings

import pytest
import torch

from lgfa.config import PerceptualConfig
from lgfa.errors import LGFAError
from lgfa.formats import build, loading, recognition
from lgfa.formats.layouts import torchvision as layout


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.rand(2, 2, 3, 64, 64) * 2 - 1


@pytest.mark.parametrize("net, name", [("alex", "alexnet"), ("squeeze", "squeezenet1_1")])
@torch.no_grad()
def test_torchvision_trunk(tmp_path, images, net, name):
    import torchvision

    torch.manual_seed(0)
    trunk = getattr(torchvision.models, name)(weights=None)
    torch.save(trunk.state_dict(), tmp_path / "trunk.pth")
    metric = loading.load(tmp_path / "trunk.pth", "perceptual")
    assert metric.config == PerceptualConfig(net, weighted=True, input_size=224)
    x = images[0]
    features = metric.lpips.net(x)
    wanted, taps = x, []
    ends = {"alex": (2, 5, 8, 10, 12), "squeeze": (2, 5, 8, 10, 11, 12, 13)}[net]
    for number, layer in enumerate(trunk.features[: ends[-1]]):
        wanted = layer(wanted)
        if number + 1 in ends:
            taps.append(wanted.clone())
    for ours, theirs in zip(features, taps, strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.equal(metric(*images), torch.zeros(2))


@pytest.fixture(scope="module")
def trunk() -> dict[str, torch.Tensor]:
    """torchvision's SqueezeNet 1.1 with random weights."""
    import torchvision

    torch.manual_seed(0)
    return torchvision.models.squeezenet1_1(weights=None).state_dict()


def features(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k.removeprefix("features."): v for k, v in state.items() if k.startswith("features.")}


@pytest.mark.parametrize("wrap", [
    lambda s: {f"module.{k}": v for k, v in s.items()},
    lambda s: {"state_dict": s, "epoch": 3},
    lambda s: {"model": {f"module.{k}": v for k, v in s.items()}},
    lambda s: {f"features.{k}": v for k, v in features(s).items()},
    lambda s: {f"features.module.{k}": v for k, v in features(s).items()}
    | {k: v for k, v in s.items() if k.startswith("classifier.")},
    features,
], ids=["module", "state_dict", "model", "features", "features.module", "bare"])
@torch.no_grad()
def test_wrappings_of_a_trunk(trunk, wrap):
    tree = wrap(trunk)
    metric = build.from_tree(tree, recognition.recognise(tree, "perceptual"))
    assert metric.config == PerceptualConfig("squeeze", weighted=True, input_size=224)
    found = metric.lpips.net.state_dict()
    assert torch.equal(found["slice2.3.squeeze.weight"], trunk["features.3.squeeze.weight"])
    assert torch.equal(found["slice7.12.expand3x3.bias"], trunk["features.12.expand3x3.bias"])


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("prefix", ["", "module.", "lpips."])
@torch.no_grad()
def test_whole_models_of_the_package(tmp_path, images, weighted, prefix):
    import lpips

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = lpips.LPIPS(net="squeeze", pnet_rand=True, lpips=weighted, verbose=False)
    if weighted:
        theirs.lin1.model[1].weight.mul_(3)         # weights of a training of one's own
    torch.save({prefix + k: v for k, v in theirs.state_dict().items()}, tmp_path / "lpips.pth")
    metric = loading.load(tmp_path / "lpips.pth", "perceptual")
    assert metric.config == PerceptualConfig("squeeze", weighted, 224)
    big = [torch.nn.functional.interpolate(x, (224, 224)) for x in images]
    torch.testing.assert_close(metric(*big), theirs(*big).flatten())


@pytest.mark.parametrize("net, name", [("alex", "AlexNet"), ("vgg", "VGG-16"),
                                       ("squeeze", "SqueezeNet 1.1")])
def test_the_linear_part_names_its_trunk(net, name):
    from pathlib import Path

    import lpips

    file = Path(lpips.__file__).parent / "weights" / "v0.1" / f"{net}.pth"
    with pytest.raises(LGFAError, match=rf"linear part of LPIPS for {name}: .*weights of {name} "
                                        r"\([\w-]+.pth\)") as caught:
        loading.load(file, "perceptual")
    assert str(file) in str(caught.value)


def test_other_classifiers_and_linear_parts_are_refused_by_name():
    import torchvision

    with torch.device("meta"):
        other = torchvision.models.vgg11(weights=None).state_dict()
    with pytest.raises(LGFAError, match="classifier of torchvision .* give one of its trunks"):
        build.from_tree(other, recognition.recognise(other, "perceptual"))
    tree = {f"lin{i}.model.1.weight": torch.zeros(1, 8, 1, 1) for i in range(3)}
    with pytest.raises(LGFAError, match="linear part of LPIPS for a trunk that is not known"):
        build.from_tree(tree, recognition.recognise(tree, "perceptual"))
    with pytest.raises(LGFAError, match="none of the known formats"):
        recognition.recognise({"0.weight": torch.zeros(64, 3, 5, 5), "3.weight": torch.zeros(3)},
                       "perceptual")


def test_trunks_are_told_by_their_layers(trunk) -> None:
    layers = layout.layers_of(trunk)
    assert {key.split(".")[0] for key in layers} == layout.TRUNKS["squeeze"].layers
    assert layout.layers_of({"0.weight": torch.zeros(3), "1.weight": torch.zeros(3)}) == {}
