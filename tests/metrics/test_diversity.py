"""Bins, near-duplicates, distances, similarity and Vendi against goldens and brute force."""

import math
import pickle

import numpy as np
import pytest
import torch
from torch.testing import assert_close
from torchmetrics.functional.image import structural_similarity_index_measure
from vendi_score import vendi as vendi_score

from lightning_gans.errors import InputError
from lightning_gans.metrics import NDB, Birthday, ImageSimilarity, PairwiseDistance, Vendi
from lightning_gans.metrics.functional import (
    birthday_support,
    collision_probability,
    duplicate_distance,
    duplicates,
    kmeans,
    ms_ssim,
    ndb,
    ndb_js,
    ndb_js_ideal,
    pairwise_distance,
    vendi,
    vendi_kernel,
)
from lightning_gans.metrics.functional.distances import nearest, nearest_others, random_pairs
from lightning_gans.metrics.functional.diversity import ms_ssim_scales


def normal(n, d, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, dtype=dtype, generator=generator)


def golden(seed, n, d, scale=1.0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, d)) * scale)


@pytest.mark.parametrize("offset", [0, 1000])
@pytest.mark.parametrize("n", [40, 1500])
def test_distances_by_blocks_are_those_of_all_pairs(n, offset):
    points = normal(n, 5, dtype=torch.float32) + offset
    whole = torch.cdist(
        points.double(), points.double(), compute_mode="donot_use_mm_for_euclid_dist"
    )
    assert_close(nearest_others(points), (whole + 1e9 * torch.eye(n)).amin(1), rtol=1e-6, atol=1e-9)
    for distance in (1.5, 3.0):
        expected = int((whole[tuple(torch.triu_indices(n, n, 1))] <= distance).sum())
        assert duplicates(points, distance).sum() == 2 * expected > 0
    centres = points[:7]
    assert torch.equal(nearest(points, centres), whole[:, :7].argmin(1))


def test_random_pairs_are_even_and_never_of_one_with_itself():
    left, right = random_pairs(4, 12_000)
    counts = (4 * left + right).bincount(minlength=16).view(4, 4)
    assert counts.diagonal().sum() == 0
    wrong = (counts - 1000)[~torch.eye(4, dtype=torch.bool)]
    assert wrong.abs().max() < 4 * math.sqrt(1000)


def test_ndb_golden():
    train, query = golden(0, 2000, 8), golden(1, 1000, 8, 0.8)
    centres = train[:20]
    counts = [nearest(points, centres).bincount(minlength=20) for points in (train, query)]
    assert ndb(*counts) == 8
    assert ndb_js(*counts) == pytest.approx(0.015372405085112, rel=1e-10)


def test_ndb_of_one_bin_by_hand():
    """Shares 0.5 and 0.4: z = 0.1 / sqrt(0.45 0.55 2/n), 1.96 at n = 190.2."""
    for n, different in [(180, 0), (200, 2)]:
        train, query = torch.tensor([n // 2, n // 2]), torch.tensor([n * 2 // 5, n * 3 // 5])
        assert ndb(train, query) == different
    assert ndb(torch.tensor([5, 0]), torch.tensor([7, 0])) == 0  # no variance, no difference


def test_ndb_of_a_perfect_sampler():
    """NDB / K is the level, and JS (K - 1)/8 (1/n + 1/m); published for this size: 0.00151."""
    generator = torch.Generator().manual_seed(0)
    shares = torch.full((200, 100), 0.01, dtype=torch.float64)
    train, query = (
        torch.stack(
            [
                row.bincount(minlength=100)
                for row in shares.multinomial(n, True, generator=generator)
            ]
        )
        for n in (9000, 2000)
    )
    found = [ndb(t, q) / 100 for t, q in zip(train, query, strict=True)]
    assert np.mean(found) == pytest.approx(0.05, abs=0.006)
    divergence = np.mean([ndb_js(t, q) for t, q in zip(train, query, strict=True)])
    assert divergence == pytest.approx(ndb_js_ideal(100, 9000, 2000), rel=0.02)
    assert ndb_js_ideal(100, 45_000, 10_000) == pytest.approx(0.001512, abs=1e-6)


def test_kmeans_finds_what_is_apart_and_stays():
    middles = 20 * normal(12, 3, seed=1)
    points = middles.repeat(50, 1) + 0.1 * normal(600, 3)
    centres = kmeans(points, 12, seed=3)
    told = nearest(points, centres).view(50, 12)
    assert (told == told[0]).all() and len(told[0].unique()) == 12
    expected = torch.stack([points[nearest(points, centres) == k].mean(0) for k in range(12)])
    assert_close(centres, expected)
    assert torch.equal(kmeans(points, 12, seed=3), centres)
    # Fewer places than bins: every place has a centre of its own.
    assert len(kmeans(points[:12].repeat(2, 1), 20).unique(dim=0)) == 12


def test_ndb_metric():
    train = normal(3000, 4, dtype=torch.float32)
    metric = NDB(train, bins=20)
    other = normal(1001, 4, seed=5, dtype=torch.float32)
    other[0] = math.nan
    metric.update(other)
    measured = metric.compute()
    assert metric.counts.sum() == 1000
    assert measured["ndb"][1:3] == (0.05, 1001)
    metric.reset()
    metric.update(other[1:] * 0.5)
    assert metric.compute()["ndb"].value > 0.5
    metric.reset()
    metric.update(torch.full((1000, 4), math.nan))
    assert metric.compute()["ndb"].value == 1  # all bins, and that of what is not finite
    with pytest.raises(InputError, match="bins is 31; it must be 1 to 30, the number of points"):
        NDB(train[:30], bins=31)


def test_ndb_of_a_perfect_sampler_is_its_ideal():
    """Through k-means on the training samples, 20 times 20 bins: errors are 0.01 and 5 %."""
    shares, divergences = [], []
    for seed in range(20):
        metric = NDB(normal(3000, 4, seed=2 * seed, dtype=torch.float32), bins=20)
        metric.update(normal(1000, 4, seed=2 * seed + 1, dtype=torch.float32))
        measured = metric.compute()
        shares.append(measured["ndb"].value)
        divergences.append(measured["ndb_js"].value / measured["ndb_js"].ideal)
    assert sum(shares) / 20 == pytest.approx(0.05, abs=0.03)
    assert sum(divergences) / 20 == pytest.approx(1.0, abs=0.2)


def test_collision_probability():
    assert collision_probability(365, 22) == pytest.approx(0.4757, abs=5e-5)
    assert collision_probability(365, 23) == pytest.approx(0.5073, abs=5e-5)
    assert collision_probability(365, 366) == 1
    assert collision_probability(365, 1) == 0


@pytest.mark.parametrize(("atoms", "draws"), [(50, 60), (1000, 500), (10_000, 1000)])
def test_the_support_of_atoms_lies_in_its_interval(atoms, draws):
    real = normal(1000, 8)
    distance = duplicate_distance(real)
    background = duplicates(real, distance)
    assert background.sum() >= 10  # 1 % of the real samples have such a neighbour
    generator = torch.Generator().manual_seed(atoms)
    hits, places = 0, normal(atoms, 8, seed=2)
    for _ in range(20):
        chosen = torch.randint(atoms, (draws,), generator=generator)
        noise = 1e-3 * torch.randn(draws, 8, dtype=torch.float64, generator=generator)
        found = duplicates(places[chosen] + noise, distance)
        support = birthday_support(found, background)
        assert support.low <= support.value <= support.high
        hits += support.low <= atoms <= support.high
    assert hits >= 17


@pytest.mark.parametrize("case", ["one atom of a tenth", "power law"])
def test_the_support_of_unequal_atoms_lies_in_its_interval(case):
    """Where pairs share samples, they are no Poisson count."""
    shares = torch.arange(1, 1001, dtype=torch.float64).reciprocal()
    if case == "one atom of a tenth":
        shares = torch.cat([torch.full((100_000,), 9e-6), torch.tensor([0.1])]).double()
    shares = shares / shares.sum()
    truth = 1 / shares.square().sum().item()
    nothing = torch.zeros(1000, dtype=torch.int64)
    generator, hits = torch.Generator().manual_seed(0), 0
    for _ in range(100):
        atoms = torch.multinomial(shares, 1000, replacement=True, generator=generator)
        found = atoms.bincount()[atoms] - 1
        support = birthday_support(found, nothing)
        hits += support.low <= truth <= support.high
    assert 88 <= hits <= 100


def test_what_is_not_finite_is_left_out_of_pairs():
    points = normal(40, 8, seed=3).repeat(5, 1)
    measured = []
    for spoilt in (points, torch.cat([points, torch.full((1, 8), math.nan)])):
        for metric in (Birthday(normal(500, 8)), Vendi(), PairwiseDistance()):
            metric.update(spoilt)
            measured.append(metric.compute())
    assert measured[:3] == measured[3:]


def test_real_data_have_no_known_end():
    metric = Birthday(normal(1000, 8))
    metric.update(normal(1000, 8, seed=7))
    measured = metric.compute()
    assert measured["support"].high == measured["support"].ideal == math.inf
    assert measured["duplicates"].ideal == pytest.approx(5 / 499_500, rel=0.5)
    metric.reset()
    metric.update(normal(20, 8, seed=7).repeat(10, 1))
    measured = metric.compute()
    # 200 samples, ten of each of 20: 20 * 45 equal pairs of 19,900.
    assert measured["support"].value == pytest.approx(19_900 / 900, rel=0.01)
    assert measured["duplicates"].value == pytest.approx(900 / 19_900, rel=0.01)


@pytest.mark.parametrize("n", [30, 1300])
def test_mean_distance_of_all_pairs(n):
    points, labels = normal(n, 3), torch.randint(4, (n,))
    whole = torch.cdist(points, points)
    upper = torch.ones(n, n, dtype=torch.bool).triu(1)
    same = labels[:, None] == labels
    found = pairwise_distance(points, labels)
    expected = [whole[kind].mean().item() for kind in (upper, upper & same, upper & ~same)]
    assert tuple(found) == pytest.approx(tuple(expected))
    alone = pairwise_distance(points)
    assert alone[:2] == pytest.approx((expected[0],) * 2) and math.isnan(alone.across)
    drawn = pairwise_distance(points, labels, pairs=20_000)
    assert tuple(drawn) == pytest.approx(tuple(expected), rel=0.02)
    assert drawn == pairwise_distance(points, labels, pairs=20_000)


def test_mean_distance_of_normal_points():
    """Two points of N(0, I) in d dimensions are sqrt(2) chi_d apart."""
    expected = 2 * math.exp(math.lgamma(5.5) - math.lgamma(5))
    assert pairwise_distance(normal(2000, 10)).overall == pytest.approx(expected, abs=4 * 0.025)


def test_ms_ssim_of_pairs():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(3, 1, 28, 28, generator=generator).mul(2).sub(1)
    images = torch.nn.functional.avg_pool2d(images, 5, 1, 2)
    labels = torch.tensor([0, 0, 1])
    equal = ms_ssim(images[:1].repeat(5, 1, 1, 1))
    assert equal[:2] == pytest.approx((1, 1), abs=1e-5) and math.isnan(equal.across)
    found = ms_ssim(images, labels, pairs=600)
    within = ms_ssim(images[:2], pairs=1).overall
    across = [ms_ssim(images[[i, 2]], pairs=1).overall for i in (0, 1)]
    assert found.within == pytest.approx(within, abs=1e-5)
    assert found.across == pytest.approx(sum(across) / 2, abs=0.01)
    assert found.overall == pytest.approx((within + sum(across)) / 3, abs=0.01)


def test_ms_ssim_takes_the_scales_that_fit():
    assert [ms_ssim_scales(size, 500) for size in (11, 21, 22, 28, 43, 44, 98, 99, 175, 176)] == [
        *(1, 1, 2, 2, 2, 3, 3, 4, 4, 5)
    ]
    for size in (11, 22, 44, 99, 176):
        images = torch.rand(2, 1, size, size) * 2 - 1
        assert 0 <= ms_ssim(images, pairs=1).overall < 1
    images = torch.rand(2, 3, 16, 16) * 0.2
    expected = structural_similarity_index_measure(
        (images[:1] + 1) / 2, (images[1:] + 1) / 2, data_range=1.0
    )
    assert ms_ssim(images, pairs=1).overall == pytest.approx(expected.item(), abs=1e-6)
    with pytest.raises(InputError, match="images of 8 x 8 px; they must be at least 11 x 11"):
        ms_ssim(torch.zeros(2, 1, 8, 8))


@pytest.mark.parametrize(
    ("q", "score"),
    [
        (1.0, 30.962746457315),
        (2.0, 30.026187467914),
        (0.5, 31.469846328967),
        (math.inf, 21.26285151142),
    ],
)
def test_vendi_goldens(q, score):
    features = golden(0, 500, 32)
    assert vendi(features, q) == pytest.approx(score, rel=1e-11)
    rows = features / features.norm(dim=1, keepdim=True)
    # As a kernel of 500 x 500, of which 468 eigenvalues are 0 but for rounding.
    assert vendi_kernel(rows @ rows.T, q) == pytest.approx(score, rel=1e-9)


@pytest.mark.filterwarnings("ignore:Please import `csr_matrix`:DeprecationWarning")
@pytest.mark.parametrize(("n", "d"), [(40, 6), (12, 30)])
def test_parity_with_vendi_score(n, d):
    features = normal(n, d)
    expected = vendi_score.score_dual(features.numpy())
    assert vendi(features) == pytest.approx(expected, rel=1e-9)
    for q in (1.0, 2.0, 0.5) if n <= d else (1.0, 2.0):  # of small orders it counts rounded zeros
        rows = torch.nn.functional.normalize(features.double(), dim=1)
        expected = vendi_score.score_K((rows @ rows.T).numpy(), q=q)
        assert vendi(features, q) == pytest.approx(expected, rel=1e-9)
        assert vendi_kernel(rows @ rows.T, q) == pytest.approx(expected, rel=1e-9)


def test_vendi_of_its_readme_and_at_its_ends():
    places = torch.tensor([0.0, 0, 10, 10, 20, 20])
    kernel = (-(places[:, None] - places).abs()).exp()
    assert vendi_kernel(kernel) == pytest.approx(2.999999996, abs=2e-9)
    kernel = torch.tensor([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]])
    assert vendi_kernel(kernel) == pytest.approx(2.157300, abs=1e-6)
    for q in (0.0, 0.5, 1.0, 2.0, math.inf):
        assert vendi(torch.eye(7), q) == pytest.approx(7)
        assert vendi(torch.ones(7, 3), q) == pytest.approx(1)
    assert vendi(normal(1, 4)) == pytest.approx(1)


def test_metrics_are_their_functions():
    features, labels = normal(60, 4), torch.arange(60) % 3
    images = torch.rand(40, 1, 16, 16) * 2 - 1
    cases = [
        (PairwiseDistance(), features, pairwise_distance(features, labels)),
        (ImageSimilarity(pairs=50), images, ms_ssim(images, labels[:40], 50)),
    ]
    for metric, samples, expected in cases:
        for part in (slice(0, 15), slice(15, 60)):
            metric.update(samples[part], labels[: len(samples)][part])
        measured = metric.compute()
        assert [number.value for number in measured.values()] == pytest.approx(list(expected))
        assert list(measured)[1:] == [f"{list(measured)[0]}_{k}" for k in ("within", "across")]
        assert all(number.n == len(samples) for number in measured.values())
        metric.reset()
        metric.update(samples)
        assert len(metric.compute()) == 1
    metric = PairwiseDistance(pairs=3000)
    metric.update(normal(5001, 2))
    expected = pairwise_distance(normal(5001, 2), pairs=3000).overall
    assert metric.compute()["distance"].value == expected
    metric = Vendi(q=2.0)
    metric.update(golden(0, 500, 32))
    assert metric.compute()["vendi"] == (pytest.approx(30.026187467914), None, 500, None, None)


@pytest.mark.parametrize(
    "make",
    [
        lambda: NDB(normal(30, 2), bins=3),
        lambda: Birthday(normal(30, 2)),
        PairwiseDistance,
        ImageSimilarity,
        Vendi,
    ],
)
def test_they_pickle_refuse_nothing_seen_and_leave_random_numbers_alone(make):
    state = torch.get_rng_state()
    metric = make()
    name = type(metric).__name__
    with pytest.raises(InputError, match=rf"{name} has seen no samples; call update\(\)"):
        metric.compute()
    samples = torch.linspace(-1, 1, 3 * 144).sin()
    shape = (3, 1, 12, 12) if name == "ImageSimilarity" else (216, 2)
    metric.update(samples.view(shape))
    copy = pickle.loads(pickle.dumps(metric))
    assert copy.compute() == metric.compute()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Vendi(-1.0), "q is -1.0; it must be at least 0"),
        (lambda: vendi(normal(3, 2), math.nan), "q is nan"),
        (lambda: Birthday(normal(3, 2), 1.0), "quantile is 1.0; it must be above 0 and below 1"),
        (lambda: Birthday(normal(1, 2)), "there are 1 real samples; at least 2"),
        (lambda: pairwise_distance(normal(1, 2)), "there are 1 samples; pairs need at least 2"),
        (lambda: kmeans(normal(3, 2), 0), "bins is 0"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
