"""Mixtures: scikit-learn's numbers and steps, closed forms, brute force, and what is refused."""

import math
import warnings

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as Theirs
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal
from torch.testing import assert_close

from lightning_gans.data.batches import Batches
from lightning_gans.data.module import Data
from lightning_gans.models import (
    GaussianMixture,
    GaussianMixtureByGradient,
    MixtureOfFactorAnalysers,
)
from lightning_gans.objectives.covariances import Diagonal, Full, Spherical, Tied

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
        if model.log_likelihood != (self.seen[-1] if self.seen else -math.inf):
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
