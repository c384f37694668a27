"""Covariances that are matrices: of each component, or of all."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from lightning_gans.objectives.covariances import (
    Covariance,
    Density,
    Features,
    Means,
    refuse_singular,
    weighted_sums,
)

__all__ = ["Full", "Tied"]


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
    refuse_singular(failed.reshape(-1) > 0)
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
        return {"moments": weighted_sums(shares.T, features), "pairs": features.T @ features}

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
