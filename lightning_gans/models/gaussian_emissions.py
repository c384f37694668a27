"""Hidden Markov models' states that emit Gaussians."""

import math
from abc import abstractmethod

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from lightning_gans.errors import InputError
from lightning_gans.models.em import Sums
from lightning_gans.models.emissions import Emission, Steps, Weights
from lightning_gans.objectives.clustering import kmeans, nearest

__all__ = ["DiagonalGaussian", "FullGaussian"]

_MEMBERSHIP = 0.9
_CLUSTERED, _RESTARTS = 20_000, 3


class _Gaussian(Emission):
    """Gaussians, whose means are found by k-means before anything else is known.

    Numbers are taken from an origin amid the data, so that sums of squares lose no digits.
    """

    def __init__(self, states: int, dimension: int, floor: float = 1e-6) -> None:
        super().__init__(states, dimension)
        if not floor > 0:
            raise InputError(f"model.emission.floor is {floor}; it must be above 0")
        self.floor = floor
        zeros = torch.zeros(states, dimension, dtype=torch.float64)
        self.register_buffer("origin", zeros[0].clone())
        self.register_buffer("means", zeros)

    @property
    def expected(self) -> Float[Tensor, "states dimension"]:
        """The means."""
        return self.means

    def guess(self, steps: Steps, seed: int) -> Weights:
        """Nine tenths of each observation to its cluster by k-means, the rest to all alike.

        The share of all keeps a cluster of one or two observations from a law without width.

        Raises:
            InputError: A column is constant, or there are fewer observations than states.
        """
        variances = steps.var(0, unbiased=False)
        if (constant := variances <= self.floor).any():
            column = int(constant.nonzero()[0])
            raise InputError(
                f"column {column} (from 0) of the observations has the variance "
                f"{variances[column]:.3g}, model.emission.floor is {self.floor}: a density says "
                "nothing of what is constant; leave it out, or scale the data up"
            )
        self.origin.copy_(steps.mean(0))
        chosen = torch.linspace(
            0, len(steps) - 1, min(len(steps), _CLUSTERED), dtype=torch.float64
        ).long()
        points = (steps - self.origin)[chosen].cpu()
        if (different := len(points.unique(dim=0))) < self.states:
            raise InputError(
                f"model.states is {self.states}, but there are only {different} different "
                "observations to begin with"
            )
        centres = kmeans(points, self.states, seed, restarts=_RESTARTS).to(steps)
        told = nearest(steps - self.origin, centres)
        own = nn.functional.one_hot(told, self.states).to(steps)
        return _MEMBERSHIP * own + (1 - _MEMBERSHIP) / self.states

    def _take_means(self, sums: Sums) -> tuple[Tensor, Tensor, Tensor]:
        """Move the means; which states have weight, their weights and means from the origin."""
        used = sums["weight"] > torch.finfo(torch.float64).tiny
        weight = sums["weight"][used]
        means = sums["first"][used] / weight[:, None]
        self.means[used] = means + self.origin
        return used, weight, means

    def sample(self, states: Int64[Tensor, " n"], generator: torch.Generator | None) -> Steps:
        """An observation from each of ``states``; all on the CPU."""
        noise = torch.randn(len(states), self.dimension, generator=generator, dtype=torch.float64)
        return self.means.cpu()[states] + self._scaled(noise, states)

    @abstractmethod
    def _scaled(self, noise: Steps, states: Int64[Tensor, " n"]) -> Steps:
        """Noise N(0, I) with each state's covariance; all on the CPU."""


class DiagonalGaussian(_Gaussian):
    """Each state emits independent Gaussians.

    Args:
        states: Number of states.
        dimension: Numbers in an observation.
        floor: Least variance.

    Raises:
        InputError: ``floor`` is not above 0.
    """

    def __init__(self, states: int, dimension: int, floor: float = 1e-6) -> None:
        super().__init__(states, dimension, floor)
        self.register_buffer("variances", torch.ones_like(self.means))

    def log_prob(self, steps: Steps) -> Weights:
        """Log-density of each observation from each state, in nats."""
        steps, means = steps - self.origin, self.means - self.origin
        precisions = 1 / self.variances
        constants = (2 * math.pi * self.variances).log() + means.square() * precisions
        linear = torch.addmm(-constants.sum(1) / 2, steps, (means * precisions).T)
        return linear.addmm_(steps.square(), precisions.T, alpha=-0.5)

    def statistics(self, steps: Steps, weights: Weights) -> Sums:
        """Each state's weight, and its weighted sums of observations and of their squares."""
        steps = steps - self.origin
        return {
            "weight": weights.sum(0),
            "first": weights.T @ steps,
            "second": weights.T @ steps.square(),
        }

    def maximise(self, sums: Sums) -> None:
        """Weighted means and variances, no variance below the floor."""
        used, weight, means = self._take_means(sums)
        variances = sums["second"][used] / weight[:, None] - means.square()
        self.variances[used] = variances.clamp(min=self.floor)

    def _scaled(self, noise: Steps, states: Int64[Tensor, " n"]) -> Steps:
        return noise * self.variances.sqrt().cpu()[states]


class FullGaussian(_Gaussian):
    """Each state emits Gaussians with a full covariance.

    Args:
        states: Number of states.
        dimension: Numbers in an observation.
        floor: Least variance in any direction.

    Raises:
        InputError: ``floor`` is not above 0.
    """

    def __init__(self, states: int, dimension: int, floor: float = 1e-6) -> None:
        super().__init__(states, dimension, floor)
        identity = torch.eye(dimension, dtype=torch.float64)
        self.register_buffer("covariances", identity.repeat(states, 1, 1))

    def log_prob(self, steps: Steps) -> Weights:
        """Log-density of each observation from each state, in nats."""
        steps, means = steps - self.origin, self.means - self.origin
        scales = torch.linalg.cholesky(self.covariances)
        identity = torch.eye(self.dimension).to(steps)
        whitening = torch.linalg.solve_triangular(scales, identity, upper=False)
        constants = scales.diagonal(dim1=1, dim2=2).log().sum(1)
        constants = constants + self.dimension / 2 * math.log(2 * math.pi)
        squares = [
            torch.addmm(-(white @ mean), steps, white.T).square().sum(1)
            for white, mean in zip(whitening, means, strict=True)
        ]
        return -torch.stack(squares, 1) / 2 - constants

    def statistics(self, steps: Steps, weights: Weights) -> Sums:
        """Each state's weight, and its weighted sums of observations and of their products."""
        steps = steps - self.origin
        products = [(steps * weight[:, None]).T @ steps for weight in weights.unbind(1)]
        return {
            "weight": weights.sum(0),
            "first": weights.T @ steps,
            "second": torch.stack(products),
        }

    def maximise(self, sums: Sums) -> None:
        """Weighted means and covariances, no eigenvalue below the floor.

        Of all covariances that have none below it, this one is the likeliest.
        """
        used, weight, means = self._take_means(sums)
        outer = means[:, :, None] * means[:, None]
        values, axes = torch.linalg.eigh(sums["second"][used] / weight[:, None, None] - outer)
        self.covariances[used] = axes * values.clamp(min=self.floor)[:, None] @ axes.mT

    def _scaled(self, noise: Steps, states: Int64[Tensor, " n"]) -> Steps:
        scales = torch.linalg.cholesky(self.covariances).cpu()
        return (scales[states] @ noise[..., None])[..., 0]
