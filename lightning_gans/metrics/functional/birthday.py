"""The support of a generator from how often it repeats itself (Arora and Zhang, 2017)."""

import math

from lightning_gans.errors import InputError
from lightning_gans.metrics.functional.distances import Points, blocks, nearest_others
from lightning_gans.metrics.functional.measured import Measured, poisson_interval

__all__ = ["birthday_support", "close_pairs", "collision_probability", "duplicate_distance"]


def collision_probability(support: int, draws: int) -> float:
    """P(two of ``draws`` are equal) of ``support`` equally likely ones, 1 - prod_i (1 - i/N)."""
    if draws > support:
        return 1.0
    return -math.expm1(sum(math.log1p(-i / support) for i in range(draws)))


def duplicate_distance(real: Points, quantile: float = 0.01) -> float:
    """Up to which distance two samples are one: a quantile of real samples' nearest distances.

    So this share of the real samples have a "duplicate" themselves, which `birthday_support` takes
    off. The paper leaves it to human eyes.

    Raises:
        InputError: The quantile is not between 0 and 1, or there are fewer than two samples.
    """
    if not 0 < quantile < 1:
        raise InputError(f"quantile is {quantile}; it must be above 0 and below 1")
    if len(real) < 2:
        raise InputError(f"there are {len(real)} real samples; at least 2 are needed")
    return nearest_others(real).quantile(quantile).item()


def close_pairs(points: Points, distance: float) -> int:
    """Pairs of points not farther apart than ``distance``."""
    found = 0
    for _, squares in blocks(points):
        # Pairs inside the block are there twice, and each point with itself once.
        near = squares <= distance**2
        inside = near[:, : len(near)]
        found += int(near.sum()) - int(inside.tril().sum())
    return found


def birthday_support(close: int, draws: int, real_close: int, real_draws: int) -> Measured:
    """An estimate of the support from near-duplicates (after Arora and Zhang, 2017).

    Of s samples of N equally likely atoms, s(s - 1)/2 / N pairs are equal on average. Pairs that
    are as close in real data are taken off first, in proportion to the number of pairs. If atoms
    are not equally likely, it is 1 / sum_i p_i^2, which is below their number.

    Args:
        close: Pairs of generated samples within the duplicates' distance.
        draws: Generated samples.
        real_close: Pairs of real samples within it.
        real_draws: Real samples.

    Returns:
        The support, infinite if there are no more duplicates than in real data; its interval joins
        exact Poisson intervals of both counts, so it covers in 95 % of cases or more.
    """
    pairs = draws * (draws - 1) / 2
    scale = pairs / (real_draws * (real_draws - 1) / 2)
    (low, high), (real_low, real_high) = poisson_interval(close), poisson_interval(real_close)

    def support(excess: float) -> float:
        return pairs / excess if excess > 0 else math.inf

    return Measured(
        value=support(close - scale * real_close),
        ideal=math.inf,
        n=draws,
        low=support(high - scale * real_low),
        high=support(low - scale * real_high),
    )
