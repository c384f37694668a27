"""Mixtures: scikit-learn's numbers and steps, closed forms, brute force, and what is refused."""

import math
import warnings

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from PIL import Image
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as Theirs
from sklearn.mixture._gaussian_mixture import _compute_precision_cholesky
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal
from torch.testing import assert_close

from lightning_gans.data.batches import Batches
from lightning_gans.data.module import Data
from lightning_gans.errors import Diverged, InputError
from lightning_gans.models import (
    GaussianMixture,
    GaussianMixtureByGradient,
    MixtureOfFactorAnalysers,
    likelihood,
)
from lightning_gans.objectives.covariances import Diagonal, Spherical, weighted_sums
from lightning_gans.objectives.factors import Factors, each_value, shared, spherical
from lightning_gans.objectives.matrices import Full, Tied
from lightning_gans.objectives.principal import principal

DOUBLE = {"dtype": torch.float64}
KINDS = {"spherical": Spherical(), "diag": Diagonal(), "tied": Tied(), "full": Full()}


class _InOrder(Batches):
    def __init__(self, events, order):
        self.events, self.batch_sampler = events, order

    def __iter__(self):
        for index in self.batch_sampler:
            yield self.events[index], torch.zeros(len(index), dtype=torch.long)


class Held(Data):
    """The same events in all splits."""

    class_names = ()

    def __init__(self, events, batch_size=None):
        super().__init__(batch_size or len(events), 0)
        self.events, self.event_shape = events, tuple(events.shape[1:])

    def batches(self, split, order):
        return _InOrder(self.events, order)

    def count(self, split):
        return len(self.events)


def clusters(n=600, d=4, k=3, seed=0, spread=2.0):
    """Points (n, d) of ``k`` Gaussians with covariances of their own, which overlap."""
    source = torch.Generator().manual_seed(seed)
    means = spread * torch.randn(k, d, generator=source, **DOUBLE)
    factors = torch.randn(k, d, d, generator=source, **DOUBLE) / math.sqrt(d)
    told = torch.randint(k, (n,), generator=source)
    noise = torch.randn(n, d, 1, generator=source, **DOUBLE)
    return means[told] + (factors[told] @ noise)[..., 0]


class Watch(Callback):
    """The mean log-likelihood at the parameters that each M-turn started from."""

    def on_train_start(self, trainer, model):
        self.seen = []

    def on_train_batch_end(self, trainer, model, *_):
        if model.windows > len(self.seen):
            self.seen.append(model.log_likelihood)


class From(Callback):
    """Begins at given parameters, whatever was guessed."""

    def __init__(self, **parameters):
        self.parameters = parameters

    def on_train_batch_start(self, trainer, model, *_):
        if model.batches_seen == 0:
            model.shift.zero_()
            for name, value in self.parameters.items():
                getattr(model, name).copy_(torch.as_tensor(value))


def train(model, data, epochs=100, callbacks=(), seed=3, **options):
    torch.manual_seed(seed)
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        use_distributed_sampler=False,
        callbacks=list(callbacks),
    )
    trainer.fit(model, datamodule=data, **options)
    return trainer


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


def likelihoods(model, data, epochs, *callbacks):
    watch = Watch()
    train(model, data, epochs, [*callbacks, watch])
    return torch.tensor(watch.seen, **DOUBLE)


def test_weights_that_count_for_nothing_change_nothing():
    """Of many components of which few are likely, as in many dimensions."""
    values, logs = torch.randn(50, 7, **DOUBLE), 300 * torch.randn(50, 40, **DOUBLE)
    weights = logs.softmax(1).T
    assert (weights > 1e-20).sum() < weights.numel() / 16
    assert_close(weighted_sums(weights, values), weights @ values, rtol=0, atol=1e-15)
    assert_close(weighted_sums(-weights, values), -weights @ values, rtol=0, atol=1e-15)
    assert torch.equal(weighted_sums(values, values.T), values @ values.T)


NOISES = {"each value": each_value, "shared": shared, "spherical": spherical}


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_the_likelihood_of_factor_analysers_never_falls(noise):
    model = MixtureOfFactorAnalysers((6,), 3, 2, noise, tolerance=0.0)
    seen = likelihoods(model, Held(clusters(500, 6), 128), 25)
    assert len(seen) == 25 and (seen.diff() > -1e-12).all() and seen[-1] - seen[0] > 0.01


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


def fitted(make, points, epochs=5):
    """A model that was fitted to ``points``, and its law as torch knows it, by its samples' law."""
    model = make()
    train(model, Held(points), epochs)
    return model


MODELS = {
    **{kind: lambda c=c: GaussianMixture((4,), 3, c) for kind, c in KINDS.items()},
    "factors": lambda: MixtureOfFactorAnalysers((4,), 3, 2),
}


def covariances_of(model):
    """(K, d, d), assembled."""
    if isinstance(model, MixtureOfFactorAnalysers):
        return model.loadings @ model.loadings.mT + model.noise.diag_embed()
    return torch.stack([model.covariance.dense(model.covariances, k, 4) for k in range(3)])


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


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_run_that_goes_on_is_the_same_bit_for_bit(make, tmp_path):
    data = Held(clusters(), 128)
    whole, part, resumed = make(), make(), make()
    train(whole, data, 4)
    trainer = train(part, data, 2)
    trainer.save_checkpoint(tmp_path / "two.ckpt")
    train(resumed, data, 4, ckpt_path=tmp_path / "two.ckpt", weights_only=True)
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
    train(resumed, data, 4, ckpt_path=tmp_path / "two.ckpt", weights_only=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


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


@pytest.mark.parametrize(
    "noise, expected", [(each_value, 15), (shared, 5), (spherical, 3)], ids=NOISES
)
def test_factor_analysers_count_what_is_free(noise, expected):
    """Loadings are free up to a rotation of the latents: one angle of two for each component."""
    model = MixtureOfFactorAnalysers((5,), 3, 2, noise)
    assert model.free == 2 + 3 * 5 + 3 * (5 * 2 - 1) + expected


def constant():
    return torch.cat([clusters(), torch.ones(600, 1, **DOUBLE)], 1)


def spoiled():
    points = clusters()
    points[5] = math.nan
    return points


@pytest.mark.parametrize(
    "make, points, told",
    [
        (lambda: GaussianMixture((4,), 601), clusters, "components is 601, but there are 600"),
        (lambda: MixtureOfFactorAnalysers((4,), 601, 2), clusters, "choose at most 600"),
        (lambda: GaussianMixture((4,), 3), spoiled, "1 of the first 600 events are not finite"),
        (lambda: GaussianMixture((4,), 3, initial_events=5), spoiled, "log-likelihood is nan"),
        (
            lambda: MixtureOfFactorAnalysers((4,), 2, 2, initial_events=5),
            spoiled,
            "log-likelihood is nan",
        ),
        *(
            (lambda c=c: GaussianMixture((5,), 3, c, reg_covar=0.0), constant, "is singular")
            for c in (Diagonal(), Full(), Tied())
        ),
        (
            lambda: GaussianMixture((4,), 300, Spherical(), reg_covar=0.0),
            clusters,
            "component .* is singular",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:1 of 5 values are the same in all events")
def test_data_that_cannot_be_fitted_get_one_message(make, points, told):
    with pytest.raises(InputError, match=told):
        train(make(), Held(points(), 100), 20)


def test_what_is_not_a_number_is_not_told():
    with pytest.raises(Diverged, match="of 1 of 3 events is not a number"):
        likelihood.told(torch.tensor([0.0, math.nan, -math.inf]))
    model = GaussianMixture((4,), 3)
    train(model, Held(clusters()), 2)
    missing = torch.tensor([True, False, False, False])
    assert model.inpaint(spoiled()[6:9], missing).isfinite().all()
    with pytest.raises(InputError, match="1 of 3 events have values that are no numbers"):
        model.inpaint(spoiled()[4:7], missing)


def test_constant_values_are_no_spikes_where_variances_have_a_floor():
    for model in (GaussianMixture((5,), 3), MixtureOfFactorAnalysers((5,), 3, 2)):
        with pytest.warns(UserWarning, match="1 of 5 values are the same in all events"):
            train(model, Held(constant()), 20)
        assert model.log_prob(constant()).isfinite().all()


@pytest.mark.parametrize(
    "make, told",
    [
        (lambda: GaussianMixture((4,), 0), "components is 0"),
        (lambda: GaussianMixture((4, 0), 2), "event_shape is 0"),
        (lambda: GaussianMixture((4,), 2, restarts=0), "restarts is 0"),
        (lambda: GaussianMixture((4,), 2, reg_covar=-1.0), "reg_covar is -1.0"),
        (lambda: GaussianMixture((4,), 2, window=0), "window is 0"),
        (lambda: GaussianMixture((4,), 2, decay=0.5), "decay is 0.5"),
        (lambda: GaussianMixture((4,), 2, tolerance=-1.0), "tolerance is -1.0"),
        (lambda: GaussianMixture((4,), 2, initial_events=0), "initial_events is 0"),
        (lambda: GaussianMixtureByGradient((4,), 2, initial_events=0), "initial_events is 0"),
        (lambda: MixtureOfFactorAnalysers((4,), 2, 4), "factors is 4; it must be 1 to 3"),
        (lambda: MixtureOfFactorAnalysers((4,), 2, 1, least_noise=0.0), "least_noise is 0.0"),
    ],
)
def test_numbers_out_of_range_are_refused(make, told):
    with pytest.raises(InputError, match=told):
        make()


def test_the_command_fits_tests_predicts_and_fills_gaps(lightning, tmp_path):
    options = ["--trainer.max_epochs=2", "--trainer.accelerator=cpu", "--quality.every_n_epochs=0"]
    answer = lightning("fit", "--config=configs/mixture_digits.yaml", *options)
    assert answer.code == 0, answer.err
    run = tmp_path / "runs/mixture_digits/version_0"
    with Image.open(run / "inpainted.png") as picture:
        assert picture.size == (4 * 10 + 2, 8 * 10 + 2)  # gap, mean, draw, truth, of eight images
    checkpoint = f"--ckpt_path={run / 'checkpoints/final.ckpt'}"
    answer = lightning("test", checkpoint, *options[1:])
    assert answer.code == 0, answer.err
    for told in ("test/bic", "test/bits_per_dimension", "nats an event, of the density of values"):
        assert told in answer.out
    assert lightning("predict", checkpoint, *options[1:]).code == 0
    with np.load(run / "predictions.npz") as found:
        assert found["responsibilities"].shape == (180, 20)
        np.testing.assert_allclose(found["responsibilities"].sum(1), 1, atol=1e-5)


def test_what_fills_no_gaps_has_no_picture_of_them(lightning):
    callback = "--trainer.callbacks=lightning_gans.callbacks.Inpainting"
    for config in ("gan_mlp", "mixture"):
        answer = lightning("fit", f"--config=configs/{config}.yaml", callback)
        assert answer.code == 2 and "fills no gaps in images" in answer.err
    share = "--trainer.callbacks.share=0"
    answer = lightning("fit", "--config=configs/mixture.yaml", callback, share)
    assert answer.code == 2 and "Inpainting.share is 0" in answer.err
