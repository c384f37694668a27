"""Distances between many points, a block of rows at a time.

All are Euclidean, of points (n, d), computed as |a|^2 + |b|^2 - 2ab about a common centre, so that
an offset shared by all points costs no digits.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float64
from torch import Tensor

from lightning_gans.objectives.clustering import Points, nearest, squared_distances

__all__ = ["Points", "blocks", "nearest", "nearest_others", "random_pairs"]

_ROWS = 1024


def blocks(points: Points) -> Iterator[tuple[int, Float64[Tensor, "rows m"]]]:
    """Squared distances in 64 bits of each pair once: a row's to itself and to those behind it.

    Yields:
        The number of the first row, and the distances (rows, m) of rows first, first + 1 ... from
        the points first, first + 1 ...; those of a point from itself are 0.
    """
    points = points.double() - points.double().mean(0)
    for first in range(0, len(points), _ROWS):
        squares = squared_distances(points[first : first + _ROWS], points[first:])
        squares.fill_diagonal_(0)
        yield first, squares


def nearest_others(points: Points) -> Float64[Tensor, " n"]:
    """Distance of each point from the nearest other one."""
    least = torch.full((len(points),), torch.inf, dtype=torch.float64)
    for first, squares in blocks(points):
        squares.fill_diagonal_(torch.inf)
        rows = slice(first, first + len(squares))
        least[rows] = torch.minimum(least[rows], squares.amin(1))
        least[first:] = torch.minimum(least[first:], squares.amin(0))
    return least.sqrt()


def random_pairs(n: int, pairs: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two different ones of ``n`` points, ``pairs`` times, with replacement: indices (pairs,)."""
    source = torch.Generator().manual_seed(seed)
    left = torch.randint(n, (pairs,), generator=source)
    right = torch.randint(n - 1, (pairs,), generator=source)
    return left, right + (right >= left)
