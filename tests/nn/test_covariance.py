"""Roots, whitening and principal axes: known answers, and clouds that are flat or a point."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from lgfa.errors import LGFAError
from lgfa.nn import covariance as cov


def cloud(count: int, sizes: list[float], seed: int = 0) -> Tensor:
    """Codes [count, D] of these spreads along random orthogonal axes, not around zero."""
    rng = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(len(sizes), len(sizes), generator=rng).double()).Q
    x = torch.randn(count, len(sizes), generator=rng).double() * torch.tensor(sizes)
    return x @ turn.T + 7


@pytest.mark.parametrize("shape", [(2, 1), (2, 5), (50, 6)])
def test_covariance_is_numpys(shape):
    w = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = cov.covariance(w)
    assert found.dtype == torch.float64 and found.shape == (shape[1], shape[1])
    np.testing.assert_allclose(found, np.cov(w.double().numpy(), rowvar=False).reshape(
        shape[1], shape[1]), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("w", [torch.zeros(1, 3), torch.zeros(0, 3), torch.zeros(4),
                               torch.zeros(2, 3, 4)], ids=lambda w: str(list(w.shape)))
def test_too_few_samples(w):
    for call in (cov.covariance, cov.root, lambda w: cov.principal_axes(w, 1)):
        with pytest.raises(LGFAError, match="two samples"):
            call(w)


def test_square_root_of_a_matrix_by_hand():
    root = cov.square_root(torch.tensor([[5.0, 4.0], [4.0, 5.0]]))      # of [[2, 1], [1, 2]]
    torch.testing.assert_close(root, torch.tensor([[2.0, 1.0], [1.0, 2.0]]))


def test_square_root_of_a_matrix_that_rounding_made_negative():
    root = cov.square_root(torch.diag(torch.tensor([4.0, -1e-9, 0.0])))
    torch.testing.assert_close(root, torch.diag(torch.tensor([2.0, 0.0, 0.0])))


@pytest.mark.parametrize("sizes", [[3.0, 2.0, 1.0], [5.0, 1.0, 0.0, 0.0]])
def test_the_root_is_symmetric_and_squares_to_the_covariance(sizes):
    w = cloud(500, sizes)
    root = cov.root(w)
    torch.testing.assert_close(root @ root, cov.covariance(w), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(root, root.T)
    assert float(torch.linalg.eigvalsh(root).min()) > -1e-9
    torch.testing.assert_close(cov.deviations(root), w.std(dim=0), rtol=1e-7, atol=1e-7)


def test_the_root_of_a_point_is_zero():
    assert not cov.root(torch.full((5, 3), 2.0)).any()


def test_floored():
    assert cov.floored(torch.tensor([30.0, 1e-9, 0])).tolist() == pytest.approx([30, 1e-2, 1e-2])
    even = torch.tensor([0.2, 0.1])
    assert torch.equal(cov.floored(even), even)


def test_whitening_makes_the_cloud_round():
    w = cloud(4000, [10.0, 1.0, 0.1])
    white = (w - w.mean(0)) @ cov.whitening(cov.root(w))
    torch.testing.assert_close(cov.covariance(white), torch.eye(3).double(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("sizes", [[2.0, 1.0, 0.5, 0.3], [2.0, 1.0, 0.0, 0.0], [2.0, 1.0, 1e-4, 0]])
def test_flat_directions_are_left_out_and_the_rest_makes_up_for_them(sizes):
    """Offsets between two codes have a mean square of 2 whatever the rank; those off the cloud
    have none."""
    one, other = cloud(4000, sizes).split(2000)
    white = cov.whitening(cov.root(torch.cat([one, other])))
    assert float(((one - other) @ white).square().mean()) == pytest.approx(2, rel=0.05)
    assert int(torch.linalg.matrix_rank(white, rtol=1e-6)) == sum(s > 1e-3 * 2 for s in sizes)


def test_whitening_keeps_the_roots_dtype():
    assert cov.whitening(torch.eye(2)).dtype == torch.float32
    torch.testing.assert_close(cov.whitening(2 * torch.eye(2)), 0.5 * torch.eye(2))


def test_axes_are_numpys():
    w = np.random.default_rng(0).normal(size=(50, 6)) @ np.diag([5, 4, 3, 2, 1, 0.5]) + 7
    axes, deviations = cov.principal_axes(torch.from_numpy(w), 4)
    _, s, v = np.linalg.svd(w - w.mean(0), full_matrices=False)
    np.testing.assert_allclose(deviations, s[:4] / 7, rtol=1e-5)                # sqrt(50 - 1)
    np.testing.assert_allclose(np.abs((axes.numpy() * v[:4]).sum(1)), 1, atol=1e-5)
    assert bool((axes.gather(1, axes.abs().argmax(1, keepdim=True)) > 0).all())
    assert axes.dtype == deviations.dtype == torch.float32


def test_axes_of_points_on_a_line():
    axes, deviations = cov.principal_axes(torch.tensor([[0.0, 0], [3, 4], [6, 8]]), 2)
    torch.testing.assert_close(axes[0], torch.tensor([0.6, 0.8]))
    assert deviations.tolist() == pytest.approx([5, 0], abs=1e-6)


def test_flat_directions_have_no_deviation_rather_than_nan():
    """Their variances are zero but for rounding, on either side of it."""
    w = torch.outer(torch.linspace(-1e3, 1e3, 30), torch.linspace(1, 2, 40))
    assert float(torch.linalg.eigvalsh(cov.covariance(w)).min()) < 0
    _, deviations = cov.principal_axes(w, 40)
    assert bool(torch.isfinite(deviations).all()) and bool((deviations[1:] < 1e-2).all())


@pytest.mark.parametrize("count", [0, -1, 3])
def test_impossible_numbers_of_axes(count):
    with pytest.raises(LGFAError, match="1 to 2 principal components"):
        cov.principal_axes(torch.zeros(3, 2), count)
