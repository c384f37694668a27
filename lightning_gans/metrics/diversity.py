"""How samples fill the data's bins, repeat themselves and differ from one another."""

import torch
from jaxtyping import Float
from torch import Tensor

from lightning_gans.errors import InputError
from lightning_gans.metrics.base import Keeping, SampleMetric
from lightning_gans.metrics.functional.birthday import (
    birthday_support,
    duplicate_distance,
    duplicates,
)
from lightning_gans.metrics.functional.distances import Points, nearest
from lightning_gans.metrics.functional.diversity import Kinds, ms_ssim, pairwise_distance, vendi
from lightning_gans.metrics.functional.measured import Measured
from lightning_gans.metrics.functional.ndb import ndb, ndb_js, ndb_js_ideal
from lightning_gans.objectives.clustering import kmeans

__all__ = ["NDB", "Birthday", "ImageSimilarity", "PairwiseDistance", "Vendi"]

_ALPHA = 0.05


class NDB(SampleMetric):
    """Share of statistically different bins, and the divergence of the bins' shares.

    ``compute()`` gives ``ndb``, NDB / K with the level of the tests, 0.05, as its ideal, and
    ``ndb_js`` in nats. Samples that are not finite make a further bin, which is different. The
    ideals hold where every bin has some ten samples of either set.

    Args:
        train: Training samples (n, d), all finite; k-means finds the bins on them.
        bins: Number K of bins.
        seed: Of k-means.

    Attributes:
        counts: Samples (K,) in each bin.

    Raises:
        InputError: There are fewer training samples than bins.
    """

    def __init__(self, train: Points, bins: int = 100, seed: int = 0) -> None:
        super().__init__()
        train = train.detach().cpu()
        self.centres = kmeans(train, bins, seed)
        self.train_counts = nearest(train, self.centres).bincount(minlength=bins)
        zeros = torch.zeros(bins, dtype=torch.int64)
        self.add_state("counts", default=zeros, dist_reduce_fx="sum")
        self.add_state("n", default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, samples: Float[Tensor, "n d"]) -> None:
        """Count samples (n, d)."""
        self.n += len(samples)
        finite = samples.detach().to(self.centres)
        finite = finite[finite.isfinite().all(1)]
        if len(finite):
            counts = nearest(finite, self.centres).bincount(minlength=len(self.centres))
            self.counts += counts.to(self.counts.device)

    def compute(self) -> dict[str, Measured]:
        """Each number with its ideal."""
        n = self._refuse_none(int(self.n))
        bins = len(self.centres)
        # What is not finite is a bin of its own, which is empty in training.
        train = torch.cat([self.train_counts, torch.tensor([0])])
        counts = torch.cat([self.counts, (self.n - self.counts.sum())[None]]).cpu()
        ideal = ndb_js_ideal(bins, int(train.sum()), n)
        tested = bins + bool(counts[-1])
        return {
            "ndb": Measured(ndb(train, counts, _ALPHA) / tested, _ALPHA, n),
            "ndb_js": Measured(ndb_js(train, counts), ideal, n),
        }


class Birthday(Keeping):
    """The support of a generator, from near-duplicates among its samples.

    ``compute()`` gives ``support`` with an interval, infinite where there are no more duplicates
    than in real data, and ``duplicates``, their share of all pairs, with that of real data as its
    ideal.

    Args:
        real: Features (n, d) of real samples; they say how close duplicates are.
        quantile: Share of them that have a duplicate themselves, by definition.

    Raises:
        InputError: There are fewer than 2 samples, or the quantile is out of range.
    """

    def __init__(self, real: Points, quantile: float = 0.01) -> None:
        super().__init__()
        real = real.detach().cpu()
        self.distance = duplicate_distance(real, quantile)
        self.real = duplicates(real, self.distance)

    def compute(self) -> dict[str, Measured]:
        """Each number with its ideal."""
        features, _ = self._all()
        if (n := len(features)) < 2:
            raise InputError("Birthday has seen 1 sample; pairs need at least 2")
        found = duplicates(features, self.distance)
        share, real_share = (
            part.sum().item() / (len(part) * (len(part) - 1)) for part in (found, self.real)
        )
        return {
            "support": birthday_support(found, self.real),
            "duplicates": Measured(share, real_share, n),
        }


class PairwiseDistance(Keeping):
    """Mean Euclidean distance of two samples' features (n, d).

    ``compute()`` gives ``distance``, and where there is more than one class ``distance_within``
    and ``distance_across``. All pairs enter up to 5,000 samples, else ``pairs`` random ones of each
    kind.

    Args:
        pairs: See above.
        seed: Of the random pairs.
    """

    def __init__(self, pairs: int = 100_000, seed: int = 0) -> None:
        super().__init__()
        self.pairs, self.seed = pairs, seed

    def compute(self) -> dict[str, Measured]:
        """Each number; what is ideal must be asked of the data."""
        features, labels = self._all()
        pairs = self.pairs if len(features) > 5000 else None
        kinds = pairwise_distance(features, labels, pairs, self.seed)
        return _named("distance", kinds, labels)


class ImageSimilarity(Keeping):
    """Mean MS-SSIM of random pairs of images (n, channels, height, width) in [-1, 1].

    ``compute()`` gives ``ms_ssim``, and where there is more than one class ``ms_ssim_within`` and
    ``ms_ssim_across``. Images below 176 px get fewer scales (`functional.diversity`).

    Args:
        pairs: Of each kind.
        seed: Of the random pairs.
    """

    def __init__(self, pairs: int = 1000, seed: int = 0) -> None:
        super().__init__()
        self.pairs, self.seed = pairs, seed

    def compute(self) -> dict[str, Measured]:
        """Each number; what is ideal must be asked of the data."""
        images, labels = self._all()
        return _named("ms_ssim", ms_ssim(images, labels, self.pairs, self.seed), labels)


class Vendi(Keeping):
    """Vendi score of samples' features (n, d) by the cosine kernel, 1 to min(n, d).

    ``compute()`` gives ``vendi``. It grows with n: compare at one n only.

    Args:
        q: Order; 1 is Shannon's entropy, below it rare samples count more, above it less.
    """

    def __init__(self, q: float = 1.0) -> None:
        super().__init__()
        if not q >= 0:
            raise InputError(f"q is {q}; it must be at least 0")
        self.q = q

    def compute(self) -> dict[str, Measured]:
        """The score; what is ideal must be asked of the data."""
        features, _ = self._all()
        return {"vendi": Measured(vendi(features, self.q), None, len(features))}


def _named(name: str, kinds: Kinds, labels: Tensor) -> dict[str, Measured]:
    """The kinds of pairs there are."""
    n = len(labels)
    measured = {name: Measured(kinds.overall, None, n)}
    if len(labels.unique()) > 1:
        measured[f"{name}_within"] = Measured(kinds.within, None, n)
        measured[f"{name}_across"] = Measured(kinds.across, None, n)
    return measured
