"""The Frechet distance against closed forms and other programs, in all forms of its two sides."""

import io
from itertools import product

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch.testing import assert_close
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torchmetrics.image.fid import _compute_fid

from lightning_gans.errors import InputError
from lightning_gans.metrics.functional import (
    Factored,
    Moments,
    Sums,
    factored,
    frechet_distance,
    moments,
)


def golden(seed, n, d, scale=1.0, shift=0.0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, d)) * scale + shift)


def normal(n, d, seed=0, slope=0.0):
    """Normal features whose covariance has the eigenvalues i^-slope in a random basis."""
    generator = torch.Generator().manual_seed(seed)
    turned = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=generator))[0]
    points = torch.randn(n, d, dtype=torch.float64, generator=generator)
    return points * torch.arange(1, d + 1, dtype=torch.float64).pow(-slope / 2) @ turned


def given(features):
    """All forms of the same samples."""
    return features, moments(features), factored(features), factored(moments(features))


REAL, FAKE = golden(0, 1000, 64), golden(1, 800, 64, 0.9, 0.1)


def test_golden_in_all_forms():
    for real, fake in product(given(REAL), given(FAKE)):
        assert frechet_distance(real, fake) == pytest.approx(3.4726656680868, rel=1e-12)


def test_closed_form_of_commuting_covariances():
    """S = Q diag Q^T and Q a reflection; d = 300 takes several blocks, the last one narrower."""
    orders = torch.arange(1, 301, dtype=torch.float64)
    axis = torch.randn(300, dtype=torch.float64).pow(3)
    reflection = torch.eye(300, dtype=torch.float64) - 2 * torch.outer(axis, axis) / axis.dot(axis)

    def law(spectrum, mean):
        covariance = reflection * spectrum @ reflection
        return Moments(10_000, torch.full_like(orders, mean), (covariance + covariance.T) / 2)

    spectra = 9 * orders**-1.5, 10 * orders**-1.4
    left, right = law(spectra[0], 0.4), law(spectra[1], 0.41)
    expected = 300 * 0.01**2 + (spectra[0].sqrt() - spectra[1].sqrt()).square().sum().item()
    assert frechet_distance(left, right) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("n", "m", "tolerance"), [(200, 150, 1e-11), (200, 20, 1e-5)])
def test_parity_with_other_programs(n, m, tolerance):
    """Where samples are fewer than dimensions it is they who err, in the sixth digit or so."""
    left, right = normal(n, 32, slope=1), normal(m, 32, 1, slope=2) + 0.1
    found = frechet_distance(left, right)
    one, other = moments(left), moments(right)
    theirs = _compute_fid(one.mean, one.covariance, other.mean, other.covariance).item()
    assert found == pytest.approx(theirs, rel=tolerance)
    statistics = fid_features_to_statistics(left), fid_features_to_statistics(right)
    theirs = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert found == pytest.approx(theirs, rel=tolerance)
    root = sqrtm((one.covariance @ other.covariance).numpy()).real
    squares = (one.mean - other.mean).square().sum() - 2 * np.trace(root)
    theirs = squares + one.covariance.trace() + other.covariance.trace()
    assert found == pytest.approx(theirs.item(), rel=tolerance)


def test_one_dimension_by_hand():
    """(mean - mean')^2 + (deviation - deviation')^2; variances 2 and 8 over n - 1."""
    left, right = torch.tensor([[1.0], [3.0]]), torch.tensor([[3.0], [7.0]])
    assert frechet_distance(left, right) == pytest.approx(9 + 2, rel=1e-12)


@pytest.mark.parametrize(("n", "m"), [(60, 45), (60, 20), (12, 60), (20, 14), (20, 20)])
def test_swapping_changes_no_bit_and_forms_agree(n, m):
    left, right = normal(n, 24, slope=1), normal(m, 24, 1) + 0.2
    expected = frechet_distance(left, right)
    for one, other in product(given(left), given(right)):
        assert frechet_distance(one, other) == frechet_distance(other, one)
        assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("slope", [0, 2, 4, 8])
@pytest.mark.parametrize(("n", "d"), [(400, 84), (30, 84)])
def test_equal_covariances_leave_the_means(n, d, slope):
    """Moved by 1 in a direction, so that nothing is cut off at 0."""
    features = normal(n, d, slope=slope)
    moved = features + torch.eye(d, dtype=torch.float64)[3]
    for left, right in product(given(features), given(moved)):
        assert frechet_distance(left, right) == pytest.approx(1, abs=1e-9)
    for left, right in product(given(features), repeat=2):
        assert frechet_distance(left, right) == pytest.approx(0, abs=1e-9)


def test_few_samples_in_many_dimensions_are_as_exact():
    """Turned into more dimensions than samples, the distance stays."""
    left, right = normal(40, 16, slope=1), normal(30, 16, 1, slope=2) + 0.3
    into = torch.linalg.qr(normal(50, 16, 2))[0].T
    expected = frechet_distance(left, right)
    for one, other in product(given(left @ into), given(right @ into)):
        assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("slope", [0, 1, 3, 6])
@pytest.mark.parametrize(("n", "m"), [(60, 20), (20, 60), (20, 14), (14, 14)])
def test_few_samples_match_singular_values(n, m, slope):
    """Whether eigenvalues of the smaller square have the digits or not."""
    left, right = normal(n, 40, slope=slope), normal(m, 40, 1, slope=slope) + 0.1

    def rows(sample):
        return (sample - sample.mean(0)) / (len(sample) - 1) ** 0.5

    one, other = rows(left), rows(right)
    common = np.linalg.svd((one @ other.T).numpy(), compute_uv=False).sum()
    variance = (one.square().sum() + other.square().sum()).item()
    means = (left.mean(0) - right.mean(0)).square().sum().item()
    for first, second in product(given(left), given(right)):
        found = frechet_distance(first, second)
        assert found == pytest.approx(means + variance - 2 * common, rel=1e-9, abs=1e-10)


def test_few_samples_have_a_factor_of_one_column_less():
    """The direction in which centred samples do not vary is left out."""
    factor = factored(normal(9, 40)).factor
    assert factor.shape == (40, 8) and torch.linalg.matrix_rank(factor) == 8
    assert_close(factor @ factor.T, normal(9, 40).T.cov(), rtol=1e-11, atol=1e-13)


def test_an_offset_costs_no_digits():
    left, right = (part.float() + 1000 for part in (REAL[:300], FAKE[:200]))
    exact = [part.double() - 1000 for part in (left, right)]
    expected = frechet_distance(*exact)
    assert frechet_distance(left, right) == pytest.approx(expected, rel=1e-10)
    few = frechet_distance(left[:30], right[:40])
    assert few == pytest.approx(frechet_distance(exact[0][:30], exact[1][:40]), rel=1e-10)


def test_order_does_not_matter():
    order = torch.randperm(len(FAKE))
    axes = torch.randperm(64)
    expected = frechet_distance(REAL, FAKE)
    assert frechet_distance(REAL, FAKE[order]) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(REAL[:, axes], FAKE[:, axes]) == pytest.approx(expected, rel=1e-12)


def test_constant_features():
    """What does not vary adds the distance of its means."""
    dead = torch.zeros(1000, 5, dtype=torch.float64)
    real, fake = torch.cat([REAL, dead + 2], 1), torch.cat([FAKE, dead[:800] + 3], 1)
    for one, other in product(given(real), given(fake)):
        assert frechet_distance(one, other) == pytest.approx(3.4726656680868 + 5, rel=1e-8)
    assert frechet_distance(dead, dead + 2) == pytest.approx(5 * 4, rel=1e-12)
    # One-sided: no factor of 0 varies with the other.
    expected = REAL.double().var(0).sum().item() + REAL.mean(0).square().sum().item()
    nothing = torch.zeros(1000, 64, dtype=torch.float64)
    assert frechet_distance(REAL, nothing) == pytest.approx(expected, rel=1e-12)


def test_sums_add_up_over_batches_and_processes():
    shift = REAL[:100].mean(0)
    parts = [Sums.zero(shift), Sums.zero(shift)]
    for place, batch in enumerate(REAL.float().split(150)):
        parts[place % 2].add(batch)
    tensors = [one + other for one, other in zip(parts[0][:3], parts[1][:3], strict=True)]
    found, expected = Sums(*tensors, shift).moments(), moments(REAL.float())
    assert found.n == 1000
    assert_close(found.mean, REAL.float().double().mean(0), rtol=1e-12, atol=1e-14)
    assert_close(found.covariance, REAL.float().double().T.cov(), rtol=1e-11, atol=1e-13)
    assert_close(found[1:], expected[1:], rtol=1e-11, atol=1e-13)


def test_a_factor_is_kept_as_plain_tensors():
    kept = factored(REAL)
    assert_close(kept.factor @ kept.factor.T, REAL.T.cov(), rtol=1e-11, atol=1e-13)
    file = io.BytesIO()
    torch.save(kept._asdict(), file)
    file.seek(0)
    back = Factored(**torch.load(file, weights_only=True))
    assert frechet_distance(back, FAKE) == frechet_distance(kept, FAKE)


@pytest.mark.parametrize("side", [REAL, moments(REAL)])
def test_what_cannot_be_used_is_refused(side):
    for n in (0, 1):
        with pytest.raises(InputError, match=f"there are {n} given samples; at least 2"):
            frechet_distance(side, FAKE[:n])
    for wrong in (torch.nan, torch.inf):
        spoilt = FAKE.clone()
        spoilt[3, 5] = wrong
        for n in (20, 800):
            with pytest.raises(InputError, match=f"1 of {n} given samples are not finite"):
                frechet_distance(spoilt[:n], side)
        sums = Sums.zero(FAKE[0])
        sums.add(spoilt)
        with pytest.raises(InputError, match="some samples are not finite"):
            sums.moments()
    with pytest.raises(InputError, match="there are 1 samples; a covariance needs at least 2"):
        sums = Sums.zero(FAKE[0])
        sums.add(FAKE[:1])
        sums.moments()
    with pytest.raises(InputError, match="have 64 and 1 dimensions"):
        frechet_distance(moments(REAL), moments(FAKE[:, :1]))
    zeros = torch.zeros(2, dtype=torch.float64)
    wrong = Moments(9, zeros, torch.tensor([[1.0, 5.0], [5.0, 1.0]]).double())
    with pytest.raises(InputError, match="came out as -0.899: no covariances"):
        frechet_distance(wrong, Moments(9, zeros, torch.eye(2).double()))
