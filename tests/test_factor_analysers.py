"""Mixtures of factor analysers: assembled covariances, principal components, free numbers."""

import math

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal
from torch.testing import assert_close

from lightning_gans.models import (
    MixtureOfFactorAnalysers,
)
from lightning_gans.objectives.factors import Factors, each_value, shared, spherical
from lightning_gans.objectives.principal import principal
from tests.mixtures import (
    DOUBLE,
    From,
    Held,
    clusters,
    likelihoods,
    train,
)


def given(k=3, d=5, q=2, seed=1):
    """Some parameters of a mixture of factor analysers, and its covariances (k, d, d)."""
    source = torch.Generator().manual_seed(seed)
    means = torch.randn(k, d, generator=source, **DOUBLE)
    loadings = torch.randn(k, d, q, generator=source, **DOUBLE)
    noise = 0.1 + torch.rand(k, d, generator=source, **DOUBLE)
    weights = torch.arange(1.0, k + 1, **DOUBLE) / (k * (k + 1) / 2)
    covariances = loadings @ loadings.mT + noise.diag_embed()
    return Factors(weights.log(), means, loadings, noise), covariances


def analysers(factors, shift=0.0):
    """The model with those parameters."""
    k, d, q = factors.loadings.shape
    model = MixtureOfFactorAnalysers((d,), k, q)
    model.shift += shift
    for name, value in factors._asdict().items():
        getattr(model, name).copy_(value)
    model.means -= shift
    return model


def law(factors, covariances):
    """The mixture by torch's own distributions."""
    parts = MultivariateNormal(factors.means, covariances)
    return MixtureSameFamily(Categorical(logits=factors.log_weights), parts)


def test_factor_analysers_have_the_density_of_their_assembled_covariances():
    factors, covariances = given()
    points = 3 * torch.randn(700, 5, **DOUBLE)
    for shift in (0.0, 2.5):
        found = analysers(factors, shift).log_prob(points)
        assert_close(found, law(factors, covariances).log_prob(points), rtol=0, atol=1e-10)


def test_fifty_components_alike_are_one():
    """With pi in the place of log pi, densities would be off by log 50."""
    factors, covariances = given(k=1)
    fifty = Factors(*(part.repeat(50, *[1] * (part.ndim - 1)) for part in factors))
    fifty = fifty._replace(log_weights=torch.full((50,), -math.log(50), **DOUBLE))
    points = torch.randn(20, 5, **DOUBLE)
    expected = MultivariateNormal(factors.means[0], covariances[0]).log_prob(points)
    assert_close(analysers(fifty).log_prob(points), expected, rtol=0, atol=1e-10)


NOISES = {"each value": each_value, "shared": shared, "spherical": spherical}


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_the_likelihood_of_factor_analysers_never_falls(noise):
    model = MixtureOfFactorAnalysers((6,), 3, 2, noise, tolerance=0.0)
    seen = likelihoods(model, Held(clusters(500, 6), 128), 25)
    assert len(seen) == 25 and (seen.diff() > -1e-12).all() and seen[-1] - seen[0] > 0.01


def test_probabilistic_components_reach_the_closed_form():
    """Tipping and Bishop, 1999: the likeliest covariance, from a beginning that is far away."""
    points = clusters(400, 5, 1)
    model = MixtureOfFactorAnalysers((5,), 1, 2, spherical, tolerance=0.0)
    begin = From(
        log_weights=[0.0],
        means=torch.ones(1, 5),
        loadings=torch.randn(1, 5, 2),
        noise=torch.ones(1, 5),
    )
    train(model, Held(points), 200, [begin])
    centred = points - points.mean(0)
    values, axes = torch.linalg.eigh(points.T.cov(correction=0))
    noise = values[:3].mean()
    expected = axes[:, 3:] @ (values[3:] - noise).diag() @ axes[:, 3:].T + noise * torch.eye(5)
    found = model.loadings[0] @ model.loadings[0].T + model.noise[0].diag()
    assert_close(found, expected, rtol=0, atol=1e-7)
    assert_close(model.means[0] + model.shift, points.mean(0), rtol=0, atol=1e-9)
    loadings, by_hand = principal(centred, 2)
    assert by_hand == pytest.approx(noise.item(), abs=1e-12)
    assert_close(loadings @ loadings.T + by_hand * torch.eye(5), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "noise, expected", [(each_value, 15), (shared, 5), (spherical, 3)], ids=NOISES
)
def test_factor_analysers_count_what_is_free(noise, expected):
    """Loadings are free up to a rotation of the latents: one angle of two for each component."""
    model = MixtureOfFactorAnalysers((5,), 3, 2, noise)
    assert model.free == 2 + 3 * 5 + 3 * (5 * 2 - 1) + expected
