"""Covariances of the Gaussians of a mixture: how they are bound, and both turns of fitting them."""

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lightning_gans.types import InputError

__all__ = [
    "Covariance",
    "Density",
    "Diagonal",
    "Features",
    "Means",
    "Spherical",
    "refuse_singular",
    "weighted_sums",
]

Features = Float[Tensor, "n f"]
Means = Float[Tensor, "K d"]


_NOTHING, _FEW = 1e-20, 1 / 16


def weighted_sums(
    weights: Float[Tensor, "rows n"], values: Float[Tensor, "n f"]
) -> Float[Tensor, "rows f"]:
    """``weights @ values``, without weights too small for 64 bits to notice where most are.

    In many dimensions almost every point belongs to one component alone.
    """
    counted = weights.abs() > _NOTHING
    if counted.sum() > _FEW * weights.numel():
        return weights @ values
    return torch.sparse.mm(weights.where(counted, 0.0).to_sparse(), values)


class Density(NamedTuple):
    """Log-densities, linear in features f: ``slopes @ f + constants - |f @ common|^2 / 2``.

    Attributes:
        slopes: (K, f).
        constants: (K,).
        common: What all components share, (f, d); None where they share nothing.
    """

    slopes: Float[Tensor, "K f"]
    constants: Float[Tensor, " K"]
    common: Float[Tensor, "f d"] | None = None

    @property
    def width(self) -> int:
        """Numbers in a point's features."""
        return self.slopes.shape[1]

    def __call__(self, features: Features) -> Float[Tensor, "n K"]:
        """Log-density of each point under each component."""
        # A row for each component: both products of an E-turn are faster so.
        logs = torch.addmm(self.constants[:, None], self.slopes, features.T).T
        if self.common is None:
            return logs
        return logs - (features @ self.common).square().sum(1, keepdim=True) / 2


class Covariance(ABC):
    """How the covariances of K Gaussians in d dimensions are bound.

    A Gaussian's log-density is linear in features of a point, its values and some of their
    products; the same features, weighted and added up, are all that the parameters are fitted to.
    So both turns are one product of matrices each. Digits are lost with the square of (distance
    from the origin / standard deviation): points should be given about a common middle.
    """

    @abstractmethod
    def unit(self, components: int, dimension: int) -> Tensor:
        """Covariances that are all the identity, in 64 bits; others have the same shape."""

    @abstractmethod
    def features(self, points: Float[Tensor, "n d"]) -> Features:
        """What both turns take of ``points``; the first d are the points themselves."""

    @abstractmethod
    def density(self, means: Means, covariances: Tensor) -> Density:
        """The Gaussians' log-densities.

        Raises:
            InputError: A covariance is singular.
        """

    def statistics(self, features: Features, shares: Float[Tensor, "n K"]) -> dict[str, Tensor]:
        """Features, weighted by each component's ``shares`` and added up."""
        return {"moments": weighted_sums(shares.T, features)}

    @abstractmethod
    def fit(
        self, statistics: dict[str, Tensor], counts: Float[Tensor, " K"], dimension: int
    ) -> tuple[Means, Tensor]:
        """The most likely means and covariances; ``counts`` are the sums of the shares."""

    @abstractmethod
    def widened(self, covariances: Tensor, variance: float) -> Tensor:
        """``covariances`` with ``variance`` added to that of every value."""

    @abstractmethod
    def dense(self, covariances: Tensor, component: int, dimension: int) -> Float[Tensor, "d d"]:
        """One component's covariance as a matrix."""

    @abstractmethod
    def free(self, components: int, dimension: int) -> int:
        """How many numbers the covariances are made of."""

    def unbound(self, covariances: Tensor) -> Tensor:
        """Numbers of any size that `bound` makes ``covariances`` of."""
        return covariances.log()

    def bound(self, numbers: Tensor) -> Tensor:
        """Covariances from numbers of any size, differentiably."""
        return numbers.exp()


def refuse_singular(singular: Bool[Tensor, " K"]) -> None:
    """Refuse components that are.

    Raises:
        InputError: One is.
    """
    if singular.any():
        raise InputError(
            f"the covariance of component {int(singular.nonzero()[0])} is singular: some values "
            "of its events are constant, or follow from others; raise model.reg_covar, or ask for "
            "fewer components or a simpler model.covariance"
        )


class Diagonal(Covariance):
    """A variance for each value of each component: covariances (K, d)."""

    def unit(self, components: int, dimension: int) -> Tensor:
        """(K, d)."""
        return torch.ones(components, dimension, dtype=torch.float64)

    def features(self, points: Float[Tensor, "n d"]) -> Features:
        """(n, 2 d): values and squares."""
        return torch.cat([points, points.square()], 1)

    def density(self, means: Means, covariances: Tensor) -> Density:
        """Each component's own slopes."""
        refuse_singular((covariances <= 0).any(1))
        slopes = means / covariances
        constants = -(2 * math.pi * covariances).log().sum(1) / 2 - (slopes * means).sum(1) / 2
        return Density(torch.cat([slopes, -0.5 / covariances], 1), constants)

    def fit(
        self, statistics: dict[str, Tensor], counts: Float[Tensor, " K"], dimension: int
    ) -> tuple[Means, Tensor]:
        """Weighted means and variances."""
        means, squares = (statistics["moments"] / counts[:, None]).split(dimension, 1)
        return means, squares - means.square()

    def widened(self, covariances: Tensor, variance: float) -> Tensor:
        """Each variance, and more."""
        return covariances + variance

    def dense(self, covariances: Tensor, component: int, dimension: int) -> Float[Tensor, "d d"]:
        """With the variances on the diagonal."""
        return covariances[component].diag()

    def free(self, components: int, dimension: int) -> int:
        """K d."""
        return components * dimension


class Spherical(Diagonal):
    """A variance for each component: covariances (K,)."""

    def unit(self, components: int, dimension: int) -> Tensor:
        """(K,)."""
        return torch.ones(components, dtype=torch.float64)

    def features(self, points: Float[Tensor, "n d"]) -> Features:
        """(n, d + 1): values and the sum of their squares."""
        return torch.cat([points, points.square().sum(1, keepdim=True)], 1)

    def density(self, means: Means, covariances: Tensor) -> Density:
        """Those of `Diagonal`, with the squares taken together."""
        spread = super().density(means, covariances[:, None].expand_as(means))
        return Density(spread.slopes[:, : means.shape[1] + 1], spread.constants)

    def fit(
        self, statistics: dict[str, Tensor], counts: Float[Tensor, " K"], dimension: int
    ) -> tuple[Means, Tensor]:
        """Weighted means, and variances averaged over the values."""
        moments = statistics["moments"] / counts[:, None]
        means = moments[:, :dimension]
        return means, (moments[:, dimension] - means.square().sum(1)) / dimension

    def dense(self, covariances: Tensor, component: int, dimension: int) -> Float[Tensor, "d d"]:
        """A multiple of the identity."""
        return covariances[component].expand(dimension).diag()

    def free(self, components: int, dimension: int) -> int:
        """K."""
        return components
