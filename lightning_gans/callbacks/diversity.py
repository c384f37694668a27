"""How different samples are from one another, beside what as many real ones get."""

import math

from torch import Tensor

from lightning_gans.callbacks.known import KnownModes
from lightning_gans.data import Data
from lightning_gans.data.batches import CountedBatches
from lightning_gans.errors import InputError
from lightning_gans.metrics import (
    NDB,
    Birthday,
    ImageSimilarity,
    Measured,
    PairwiseDistance,
    Vendi,
)
from lightning_gans.metrics.base import SampleMetric
from lightning_gans.seeds import Stream, mix
from lightning_gans.types import Events

__all__ = ["Diversity", "diversity_of"]

_REAL, _MEASURED = 10_000, 2000
_BINS, _POINTS_A_BIN = 100, 10


class Diversity:
    """Measures how different events are, by the features that tell a data set's modes.

    ``measure()`` gives, all by the metrics of `lightning_gans.metrics`:

    * ``ndb``, ``ndb_js``: share of statistically different bins, and the bins' divergence in nats;
      there are 100 bins, or a tenth of the events that are measured if these are fewer;
    * ``support``, ``duplicates``: the birthday estimate, and the share of pairs that are alike;
    * ``vendi``: the Vendi score, which is no greater than the number of features;
    * ``distance``, ``distance_within``, ``distance_across``: mean over all pairs, over those of
      one mode and over those of two;
    * ``ms_ssim``, ``ms_ssim_within``, ``ms_ssim_across``: of images, over 1,000 random pairs each.

    The ideals are what real events get, but those of ``ndb``, ``ndb_js`` and ``support`` are known
    without. It draws from no global generator.

    Args:
        known: Finds features and modes.
        real: Training events (m, *event_shape), at least 10 and all finite.
        n: Events that are measured, at most m: of generated and of real ones the first.

    Attributes:
        n: Events that are measured.

    Raises:
        InputError: There are too few real events, ``n`` is below 2, or images are below 11 pixels.
    """

    def __init__(self, known: KnownModes, real: Events, n: int) -> None:
        self.known, self.n = known, min(n, len(real))
        features, _ = known.look(real)
        bins = min(_BINS, max(1, self.n // _POINTS_A_BIN))
        self._bins, self._birthday = NDB(features, bins), Birthday(features[: self.n])
        self._vendi, self._distance = Vendi(), PairwiseDistance()
        self._similarity = ImageSimilarity() if real.ndim == 4 else None
        for metric in (self._bins, self._birthday, self._vendi, self._distance, self._similarity):
            if metric is not None:
                metric.sync_on_compute = False  # only the first process measures
        self._ideals = {
            name: found.value if found.ideal is None else found.ideal
            for name, found in self._all(real[: self.n]).items()
        }

    def measure(self, events: Events) -> dict[str, Measured]:
        """Each number with its ideal, of the first ``n`` events (m, *event_shape).

        Those that are not finite are left out; all numbers are nan if fewer than 2 are left.
        """
        events = events[: self.n]
        finite = events[events.flatten(1).isfinite().all(1)]
        found = self._all(finite) if len(finite) > 1 else {}
        nothing = Measured(math.nan, None, 0)
        return {
            name: found.get(name, nothing)._replace(ideal=ideal, n=len(events))
            for name, ideal in self._ideals.items()
        }

    def _all(self, events: Events) -> dict[str, Measured]:
        """All numbers of events that are finite; of pairs, the kinds there are."""
        features, modes = self.known.look(events)
        found = _fresh(self._bins, features) | _fresh(self._birthday, features)
        found |= _fresh(self._vendi, features) | _fresh(self._distance, features, modes)
        if self._similarity is not None:
            found |= _fresh(self._similarity, events.cpu().float(), modes)
        return found


def _fresh(metric: SampleMetric, *samples: Tensor) -> dict[str, Measured]:
    """What ``metric`` says of these samples alone."""
    metric.reset()
    metric.update(*samples)
    return metric.compute()


def diversity_of(
    data: Data, known: KnownModes | None, n: int | None = None, processes: int = 1
) -> Diversity:
    """The measure of the events that the first process has of an evaluation, up to 2,000.

    They are compared with up to 10,000 training events, in an order of their own: that of training
    is left alone.

    Args:
        data: The data set.
        known: What is known of its modes.
        n: Events of an evaluation, all processes together; None: as many as ``known`` says.
        processes: That share them.

    Raises:
        InputError: Nothing is known, or as for `Diversity`.
    """
    if known is None:
        raise InputError(
            "modes.diversity compares samples by the features that tell their modes, and no modes "
            f"of {type(data).__name__} are known; if it has labels, set modes.labelled to true"
        )
    seed = mix(Stream.EVALUATION, data.seed)
    order = CountedBatches(data.count("train"), _REAL, seed, drop_last=False)
    # One batch: data that are drawn for ever fill it, however short their epoch is.
    real, _ = next(iter(data.batches("train", order)))
    own = -(-(n or known.n) // processes)
    return Diversity(known, real, min(own, _MEASURED))
