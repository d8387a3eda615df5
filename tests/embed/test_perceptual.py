"""LPIPS without downloads: against the package itself, frozen, from our files."""
from __future__ import annotations

import subprocess
import sys
import warnings

import pytest
import torch

from lgfa.config import PerceptualConfig
from lgfa.embed.perceptual import Perceptual
from lgfa.errors import LGFAError
from lgfa.formats import loading


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.rand(2, 2, 3, 64, 64) * 2 - 1


@pytest.mark.parametrize("weighted", [False, True])
@torch.no_grad()
def test_same_as_the_package(images, weighted):
    import lpips

    metric = Perceptual(PerceptualConfig(weighted=weighted))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = lpips.LPIPS(net="alex", pnet_rand=True, lpips=weighted, verbose=False)
    theirs.net.load_state_dict(metric.lpips.net.state_dict())
    torch.testing.assert_close(metric(*images), theirs(*images).flatten())
    assert torch.equal(metric(images[0], images[0]), torch.zeros(2))


def test_gradients_reach_the_images_only(images):
    metric = Perceptual(PerceptualConfig(input_size=32)).train()
    a = images[0].clone().requires_grad_()
    metric(a, images[1]).sum().backward()
    assert a.grad.any() and not metric.training
    assert not any(p.requires_grad for p in metric.parameters())


@torch.no_grad()
def test_input_size(images):
    small = torch.nn.functional.avg_pool2d(images.flatten(0, 1), 2).unflatten(0, (2, 2))
    sized, plain = Perceptual(PerceptualConfig(input_size=32)), Perceptual(PerceptualConfig())
    torch.testing.assert_close(sized(*images), plain(*small))
    assert sized(*images[..., :20, :20]).shape == (2,)
    with pytest.raises(LGFAError, match="20 px are too small"):
        plain(*images[..., :20, :20])
    with pytest.raises(LGFAError, match="of one size"):
        plain(images[0], images[1, :, :, :40])
    with pytest.raises(LGFAError, match="use alex, vgg or squeeze"):
        PerceptualConfig("resnet")


@pytest.mark.parametrize("weighted", [False, True])
@torch.no_grad()
def test_file_and_back(tmp_path, images, weighted):
    metric = Perceptual(PerceptualConfig("squeeze", weighted, 48))
    for parameter in metric.parameters():
        parameter.mul_(0.9)
    loading.save(tmp_path / "p.safetensors", metric)
    again = loading.load(tmp_path / "p.safetensors", "perceptual")
    assert again.config == metric.config
    assert torch.equal(again(*images), metric(*images))


def test_the_random_trunk_is_always_the_same_and_silent(capsys):
    torch.manual_seed(5)
    following = torch.rand(1)
    torch.manual_seed(5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        a, b = Perceptual(PerceptualConfig()), Perceptual(PerceptualConfig(weighted=True))
    assert torch.equal(torch.rand(1), following)            # nobody else's stream was used
    assert all(torch.equal(p, q) for p, q in
               zip(a.lpips.net.parameters(), b.lpips.net.parameters(), strict=True))
    assert capsys.readouterr().out == ""


def test_the_package_is_imported_late():
    code = ("import sys, lgfa.embed.perceptual, lgfa.training.losses; "
            "sys.exit('lpips' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
