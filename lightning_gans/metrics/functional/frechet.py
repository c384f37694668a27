"""The Frechet distance of two normal laws, from features, from their moments or from a factor.

A covariance S enters by a factor A, S = A A^T. Of n <= d samples n - 1 contrasts of the rows are
one; else it takes an eigendecomposition, which for real data is done once and kept (`factored`).
"""

from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from lightning_gans.errors import InputError
from lightning_gans.metrics.functional.checks import check_samples
from lightning_gans.metrics.functional.distances import Points

__all__ = ["Factored", "Moments", "Sums", "factored", "frechet_distance", "moments"]

_ROWS = 4096
_COLUMNS = 256
_NEGLIGIBLE = 1e-6
_LOST = 1e-12
"""Of the largest eigenvalue: of smaller ones too few digits are left."""


class Moments(NamedTuple):
    """Mean and covariance of samples.

    Attributes:
        n: Number of samples.
        mean: (d,).
        covariance: (d, d), the sum over samples divided by n - 1.
    """

    n: int
    mean: Float64[Tensor, " d"]
    covariance: Float64[Tensor, "d d"]


class Factored(NamedTuple):
    """Mean and a factor of the covariance; ``Factored(**saved)`` brings back ``_asdict()``.

    Attributes:
        n: Number of samples.
        mean: (d,).
        factor: A (d, r) with A A^T = the covariance of `Moments`; r is about its rank.
    """

    n: int
    mean: Float64[Tensor, " d"]
    factor: Float64[Tensor, "d r"]


Law = TypeVar("Law", Moments, Factored)


class Sums(NamedTuple):
    """What adds up over batches and processes to `Moments`.

    Attributes:
        n: Number of samples ().
        total: Sum of x - shift (d,).
        products: Sum of (x - shift)(x - shift)^T (d, d).
        shift: A fixed vector (d,) close to the mean, the same on all processes; it costs digits
            where it is many standard deviations away.
    """

    n: Int64[Tensor, ""]
    total: Float64[Tensor, " d"]
    products: Float64[Tensor, "d d"]
    shift: Float64[Tensor, " d"]

    @classmethod
    def zero(cls, shift: Float[Tensor, " d"]) -> "Sums":
        """Of no samples."""
        shift = shift.double()
        return cls(
            n=torch.zeros((), dtype=torch.int64, device=shift.device),
            total=torch.zeros_like(shift),
            products=torch.zeros_like(shift).diag(),
            shift=shift,
        )

    def add(self, features: Points) -> None:
        """Take in features (n, d): the tensors change in place."""
        centred = features.double() - self.shift
        self.n.add_(len(features))
        self.total.add_(centred.sum(0))
        self.products.addmm_(centred.T, centred)

    def moments(self) -> Moments:
        """Mean and covariance of what was added.

        Raises:
            InputError: That were fewer than 2 samples, or some were not finite.
        """
        n = int(self.n)
        if n < 2:
            raise InputError(f"there are {n} samples; a covariance needs at least 2")
        if not self.total.isfinite().all():
            raise InputError("some samples are not finite; leave them out")
        mean = self.total / n
        covariance = (self.products - self.total[:, None] * mean) / (n - 1)
        return Moments(n, mean + self.shift, (covariance + covariance.T) / 2)


def moments(features: Points) -> Moments:
    """Mean and covariance of features (n, d).

    Raises:
        InputError: There are fewer than 2, or some are not finite.
    """
    check_samples(features, 2, "given")
    sums = Sums.zero(features.mean(0, dtype=torch.float64))
    for part in features.split(_ROWS):
        sums.add(part)
    return sums.moments()


def factored(sample: Points | Moments) -> Factored:
    """Mean and a factor of the covariance: what `frechet_distance` needs of real data.

    Args:
        sample: Features (n, d), or their moments. Of n <= d features no eigenvectors are needed.

    Raises:
        InputError: There are fewer than 2 samples, or some are not finite.
    """
    if not isinstance(sample, Moments):
        check_samples(sample, 2, "given")
        n, d = sample.shape
        if n <= d:
            mean = sample.mean(0, dtype=torch.float64)
            centred = sample.double() - mean
            # A reflection that turns (1, 1, ... 1), in which nothing varies, into the first axis.
            contrasts = centred[1:].add_(centred[0] / (n**0.5 - 1))
            return Factored(n, mean, contrasts.div_((n - 1) ** 0.5).T)
        sample = moments(sample)
    values, vectors = (part.flip(-1) for part in torch.linalg.eigh(sample.covariance))
    # Below this an eigenvalue is rounding, of which the root would be a great deal.
    kept = values > values[0].clamp(min=0) * len(values) * torch.finfo(values.dtype).eps
    return Factored(sample.n, sample.mean, vectors[:, kept] * values[kept].sqrt())


def frechet_distance(
    left: Float[Tensor, "n d"] | Moments | Factored,
    right: Float[Tensor, "m d"] | Moments | Factored,
) -> float:
    """Squared Frechet distance of normal laws (Dowson and Landau, 1982; FID, Heusel et al., 2017).

    |mean - mean'|^2 + tr S + tr S' - 2 tr (S S')^(1/2), at least 0. The same number to the last
    bit if both change places.

    Args:
        left: Features (n, d), their moments, or these factored, which is fastest.
        right: The same.

    Raises:
        InputError: A side has fewer than 2 samples, or some are not finite; the dimensions differ;
            or the distance is negative by more than rounding: what was given is no covariance.
    """
    left, right = _prepared(left), _prepared(right)
    if len(left.mean) != len(right.mean):
        raise InputError(
            f"the features have {len(left.mean)} and {len(right.mean)} dimensions; "
            "they must have as many"
        )
    if isinstance(left, Moments) and isinstance(right, Moments):
        left, right = _ordered(left, right)
        left = factored(left)
    common = _root_trace(left, right)
    variance = _trace(left) + _trace(right)
    distance = ((left.mean - right.mean).square().sum() + variance - 2 * common).item()
    if distance < -_NEGLIGIBLE * variance.item():
        raise InputError(f"the Frechet distance came out as {distance:.3g}: no covariances")
    return max(distance, 0.0)


def _prepared(sample: Tensor | Moments | Factored) -> Moments | Factored:
    """Factored where there are no more samples than dimensions: products of S lose digits then."""
    if isinstance(sample, Tensor):
        return factored(sample) if len(sample) <= sample.shape[1] else moments(sample)
    if isinstance(sample, Moments) and sample.n <= len(sample.mean):
        return factored(sample)
    return sample


def _ordered(left: Law, right: Law) -> tuple[Law, Law]:
    """The same order whichever is named first, by their covariances or factors."""
    one, other = left[-1], right[-1]
    if one.shape == other.shape:
        first = (one != other).flatten().byte().argmax()
        swapped = bool(one.flatten()[first] > other.flatten()[first])
    else:
        swapped = one.shape > other.shape
    return (right, left) if swapped else (left, right)


def _trace(law: Moments | Factored) -> Tensor:
    if isinstance(law, Factored):
        return torch.linalg.vector_norm(law.factor).square()
    return law.covariance.trace()


def _root_trace(left: Moments | Factored, right: Moments | Factored) -> Tensor:
    """Trace of (S S')^(1/2): the singular values of A^T A', or roots of eigenvalues of A^T S' A.

    The latter is faster where S' has full rank, and less exact where it has not.
    """
    if isinstance(left, Factored) and isinstance(right, Factored):
        left, right = _ordered(left, right)
        return _nuclear_norm(left.factor.T @ right.factor)
    if isinstance(left, Moments):
        left, right = right, left
    return _eigenvalues(left.factor.T @ right.covariance, left.factor).clamp(min=0).sqrt().sum()


def _nuclear_norm(product: Tensor) -> Tensor:
    """Sum of the singular values: roots of the eigenvalues of the smaller square, a fifth the time.

    Squares have half the digits ("FastFID", Mathiasen and Hvilshoj, 2020), so they are taken only
    where none of their eigenvalues is too small.
    """
    wide = product if len(product) <= product.shape[1] else product.T
    squares = _eigenvalues(wide, wide.T)
    if squares[0] > _LOST * squares[-1]:
        return squares.sqrt().sum()
    return torch.linalg.svdvals(product).sum()


def _eigenvalues(left: Tensor, right: Tensor) -> Tensor:
    """Of the symmetric ``left @ right``, of which only the lower triangle is looked at.

    A factor's columns fall from left to right, and so do the product's entries. Reducing it from
    that end keeps the digits of small eigenvalues; from the other half of them are lost.
    """
    product = left.new_empty(len(left), len(left))
    for first in range(0, len(left), _COLUMNS):
        columns = slice(first, first + _COLUMNS)
        product[first:, columns] = left[first:] @ right[:, columns]
    return torch.linalg.eigvalsh(product)
