"""K-means: centres of many points, and which of them is the nearest."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lightning_gans.types import InputError

__all__ = ["Points", "kmeans", "nearest", "squared_distances"]

Points = Float[Tensor, "n d"]

_ROWS = 1024


def squared_distances(left: Points, right: Float[Tensor, "k d"]) -> Float[Tensor, "n k"]:
    """Squared Euclidean distances (n, k), as |a|^2 + |b|^2 - 2ab: an offset costs digits."""
    lengths = left.square().sum(1, keepdim=True) + right.square().sum(1)
    return torch.addmm(lengths, left, right.T, alpha=-2).clamp_(min=0)


def nearest(points: Points, centres: Float[Tensor, "k d"]) -> Int64[Tensor, " n"]:
    """The nearest of ``centres`` for each point."""
    middle = centres.mean(0)
    parts = points.split(_ROWS)
    return torch.cat(
        [squared_distances(part - middle, centres - middle).argmin(1) for part in parts]
    )


def _first_centres(points: Points, bins: int, source: torch.Generator) -> Float[Tensor, "bins d"]:
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
    points: Points, bins: int, seed: int = 0, iterations: int = 100, restarts: int = 1
) -> Float[Tensor, "bins d"]:
    """Centres by Lloyd's iteration (1982) from k-means++ (Arthur and Vassilvitskii, 2007).

    Args:
        points: (n, d), all finite, on the CPU.
        bins: Number of centres, 1 to n.
        seed: Of an own random generator.
        iterations: At most; it ends when no point changes its bin.
        restarts: Beginnings; the centres with the least sum of squared distances are kept.

    Raises:
        InputError: There are fewer points than bins.
    """
    if not 1 <= bins <= len(points):
        raise InputError(f"bins is {bins}; it must be 1 to {len(points)}, the number of points")
    source, best, least = torch.Generator().manual_seed(seed), None, torch.inf
    for _ in range(restarts):
        centres = _first_centres(points, bins, source)
        before = torch.full((len(points),), -1)
        for _ in range(iterations):
            told = nearest(points, centres)
            if torch.equal(told, before):
                break
            before = told
            sizes = told.bincount(minlength=bins)[:, None]
            sums = torch.zeros_like(centres).index_add_(0, told, points)
            centres = torch.where(sizes > 0, sums / sizes.clamp(min=1), centres)
        spread = (points - centres[nearest(points, centres)]).square().sum().item()
        if best is None or spread < least:
            best, least = centres, spread
    return best
