"""Data of known law: density, distances, draws and modes against closed forms and torch's own."""

import math
import warnings

import pytest
import torch
from lightning.fabric.utilities.data import _set_sampler_epoch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from lightning_gans.data import Grid, Mixture, RandomMixture, Ring
from lightning_gans.data.gaussians import Gaussians, overlapping, power_weights
from lightning_gans.errors import InputError

SKEWED = Gaussians(
    torch.tensor([[0.0, 0.0, 1.0], [5.0, 1.0, 0.0]], dtype=torch.float64),
    torch.tensor(
        [
            [[2.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 0.7]],
            [[0.3, 0.0, 0.1], [0.0, 0.4, 0.0], [0.1, 0.0, 0.5]],
        ],
        dtype=torch.float64,
    ),
    torch.tensor([3.0, 1.0], dtype=torch.float64),
)
LAWS = {
    "ring": Ring(std=0.05).law,
    "grid": Grid().law,
    "power": Ring(power=1.0).law,
    "random": RandomMixture(modes=7, dimension=4).law,
    "skewed": SKEWED,
}


def torchs(law):
    parts = MultivariateNormal(law.means, scale_tril=law.scales)
    return MixtureSameFamily(Categorical(law.weights), parts)


@pytest.mark.parametrize("name", LAWS)
def test_log_density_is_torchs(name):
    law = LAWS[name]
    points = torch.cat(
        [torchs(law).sample((50,)), 3 * torch.randn(50, law.means.shape[1]).double()]
    )
    assert torch.allclose(law.log_prob(points), torchs(law).log_prob(points), rtol=1e-12, atol=1e-9)


def test_density_integrates_to_one():
    law, step = Ring(std=0.1).law, 0.01
    axis = torch.arange(-2, 2, step, dtype=torch.float64)
    total = law.log_prob(torch.cartesian_prod(axis, axis)).exp().sum() * step**2
    assert total.item() == pytest.approx(1.0, abs=1e-6)


def test_distances_are_those_of_mahalanobis():
    points = torch.randn(20, 3)
    for mode in range(2):
        covariance = SKEWED.scales[mode] @ SKEWED.scales[mode].T
        offsets = points.double() - SKEWED.means[mode]
        wanted = (offsets @ covariance.inverse() * offsets).sum(1)
        assert torch.allclose(SKEWED.squared_distances(points)[:, mode], wanted, rtol=1e-10)
    places, modes = SKEWED.likeliest(points)
    own = SKEWED.squared_distances(points)[torch.arange(20), modes]
    assert torch.allclose(places.square().sum(1), own, rtol=1e-10)


@pytest.mark.parametrize("name", LAWS)
def test_draws_have_the_law(name):
    law, n = LAWS[name], 60_000
    points, modes = law.sample(n, torch.Generator().manual_seed(0))
    assert points.dtype == torch.float32 and modes.dtype == torch.int64
    shares = modes.bincount(minlength=len(law.weights)).double() / n
    error = (law.weights * (1 - law.weights) / n).sqrt()
    assert ((shares - law.weights).abs() < 4.5 * error).all()
    dimension = law.means.shape[1]
    own = law.squared_distances(points).gather(1, modes[:, None])
    # A chi-square with d degrees has the mean d and the variance 2 d.
    assert own.mean().item() == pytest.approx(dimension, abs=5 * math.sqrt(2 * dimension / n))
    first = points[modes == 0].double()
    covariance = law.scales[0] @ law.scales[0].T
    size = covariance.diagonal().max()
    assert ((first.mean(0) - law.means[0]).abs() < 5 * (size / len(first)).sqrt()).all()
    error = size * 5 * math.sqrt(2 / len(first))
    assert ((first.T.cov() - covariance).abs() < error).all()


def test_ring_has_eight_centres():
    """The notebooks this set comes from have seven, one of them twice."""
    law = Ring().law
    assert torch.pdist(law.means).min().item() == pytest.approx(
        2 * math.sin(math.pi / 8), rel=1e-12
    )
    assert torch.allclose(law.means.norm(dim=1), torch.ones(8, dtype=torch.float64))
    assert torch.allclose(law.weights, torch.full((8,), 1 / 8, dtype=torch.float64))


def test_grid_is_that_of_the_papers():
    law = Grid().law
    axis = torch.tensor([-4.0, -2.0, 0.0, 2.0, 4.0], dtype=torch.float64)
    assert torch.equal(law.means, torch.cartesian_prod(axis, axis))
    assert torch.allclose(law.scales, 0.05 * torch.eye(2, dtype=torch.float64).expand(25, 2, 2))
    assert len(Grid(side=10).law.means) == 100


def test_weights_fall_by_the_power():
    weights = power_weights(4, 2.0)
    assert torch.allclose(weights / weights[0], torch.tensor([1, 1 / 4, 1 / 9, 1 / 16]).double())
    assert weights.sum().item() == pytest.approx(1)


def test_a_random_mixture_is_its_seeds():
    one, other = RandomMixture(seed=1).law, RandomMixture(seed=2).law
    assert torch.equal(one.means, other.means)
    assert not torch.equal(one.means, RandomMixture(law_seed=1).law.means)
    assert one.means.abs().max() <= 1 and one.means.shape == (50, 10)


def test_overlapping_modes_are_named():
    with pytest.warns(UserWarning, match="modes 0 and 1 and 7 more pairs of the data overlap"):
        Ring(std=0.2)
    with pytest.warns(UserWarning, match="modes 0 and 1 "):
        Mixture([[0.0, 0.0], [0.0, 0.0], [2.0, 2.0]], stds=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Ring(), Grid(), Grid(side=10), RandomMixture()
    # Along the line between them, deviations of 1 and 0.5 reach 3 and 1.5 from the centres.
    eye = torch.eye(2, dtype=torch.float64)
    spreads = torch.stack([eye * torch.tensor([1.0, 99.0]), eye * torch.tensor([0.25, 99.0])])
    for gap, pairs in ((4.6, []), (4.4, [(0, 1)])):
        law = Gaussians(torch.tensor([[0.0, 0.0], [gap, 0.0]]), spreads)
        assert overlapping(law) == pairs


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({"means": []}, "data.means must be a list of points"),
        ({"means": [[0.0], [1.0, 2.0]]}, "data.means must be lists of numbers"),
        ({"means": [[0.0, 0.0]], "stds": 0.0}, "data.stds is 0.0"),
        ({"means": [[0.0, 0.0]], "stds": [1.0, 1.0]}, "data.stds is .* or 1 of them"),
        ({"means": [[0.0]], "covariances": [[[0.0]]]}, "mode 0 .* not symmetric and pos"),
        ({"means": [[0.0]], "covariances": [[[1.0, 0.0]]]}, "must be .1, 1, 1."),
        (
            {"means": [[0.0, 0.0]], "covariances": [[[1e-10, 9e-11], [0.0, 1e-10]]]},
            "mode 0 .* not symmetric",
        ),
        ({"means": [[0.0]], "stds": 2.0, "covariances": [[[1.0]]]}, "give one of them"),
        ({"means": [[0.0]], "weights": [0.0]}, "weights must be 1 numbers above 0"),
        ({"means": [[math.nan]]}, "finite numbers"),
    ],
)
def test_bad_mixtures_are_refused(options, answer):
    with pytest.raises(InputError, match=answer):
        Mixture(**options)


@pytest.mark.parametrize(
    ("data", "option"),
    [
        (Ring, {"modes": 0}),
        (Ring, {"std": 0.0}),
        (Ring, {"std": math.nan}),
        (Grid, {"side": 0}),
        (Grid, {"spacing": -1.0}),
        (RandomMixture, {"dimension": 0}),
        (RandomMixture, {"held_out": 0}),
    ],
)
def test_sizes_not_above_zero_are_refused(data, option):
    with pytest.raises(InputError, match=f"data.{next(iter(option))} is"):
        data(**option)


def test_a_mixture_may_have_a_covariance_for_each_mode():
    data = Mixture(
        [[0.0, 0.0], [9.0, 0.0]],
        covariances=[[[1.0, 0.5], [0.5, 1.0]], [[2.0, 0.0], [0.0, 1.0]]],
        weights=[1.0, 3.0],
        batch_size=40_000,
    )
    points, modes = next(iter(data.train_dataloader()))
    assert modes.double().mean().item() == pytest.approx(0.75, abs=0.011)
    assert points[modes == 0].T.cov()[0, 1].item() == pytest.approx(0.5, abs=0.06)
    assert data.protocol == "mixture2_2d" and data.event_shape == (2,)


@pytest.mark.parametrize("split", ["val", "test"])
def test_held_out_points_are_the_same_in_every_epoch(split):
    """Lightning tells their sampler of the epoch; a validation that is repeated must be alike."""
    data = Ring(batch_size=64, held_out=128)
    loader = getattr(data, f"{split}_dataloader")()
    epochs = []
    for epoch in (0, 7):
        _set_sampler_epoch(loader, epoch)
        epochs.append(torch.cat([points for points, _ in loader]))
    assert torch.equal(*epochs)
    _set_sampler_epoch(training := data.train_dataloader(), 0)
    first = next(iter(training))[0]
    _set_sampler_epoch(training, 7)
    assert not torch.equal(first, next(iter(training))[0])  # so Lightning's way reaches it
