"""The kernel distance against goldens, torch-fidelity and all pairs."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_kid import kernel_poly, mmd2

from lightning_gans.errors import InputError
from lightning_gans.metrics.functional import kernel_distance, kernel_distance_subsets, kernels


def golden(seed, n, scale=1.0, shift=0.0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, 64)) * scale + shift)


REAL, FAKE = golden(0, 1000), golden(1, 800, 0.9, 0.1)


def of_all_pairs(left, right):
    left, right = (part.numpy().astype(np.longdouble) for part in (left, right))

    def mean(one, other, same):
        values = (one @ other.T / one.shape[1] + 1) ** 3
        return values[~np.eye(len(one), dtype=bool)].mean() if same else values.mean()

    return float(mean(left, left, True) + mean(right, right, True) - 2 * mean(left, right, False))


def test_goldens():
    assert kernel_distance(REAL, FAKE).value == pytest.approx(0.026781382328159, rel=1e-12)
    assert kernel_distance(REAL[:800], FAKE).value == pytest.approx(0.028326795046366, rel=1e-12)


def test_golden_of_features_like_inceptions():
    """Where kernels in 32 bits give 1.07288e-5."""
    torch.manual_seed(1)
    left, right = ((torch.randn(1000, 2048) * 0.5).relu() + 0.1 for _ in range(2))
    assert kernel_distance(left, right).value == pytest.approx(1.08029e-5, abs=1e-10)


def test_parity_with_torch_fidelity():
    def kernel(*sides):
        settings = dict(kid_kernel_poly_degree=3, kid_kernel_poly_gamma=None)
        return kernel_poly(*sides, **settings, kid_kernel_poly_coef0=1)

    left, right = REAL[:300].numpy(), FAKE[:300].numpy()
    expected = mmd2(kernel(left, left), kernel(left, right), kernel(right, right))
    assert kernel_distance(REAL[:300], FAKE[:300]).value == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize(("n", "m"), [(2, 2), (2, 40), (513, 30), (40, 600)])
def test_blocks_give_all_pairs(n, m):
    left, right = REAL[:n, :5], FAKE[:m, :5]
    expected = of_all_pairs(left, right)
    assert kernel_distance(left, right).value == pytest.approx(expected, rel=1e-11, abs=1e-14)
    assert kernel_distance(right, left).value == pytest.approx(expected, rel=1e-11, abs=1e-14)
    moved = kernel_distance(left.flip(0), right.roll(1, 0)).value
    assert moved == pytest.approx(expected, rel=1e-11, abs=1e-14)


def test_an_offset_in_32_bits():
    """Kernels are 1e18 then; 64 bits keep some twelve digits of the distance, 2e12."""
    left, right = (part[:200, :8].float() + 1000 for part in (REAL, FAKE))
    expected = of_all_pairs(left.double(), right.double())
    assert abs(expected) > 1e9
    assert kernel_distance(left, right).value == pytest.approx(expected, rel=1e-6)


def test_constant_features():
    """All kernels are (c c' + 1)^3 for features c and c'."""
    ones = torch.ones(7, 3)
    assert kernel_distance(ones, ones).value == 0
    assert kernel_distance(ones, 2 * ones[:4]).value == pytest.approx(8 + 125 - 2 * 27, rel=1e-12)


def test_it_has_no_bias():
    """Of one law it is 0 on average, below it as often as not."""
    found = [
        kernel_distance(*torch.randn(2, 30, 6, generator=torch.Generator().manual_seed(seed))).value
        for seed in range(400)
    ]
    assert np.mean(found) == pytest.approx(0, abs=4 * np.std(found) / 20)
    assert 0.3 < np.mean(np.array(found) < 0) < 0.8


def test_kernels_are_kept():
    kept = kernels(REAL)
    assert kernel_distance(kept, FAKE) == kernel_distance(REAL, FAKE)
    assert kernel_distance(kept, kernels(FAKE)) == kernel_distance(REAL, FAKE)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_the_interval_holds(shift):
    """In some 95 % of draws; of one law, where it is too wide, in more."""

    def drawn(n, m, seed):
        source = torch.Generator().manual_seed(seed)
        one, other = torch.randn(n + m, 6, generator=source).split([n, m])
        return kernel_distance(one, other + shift)

    true = drawn(4000, 4000, 0).value if shift else 0.0
    found = [drawn(200, 80, seed) for seed in range(1, 201)]
    assert np.mean([one.low <= true <= one.high for one in found]) > 0.88
    reach = np.mean([one.high - one.value for one in found])
    assert 0.9 < reach / (1.96 * np.std([one.value for one in found])) < 1.6
    assert all(one.ideal == 0 and one.n == 80 for one in found)


def test_subsets():
    state = torch.get_rng_state()
    whole = kernel_distance(REAL[:90], FAKE[:90]).value
    found = kernel_distance_subsets(REAL[:90], FAKE[:90], subsets=3, size=90)
    assert found.value == pytest.approx(whole, rel=1e-10)
    assert found.low is None and found.ideal == 0 and found.n == 90
    sides = REAL[:200], FAKE[:150]
    found = kernel_distance_subsets(*sides, subsets=200, size=50)
    source = np.random.default_rng(0)
    drawn = [
        kernel_distance(*(side[source.choice(len(side), 50, replace=False)] for side in sides))
        for _ in range(200)
    ]
    deviation = np.std([one.value for one in drawn])
    assert found.value == pytest.approx(kernel_distance(*sides).value, abs=5 * deviation / 200**0.5)
    # Of 150 samples 100 are left out: half the variance of a subset is that of all.
    reach = 1.96 * deviation * (50 / 100 + 1 / 200) ** 0.5
    assert found.high - found.value == pytest.approx(reach, rel=0.3)
    assert found.value - found.low == pytest.approx(found.high - found.value, rel=1e-9)
    assert kernel_distance_subsets(*sides, subsets=2, size=50, seed=5).value != found.value
    assert torch.equal(torch.get_rng_state(), state)


def test_what_cannot_be_used_is_refused():
    spoilt = FAKE.clone()
    spoilt[[3, 4], 0] = torch.nan
    with pytest.raises(InputError, match="2 of 800 given samples are not finite"):
        kernel_distance(REAL, spoilt)
    with pytest.raises(InputError, match="there are 1 given samples; at least 2"):
        kernel_distance(REAL[:1], FAKE)
    with pytest.raises(InputError, match="there are 800 right samples; at least 1000"):
        kernel_distance_subsets(REAL, FAKE)
    for settings in ({"subsets": 0}, {"size": 1}):
        with pytest.raises(InputError, match="there must be at least 1 of at least 2"):
            kernel_distance_subsets(REAL, FAKE, **settings)
