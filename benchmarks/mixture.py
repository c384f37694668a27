"""An iteration of a Gaussian mixture against scikit-learn's, from the same beginning, turn by turn.

    LIGHTNING_GANS_DATA=data python benchmarks/mixture.py [full] [diagonal] [factors] [memory]
    LIGHTNING_GANS_DATA=data python benchmarks/mixture.py ndb runs/.../final.ckpt

``full``: MNIST by principal components to 50 dimensions, 50 components. ``diagonal``: MNIST, 784
dimensions, 100 components. Both programs have the same first parameters, and after every iteration
their mean log-likelihoods are compared. Ours runs in its Trainer, with its batches; of theirs only
the two steps are timed. ``factors``: seconds of 30 iterations of a mixture of factor analysers (50
components, 6 factors) on MNIST. ``memory``: what a fit holds beyond its imports, by the number of
points. ``ndb``: how many of 100 bins of pixels differ for 10,000 samples of a checkpoint, and for
as many test images. Times are of the wall and, since machines are shared, of the processor.
"""

import resource
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer
from sklearn.mixture import GaussianMixture as Theirs
from sklearn.mixture._gaussian_mixture import _compute_precision_cholesky

from lightning_gans.data import MNIST
from lightning_gans.data.batches import Batches
from lightning_gans.data.gaussians import Gaussians
from lightning_gans.data.module import Data
from lightning_gans.data.synthetic import Synthetic, spheres
from lightning_gans.metrics.functional import ndb, ndb_js
from lightning_gans.models import GaussianMixture, MixtureOfFactorAnalysers
from lightning_gans.objectives.clustering import kmeans, nearest
from lightning_gans.objectives.covariances import Diagonal
from lightning_gans.objectives.matrices import Full
from lightning_gans.sampling import load_model

ITERATIONS = 8
BATCH = 4096
REG = 1e-3


class Slices(Batches):
    """Rows of a matrix in memory."""

    def __init__(self, points, order):
        self.points, self.batch_sampler = points, order

    def __iter__(self):
        """Pairs of points and labels that mean nothing."""
        labels = torch.zeros(BATCH, dtype=torch.long)
        for first in range(0, len(self.points), BATCH):
            part = self.points[first : first + BATCH]
            yield part, labels[: len(part)]


class Points(Data):
    """Points in memory."""

    class_names = ()

    def __init__(self, points):
        super().__init__(BATCH, 0)
        self.points, self.event_shape = points, tuple(points.shape[1:])

    def batches(self, split, order):
        """The same in all splits."""
        return Slices(self.points, order)

    def count(self, split):
        """All."""
        return len(self.points)


def mnist():
    """60,000 images as vectors in [-1, 1]."""
    data = MNIST(image_size=28)
    images = torch.cat([data.arrays(split)[0] for split in ("train", "val")])
    return images.flatten(1).double() / 127.5 - 1


def projected(points, dimensions):
    centred = points - points.mean(0)
    _, axes = torch.linalg.eigh(centred.T @ centred)
    return centred @ axes[:, -dimensions:]


def now():
    return np.array([time.perf_counter(), time.process_time()])


class Turns(Callback):
    """Gives both the same beginning; after each of our iterations, times one of theirs."""

    def __init__(self, points, theirs):
        self.points, self.theirs = points.numpy(), theirs
        self.ours, self.others = [], []

    def on_train_epoch_start(self, trainer, model):
        """Hand our first parameters on."""
        if model.batches_seen == 0:
            for name in ("weights", "means", "covariances"):
                setattr(self.theirs, f"{name}_", self._numbers(model, name))
            self.theirs.precisions_cholesky_ = _compute_precision_cholesky(
                self.theirs.covariances_, self.theirs.covariance_type
            )
        self.began = now()

    def on_train_epoch_end(self, trainer, model):
        """Their turn."""
        self.ours.append(now() - self.began)
        began = now()
        likelihood, shares = self.theirs._e_step(self.points)
        self.theirs._m_step(self.points, shares)
        self.others.append(now() - began)
        assert abs(likelihood - model.log_likelihood) < 1e-6, (likelihood, model.log_likelihood)

    @staticmethod
    def _numbers(model, name):
        if name == "weights":
            return model.log_weights.exp().numpy()
        return (model.means + model.shift if name == "means" else model.covariances).numpy().copy()


def trainer(epochs, *callbacks):
    return Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        callbacks=list(callbacks),
    )


def compare(points, components, covariance, kind):
    torch.manual_seed(0)
    options = {"reg_covar": REG, "restarts": 1, "tolerance": 0.0, "initial_events": 5000}
    model = GaussianMixture((points.shape[1],), components, covariance, **options)
    theirs = Theirs(components, covariance_type=kind, reg_covar=REG)
    turns = Turns(points, theirs)
    trainer(ITERATIONS, turns).fit(model, datamodule=Points(points))
    for place, clock in enumerate(("wall", "processor")):
        ours, others = ([pair[place] for pair in times] for times in (turns.ours, turns.others))
        ratios = sorted(b / a for a, b in zip(ours, others, strict=True))
        print(
            f"{kind}, {len(points)} x {points.shape[1]}, K = {components}, {clock} time: "
            f"ours {statistics.median(ours):.2f} s, theirs {statistics.median(others):.2f} s, "
            f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
            flush=True,
        )


def full():
    compare(projected(mnist(), 50), 50, Full(), "full")


def diagonal():
    compare(mnist(), 100, Diagonal(), "diag")


def factors():
    model = MixtureOfFactorAnalysers((1, 28, 28), 50, 6, least_noise=1e-3, tolerance=0.0)
    began = now()
    trainer(30).fit(model, datamodule=MNIST(image_size=28, batch_size=BATCH))
    wall, processor = now() - began
    print(f"factor analysers, 30 iterations: {wall:.0f} s of the wall, {processor:.0f} s computing")


def held():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def fit(whose, n):
    """Print the MiB that a fit to n points in 20 dimensions, K = 50, holds beyond the imports."""
    source = torch.Generator().manual_seed(0)
    means = torch.randn(50, 20, generator=source)
    data = Synthetic(Gaussians(means, spheres(0.5, 50, 20)), "own", BATCH, n // BATCH, 16)
    before = held()
    if whose == "ours":
        model = GaussianMixture((20,), 50, restarts=1, initial_events=5000)
        trainer(2).fit(model, datamodule=data)
    else:
        points, _ = data.law.sample(n, source)
        Theirs(50, max_iter=2, init_params="random").fit(points.numpy())
    print(held() - before)


def memory():
    for whose in ("ours", "theirs"):
        for n in (20 * BATCH, 200 * BATCH):
            command = [sys.executable, __file__, "fit", whose, str(n)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            print(f"memory, {whose}, {n} points: {float(done.stdout.split()[-1]):.0f} MiB")


def different(checkpoint):
    """As Richardson and Weiss (2018): bins by k-means on the training images, no whitening."""
    images = MNIST(image_size=28)
    train, test = (
        images.arrays(split)[0].flatten(1).float() / 127.5 - 1 for split in ("train", "test")
    )
    centres = kmeans(train, 100)
    shares = nearest(train, centres).bincount(minlength=100)
    model = load_model(Path(checkpoint))
    source = torch.Generator().manual_seed(0)
    rows = {"test images": test, "samples": model.sample(10_000, source).flatten(1)}
    model.noise_in_samples = False
    rows["samples without noise"] = model.sample(10_000, source).flatten(1)
    for name, events in rows.items():
        found = nearest(events, centres).bincount(minlength=100)
        print(f"{name}: NDB {ndb(shares, found)} of 100, JS {ndb_js(shares, found):.4f} nats")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if sys.argv[1:2] == ["ndb"]:
        sys.exit(different(sys.argv[2]))
    if sys.argv[1:2] == ["fit"]:
        fit(sys.argv[2], int(sys.argv[3]))
    else:
        for name in sys.argv[1:] or ["full", "diagonal", "factors", "memory"]:
            globals()[name]()
