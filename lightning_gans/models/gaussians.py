"""Mixtures of Gaussians, as scikit-learn has them."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lightning_gans.models.em import ExpectationMaximisation, Sums
from lightning_gans.models.mixture import Mixture, Points
from lightning_gans.objectives.clustering import nearest
from lightning_gans.objectives.covariances import Covariance, Density
from lightning_gans.objectives.matrices import Full
from lightning_gans.objectives.mixtures import (
    filled,
    gaussian_expectations,
    halved,
    rows_at_once,
    set_apart,
)
from lightning_gans.schedules import BatchCount
from lightning_gans.types import Events, InputError

__all__ = ["GaussianMixture", "Gaussians"]


class Gaussians(Mixture):
    """A mixture of Gaussians.

    Attributes:
        covariance: How the covariances are bound.
        means: Centres (K, d), about ``shift``.
        covariances: As ``covariance`` shapes them.
        reg_covar: Added to every variance.
    """

    covariance: Covariance
    means: Tensor
    covariances: Tensor
    reg_covar: float

    def _bind(self, covariance: Covariance, reg_covar: float) -> None:
        """Take what all mixtures of Gaussians are told.

        Raises:
            InputError: ``reg_covar`` is below 0.
        """
        if not 0 <= reg_covar < math.inf:
            raise InputError(f"model.reg_covar is {reg_covar}; it must be at least 0")
        self.covariance, self.reg_covar = covariance, reg_covar

    def joint(self, points: Points) -> Float[Tensor, "n K"]:
        """Joint log-densities log pi_k + log N(x; mu_k, Sigma_k)."""
        density = self.density
        parts = points.split(rows_at_once(density.width))
        logs = torch.cat([density(self.covariance.features(part)) for part in parts])
        return logs + self.log_weights

    @property
    def density(self) -> Density:
        """The components' log-densities."""
        return self.covariance.density(self.means, self.covariances)

    @property
    def free(self) -> int:
        """Of weights, means and covariances."""
        others = self.components - 1 + self.means.numel()
        return others + self.covariance.free(self.components, self.dimension)

    def drawn(self, components: Tensor, generator: torch.Generator | None) -> Points:
        """A centre, and noise of that component."""
        noise = torch.randn(len(components), self.dimension, generator=generator).double()
        points = self.means.cpu()[components]
        for component in components.unique().tolist():
            own = components == component
            points[own] += noise[own] @ torch.linalg.cholesky(self._dense(component).cpu()).T
        return points

    def completed(
        self, points: Points, missing: Bool[Tensor, " d"], generator: torch.Generator | None
    ) -> Points:
        """By each component's matrix."""
        return filled(points, missing, self.log_weights, self.means, self._dense, generator)

    def _dense(self, component: int) -> Float[Tensor, "d d"]:
        return self.covariance.dense(self.covariances, component, self.dimension)

    def guess(self, events: Events) -> tuple[Tensor, Tensor, Tensor]:
        """Log-weights, means and covariances that fit the bins of k-means best."""
        points, centres = self.centres(events)
        shares = torch.nn.functional.one_hot(nearest(points, centres), self.components).to(points)
        statistics = self.covariance.statistics(self.covariance.features(points), shares)
        return self.fitted({**statistics, "counts": shares.sum(0)})

    def fitted(self, sums: Sums) -> tuple[Tensor, Tensor, Tensor]:
        """Log-weights, means and covariances that fit ``sums`` best; the dead live again."""
        pairs = self.revived(sums["counts"])
        counts, moments = (halved(sums[name], pairs) for name in ("counts", "moments"))
        means, covariances = self.covariance.fit(
            {**sums, "moments": moments}, counts, self.dimension
        )
        covariances = self.covariance.widened(covariances, self.reg_covar)
        for dead, heavy in pairs:
            variances = self.covariance.dense(covariances, heavy, self.dimension).diagonal()
            set_apart(means, dead, heavy, variances)
        return (counts / counts.sum()).log(), means, covariances


class GaussianMixture(Gaussians, ExpectationMaximisation):
    """A mixture of Gaussians by expectation-maximisation (Dempster et al., 1977).

    Its parameters are those of scikit-learn's, and so is each step. All is in 64 bits.

    Args:
        event_shape: Of one event; its values are taken as one vector.
        components: Number of Gaussians.
        covariance: `Spherical`, `Diagonal`, `Tied` or `Full`.
        reg_covar: Added to every variance, so that no Gaussian can shrink to a point.
        restarts: Beginnings of the k-means that guesses the centres; the best is kept.
        window: Batches between two M-turns, or ``epoch``: the classical algorithm.
        decay: The k-th window's statistics enter a running mean with the weight (k + 1)^-decay;
            None takes each window's alone.
        tolerance: Training ends when the mean log-likelihood changes by less than this share.
        initial_events: Events that k-means looks at.

    Raises:
        InputError: A number is out of range.
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        components: int,
        covariance: Covariance = Full(),
        reg_covar: float = 1e-6,
        restarts: int = 3,
        window: BatchCount = "epoch",
        decay: float | None = None,
        tolerance: float = 1e-6,
        initial_events: int = 10_000,
    ) -> None:
        super().__init__(window, decay, tolerance, initial_events)
        self._describe(event_shape, components, restarts)
        self._bind(covariance, reg_covar)
        log_weights = torch.full((components,), -math.log(components), dtype=torch.float64)
        self.register_buffer("log_weights", log_weights)
        means = torch.zeros(components, self.dimension, dtype=torch.float64)
        self.register_buffer("means", means)
        self.register_buffer("covariances", covariance.unit(components, self.dimension))

    def initialise(self, events: Events) -> None:
        """By k-means."""
        self._take(self.guess(events))

    def expect(self, events: Events) -> Sums:
        """Responsibilities, and the values and products that they weight."""
        density = self.density
        blocks = self.blocks(events, density.width)
        return gaussian_expectations(blocks, self.covariance, self.log_weights, density)

    def maximise(self, sums: Sums) -> None:
        """Weighted means and covariances."""
        self._take(self.fitted(sums))

    def _take(self, found: tuple[Tensor, Tensor, Tensor]) -> None:
        log_weights, means, covariances = found
        self.covariance.density(means, covariances)  # refuses what is singular before it is taken
        self.log_weights.copy_(log_weights)
        self.means.copy_(means)
        self.covariances.copy_(covariances)
