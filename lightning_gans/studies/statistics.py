"""Means, differences and their doubts over seeds."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtr, stdtrit

__all__ = ["Difference", "Mean", "holm", "mean_interval", "paired"]

_OF_ROUNDING = 1 / math.sqrt(6)
"""Standard deviation of what rounding to a whole number does to a difference of two."""
_NOISE = 1e-9
"""Of floats that should be equal, relative to their size."""


@dataclass(frozen=True)
class Mean:
    """A mean over seeds.

    Args:
        value: It.
        low: Lower end of its 95 % interval; None of one seed.
        high: Upper end.
        n: Seeds.
    """

    value: float
    low: float | None
    high: float | None
    n: int

    def __neg__(self) -> "Mean":
        """Of the numbers with the other sign."""
        ends = (None if end is None else 0.0 - end for end in (self.high, self.low))
        return Mean(0.0 - self.value, *ends, self.n)

    def overlaps(self, other: "Mean") -> bool:
        """Whether both intervals have a point in common; true where one has no interval."""
        if None in (self.low, self.high, other.low, other.high):
            return True
        return self.low <= other.high and other.low <= self.high


@dataclass(frozen=True)
class Difference:
    """The mean difference of two models over the seeds that both have.

    Args:
        mean: It, with its interval.
        p: How probable one as large is if there is none, two-sided; 1 of one seed.
    """

    mean: Mean
    p: float


def mean_interval(values: Sequence[float], least_spread: float = 0.0) -> Mean:
    """The mean, with Student's 95 % interval (Student, 1908), of one value or more.

    Args:
        values: They.
        least_spread: Their standard deviation is taken to be this at least.
    """
    n, mean = len(values), statistics.fmean(values)
    if n == 1:
        return Mean(mean, None, None, 1)
    spread = max(statistics.stdev(values), least_spread)
    half = float(stdtrit(n - 1, 0.975)) * spread / math.sqrt(n)
    return Mean(mean, mean - half, mean + half, n)


def paired(first: Sequence[float], second: Sequence[float], step: float = 0.0) -> Difference:
    """Student's paired test (Student, 1908) of ``first`` - ``second``.

    Args:
        first: Of each seed.
        second: Of the same seeds.
        step: Between values that there can be, 1 of a count: differences are taken to spread by no
            less than rounding to it makes them (Sheppard, 1898). Where they are one number all the
            same, there is no scale to go by: then the sign test (Arbuthnot, 1710) says 2^(1 - n).
    """
    differences = [a - b for a, b in zip(first, second, strict=True)]
    n, least = len(differences), step * _OF_ROUNDING
    if n == 1 or not any(differences):
        return Difference(mean_interval(differences, least), 1.0)
    mean = mean_interval(differences, least)
    spread = max(statistics.stdev(differences), least)
    if spread <= _NOISE * abs(mean.value):
        return Difference(mean, 2.0 ** (1 - n))
    t = abs(mean.value) / (spread / math.sqrt(n))
    return Difference(mean, 2 * float(stdtr(n - 1, -t)))


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's (1979) correction: the least level at which each is still rejected, at most 1."""
    order = sorted(range(len(ps)), key=ps.__getitem__)
    adjusted, worst = [0.0] * len(ps), 0.0
    for rank, place in enumerate(order):
        worst = max(worst, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = worst
    return adjusted
