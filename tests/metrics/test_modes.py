"""Modes and their evenness against closed forms, and what a perfect sampler gets."""

import math
import pickle

import pytest
import torch
from scipy import stats

from lightning_gans.data.gaussians import Gaussians
from lightning_gans.errors import InputError
from lightning_gans.metrics import ClassModes, GaussianModes
from lightning_gans.metrics.functional import (
    captured,
    captured_ideal,
    forward_kl,
    high_quality,
    high_quality_ideal,
    js,
    least_served,
    most_served,
    perfect,
    reverse_kl,
    total_variation,
)
from lightning_gans.metrics.functional.measured import binomial_interval, poisson_interval
from lightning_gans.metrics.functional.modes import multinomial, resampled, squared_radius

DIGITS = torch.tensor([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]).double()
DIGITS /= DIGITS.sum()
TRIPLES = torch.einsum("i,j,k->ijk", DIGITS, DIGITS, DIGITS)


def uniform(modes):
    return torch.full((modes,), 1 / modes, dtype=torch.float64)


def ring(modes=8, std=0.01, weights=None):
    angles = torch.arange(modes, dtype=torch.float64) * (2 * math.pi / modes)
    means = torch.stack([angles.cos(), angles.sin()], 1)
    covariances = std**2 * torch.eye(2, dtype=torch.float64).expand(modes, 2, 2)
    return Gaussians(means, covariances, weights)


def space(dimensions, modes=5):
    """Modes too far apart to overlap, with axes of different lengths."""
    generator = torch.Generator().manual_seed(1)
    means = 1000 * torch.randn(modes, dimensions, dtype=torch.float64, generator=generator)
    roots = torch.randn(modes, dimensions, dimensions, dtype=torch.float64, generator=generator)
    return Gaussians(means, roots @ roots.mT + torch.eye(dimensions, dtype=torch.float64))


def source(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("dimensions", [1, 2, 3, 10, 700])
def test_ideal_high_quality_is_the_chi_square_law(dimensions):
    assert high_quality_ideal("chi2", dimensions) == pytest.approx(1 - math.exp(-4.5), rel=1e-12)
    assert high_quality_ideal("3sigma", dimensions) == pytest.approx(
        stats.chi2.cdf(9, dimensions), rel=1e-9, abs=1e-300
    )
    assert squared_radius("chi2", 2) == pytest.approx(9, rel=1e-12)
    assert squared_radius("chi2", 10) == pytest.approx(stats.chi2.ppf(1 - math.exp(-4.5), 10))


@pytest.mark.parametrize("rule", ["chi2", "3sigma"])
@pytest.mark.parametrize("law", [ring(), space(10), space(3)], ids=["ring", "d=10", "d=3"])
def test_a_perfect_sampler_has_the_ideal_quality(law, rule):
    n = 20_000
    points, _ = law.sample(n, source())
    ideal = high_quality_ideal(rule, law.means.shape[1])
    share = high_quality(law, points.double(), rule).double().mean().item()
    assert share == pytest.approx(ideal, abs=4 * math.sqrt(ideal * (1 - ideal) / n))


def test_high_quality_ends_at_three_deviations_in_the_plane():
    law = ring(modes=2, std=0.5)
    points = law.means[:1] + torch.tensor([[0, 1.4999], [0, 1.5001]], dtype=torch.float64)
    for rule in ("chi2", "3sigma"):
        assert high_quality(law, points, rule).tolist() == [True, False]
    with pytest.raises(InputError, match="'4sigma'; it must be chi2 or 3sigma"):
        high_quality(law, points, "4sigma")


def test_statistics_by_hand():
    counts, target = torch.tensor([3, 1, 0, 0]), torch.tensor([0.25, 0.25, 0.25, 0.25])
    kl = 0.75 * math.log(3)
    assert captured(counts).item() == 2
    assert reverse_kl(counts, target).item() == pytest.approx(kl)
    smooth = [3.5 / 6, 1.5 / 6, 0.5 / 6, 0.5 / 6]
    expected = sum(0.25 * math.log(0.25 / q) for q in smooth)
    assert forward_kl(counts, target).item() == pytest.approx(expected)
    assert total_variation(counts, target).item() == pytest.approx(0.5)
    assert least_served(counts, target).item() == 0
    assert most_served(counts, target).item() == pytest.approx(3)
    middle = [0.5, 0.25, 0.125, 0.125]
    expected = 0.5 * sum(0.25 * math.log(0.25 / m) for m in middle)
    expected += 0.5 * sum(q * math.log(q / m) for q, m in zip((0.75, 0.25), middle, strict=False))
    assert js(counts, target).item() == pytest.approx(expected)


@pytest.mark.parametrize("statistic", [reverse_kl, forward_kl, js, total_variation])
def test_divergences_are_nothing_at_the_target_and_repeat_row_by_row(statistic):
    target = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    even = statistic(torch.tensor([200, 300, 500]) * 10**6, target).item()
    assert even == pytest.approx(0, abs=1e-8)
    counts = torch.randint(20, (6, 3), generator=source())
    rows = torch.stack([statistic(row, target) for row in counts])
    torch.testing.assert_close(statistic(counts, target), rows)


def test_divergences_at_their_ends():
    target = torch.tensor([0.0, 0.5, 0.5])
    lost = torch.tensor([7, 0, 0])
    assert reverse_kl(lost, target).item() == math.inf
    assert js(lost, target).item() == pytest.approx(math.log(2))
    assert total_variation(lost, target).item() == pytest.approx(1)
    # A mode of no weight is no mode of the data: it is neither the least nor the most served.
    assert most_served(torch.tensor([7, 1, 2]), target).item() == pytest.approx(0.4)
    assert math.isnan(reverse_kl(torch.zeros(3), target).item())


def test_multinomial_is_one():
    law = torch.tensor([0.5, 0.0, 0.3, 0.2], dtype=torch.float64)
    counts = multinomial(1000, law, 4000, source())
    assert (counts.sum(1) == 1000).all() and (counts[:, 1] == 0).all()
    torch.testing.assert_close(counts.mean(0), 1000 * law, rtol=0, atol=1.2)
    covariance = 1000 * (law.diag() - law[:, None] * law)
    torch.testing.assert_close(counts.T.cov(), covariance, rtol=0, atol=25)


@pytest.mark.parametrize(("modes", "floor"), [(8, 0.0014), (25, 0.0048)])
def test_floor_of_the_reverse_kl_in_the_plane(modes, floor):
    mean, deviation = perfect(reverse_kl, uniform(modes), uniform(modes), 2500, draws=2000)
    assert mean == pytest.approx((modes - 1) / 5000, abs=4 * deviation / math.sqrt(2000))
    assert mean == pytest.approx(floor, abs=2e-4)


@pytest.mark.parametrize(
    ("n", "mean", "deviation"),
    [
        (10_000, 0.0548, 0.0022),
        (24_000, 0.0253, 0.0013),
        (25_600, 0.0235, 0.0009),
        (26_000, 0.0237, 0.0009),
        (50_000, 0.0143, 0.0005),
        (240_000, 0.0063, 0.0002),
    ],
)
def test_floor_of_stacked_mnist(n, mean, deviation):
    """Simulated elsewhere, 20 times each; and by 999 / 2N + KL(digits || uniform)."""
    found, spread = perfect(reverse_kl, TRIPLES.flatten(), uniform(1000), n)
    assert found == pytest.approx(mean, abs=4 * deviation / math.sqrt(20) + 1e-4)
    assert 0.4 < spread / deviation < 2
    prior = 3 * (DIGITS * (10 * DIGITS).log()).sum().item()
    assert prior == pytest.approx(0.00428, abs=5e-6)
    if n >= 50_000:
        assert found == pytest.approx(999 / (2 * n) + prior, rel=0.03)


def test_captured_ideal_is_what_perfect_samplers_meet():
    law = TRIPLES.flatten()
    assert captured_ideal(law, 10_000) == pytest.approx(1000, abs=0.2)
    mean, deviation = perfect(lambda counts, _: captured(counts).double(), law, law, 2000)
    assert captured_ideal(law, 2000) == pytest.approx(mean, abs=4 * deviation / math.sqrt(200))
    assert captured_ideal(uniform(4), 1, 0.5) == pytest.approx(0.5)
    assert captured_ideal(uniform(1), 10) == 1


def test_exact_intervals_are_scipys():
    for hits, n in [(0, 7), (3, 7), (7, 7), (2472, 2500)]:
        expected = stats.binomtest(hits, n).proportion_ci(0.95, "exact")
        assert binomial_interval(hits, n) == pytest.approx((expected.low, expected.high))
    assert poisson_interval(0) == pytest.approx((0, -math.log(0.025)))
    low, high = poisson_interval(9)
    assert stats.poisson.sf(8, low) == pytest.approx(0.025)
    assert stats.poisson.cdf(9, high) == pytest.approx(0.025)


def test_gaussian_modes_counts_by_hand():
    law = ring(modes=4, std=0.1)
    offsets = torch.tensor([[0.0, 0.0], [0.2, 0.2], [0.25, 0.2], [0.0, 0.0]], dtype=torch.float64)
    points = law.means[torch.tensor([0, 0, 1, 2])] + offsets
    metric = GaussianModes(law)
    metric.update(points[:3])
    metric.update(points[3:])
    metric.update(torch.tensor([[math.nan, 0.0], [math.inf, 0.0], [1e30, 0.0]]).double())
    measured = metric.compute()
    # 2.83, 3.2 and some 10^31 deviations away; what is not finite is in no mode.
    assert metric.counts.tolist() == [3, 1, 1, 0]
    assert metric.high_quality_counts.tolist() == [[2, 0, 1, 0]] * 2
    assert all(number.n == 7 for number in measured.values())
    assert measured["captured_chi2"].value == 2
    assert measured["high_quality_3sigma"][:2] == pytest.approx((3 / 7, 1 - math.exp(-4.5)))
    assert measured["most_served"].value == pytest.approx(0.6 / 0.25)
    assert measured["least_served"].value == 0


@pytest.mark.parametrize("dimensions", [1, 2, 10])
def test_spread_tells_collapsed_variance(dimensions):
    """Which the share of high quality would praise."""
    law, n = space(dimensions), 20_000
    modes = law.sample(n, source())[1]
    noise = torch.randn(n, dimensions, 1, generator=source(1), dtype=torch.float64)
    measured = {}
    for size in (1.0, 0.5):
        metric = GaussianModes(law)
        metric.update(law.means[modes] + size * (law.scales[modes] @ noise)[..., 0])
        measured[size] = metric.compute()
    # The mean of d squared normals over d has a variance of 2 / d.
    error = 4 * math.sqrt(2 / (dimensions * n))
    assert measured[1.0]["spread"].value == pytest.approx(measured[1.0]["spread"].ideal, abs=error)
    assert measured[0.5]["spread"].value == pytest.approx(0.25, abs=error)
    assert measured[0.5]["high_quality_chi2"].value > measured[1.0]["high_quality_chi2"].value
    radius = squared_radius("chi2", dimensions)
    law = stats.chi2(dimensions)
    mean = law.expect(lambda x: x, lb=0, ub=radius, conditional=True) / dimensions
    assert measured[1.0]["spread"].ideal == pytest.approx(mean, rel=1e-6)


def test_points_all_beside_their_centres_are_no_spread():
    """A single point a mode, a deviation aside: spread looks whole, and offset says why."""
    law = ring()
    metric = GaussianModes(law)
    metric.update((law.means + law.scales.sum(2)).repeat(10, 1))
    measured = metric.compute()
    assert [measured[name].value for name in ("spread", "offset")] == pytest.approx([1.0, 1.0])
    metric.reset()
    metric.update(law.sample(20_000, source())[0])
    measured = metric.compute()
    # Of 8 means, in two dimensions: a mean of 16 squared normals over 20,000.
    ideal = measured["spread"].ideal * 8 / 20_000
    assert measured["offset"].ideal == pytest.approx(ideal, rel=0.02)
    assert measured["offset"].value == pytest.approx(ideal, rel=4 * math.sqrt(2 / 16))


@pytest.mark.parametrize("dimensions, length", [(2, 6.0), (10, 3.6), (50, 6.0)])
def test_narrow_modes_keep_their_samples(dimensions, length):
    """A wide mode is nearer to them, in its own deviations."""
    means = torch.zeros(2, dimensions, dtype=torch.float64)
    means[1, 0] = length
    covariances = torch.stack(
        [size * torch.eye(dimensions, dtype=torch.float64) for size in (1, 0.01)]
    )
    law = Gaussians(means, covariances, torch.tensor([0.7, 0.3], dtype=torch.float64))
    points, modes = law.sample(20_000, source())
    places, told = law.likeliest(points)
    assert (told != modes).double().mean() < 1e-3
    torch.testing.assert_close(
        places.square().sum(1), law.squared_distances(points)[torch.arange(20_000), told]
    )
    components = torch.distributions.MultivariateNormal(means, covariances)
    joint = components.log_prob(points[:, None].double()) + law.weights.log()
    assert torch.equal(told, joint.argmax(1))
    metric = GaussianModes(law)
    metric.update(points)
    measured = metric.compute()
    quality = measured["high_quality_chi2"]
    assert quality.low < quality.ideal < quality.high
    error = 4 * math.sqrt(2 / (dimensions * 20_000))
    assert measured["spread"].value == pytest.approx(measured["spread"].ideal, abs=error)
    assert measured["total_variation"].value < 4 * math.sqrt(0.21 / 20_000)


def test_gaussian_modes_of_nothing_but_nan():
    metric = GaussianModes(ring())
    metric.update(torch.full((5, 2), math.nan))
    measured = metric.compute()
    assert measured["captured_chi2"][0:1] + measured["captured_chi2"][2:] == (0, 5, 0, 0)
    assert measured["high_quality_chi2"].value == 0
    assert math.isnan(measured["spread"].value)
    for name in ("reverse_kl", "forward_kl", "js", "total_variation"):
        assert math.isnan(measured[name].value), name


@pytest.mark.parametrize("seed", range(3))
def test_a_perfect_sampler_scores_its_ideals(seed):
    law = ring(weights=torch.tensor([1.0, 1, 1, 1, 1, 1, 1, 3], dtype=torch.float64))
    metric = GaussianModes(law)
    metric.update(law.sample(2500, source(seed))[0])
    measured = metric.compute()
    for rule in ("chi2", "3sigma"):
        assert measured[f"captured_{rule}"] == (8, pytest.approx(8), 2500, 8, 8)
        quality = measured[f"high_quality_{rule}"]
        assert quality.low < quality.value < quality.high
        assert quality.value == pytest.approx(quality.ideal, abs=4 * 0.0021)
    for name, statistic in [("reverse_kl", reverse_kl), ("least_served", least_served)]:
        mean, deviation = perfect(statistic, law.weights, law.weights, 2500)
        assert measured[name].ideal == mean
        assert measured[name].value == pytest.approx(mean, abs=4 * deviation)
    assert 0 < measured["least_served"].ideal < 1 < measured["most_served"].ideal


def test_captured_says_how_low_chance_may_go():
    law = ring()
    metric = GaussianModes(law)
    metric.update(law.means[torch.tensor([0] * 50 + [1] * 50 + [2])])
    # The single sample is missing from e^-1 of as many samples drawn again.
    assert metric.compute()["captured_chi2"].low == 2
    again = resampled(metric.counts)
    assert (again[:, 2] == 0).double().mean().item() == pytest.approx(math.exp(-1), abs=0.06)


@pytest.mark.parametrize(("many", "low"), [(2, 1), (3, 1), (5, 2)])
def test_the_low_end_is_at_a_level_of_two_and_a_half_percent(many, low):
    """A mode of so many samples is missing from exp(-many) of as many drawn again."""
    law = ring()
    metric = GaussianModes(law)
    metric.update(law.means[torch.tensor([0] * 1000 + [1] * many)])
    assert metric.compute()["captured_chi2"].low == low


def test_class_modes_read_the_law_as_the_classifier_does():
    """By the matrix of all modes, for errors that go one way."""
    confusion = torch.tensor([[90, 10, 0], [0, 80, 20], [5, 0, 95]])
    rates = confusion / confusion.sum(1, keepdim=True).double()
    law = torch.zeros(3, 3, 3, dtype=torch.float64)
    law[0, 1, 2], law[1, 1, 0] = 0.75, 0.25
    told = law.flatten() @ torch.kron(torch.kron(rates, rates), rates)
    metric = ClassModes(law, confusion)
    metric.update(torch.tensor([[0, 1, 2]] * 30))
    measured = metric.compute()
    assert measured["captured"].ideal == pytest.approx(captured_ideal(told, 30))
    mean, _ = perfect(total_variation, told, uniform(27), 30)
    assert measured["total_variation"].ideal == pytest.approx(mean)


def test_class_modes_compare_with_what_they_are_told():
    confusion = (DIGITS * 1e4).long().diag()
    metric = ClassModes(TRIPLES, confusion)
    drawn = torch.multinomial(TRIPLES.flatten(), 26_000, replacement=True, generator=source())
    triples = torch.stack([drawn // 100, drawn // 10 % 10, drawn % 10], 1)
    metric.update(triples[:9000])
    metric.update(triples[9000:])
    measured = metric.compute()
    assert torch.equal(metric.counts.flatten(), drawn.bincount(minlength=1000))
    assert measured["captured"][:3] == (1000, pytest.approx(1000, abs=0.01), 26_000)
    assert measured["corrected"] == (1000, measured["captured"].ideal, 26_000, 1000, 1000)
    kl = measured["reverse_kl"]
    assert kl.ideal == pytest.approx(0.0237, abs=0.0003)
    assert kl.value == pytest.approx(kl.ideal, abs=4 * 0.0011)
    against_data = ClassModes(TRIPLES, confusion, TRIPLES)
    against_data.update(triples)
    assert against_data.compute()["reverse_kl"].ideal == pytest.approx(999 / 52_000, rel=0.05)


def test_class_modes_of_single_classes():
    metric = ClassModes(DIGITS, 1000 * torch.eye(10, dtype=torch.int64))
    metric.update(torch.tensor([[0], [0], [3], [9]]).repeat(25, 1))
    assert metric.counts.tolist() == [50, 0, 0, 25, 0, 0, 0, 0, 0, 25]
    measured = metric.compute()
    assert measured["captured"].value == 3
    assert (measured["corrected"].low, measured["corrected"].high) == (3, 3)
    assert measured["most_served"].value == pytest.approx(0.5 / DIGITS[0].item())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ClassModes(uniform(9), torch.eye(10, dtype=torch.int64)),
            r"counts have the shape \(9,\); with a confusion of 10 classes",
        ),
        (lambda: ClassModes(DIGITS * 2, torch.eye(10, dtype=torch.int64)), "law sums to 2"),
        (
            lambda: ClassModes(DIGITS, torch.eye(10, dtype=torch.int64), DIGITS / 2),
            "target sums to 0.5",
        ),
        (lambda: GaussianModes(ring()).compute(), "GaussianModes has seen no samples"),
        (
            lambda: ClassModes(DIGITS, torch.eye(10, dtype=torch.int64)).compute(),
            r"ClassModes has seen no samples; call update\(\) before compute\(\)",
        ),
    ],
)
def test_what_cannot_be_counted_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_they_pickle_reset_and_leave_random_numbers_alone():
    law = ring()
    points, _ = law.sample(500, source())
    state = torch.get_rng_state()
    metric = GaussianModes(law)
    metric.update(points)
    measured = metric.compute()
    copy = pickle.loads(pickle.dumps(metric))
    assert copy.compute() == measured
    copy.reset()
    with pytest.raises(InputError, match="no samples"):
        copy.compute()
    copy.update(points)
    assert copy.compute() == measured
    classes = ClassModes(DIGITS, 5 + 100 * torch.eye(10, dtype=torch.int64))
    classes.update(torch.arange(10)[:, None])
    classes.compute()
    assert torch.equal(torch.get_rng_state(), state)
