"""Covariances of the Gaussians of a mixture: how they are bound, and both turns of fitting them."""

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lightning_gans.types import InputError

__all__ = ["Covariance", "Density", "Diagonal", "Features", "Full", "Spherical", "Tied"]

Features = Float[Tensor, "n f"]
Means = Float[Tensor, "K d"]


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
        return {"moments": shares.T @ features}

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


def _refuse_singular(singular: Bool[Tensor, " K"]) -> None:
    if singular.any():
        raise InputError(
            f"the covariance of component {int(singular.nonzero()[0])} is singular: some values "
            "of its events are constant, or follow from others; raise model.reg_covar, or ask for "
            "fewer components or a simpler model.covariance"
        )


def _outer(points: Float[Tensor, "n d"]) -> Float[Tensor, "n pairs"]:
    """Products of all pairs of values, each pair once: row by row of the upper triangle."""
    n, d = points.shape
    products, start = points.new_empty(n, d * (d + 1) // 2), 0
    for i in range(d):
        torch.mul(points[:, i:], points[:, i, None], out=products[:, start : start + d - i])
        start += d - i
    return products


def _symmetric(pairs: Float[Tensor, "K pairs"], dimension: int) -> Float[Tensor, "K d d"]:
    """Matrices from the rows of their upper triangles."""
    rows, columns = torch.triu_indices(dimension, dimension, device=pairs.device)
    matrices = pairs.new_empty(len(pairs), dimension, dimension)
    matrices[:, rows, columns] = matrices[:, columns, rows] = pairs
    return matrices


def _factors(covariances: Float[Tensor, "*K d d"]) -> Float[Tensor, "*K d d"]:
    """Lower triangular L with L L^T = covariance."""
    factors, failed = torch.linalg.cholesky_ex(covariances)
    _refuse_singular(failed.reshape(-1) > 0)
    return factors


def _log_sizes(factors: Float[Tensor, "*K d d"]) -> Float[Tensor, "*K"]:
    """Half the logarithm of (2 pi)^d times the covariance's determinant."""
    logs = factors.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return logs + factors.shape[-1] / 2 * math.log(2 * math.pi)


class _Matrices(Covariance):
    """Covariances that are matrices."""

    def widened(self, covariances: Tensor, variance: float) -> Tensor:
        """``covariances`` with ``variance`` added to their diagonals."""
        return covariances + variance * torch.eye(covariances.shape[-1]).to(covariances)

    def unbound(self, covariances: Tensor) -> Tensor:
        """Their Cholesky factors, the diagonals as logarithms."""
        factors = _factors(covariances)
        return factors.tril(-1) + factors.diagonal(dim1=-2, dim2=-1).log().diag_embed()

    def bound(self, numbers: Tensor) -> Tensor:
        """L L^T with L of those numbers."""
        factors = numbers.tril(-1) + numbers.diagonal(dim1=-2, dim2=-1).exp().diag_embed()
        return factors @ factors.mT


class Full(_Matrices):
    """A matrix for each component: covariances (K, d, d)."""

    def unit(self, components: int, dimension: int) -> Tensor:
        """(K, d, d)."""
        return torch.eye(dimension, dtype=torch.float64).repeat(components, 1, 1)

    def features(self, points: Float[Tensor, "n d"]) -> Features:
        """(n, d + d (d + 1) / 2): values and products of all pairs."""
        return torch.cat([points, _outer(points)], 1)

    def density(self, means: Means, covariances: Tensor) -> Density:
        """Each component's own slopes."""
        factors = _factors(covariances)
        precisions = torch.cholesky_inverse(factors)
        rows, columns = torch.triu_indices(*precisions.shape[1:], device=means.device)
        # Pairs of two different values stand for both orders.
        halves = torch.where(rows == columns, 0.5, 1.0).to(means)
        slopes = torch.einsum("kij,kj->ki", precisions, means)
        pairs = -halves * precisions[:, rows, columns]
        constants = -_log_sizes(factors) - (slopes * means).sum(1) / 2
        return Density(torch.cat([slopes, pairs], 1), constants)

    def fit(
        self, statistics: dict[str, Tensor], counts: Float[Tensor, " K"], dimension: int
    ) -> tuple[Means, Tensor]:
        """Weighted means and covariances."""
        moments = statistics["moments"] / counts[:, None]
        means, second = moments[:, :dimension], _symmetric(moments[:, dimension:], dimension)
        return means, second - means[:, :, None] * means[:, None]

    def dense(self, covariances: Tensor, component: int, dimension: int) -> Float[Tensor, "d d"]:
        """It is one."""
        return covariances[component]

    def free(self, components: int, dimension: int) -> int:
        """K d (d + 1) / 2."""
        return components * dimension * (dimension + 1) // 2


class Tied(_Matrices):
    """One matrix for all components: covariances (d, d)."""

    def unit(self, components: int, dimension: int) -> Tensor:
        """(d, d)."""
        return torch.eye(dimension, dtype=torch.float64)

    def features(self, points: Float[Tensor, "n d"]) -> Features:
        """(n, d): the products of values have the same slopes in all components."""
        return points

    def density(self, means: Means, covariances: Tensor) -> Density:
        """Slopes of the values alone."""
        factor = _factors(covariances)
        slopes = torch.cholesky_solve(means.T, factor).T
        constants = -_log_sizes(factor) - (slopes * means).sum(1) / 2
        identity = torch.eye(len(factor)).to(factor)
        whitening = torch.linalg.solve_triangular(factor, identity, upper=False)
        return Density(slopes, constants, whitening.T)

    def statistics(self, features: Features, shares: Float[Tensor, "n K"]) -> dict[str, Tensor]:
        """Weighted values, and the products of pairs, which no share changes."""
        return {"moments": shares.T @ features, "pairs": features.T @ features}

    def fit(
        self, statistics: dict[str, Tensor], counts: Float[Tensor, " K"], dimension: int
    ) -> tuple[Means, Tensor]:
        """Weighted means, and the covariance about them."""
        means = statistics["moments"] / counts[:, None]
        between = means.T @ (counts[:, None] * means)
        return means, (statistics["pairs"] - between) / counts.sum()

    def dense(self, covariances: Tensor, component: int, dimension: int) -> Float[Tensor, "d d"]:
        """That of all."""
        return covariances

    def free(self, components: int, dimension: int) -> int:
        """D (d + 1) / 2."""
        return dimension * (dimension + 1) // 2


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
        _refuse_singular((covariances <= 0).any(1))
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
