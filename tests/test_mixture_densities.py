"""What mixtures say once fitted: samples, missing values, criteria."""

import math

import pytest
import torch
from lightning.pytorch import Trainer
from sklearn.mixture import GaussianMixture as Theirs
from sklearn.mixture._gaussian_mixture import _compute_precision_cholesky
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal
from torch.testing import assert_close

from lightning_gans.errors import InputError
from lightning_gans.models import (
    GaussianMixture,
)
from lightning_gans.objectives.covariances import weighted_sums
from lightning_gans.objectives.mixtures import halved, heirs
from tests.mixtures import (
    DOUBLE,
    KINDS,
    MODELS,
    Held,
    clusters,
    covariances_of,
    fitted,
)


def test_weights_that_count_for_nothing_change_nothing():
    """Of many components of which few are likely, as in many dimensions."""
    values, logs = torch.randn(50, 7, **DOUBLE), 300 * torch.randn(50, 40, **DOUBLE)
    weights = logs.softmax(1).T
    assert (weights > 1e-20).sum() < weights.numel() / 16
    assert_close(weighted_sums(weights, values), weights @ values, rtol=0, atol=1e-15)
    assert_close(weighted_sums(-weights, values), -weights @ values, rtol=0, atol=1e-15)
    assert torch.equal(weighted_sums(values, values.T), values @ values.T)


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_samples_are_of_the_law_and_by_their_seed(make):
    model = fitted(make, clusters())
    n = 40_000
    samples = model.sample(n, torch.Generator().manual_seed(1)).double()
    again = model.sample(n, torch.Generator().manual_seed(1)).double()
    assert torch.equal(samples, again) and not torch.equal(samples, model.sample(n).double())
    means, covariances = model.means + model.shift, covariances_of(model)
    weights = model.log_weights.exp()
    mean = weights @ means
    second = torch.einsum("k,kij->ij", weights, covariances + means[:, :, None] * means[:, None])
    covariance = second - mean[:, None] * mean
    noise = (covariance.diag() / n).sqrt()
    assert ((samples.mean(0) - mean).abs() < 5 * noise).all()
    assert_close(samples.T.cov(), covariance, rtol=0.06, atol=0.06)
    # Entropy, from both sides: only samples of the law have its own mean log-density.
    torch_law = MixtureSameFamily(Categorical(weights), MultivariateNormal(means, covariances))
    expected = torch_law.log_prob(torch_law.sample((n,))).mean()
    assert_close(model.log_prob(samples).mean(), expected, rtol=0, atol=0.03)


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_missing_values_are_filled_by_the_conditional_law(make):
    """Against a sum over the components, with the inverse of each covariance's known part."""
    model = fitted(make, clusters())
    events = clusters(6, seed=4)
    missing = torch.tensor([False, True, False, True])
    means, covariances = model.means + model.shift, covariances_of(model)
    joint, fills, spreads = [], [], []
    for weight, mean, covariance in zip(model.log_weights, means, covariances, strict=True):
        known = covariance[~missing][:, ~missing]
        slopes = covariance[missing][:, ~missing] @ known.inverse()
        offsets = events[:, ~missing] - mean[~missing]
        density = MultivariateNormal(mean[~missing], known).log_prob(events[:, ~missing])
        joint.append(weight + density)
        fills.append(mean[missing] + offsets @ slopes.T)
        spreads.append(covariance[missing][:, missing] - slopes @ covariance[~missing][:, missing])
    shares = torch.stack(joint, 1).softmax(1)
    expected = torch.einsum("nk,knm->nm", shares, torch.stack(fills))
    spoiled = torch.where(missing, math.nan, events)
    found = model.inpaint(spoiled, missing)
    assert torch.equal(found[:, ~missing], events[:, ~missing])
    assert_close(found[:, missing], expected, rtol=0, atol=1e-9)
    # Many draws of one event have that mean, and the covariance of the conditional mixture.
    source = torch.Generator().manual_seed(0)
    draws = model.inpaint(events[:1].repeat(20_000, 1), missing, source)[:, missing]
    own = torch.stack([fill[0] for fill in fills]) - expected[0]
    covariance = torch.einsum(
        "k,kij->ij", shares[0], torch.stack(spreads) + own[:, :, None] * own[:, None]
    )
    error = (covariance.diag() / 20_000).sqrt()
    assert ((draws.mean(0) - expected[0]).abs() < 5 * error).all()
    assert_close(draws.T.cov(), covariance, rtol=0.1, atol=0.03)


def test_a_mask_has_the_shape_of_an_event():
    model = GaussianMixture((1, 2, 2), 2)
    events = torch.zeros(3, 1, 2, 2)
    for wrong in (torch.ones(4, dtype=torch.bool), torch.ones(1, 2, 2)):
        with pytest.raises(InputError, match=r"\(1, 2, 2\) and torch.bool"):
            model.inpaint(events, wrong)
    nothing = torch.zeros(1, 2, 2, dtype=torch.bool)
    assert torch.equal(model.inpaint(events, nothing), events)
    assert torch.equal(model.inpaint(events + 5, ~nothing), events)  # the mean of all


@pytest.mark.parametrize("kind", KINDS)
def test_criteria_are_scikit_learns(kind):
    points = clusters()
    model = fitted(lambda: GaussianMixture((4,), 3, KINDS[kind]), points)
    trainer = Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False
    )
    (found,) = trainer.test(model, datamodule=Held(points, 128), verbose=False)
    theirs = Theirs(3, covariance_type=kind)
    theirs.weights_, theirs.means_ = model.log_weights.exp().numpy(), (model.means + model.shift)
    theirs.means_ = theirs.means_.numpy()
    theirs.covariances_ = model.covariances.numpy()
    theirs.precisions_cholesky_ = _compute_precision_cholesky(theirs.covariances_, kind)
    assert found["test/nll"] == pytest.approx(-theirs.score(points.numpy()), rel=1e-6)
    assert found["test/bic"] == pytest.approx(theirs.bic(points.numpy()), rel=1e-6)
    assert found["test/aic"] == pytest.approx(theirs.aic(points.numpy()), rel=1e-6)


def test_the_dead_share_out_whoever_is_heaviest_by_then():
    """Halves of 100 are lighter than 60, so the second dead component takes from that one."""
    counts = torch.tensor([100.0, 60.0, 0.0, 0.0, 0.0], **DOUBLE)
    pairs = heirs(counts)
    assert pairs == [(2, 0), (3, 1), (4, 0)]
    assert halved(counts, pairs).tolist() == [25, 30, 50, 30, 25]
    assert heirs(counts[:2]) == []
