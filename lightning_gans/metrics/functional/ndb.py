"""Number of statistically different bins, the bins being those of k-means on training samples."""

import torch
from jaxtyping import Int64
from torch import Tensor

from lightning_gans.metrics.functional.modes import js

__all__ = ["Bins", "ndb", "ndb_js", "ndb_js_ideal"]

Bins = Int64[Tensor, " bins"]


def ndb(train: Bins, query: Bins, alpha: float = 0.05) -> int:
    """Number of statistically different bins (Richardson and Weiss, 2018).

    A bin is different if a two-sided test of two proportions with pooled variance says so. There
    is no correction for many bins: for a perfect sampler, ``alpha`` of them are different.

    Args:
        train: Training samples in each bin.
        query: Generated samples in each bin.
        alpha: Level of each test.
    """
    n, m = train.sum(), query.sum()
    pooled = (train + query).double() / (n + m)
    error = (pooled * (1 - pooled) * (1 / n + 1 / m)).sqrt()
    difference = (train.double() / n - query.double() / m).abs()
    bound = torch.special.ndtri(torch.tensor(1 - alpha / 2, dtype=torch.float64))
    return int((difference > bound * error).sum())


def ndb_js(train: Bins, query: Bins) -> float:
    """Jensen-Shannon divergence of the bins' shares (Richardson and Weiss, 2018), in nats."""
    return js(query, train.double() / train.sum()).item()


def ndb_js_ideal(bins: int, n: int, m: int) -> float:
    """What two samples of one law have of it on average: (K - 1)/8 (1/n + 1/m), to first order."""
    return (bins - 1) / 8 * (1 / n + 1 / m)
