"""Statistics against cases solved by hand and against scipy."""
from __future__ import annotations

import math

import pytest
import torch

from lgfa.errors import LGFAError
from lgfa.metrics import statistics as st


def gaussian(mean, deviation, n: int = 64, seed: int = 0) -> torch.Tensor:
    """Rows whose sample mean and (diagonal) covariance are exactly these."""
    deviation = torch.tensor(deviation, dtype=torch.float64)
    x = torch.randn(n, len(deviation), dtype=torch.float64,
                    generator=torch.Generator().manual_seed(seed))
    x = x - x.mean(0)
    whiten = torch.linalg.inv(torch.linalg.cholesky(x.t() @ x / (n - 1))).t()
    return x @ whiten * deviation + torch.tensor(mean, dtype=torch.float64)


# ---- clips

def test_acd_by_hand():
    """Three frames, the last like the first: distances 5, 0, 5."""
    frames = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]])
    assert st.acd(frames) == pytest.approx(10 / 3)
    assert st.acd(frames[:2]) == pytest.approx(5)
    assert st.acd(torch.ones(4, 3)) == 0


def test_acd_is_the_papers_sum():
    e = torch.randn(7, 5, generator=torch.Generator().manual_seed(0)).double()
    pairs = sum(float((e[i] - e[j]).norm()) for i in range(7) for j in range(i + 1, 7))
    assert st.acd(e) == pytest.approx(2 * pairs / (7 * 6))
    with pytest.raises(LGFAError, match="two frames"):
        st.acd(e[:1])


def test_differences_by_hand():
    """A path of squares along one of two numbers: steps 1, 3, 5, second differences 2, 2."""
    path = torch.zeros(4, 1, 2)
    path[:, 0, 0] = torch.tensor([0.0, 1, 4, 9])
    half = 1 / math.sqrt(2)                                     # RMS over two numbers
    assert st.differences(path).tolist() == pytest.approx([half, 3 * half, 5 * half])
    assert st.differences(path, 2).tolist() == pytest.approx([2 * half, 2 * half])
    assert st.absolute_differences(path).tolist() == pytest.approx([0.5, 1.5, 2.5])
    assert st.absolute_differences(path, 2).tolist() == pytest.approx([1, 1])
    with pytest.raises(LGFAError, match="more than 2 frames"):
        st.differences(path[:2], 2)


# ---- distributions

def test_frechet_of_known_gaussians():
    """Diagonal covariances: |difference of means|^2 + sum of (s1 - s2)^2."""
    one = gaussian([0, 1, 2], [1, 2, 3])
    other = gaussian([1, 1, 0], [2, 2, 0.5], seed=1)
    assert st.frechet(one, other) == pytest.approx(5 + 1 + 0 + 6.25, abs=1e-9)
    assert st.frechet(one, one) == pytest.approx(0, abs=1e-9)
    assert st.frechet(one, one + 2) == pytest.approx(12, abs=1e-9)
    assert st.frechet(other, one) == pytest.approx(st.frechet(one, other), abs=1e-9)


def test_frechet_against_scipy():
    linalg = pytest.importorskip("scipy.linalg")
    rng = torch.Generator().manual_seed(3)
    mixing = torch.randn(2, 6, 6, generator=rng, dtype=torch.float64)
    x, y = (torch.randn(50, 6, generator=rng, dtype=torch.float64) @ m for m in mixing)
    (mean_x, cov_x), (mean_y, cov_y) = st.moments(x), st.moments(y)
    root = torch.as_tensor(linalg.sqrtm((cov_x @ cov_y).numpy()).real)
    wanted = (mean_x - mean_y).square().sum() + (cov_x + cov_y - 2 * root).trace()
    assert st.frechet(x, y) == pytest.approx(float(wanted), rel=1e-9)


def test_frechet_with_fewer_rows_than_columns():
    """Points on two lines: in crossing directions the variances add, along one they compare."""
    x, y = torch.zeros(3, 40), torch.zeros(3, 40)
    x[:, 0] = torch.tensor([-1.0, 0, 1])                        # variance 1
    y[:, 1] = torch.tensor([-2.0, 0, 2])                        # variance 4
    assert st.frechet(x, y) == pytest.approx(5, abs=1e-6)
    assert st.frechet(x, 2 * x) == pytest.approx(1, abs=1e-6)
    assert st.frechet(x, x) == pytest.approx(0, abs=1e-6)


def test_frechet_refuses_what_is_no_distribution():
    x = torch.randn(5, 3)
    for bad, words in ((x[:1], "at least two"), (x[:, :2], "different lengths"),
                       (x / 0, "NaN or infinite")):
        with pytest.raises(LGFAError, match=words):
            st.frechet(x, bad)


def test_kid_by_hand():
    """Kernel (ab + 1)^3 of the numbers 0, 1 and 0, 2: 1 + 1 - 2 * mean(1, 1, 1, 27)."""
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [2.0]])
    assert st.kid(x, y) == pytest.approx(1 + 1 - 2 * (1 + 1 + 1 + 27) / 4)
    same = torch.randn(2, 400, 4, generator=torch.Generator().manual_seed(0))
    assert abs(st.kid(*same)) < 0.2 < st.kid(same[0], same[1] + 1)
    with pytest.raises(LGFAError, match="two rows"):
        st.kid(x[:1], y)


# ---- intervals

def test_bootstrap():
    assert st.bootstrap([2.0] * 5) == (2, 2, 2)
    values = gaussian([3], [2], n=400)[:, 0]
    mean, low, high = st.bootstrap(values)
    error = 1.96 * 2 / math.sqrt(400)                           # of a normal mean
    assert mean == pytest.approx(3)
    assert (low, high) == (pytest.approx(3 - error, abs=0.04), pytest.approx(3 + error, abs=0.04))
    assert st.bootstrap(values) == (mean, low, high) != st.bootstrap(values, seed=1)
    _, lower, higher = st.bootstrap(values, level=0.99)
    assert lower < low < high < higher
    with pytest.raises(LGFAError, match="at least one clip"):
        st.bootstrap([])


def test_bootstrap_of_sets_surrounds_the_distance():
    rng = torch.Generator().manual_seed(0)
    clips = [torch.randn(4, 3, generator=rng) + torch.randn(1, 3, generator=rng)
             for _ in range(30)]
    reference = torch.randn(500, 3, generator=rng)
    value, low, high = st.bootstrap_set(clips, reference, st.frechet, draws=100)
    assert value == st.frechet(torch.cat(clips), reference)
    assert 0 <= low < value < high
    # clips count, not frames: repeating every frame tells nothing new
    twice = [torch.cat([c, c]) for c in clips]
    _, low_2, high_2 = st.bootstrap_set(twice, reference, st.frechet, draws=100)
    assert high_2 - low_2 == pytest.approx(high - low, rel=0.1)
    with pytest.raises(LGFAError, match="at least one clip"):
        st.bootstrap_set([], reference, st.frechet)
