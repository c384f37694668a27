"""Neighbours, precision, recall, density, coverage against goldens, other programs, all pairs."""

import numpy as np
import pytest
import torch
from prdc import compute_prdc
from torch.testing import assert_close
from torch_fidelity.metric_prc import calculate_precision_recall_full

from lightning_gans.errors import InputError
from lightning_gans.metrics.functional import (
    balls,
    coverage_ideal,
    nearest_other,
    nearest_real,
    precision_recall_density_coverage,
)


def golden(seed, n, scale=1.0, shift=0.0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, 64)) * scale + shift)


REAL, FAKE = golden(0, 1000), golden(1, 800, 0.9, 0.1)


def measured(real, fake, k=5, strict=True):
    hits = precision_recall_density_coverage(balls(real, k), balls(fake, k), strict)
    return [part.double().mean().item() for part in hits[:4]]


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("k", "expected"), [(5, [0.96625, 0.35, 3.516, 0.999]), (3, [0.9225, 0.261, 3.66875, 0.978])]
)
def test_goldens(k, expected, strict):
    assert measured(REAL, FAKE, k, strict) == pytest.approx(expected, abs=1e-12)


def test_an_offset_in_32_bits_costs_no_digits():
    """Where torch-fidelity finds a precision of 0.984 and a recall of 0.556."""
    real, fake = ((part + 1000).float() for part in (REAL, FAKE))
    assert measured(real, fake) == pytest.approx([0.96625, 0.35, 3.516, 0.999], abs=2e-3)
    assert measured(real, fake) == measured(real.double() - 1000, fake.double() - 1000)


def test_parity_with_other_programs():
    for n, m, d, k in [(300, 200, 3, 5), (60, 400, 20, 3), (7, 9, 2, 1)]:
        real, fake = REAL[:n, :d], FAKE[:m, :d]
        theirs = compute_prdc(real.numpy(), fake.numpy(), k)
        expected = [theirs[name] for name in ("precision", "recall", "density", "coverage")]
        assert measured(real, fake, k) == pytest.approx(expected, abs=1e-12)
        theirs = calculate_precision_recall_full(fake, real, k)
        assert measured(real, fake, k, strict=False)[:2] == pytest.approx(theirs, abs=1e-6)


def by_all_pairs(real, fake, k, strict):
    """Of whole numbers, where all is exact."""

    def squares(left, right):
        return (left[:, None] - right).square().sum(2)

    def radii(points):
        own = squares(points, points).fill_diagonal_(10**9)
        return own.sort(1).values[:, k - 1]

    between = squares(fake, real)
    inside = torch.lt if strict else torch.le
    in_real, in_fake = inside(between, radii(real)), inside(between, radii(fake)[:, None])
    return in_real.any(1), in_fake.any(0), in_real.sum(1).double() / k, in_real.any(0)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("n", "m", "k", "sides"), [(300, 270, 1, 9), (40, 600, 3, 5), (9, 6, 5, 3)]
)
def test_ties_are_ties(n, m, k, sides, strict):
    """Whole numbers repeat and lie on the balls' surfaces; so do their thirds, with rounding."""
    generator = torch.Generator().manual_seed(n)
    real, fake = (torch.randint(sides, (size, 3), generator=generator) for size in (n, m))
    expected, other = (by_all_pairs(real, fake, k, kind) for kind in (strict, not strict))
    assert not torch.equal(expected[2], other[2])
    for given in (
        (real.float() + 1000, fake.float() + 1000),
        (real.double() / 3, fake.double() / 3),
    ):
        hits = precision_recall_density_coverage(*(balls(part, k) for part in given), strict)
        for found, told in zip(hits[:4], expected, strict=True):
            assert torch.equal(found, told)


def test_equal_samples_are_in_their_balls_if_surfaces_are():
    """Identical sets, all distinct: the k-th neighbour is on the surface. prdc #7: all the same."""
    assert measured(REAL, REAL) == [1, 1, 1, 1]
    assert measured(REAL, REAL, strict=False) == [1, 1, pytest.approx(1.2), 1]
    for same in (torch.full((700, 3), 0.1), torch.full((30, 3), 1234.5)):
        assert measured(same, same) == [0, 0, 0, 0]
        assert measured(same, same, strict=False) == [1, 1, len(same) / 5, 1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("offset", [0, 1000])
def test_distances_are_those_of_all_pairs(offset, dtype):
    real, fake = (REAL[:600, :6] + offset).to(dtype), (FAKE[:300, :6] + offset).to(dtype)
    fake[::3] = real[:100]  # copies
    exact = {"p": 2, "compute_mode": "donot_use_mm_for_euclid_dist"}
    own = torch.cdist(real.double(), real.double(), **exact).fill_diagonal_(torch.inf)
    found = balls(real, 4)
    assert_close(found.radii, own.sort(1).values[:, 3], rtol=1e-12, atol=1e-12)
    assert_close(nearest_other(real, torch.arange(600)), own.amin(1), rtol=1e-12, atol=1e-12)
    least, index = torch.cdist(fake.double(), real.double(), **exact).min(1)
    expected = nearest_real(fake, real)
    assert torch.equal(expected.index, index)
    assert_close(expected.distance, least, rtol=1e-12, atol=1e-12)
    assert (expected.distance[::3] == 0).all() and (expected.distance[1::3] > 0).all()


def test_order_does_not_matter():
    real, fake = REAL[:300, :3], FAKE[:280, :3]
    order, other = torch.randperm(300), torch.randperm(280)
    hits = precision_recall_density_coverage(balls(real), balls(fake))
    moved = precision_recall_density_coverage(balls(real[order]), balls(fake[other]))
    for part, by in zip(range(4), (other, order, other, order), strict=True):
        assert torch.equal(moved[part], hits[part][by])
    found = nearest_real(fake[other], real[order]).index
    assert torch.equal(order[found], nearest_real(fake, real).index[other])


def test_a_perfect_sampler():
    """In the plane; published for two sets of 2,000: 1.004 +- 0.008 and 0.969 +- 0.006."""
    generator = torch.Generator().manual_seed(0)
    found = [measured(*torch.randn(2, 500, 2, generator=generator)) for _ in range(20)]
    precision, recall, density, coverage = np.mean(found, 0)
    assert density == pytest.approx(1, abs=0.02)
    assert coverage == pytest.approx(coverage_ideal(500, 500), abs=0.006)
    assert precision == pytest.approx(recall, abs=0.01)
    uneven = [
        measured(*torch.randn(400, 2, generator=generator).split([100, 300]), k=2)[3]
        for _ in range(100)
    ]
    assert np.mean(uneven) == pytest.approx(coverage_ideal(100, 300, 2), abs=0.01)


def test_coverage_of_a_perfect_sampler():
    assert coverage_ideal(10**7, 10**7, 5) == pytest.approx(1 - 2**-5, abs=1e-6)
    assert coverage_ideal(10**7, 10**7, 3) == pytest.approx(1 - 2**-3, abs=1e-6)
    # One real sample's only other of three is closer than the generated one: 2/3 of orders.
    assert coverage_ideal(3, 1, 1) == pytest.approx(1 / 3)


def test_what_cannot_be_used_is_refused():
    spoilt = FAKE.clone()
    spoilt[0, 3], spoilt[7, 1] = torch.nan, -torch.inf
    with pytest.raises(InputError, match="2 of 800 given samples are not finite"):
        balls(spoilt)
    with pytest.raises(InputError, match="2 of 800 generated samples are not finite"):
        nearest_real(spoilt, REAL)
    with pytest.raises(InputError, match="there are 0 real samples; at least 1"):
        nearest_real(FAKE, REAL[:0])
    with pytest.raises(InputError, match="there are 5 given samples; at least 6"):
        balls(FAKE[:5])
    with pytest.raises(InputError, match="k is 0; it must be at least 1"):
        balls(FAKE, 0)
    with pytest.raises(InputError, match="k is 5 for real and 3 for generated samples"):
        precision_recall_density_coverage(balls(REAL), balls(FAKE, 3))
    assert balls(FAKE[:6]).radii.isfinite().all()
