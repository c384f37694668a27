"""Number of statistically different bins, the bins being found by k-means on training samples."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lightning_gans.errors import InputError
from lightning_gans.metrics.functional.distances import Points, nearest
from lightning_gans.metrics.functional.modes import js

__all__ = ["Bins", "kmeans", "ndb", "ndb_js", "ndb_js_ideal"]

Bins = Int64[Tensor, " bins"]


def _first_centres(points: Tensor, bins: int, source: torch.Generator) -> Tensor:
    """Points drawn in proportion to their squared distance from those before (k-means++)."""
    chosen = [torch.randint(len(points), (1,), generator=source)]
    least = (points - points[chosen[0]]).square().sum(1)
    for _ in range(1, bins):
        # Fewer distinct points than bins: the rest are drawn evenly and stay empty.
        chances = least if least.any() else torch.ones_like(least)
        chosen.append(torch.multinomial(chances, 1, generator=source))
        least = torch.minimum(least, (points - points[chosen[-1]]).square().sum(1))
    return points[torch.cat(chosen)]


def kmeans(
    points: Points, bins: int, seed: int = 0, iterations: int = 100
) -> Float[Tensor, "bins d"]:
    """Centres by Lloyd's iteration (1982) from k-means++ (Arthur and Vassilvitskii, 2007).

    Args:
        points: (n, d), all finite.
        bins: Number of centres, 1 to n.
        seed: Of an own random generator.
        iterations: At most; it ends when no point changes its bin.

    Raises:
        InputError: There are fewer points than bins.
    """
    if not 1 <= bins <= len(points):
        raise InputError(f"bins is {bins}; it must be 1 to {len(points)}, the number of points")
    centres = _first_centres(points, bins, torch.Generator().manual_seed(seed))
    before = torch.full((len(points),), -1)
    for _ in range(iterations):
        told = nearest(points, centres)
        if torch.equal(told, before):
            break
        before = told
        sizes = told.bincount(minlength=bins)[:, None]
        sums = torch.zeros_like(centres).index_add_(0, told, points)
        centres = torch.where(sizes > 0, sums / sizes.clamp(min=1), centres)
    return centres


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
