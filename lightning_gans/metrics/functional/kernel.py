"""The kernel distance of two samples: a squared maximum mean discrepancy, without bias."""

import torch
from jaxtyping import Float
from torch import Tensor

from lightning_gans.errors import InputError
from lightning_gans.metrics.functional.checks import check_samples

__all__ = ["kernel_distance", "kernel_distance_subsets"]

_ROWS = 512


def _kernel(left: Tensor, right: Tensor) -> Tensor:
    """(x.y / d + 1)^3 of all pairs."""
    return (left @ right.T).div_(left.shape[1]).add_(1).pow_(3)


def _mean_of_pairs(left: Tensor, right: Tensor) -> Tensor:
    total = sum(_kernel(part, right).sum() for part in left.split(_ROWS))
    return total / (len(left) * len(right))


def _mean_of_others(points: Tensor) -> Tensor:
    """Mean kernel of two different ones."""
    total = points.new_zeros(())
    for first in range(0, len(points), _ROWS):
        # Each pair once: those inside the block are there twice.
        values = _kernel(points[first : first + _ROWS], points[first:]).fill_diagonal_(0)
        rows = len(values)
        total += values[:, :rows].sum() + 2 * values[:, rows:].sum()
    return total / (len(points) * (len(points) - 1))


def kernel_distance(left: Float[Tensor, "n d"], right: Float[Tensor, "m d"]) -> float:
    """Squared MMD without bias, by the kernel (x.y / d + 1)^3 (KID, Binkowski et al., 2018).

    Of all samples, in 64 bits, a block of rows at a time. It is 0 on average where both are of one
    law, so it may be negative.

    Args:
        left: Features (n, d).
        right: Features (m, d).

    Raises:
        InputError: A side has fewer than 2 samples, or some are not finite.
    """
    check_samples(left, 2, "left")
    check_samples(right, 2, "right")
    left, right = left.double(), right.double()
    own = _mean_of_others(left) + _mean_of_others(right)
    return (own - 2 * _mean_of_pairs(left, right)).item()


def kernel_distance_subsets(
    left: Float[Tensor, "n d"],
    right: Float[Tensor, "m d"],
    subsets: int = 100,
    size: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Mean and standard deviation of `kernel_distance` over subsets (Binkowski et al., 2018).

    This is how the number is mostly printed. The deviation (over subsets, not subsets - 1) is no
    standard error: subsets overlap.

    Args:
        left: Features (n, d).
        right: Features (m, d).
        subsets: How many.
        size: Samples of each side in a subset, without replacement.
        seed: Of an own random generator.

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

    values = [kernel_distance(drawn(left), drawn(right)) for _ in range(subsets)]
    found = torch.tensor(values, dtype=torch.float64)
    return found.mean().item(), found.std(correction=0).item()
