"""Mixtures of Gaussians as laws: exact density, known modes, samples by seed."""

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lightning_gans.errors import InputError

__all__ = ["Gaussians", "overlapping", "power_weights"]

Points = Float[Tensor, "n d"]

_ROUNDING = 1e-5


class Gaussians:
    """A mixture of Gaussians.

    Args:
        means: Centres (K, d).
        covariances: (K, d, d), symmetric and positive definite.
        weights: Shares (K,) of the modes, above 0; they are scaled to sum to 1. None: equal.

    Attributes:
        means: (K, d), as all that follows in 64 bits on the CPU.
        weights: (K,), summing to 1.
        scales: Lower triangular L (K, d, d) with L L^T = covariance.

    Raises:
        InputError: The shapes disagree, or a number is out of range.
    """

    def __init__(self, means: Tensor, covariances: Tensor, weights: Tensor | None = None) -> None:
        modes, dimension = means.shape
        if weights is None:
            weights = torch.ones(modes, dtype=torch.float64)
        if covariances.shape != (modes, dimension, dimension):
            raise InputError(
                f"the covariances have the shape {tuple(covariances.shape)}; for {modes} means in "
                f"{dimension} dimensions it must be {(modes, dimension, dimension)}"
            )
        if weights.shape != (modes,) or not bool((weights > 0).all()):
            raise InputError(f"the weights must be {modes} numbers above 0, one for each mode")
        self.means, self.weights = means.double(), weights.double() / weights.double().sum()
        self.scales, failed = torch.linalg.cholesky_ex(covariances.double())
        # Against the variances: a covariance may be as small as their product lets it.
        scale = covariances.diagonal(dim1=1, dim2=2).abs().amax(1)
        crooked = (covariances - covariances.mT).abs().amax((1, 2)) > _ROUNDING * scale
        if (wrong := crooked | (failed > 0)).any():
            raise InputError(
                f"the covariance of mode {int(wrong.nonzero()[0])} (from 0) is not symmetric and "
                "positive definite: look at data.covariances"
            )
        self._inverses = torch.linalg.inv(self.scales)
        self._log_sizes = self.scales.diagonal(dim1=1, dim2=2).log().sum(1)
        # What is drawn on every batch, in 32 bits as networks want it.
        self._edges = self.weights.cumsum(0)[:-1].float()
        self._means, self._scales = self.means.float(), self.scales.float()

    def sample(self, n: int, generator: torch.Generator) -> tuple[Points, Int64[Tensor, " n"]]:
        """``n`` points (n, d) and the modes (n,) they belong to."""
        modes = torch.bucketize(torch.rand(n, generator=generator), self._edges, right=True)
        noise = torch.randn(n, self.means.shape[1], 1, generator=generator)
        return torch.baddbmm(self._means[modes, :, None], self._scales[modes], noise)[..., 0], modes

    def squared_distances(self, points: Points) -> Float[Tensor, "n K"]:
        """Squared Mahalanobis distance of each point from each mode."""
        offsets = points.double()[:, None] - self.means
        return torch.einsum("kij,nkj->nki", self._inverses, offsets).square().sum(2)

    def likeliest(self, points: Points) -> tuple[Points, Int64[Tensor, " n"]]:
        """The modes (n,) that points most probably come from, and their places in these (n, d).

        A place is L^-1 (x - mean), in standard deviations: its squared length is Mahalanobis'. Of
        equal modes the likeliest is the nearest; of others a wide one may be nearer by this length
        to what a narrow one has made.
        """
        modes = self._exponents(points).argmax(1)
        offsets = points.double() - self.means[modes]
        return torch.einsum("nij,nj->ni", self._inverses[modes], offsets), modes

    def log_prob(self, points: Points) -> Float[Tensor, " n"]:
        """Natural logarithm of the density at each point."""
        exponents = self._exponents(points).logsumexp(1)
        return exponents - self.means.shape[1] / 2 * math.log(2 * math.pi)

    def _exponents(self, points: Points) -> Float[Tensor, "n K"]:
        """Logarithms of weight and density, but for what all modes share."""
        return self.weights.log() - self._log_sizes - self.squared_distances(points) / 2


def overlapping(law: Gaussians, deviations: float = 3.0) -> list[tuple[int, int]]:
    """Pairs of modes whose ellipsoids of so many standard deviations meet.

    Along the line between two centres only: where axes differ, ellipsoids may meet elsewhere.
    """
    offsets = law.means[:, None] - law.means
    lengths = offsets.norm(dim=2)
    directions = offsets / lengths.clamp(min=torch.finfo(lengths.dtype).tiny)[..., None]
    # The line along u leaves the ellipsoid of one deviation at 1 / |L^-1 u| from its centre.
    along = torch.einsum("iab,ijb->ija", torch.linalg.inv(law.scales), directions).norm(dim=2)
    # Where centres are the same, both sides are 0.
    meet = lengths * along * along.T <= deviations * (along + along.T)
    return [(i, j) for i, j in meet.nonzero().tolist() if i < j]


def power_weights(modes: int, power: float) -> Float[Tensor, " modes"]:
    """Weights of modes that fall as 1, 2^-power, 3^-power ...; equal at power 0."""
    weights = torch.arange(1, modes + 1, dtype=torch.float64) ** -power
    return weights / weights.sum()
