"""A number that was measured, with what a perfect sampler gets and how far chance goes."""

from typing import NamedTuple

__all__ = ["Measured", "binomial_interval", "poisson_interval"]

_TAIL = 0.025


class Measured(NamedTuple):
    """A measured number and what it is to be compared with.

    Attributes:
        value: What was measured.
        ideal: What a perfect sampler gets on average at this ``n``; None where nobody knows.
        n: Samples that entered, those that are not finite included.
        low: Lower end of a 95 % interval, None if there is none.
        high: Its upper end.
    """

    value: float
    ideal: float | None
    n: int
    low: float | None = None
    high: float | None = None


def binomial_interval(hits: int, n: int) -> tuple[float, float]:
    """Exact 95 % interval of a share, ``hits`` of ``n`` (Clopper and Pearson, 1934)."""
    from scipy.special import betaincinv

    low = betaincinv(hits, n - hits + 1, _TAIL) if hits > 0 else 0.0
    high = betaincinv(hits + 1, n - hits, 1 - _TAIL) if hits < n else 1.0
    return float(low), float(high)


def poisson_interval(count: int | float) -> tuple[float, float]:
    """Exact 95 % interval of the mean of a Poisson ``count`` (Garwood, 1936)."""
    from scipy.special import gammaincinv

    low = gammaincinv(count, _TAIL) if count > 0 else 0.0
    return float(low), float(gammaincinv(count + 1, 1 - _TAIL))
