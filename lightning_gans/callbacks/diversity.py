"""How different samples are from one another, beside what as many real ones get."""

import math

from torch import Tensor

from lightning_gans.callbacks.known import KnownModes
from lightning_gans.data import Data
from lightning_gans.data.batches import CountedBatches
from lightning_gans.errors import InputError
from lightning_gans.metrics import Measured
from lightning_gans.metrics.functional import (
    birthday_support,
    duplicate_distance,
    duplicates,
    kmeans,
    ms_ssim,
    ndb,
    ndb_js,
    ndb_js_ideal,
    pairwise_distance,
    vendi,
)
from lightning_gans.metrics.functional.distances import nearest
from lightning_gans.seeds import Stream, mix
from lightning_gans.types import Events

__all__ = ["Diversity", "diversity_of"]

_REAL, _MEASURED = 10_000, 2000
_BINS, _POINTS_A_BIN = 100, 10
_ALPHA = 0.05


class Diversity:
    """Measures how different events are, by the features that tell a data set's modes.

    ``measure()`` gives, all by the functions of `metrics.functional`:

    * ``ndb``, ``ndb_js``: share of statistically different bins, and the bins' divergence in nats;
      there are 100 bins, or a tenth of the real events if these are fewer than 1,000;
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
        features, modes = known.look(real)
        bins = min(_BINS, len(real) // _POINTS_A_BIN)
        self._centres = kmeans(features, bins)
        self._real_bins = self._bins(features)
        features, modes, real = features[: self.n], modes[: self.n], real[: self.n]
        self._alike = duplicate_distance(features)
        self._real_duplicates = duplicates(features, self._alike)
        self._ideals = {
            "ndb": _ALPHA,
            "ndb_js": ndb_js_ideal(bins, int(self._real_bins.sum()), self.n),
            "support": math.inf,
            "duplicates": _share(self._real_duplicates),
            **_spread(features, modes, real),
        }

    def measure(self, events: Events) -> dict[str, Measured]:
        """Each number with its ideal, of the first ``n`` events (m, *event_shape).

        Those that are not finite are left out; all numbers are nan if fewer than 2 are left.
        """
        events = events[: self.n]
        finite = events[events.flatten(1).isfinite().all(1)]
        measured = {
            name: Measured(math.nan, ideal, len(events)) for name, ideal in self._ideals.items()
        }
        if len(finite) < 2:
            return measured
        features, modes = self.known.look(finite)
        bins, found = self._bins(features), duplicates(features, self._alike)
        support = birthday_support(found, self._real_duplicates)
        values = {
            "ndb": ndb(self._real_bins, bins, _ALPHA) / len(bins),
            "ndb_js": ndb_js(self._real_bins, bins),
            "support": support.value,
            "duplicates": _share(found),
            **_spread(features, modes, finite),
        }
        measured = {name: measured[name]._replace(value=value) for name, value in values.items()}
        measured["support"] = measured["support"]._replace(low=support.low, high=support.high)
        return measured

    def _bins(self, features: Tensor) -> Tensor:
        """Points in each bin."""
        return nearest(features, self._centres).bincount(minlength=len(self._centres))


def _share(found: Tensor) -> float:
    """Share of all pairs that are duplicates, from those of each sample."""
    return found.sum().item() / (len(found) * (len(found) - 1))


def _spread(features: Tensor, modes: Tensor, events: Tensor) -> dict[str, float]:
    """What says little without the same of real events."""
    kinds = {"distance": pairwise_distance(features, modes)}
    if events.ndim == 4:
        kinds["ms_ssim"] = ms_ssim(events.cpu().float(), modes)
    found = {"vendi": vendi(features)}
    for name, (overall, within, across) in kinds.items():
        found |= {name: overall, f"{name}_within": within, f"{name}_across": across}
    return found


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
