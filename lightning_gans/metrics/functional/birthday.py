"""The support of a generator from how often it repeats itself (Arora and Zhang, 2017)."""

import math

import torch
from jaxtyping import Int64
from torch import Tensor

from lightning_gans.errors import InputError
from lightning_gans.metrics.functional.distances import Points, blocks, nearest_others
from lightning_gans.metrics.functional.measured import Measured, poisson_interval

__all__ = ["birthday_support", "collision_probability", "duplicate_distance", "duplicates"]

Duplicates = Int64[Tensor, " n"]


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


def duplicates(points: Points, distance: float) -> Duplicates:
    """How many others are not farther than ``distance`` from each point (n,)."""
    found = torch.zeros(len(points), dtype=torch.int64)
    for first, squares in blocks(points):
        near, past = squares <= distance**2, first + len(squares)
        found[first:past] += near.sum(1) - 1
        found[past:] += near[:, len(near) :].sum(0)
    return found


def _pairs(found: Duplicates) -> tuple[float, float, float]:
    """Pairs of duplicates, and a 95 % interval of their mean.

    Pairs that share a sample come together: where some samples have many duplicates the pairs vary
    more than a Poisson count. Its exact interval is widened by that ratio of variances, which the
    pairs of pairs that share a sample tell: Var(c) = E(c) + 2 (E(shared) - what chance shares).
    """
    n, pairs = len(found), found.sum().item() / 2
    if pairs == 0:
        return 0.0, *poisson_interval(0)
    chance = pairs / (n * (n - 1) / 2)
    shared = (found * (found - 1)).sum().item() / 2 - n * (n - 1) * (n - 2) / 2 * chance**2
    ratio = max(1.0, 1 + 2 * shared / pairs)
    low, high = poisson_interval(pairs / ratio)
    return pairs, low * ratio, high * ratio


def birthday_support(generated: Duplicates, real: Int64[Tensor, " real"]) -> Measured:
    """An estimate of the support from near-duplicates (after Arora and Zhang, 2017).

    Of s samples of N equally likely atoms, s(s - 1)/2 / N pairs are equal on average. Pairs that
    are as close in real data are taken off first, in proportion to the number of pairs. If atoms
    are not equally likely, it is 1 / sum_i p_i^2, which is below their number.

    Args:
        generated: Duplicates of each generated sample (`duplicates`).
        real: Those of each real sample, at the same distance.

    Returns:
        The support, infinite if there are no more duplicates than in real data; its interval joins
        those of both numbers of pairs.
    """
    draws = len(generated)
    pairs = draws * (draws - 1) / 2
    scale = pairs / (len(real) * (len(real) - 1) / 2)
    close, low, high = _pairs(generated)
    real_close, real_low, real_high = _pairs(real)

    def support(excess: float) -> float:
        return pairs / excess if excess > 0 else math.inf

    return Measured(
        value=support(close - scale * real_close),
        ideal=math.inf,
        n=draws,
        low=support(high - scale * real_low),
        high=support(low - scale * real_high),
    )
