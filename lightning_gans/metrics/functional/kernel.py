"""The kernel distance of two samples: a squared maximum mean discrepancy, without bias."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from lightning_gans.errors import InputError
from lightning_gans.metrics.functional.checks import check_samples
from lightning_gans.metrics.functional.distances import Points
from lightning_gans.metrics.functional.measured import Measured

__all__ = ["Kernels", "kernel_distance", "kernel_distance_subsets", "kernels"]

_ROWS = 512
_NORMAL = 1.959963984540054  # 97.5 % of the normal law lie below


class Kernels(NamedTuple):
    """Samples and what `kernel_distance` needs of them alone, to be kept between calls.

    Attributes:
        points: Samples (n, d).
        others: Mean kernel (n,) of each with the n - 1 others.
    """

    points: Points
    others: Float64[Tensor, " n"]


def _kernel(left: Tensor, right: Tensor) -> Tensor:
    """(x.y / d + 1)^3 of all pairs."""
    return (left @ right.T).div_(left.shape[1]).add_(1).pow_(3)


def kernels(points: Points) -> Kernels:
    """Mean kernel of each sample with the others.

    Args:
        points: Features (n, d).

    Raises:
        InputError: There are fewer than 2, or some are not finite.
    """
    check_samples(points, 2, "given")
    sides = points.double()
    sums = sides.new_zeros(len(points))
    for first in range(0, len(points), _ROWS):
        # Each pair once: those inside the block are there twice.
        values = _kernel(sides[first : first + _ROWS], sides[first:]).fill_diagonal_(0)
        rows = len(values)
        sums[first : first + rows] += values.sum(1)
        sums[first + rows :] += values[:, rows:].sum(0)
    return Kernels(points, sums / (len(points) - 1))


def kernel_distance(
    left: Float[Tensor, "n d"] | Kernels, right: Float[Tensor, "m d"] | Kernels
) -> Measured:
    """Squared MMD without bias, by the kernel (x.y / d + 1)^3 (KID, Binkowski et al., 2018).

    Of all samples, in 64 bits, a block of rows at a time; the sides may be of different sizes. It
    is 0 on average where both are of one law, so it may be negative.

    Args:
        left: Features (n, d), or their `kernels`.
        right: Features (m, d), or theirs.

    Returns:
        The distance of m samples, with the normal interval of a U-statistic (Hoeffding, 1948),
        which is too wide where both are of one law.

    Raises:
        InputError: A side has fewer than 2 samples, or some are not finite.
    """
    one, other = (side if isinstance(side, Kernels) else kernels(side) for side in (left, right))
    n, m = len(one.points), len(other.points)
    mine, theirs = one.points.double(), other.points.double()
    across, along = mine.new_empty(n), mine.new_zeros(m)
    for first in range(0, n, _ROWS):
        values = _kernel(mine[first : first + _ROWS], theirs)
        across[first : first + _ROWS] = values.mean(1)
        along += values.sum(0)
    parts = one.others - across, other.others - along / n
    value = sum(part.mean() for part in parts).item()
    reach = _NORMAL * 2 * sum(part.var() / len(part) for part in parts).sqrt().item()
    return Measured(value, 0.0, m, value - reach, value + reach)


def kernel_distance_subsets(
    left: Float[Tensor, "n d"],
    right: Float[Tensor, "m d"],
    subsets: int = 100,
    size: int = 1000,
    seed: int = 0,
) -> Measured:
    """Mean of `kernel_distance` over subsets, as it is mostly printed (Binkowski et al., 2018).

    Args:
        left: Features (n, d).
        right: Features (m, d).
        subsets: How many.
        size: Samples of each side in a subset, without replacement.
        seed: Of an own random generator.

    Returns:
        The mean, with a normal interval by the delete-d jackknife (Shao and Wu, 1989): subsets of
        k from n are the less different the fewer are left out, so that their variance is that of
        all n when multiplied by k / (n - k). None where a subset is all of a side.

    Raises:
        InputError: A side has fewer samples than ``size``, or some are not finite; ``size`` is
            below 2 or ``subsets`` below 1.
    """
    if subsets < 1 or size < 2:
        raise InputError(f"{subsets} subsets of {size}; there must be at least 1 of at least 2")
    check_samples(left, size, "left")
    check_samples(right, size, "right")
    source = torch.Generator().manual_seed(seed)

    def drawn(points: Tensor) -> Tensor:
        return points[torch.randperm(len(points), generator=source)[:size].to(points.device)]

    values = [kernel_distance(drawn(left), drawn(right)).value for _ in range(subsets)]
    found = torch.tensor(values, dtype=torch.float64)
    value, left_out = found.mean().item(), min(len(left), len(right)) - size
    if not left_out:
        return Measured(value, 0.0, len(right))
    reach = _NORMAL * (found.var(correction=0) * (size / left_out + 1 / subsets)).sqrt().item()
    return Measured(value, 0.0, len(right), value - reach, value + reach)
