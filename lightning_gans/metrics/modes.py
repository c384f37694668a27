"""Which modes samples serve: of a law that is known, or by the classes a classifier tells."""

import math

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from lightning_gans.data.gaussians import Gaussians
from lightning_gans.errors import InputError
from lightning_gans.metrics.base import SampleMetric
from lightning_gans.metrics.functional.corrected import Confusion, check_counted, corrected_count
from lightning_gans.metrics.functional.measured import Measured, binomial_interval
from lightning_gans.metrics.functional.modes import (
    captured,
    captured_ideal,
    forward_kl,
    high_quality_ideal,
    js,
    least_served,
    most_served,
    perfect_counts,
    resampled,
    reverse_kl,
    spread_ideal,
    squared_radius,
    total_variation,
)

__all__ = ["ClassModes", "GaussianModes"]

_AGAINST_TARGET = {
    "reverse_kl": reverse_kl,
    "forward_kl": forward_kl,
    "js": js,
    "total_variation": total_variation,
}
_AGAINST_DATA = {"least_served": least_served, "most_served": most_served}
_RULES = ("chi2", "3sigma")
_SPREAD_RULE = "chi2"


class _ModeMetric(SampleMetric):
    """Compares the modes' shares with those of the data and of a target, both (K,).

    Ideals are of samples told with the shares ``told`` (K,), the data's own where nobody errs.
    """

    def __init__(
        self,
        data: Float64[Tensor, " K"],
        target: Float64[Tensor, " K"],
        told: Float64[Tensor, " K"],
    ) -> None:
        super().__init__()
        self._data, self._target, self._told = data, target, told
        self._ideals: dict[int, dict[str, float]] = {}

    def _evenness(self, counts: Int64[Tensor, " K"], n: int) -> dict[str, Measured]:
        """The divergences, and the ratio of the least and of the most served mode."""
        statistics = {
            **{name: (statistic, self._target) for name, statistic in _AGAINST_TARGET.items()},
            **{name: (statistic, self._data) for name, statistic in _AGAINST_DATA.items()},
        }
        if n not in self._ideals:
            drawn = perfect_counts(self._told, n)
            self._ideals[n] = {
                name: statistic(drawn, target).mean().item()
                for name, (statistic, target) in statistics.items()
            }
        return {
            name: Measured(statistic(counts, target).item(), self._ideals[n][name], n)
            for name, (statistic, target) in statistics.items()
        }

    def _captured(self, counts: Int64[Tensor, " K"], ideal: float, n: int) -> Measured:
        """Modes with a sample; as low as as many samples drawn again from them might have it."""
        value = float(captured(counts))
        low = captured(resampled(counts)).double().quantile(0.025).item()
        # Modes that were not met cannot be drawn again, so chance has no upper end to be found.
        return Measured(value, ideal, n, low, value)


class GaussianModes(_ModeMetric):
    """Which modes of a mixture of Gaussians points serve, and how well.

    ``compute()`` gives, with ``<rule>`` being ``chi2`` and ``3sigma`` (`functional.modes`):

    * ``captured_<rule>``: modes with at least one sample of high quality; the interval ends at
      the value above, as no resampling meets a mode that was not met;
    * ``high_quality_<rule>``: the share of such samples, with its exact interval;
    * ``spread``: mean squared distance of the ``chi2`` ones from their modes' centres, in the
      modes' own deviations and over the dimensions; ``offset``: the part of it by which each
      mode's samples lie beside its centre on average. What is left, spread - offset, is the
      variance within: below the ideal it has collapsed, which raises the share;
    * ``reverse_kl``, ``forward_kl``, ``js``, ``total_variation``: of the modes' shares of all
      samples against the weights;
    * ``least_served``, ``most_served``: ratio of share and weight, 1 for all modes in the limit;
      the ideal is what a perfect sampler has at this n.

    A point's mode is the one that it most probably comes from (`Gaussians.likeliest`). Points that
    are not finite are in no mode and of no high quality, but part of n.

    Args:
        law: The mixture.

    Attributes:
        counts: Points (K,) of each mode, whatever their quality.
        high_quality_counts: Those of them (2, K) of high quality, by ``chi2`` and by ``3sigma``.
    """

    def __init__(self, law: Gaussians) -> None:
        super().__init__(law.weights, law.weights, law.weights)
        self.law = law
        modes = torch.zeros(len(law.weights), dtype=torch.int64)
        self.add_state("counts", default=modes, dist_reduce_fx="sum")
        self.add_state("high_quality_counts", torch.stack([modes] * 2), dist_reduce_fx="sum")
        size = torch.tensor(0.0, dtype=torch.float64)
        self.add_state("squared_distances", default=size, dist_reduce_fx="sum")
        self.add_state("places", default=torch.zeros_like(law.means), dist_reduce_fx="sum")
        self.add_state("n", default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, points: Float[Tensor, "n d"]) -> None:
        """Count points (n, d)."""
        points = points.detach().to(self.law.means.device)
        finite = points[points.isfinite().all(1)]
        places, modes = self.law.likeliest(finite)
        distances = places.square().sum(1)
        size = self.counts.shape[-1]
        self.n += len(points)
        self.counts += modes.bincount(minlength=size).to(self.counts.device)
        for counts, rule in zip(self.high_quality_counts, _RULES, strict=True):
            close = distances <= squared_radius(rule, points.shape[1])
            counts += modes[close].bincount(minlength=size).to(counts.device)
        close = distances <= squared_radius(_SPREAD_RULE, points.shape[1])
        self.squared_distances += distances[close].sum().to(self.squared_distances)
        sums = torch.zeros_like(self.law.means).index_add(0, modes[close], places[close])
        self.places += sums.to(self.places)

    def compute(self) -> dict[str, Measured]:
        """Each number with its ideal."""
        n = self._refuse_none(int(self.n))
        measured = {}
        for counts, rule in zip(self.high_quality_counts.cpu(), _RULES, strict=True):
            quality = high_quality_ideal(rule, self.law.means.shape[1])
            ideal = captured_ideal(self.law.weights, n, quality)
            measured[f"captured_{rule}"] = self._captured(counts, ideal, n)
            hits = int(counts.sum())
            interval = binomial_interval(hits, n)
            measured[f"high_quality_{rule}"] = Measured(hits / n, quality, n, *interval)
        dimensions = self.law.means.shape[1]
        counts = self.high_quality_counts[_RULES.index(_SPREAD_RULE)].cpu()
        spread = offset = offset_ideal = math.nan
        ideal = spread_ideal(_SPREAD_RULE, dimensions)
        if close := int(counts.sum()):
            spread = self.squared_distances.item() / (close * dimensions)
            # Of each mode n_k |mean place|^2; chance alone gives every mode met one sample's.
            means = self.places.cpu().square().sum(1) / counts.clamp(min=1)
            offset = means.sum().item() / (close * dimensions)
            offset_ideal = ideal * measured[f"captured_{_SPREAD_RULE}"].value / close
        measured["spread"] = Measured(spread, ideal, n)
        measured["offset"] = Measured(offset, offset_ideal, n)
        return measured | self._evenness(self.counts.cpu(), n)


class ClassModes(_ModeMetric):
    """Which classes, or tuples of classes, samples serve, as told by a classifier that errs.

    ``compute()`` gives:

    * ``captured``: modes that were told at least once, the classifier's errors included;
    * ``corrected``: modes without those seen by errors alone, with a 95 % interval
      (`functional.corrected`, which says what it assumes);
    * ``reverse_kl``, ``forward_kl``, ``js``, ``total_variation``: against the target;
    * ``least_served``, ``most_served``: ratio of the share and that of the data.

    Ideals are those of a perfect sampler at this n, read by the same classifier; that of
    ``corrected`` by one that does not err.

    Args:
        law: Shares of the modes in the data, (C,) for classes, (C, C, C) for triples, summing to 1.
        confusion: The classifier's held-out counts (C, C) by true class (row) and class told.
        target: Shares to compare with, as ``law``; None: all equal, as in the papers.

    Attributes:
        counts: Samples told of each mode, of the shape of ``law``.

    Raises:
        InputError: The shapes disagree, shares do not sum to 1, or a class is in no held-out image.
    """

    def __init__(
        self,
        law: Float[Tensor, "*modes"],
        confusion: Confusion,
        target: Float[Tensor, "*modes"] | None = None,
    ) -> None:
        target = torch.full_like(law, 1 / law.numel()) if target is None else target
        for name, shares in {"law": law, "target": target}.items():
            if not abs(shares.double().sum().item() - 1) < 1e-4:
                raise InputError(f"{name} sums to {shares.sum().item():.6g}; shares must sum to 1")
        check_counted(torch.zeros(law.shape), confusion)
        rates = (confusion / confusion.sum(1, keepdim=True)).double().cpu()
        told = law.double()
        for _ in range(law.ndim):
            # The first class goes to the end, where it is told; after all of them it is first.
            told = torch.einsum("a...,ab->...b", told, rates)
        super().__init__(law.double().flatten(), target.double().flatten(), told.flatten())
        self.law, self.confusion = law, confusion.cpu()
        zeros = torch.zeros(law.shape, dtype=torch.int64)
        self.add_state("counts", default=zeros, dist_reduce_fx="sum")
        self.add_state("n", default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, classes: Int64[Tensor, "n m"]) -> None:
        """Count samples by their classes (n, m), one of each m for every dimension of the law.

        One with a class below 0 is in no mode, but part of n.
        """
        self.n += len(classes)
        classes = classes[(classes >= 0).all(1)]
        one = torch.ones(len(classes), dtype=torch.int64, device=self.counts.device)
        places = tuple(classes.to(self.counts.device).T)
        self.counts = self.counts.index_put(places, one, accumulate=True)

    def compute(self) -> dict[str, Measured]:
        """Each number with its ideal."""
        counts = self.counts.cpu()
        n = self._refuse_none(int(self.n))
        flat = counts.flatten()
        value, low, high = corrected_count(counts, self.confusion)
        ideal = captured_ideal(self._data, n)
        return {
            "captured": self._captured(flat, captured_ideal(self._told, n), n),
            "corrected": Measured(float(value), ideal, n, float(low), float(high)),
            **self._evenness(flat, n),
        }
