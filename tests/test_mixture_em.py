"""Mixtures by turns: scikit-learn's steps, likelihoods that never fall, resumed runs, the dead."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as Theirs
from torch.distributions import MultivariateNormal
from torch.testing import assert_close

from lightning_gans.models import (
    GaussianMixture,
    GaussianMixtureByGradient,
    MixtureOfFactorAnalysers,
)
from tests.mixtures import DOUBLE, KINDS, MODELS, From, Held, Watch, clusters, likelihoods, train


def theirs_after(points, kind, iterations, start):
    model = Theirs(
        len(start["means_init"]), covariance_type=kind, max_iter=iterations, tol=0, **start
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(points.numpy())


@pytest.mark.parametrize("batch_size", [600, 128], ids=["one batch", "five batches"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_step_is_scikit_learns(kind, batch_size):
    points, k = clusters(), 3
    first = Theirs(k, covariance_type=kind, max_iter=1, random_state=0, init_params="random")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        first.fit(points.numpy())
    start = {
        "weights_init": first.weights_,
        "means_init": first.means_,
        "precisions_init": first.precisions_,
    }
    begin = From(
        log_weights=np.log(first.weights_), means=first.means_, covariances=first.covariances_
    )
    watch = Watch()
    model = GaussianMixture((4,), k, KINDS[kind], tolerance=0.0)
    train(model, Held(points, batch_size), 12, [begin, watch])
    expected = [theirs_after(points, kind, i, start).lower_bound_ for i in range(1, 13)]
    # One of scikit-learn's may begin by Cholesky factors of inverses, so not at the last digit.
    assert_close(watch.seen, expected, rtol=0, atol=1e-9)
    found = theirs_after(points, kind, 12, start)
    assert_close(model.means, torch.from_numpy(found.means_), rtol=0, atol=1e-8)
    assert_close(model.covariances, torch.from_numpy(found.covariances_), rtol=0, atol=1e-8)
    assert_close(model.log_weights.exp(), torch.from_numpy(found.weights_), rtol=0, atol=1e-8)
    log_prob = torch.from_numpy(found.score_samples(points.numpy()))
    assert_close(model.log_prob(points), log_prob, rtol=0, atol=1e-7)
    shares = torch.from_numpy(found.predict_proba(points.numpy()))
    assert_close(model.responsibilities(points), shares, rtol=0, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_the_likelihood_of_gaussians_never_falls(kind):
    model = GaussianMixture((4,), 4, KINDS[kind], reg_covar=0.0, tolerance=0.0)
    seen = likelihoods(model, Held(clusters(k=4)), 25)
    assert len(seen) == 25 and (seen.diff() > -1e-12).all() and seen[-1] - seen[0] > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_one_component_is_the_closed_form(kind):
    points = clusters()
    model = GaussianMixture((4,), 1, KINDS[kind], reg_covar=0.0)
    train(model, Held(points, 100), 2)
    covariance = points.T.cov(correction=0)
    bound = {
        "spherical": covariance.trace() / 4 * torch.eye(4, **DOUBLE),
        "diag": covariance.diag().diag(),
    }
    expected = MultivariateNormal(points.mean(0), bound.get(kind, covariance)).log_prob(points)
    assert_close(model.log_prob(points), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "make",
    [
        lambda **options: GaussianMixture((4,), 3, **options),
        lambda **options: MixtureOfFactorAnalysers((4,), 3, 2, **options),
    ],
    ids=["gaussians", "factors"],
)
def test_stepwise_with_one_window_is_classical(make):
    """A first window enters whole, so with all events in it nothing differs for one M-turn."""
    data = Held(clusters(), 128)
    classical, stepwise, windowed = make(), make(decay=0.7), make(window=5)
    for model in (classical, stepwise, windowed):
        train(model, data, 1)
    for name, value in classical.state_dict().items():
        assert_close(stepwise.state_dict()[name], value, rtol=0, atol=1e-12)
        assert torch.equal(windowed.state_dict()[name], value)


def test_stepwise_statistics_are_the_running_mean_of_cappe_and_moulines():
    data = Held(clusters(300), 100)
    model, by_hand = (GaussianMixture((4,), 3, window=1, decay=0.7) for _ in range(2))
    start = {
        "log_weights": torch.tensor([0.2, 0.3, 0.5], **DOUBLE).log(),
        "means": data.events[:3],
        "covariances": torch.eye(4).repeat(3, 1, 1),
    }
    train(model, data, 1, [From(**start)])
    for name, value in start.items():
        getattr(by_hand, name).copy_(value)
    mean = {}
    for k, (events, _) in enumerate(data.train_dataloader()):
        sums, weight = by_hand.expect(events), (k + 1) ** -0.7
        now = {name: value / sums["events"] for name, value in sums.items()}
        mean = {name: (1 - weight) * mean.get(name, 0) + weight * now[name] for name in now}
        by_hand.maximise(mean)
    assert model.windows == 3
    for name in ("log_weights", "means", "covariances"):
        assert_close(getattr(model, name), getattr(by_hand, name), rtol=0, atol=1e-12)


def test_stepwise_windows_mean_more_turns_and_end_near_the_classical_fit():
    data = Held(clusters(1000), 100)
    classical = GaussianMixture((4,), 3, tolerance=0.0)
    stepwise = GaussianMixture((4,), 3, window=2, decay=0.6, tolerance=0.0)
    train(classical, data, 12)
    train(stepwise, data, 12)
    assert (classical.windows, stepwise.windows) == (12, 60)
    gap = classical.log_prob(data.events).mean() - stepwise.log_prob(data.events).mean()
    assert abs(gap.item()) < 0.02


def test_training_ends_when_the_likelihood_stands_still():
    points = clusters()
    model = GaussianMixture((4,), 3, tolerance=1e-5)
    trainer = train(model, Held(points), 500)
    assert 3 < model.windows < 400 and trainer.current_epoch == model.windows


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_run_that_goes_on_is_the_same_bit_for_bit(make, tmp_path):
    data = Held(clusters(), 128)
    whole, part, resumed = make(), make(), make()
    train(whole, data, 4)
    trainer = train(part, data, 2)
    trainer.save_checkpoint(tmp_path / "two.ckpt")
    train(resumed, data, 4, ckpt_path=tmp_path / "two.ckpt")
    assert resumed.windows == whole.windows == 4
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_a_dead_component_takes_half_of_the_heaviest():
    points = clusters(k=2, spread=6.0)
    far = torch.stack([points[:300].mean(0), points[300:].mean(0), torch.full((4,), 1e3)])
    begin = From(means=far, covariances=torch.eye(4).repeat(3, 1, 1))
    model = GaussianMixture((4,), 3, tolerance=0.0)
    with pytest.warns(UserWarning, match="component 2 of the mixture has died") as told:
        train(model, Held(points), 30, [begin])
    assert len([one for one in told if "has died" in str(one.message)]) == 1
    assert (model.log_weights.exp() > 0.02).all() and model.means.abs().max() < 50
    analysers = MixtureOfFactorAnalysers((4,), 3, 2)
    begin = From(means=far, noise=torch.ones(3, 4), loadings=torch.zeros(3, 4, 2))
    with pytest.warns(UserWarning, match="component 2 of the mixture has died"):
        train(analysers, Held(points), 30, [begin])
    assert (analysers.log_weights.exp() > 0.02).all() and analysers.means.abs().max() < 50


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_vanish_where_expectation_maximisation_ends(kind):
    """Both have the same likelihood, so a maximum of one is one of the other."""
    points = clusters()
    by_turns = GaussianMixture((4,), 3, KINDS[kind], reg_covar=0.0, tolerance=0.0)
    train(by_turns, Held(points), 150)
    model = GaussianMixtureByGradient((4,), 3, KINDS[kind], reg_covar=0.0)
    model.shift.copy_(by_turns.shift)
    model.numbers.logits.data.copy_(by_turns.log_weights)
    model.numbers.means.data.copy_(by_turns.means)
    model.numbers.spreads.data.copy_(KINDS[kind].unbound(by_turns.covariances))
    assert_close(model.log_prob(points), by_turns.log_prob(points), rtol=0, atol=1e-9)
    (-model.log_prob(points).mean()).backward()
    size = max(number.grad.abs().max() for number in model.numbers.parameters())
    assert size < 1e-6
    # A step away it is not flat, and training goes back.
    moves = {"lr": 0.02, "betas": (0.5, 0.99)}
    model = GaussianMixtureByGradient(
        (4,), 3, KINDS[kind], mixture_optimizer=lambda p: torch.optim.Adam(p, **moves)
    )
    train(model, Held(points), 1)
    before = model.log_prob(points).mean()
    train(model, Held(points), 60)
    gained = model.log_prob(points).mean() - before
    assert gained > 0.25 * (by_turns.log_prob(points).mean() - before)


def test_a_gradient_run_goes_on_the_same_bit_for_bit(tmp_path):
    data = Held(clusters(), 128)
    whole, part, resumed = (GaussianMixtureByGradient((4,), 3) for _ in range(3))
    train(whole, data, 4)
    train(part, data, 2).save_checkpoint(tmp_path / "two.ckpt")
    train(resumed, data, 4, ckpt_path=tmp_path / "two.ckpt")
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
