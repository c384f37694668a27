"""What tests of mixtures share: points of known Gaussians, and how models are fitted to them."""

import math

import torch
from lightning.pytorch import Callback

from lightning_gans.data.batches import Batches
from lightning_gans.data.module import Data
from lightning_gans.models import GaussianMixture, MixtureOfFactorAnalysers
from lightning_gans.objectives.covariances import Diagonal, Spherical
from lightning_gans.objectives.matrices import Full, Tied
from tests.test_models import fit

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


def train(model, data, epochs=100, callbacks=(), **options):
    """The trainer, after so many epochs of ``data`` without validation."""
    return fit(
        model,
        data,
        -1,
        max_epochs=epochs,
        limit_val_batches=0,
        callbacks=list(callbacks),
        **options,
    )


def likelihoods(model, data, epochs, *callbacks):
    """The mean log-likelihoods that `Watch` saw."""
    watch = Watch()
    train(model, data, epochs, [*callbacks, watch])
    return torch.tensor(watch.seen, **DOUBLE)


def fitted(make, points, epochs=5):
    """A model that was fitted to ``points``."""
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
