"""Nearest neighbours within and between two samples, and what is told by them.

Distances are Euclidean, in 64 bits, a block of rows at a time, so memory grows with n and not with
n^2. Squares that differ by no more than their rounding are equal, so ties are ties; points closer
than some 1e-6 of their distance from the mean are taken for one.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from lightning_gans.errors import InputError
from lightning_gans.metrics.functional.checks import check_samples
from lightning_gans.metrics.functional.distances import Points

__all__ = [
    "Balls",
    "Hits",
    "Nearest",
    "balls",
    "coverage_ideal",
    "nearest_other",
    "nearest_real",
    "precision_recall_density_coverage",
]

_ROWS = 256


class Balls(NamedTuple):
    """A ball about each sample, which reaches to its k-th nearest other one.

    Attributes:
        points: Samples (n, d).
        radii: Distance (n,) to the k-th nearest other.
        k: Of the radii.
    """

    points: Points
    radii: Float64[Tensor, " n"]
    k: int


class Nearest(NamedTuple):
    """The real sample nearest to each generated one.

    Attributes:
        distance: (m,), exact: 0 for a copy.
        index: Which (m,).
    """

    distance: Float64[Tensor, " m"]
    index: Int64[Tensor, " m"]


class Hits(NamedTuple):
    """One entry a sample, of which the mean is the metric of that name.

    Attributes:
        precision: Whether each generated sample (m,) is in the ball of a real one.
        recall: Whether each real sample (n,) is in the ball of a generated one.
        density: In how many real balls each generated sample (m,) is, divided by k.
        coverage: Whether the ball of each real sample (n,) holds a generated one.
    """

    precision: Bool[Tensor, " m"]
    recall: Bool[Tensor, " n"]
    density: Float64[Tensor, " m"]
    coverage: Bool[Tensor, " n"]


def _blocks(
    points: Tensor, others: Tensor, middle: Tensor
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Rows, their points less the middle, and squared distances (rows, m) from the others.

    The others are centred already: about one middle an offset shared by all costs no digits. The
    distances of one block overwrite those of the last.
    """
    lengths = _squared_lengths(others)
    buffer = lengths.new_empty(min(_ROWS, len(points)), len(others))
    for first in range(0, len(points), _ROWS):
        part = points[first : first + _ROWS] - middle
        squares = torch.addmm(lengths, part, others.T, alpha=-2, out=buffer[: len(part)])
        squares.add_(_squared_lengths(part)[:, None]).clamp_(min=0)
        yield slice(first, first + len(part)), part, squares


def _squared_lengths(points: Tensor) -> Tensor:
    return points.norm(dim=1).square()


def _middle(points: Tensor) -> Float64[Tensor, " d"]:
    return points.mean(0, dtype=torch.float64)


def balls(points: Points, k: int = 5) -> Balls:
    """Distances to the k-th nearest other sample (Kynkaanniemi et al., 2019).

    Args:
        points: Features (n, d).
        k: Which neighbour the radius reaches to; the point itself is none.

    Raises:
        InputError: k is below 1, there are no k others, or some are not finite.
    """
    if k < 1:
        raise InputError(f"k is {k}; it must be at least 1")
    check_samples(points, k + 1, "given")
    middle = _middle(points)
    others = points - middle
    radii = torch.empty(len(points), dtype=torch.float64, device=points.device)
    for rows, part, squares in _blocks(points, others, middle):
        squares[:, rows].fill_diagonal_(torch.inf)
        last = squares.topk(k, largest=False).indices[:, -1]
        radii[rows] = (part - others[last]).norm(dim=1)
    return Balls(points, radii, k)


def nearest_real(fake: Float[Tensor, "m d"], real: Float[Tensor, "n d"]) -> Nearest:
    """The nearest real sample of each generated one.

    Args:
        fake: Features (m, d).
        real: Features (n, d).

    Raises:
        InputError: There are none on one side, or some are not finite.
    """
    check_samples(fake, 1, "generated")
    check_samples(real, 1, "real")
    middle = _middle(real)
    reals = real - middle
    distance = torch.empty(len(fake), dtype=torch.float64, device=fake.device)
    index = torch.empty_like(distance, dtype=torch.int64)
    for rows, part, squares in _blocks(fake, reals, middle):
        index[rows] = squares.argmin(1)
        distance[rows] = (part - reals[index[rows]]).norm(dim=1)
    return Nearest(distance, index)


def nearest_other(
    points: Float[Tensor, "n d"], index: Int64[Tensor, " m"], copies: int = 1
) -> Float64[Tensor, " m"]:
    """Distance (m,) of the samples at ``index`` from the nearest other of all.

    Args:
        points: Features (n, d).
        index: Which of them (m,).
        copies: How many times all come, one time after another in the same order, as with images
            and their mirror images; a sample's own copies are no others.

    Raises:
        InputError: There are fewer than 2 times ``copies``, or some are not finite.
    """
    check_samples(points, 2 * copies, "given")
    middle = _middle(points)
    others = points - middle
    distance = torch.empty(len(index), dtype=torch.float64, device=points.device)
    apart = torch.arange(0, len(points), len(points) // copies, device=points.device)
    own = (index[:, None] + apart) % len(points)
    for rows, part, squares in _blocks(points[index], others, middle):
        squares.scatter_(1, own[rows], torch.inf)
        distance[rows] = (part - others[squares.argmin(1)]).norm(dim=1)
    return distance


def _reach(centres: Tensor, radii: Tensor, strict: bool) -> Tensor:
    """Squared radii, less or plus what rounding may have done to a squared distance of a centre."""
    rounding = 2 * (centres.shape[1] + 2) * torch.finfo(centres.dtype).eps
    rounding = rounding * (_squared_lengths(centres).sqrt() + radii).square()
    return radii.square() - rounding if strict else radii.square() + rounding


def precision_recall_density_coverage(real: Balls, fake: Balls, strict: bool = True) -> Hits:
    """Improved precision and recall (Kynkaanniemi et al., 2019), density, coverage (Naeem, 2020).

    Args:
        real: Balls about real samples, with d features each; they may be kept between calls.
        fake: Balls about generated samples, of the same k.
        strict: Whether what lies on a ball's surface is outside it, as in Naeem et al.; in
            Kynkaanniemi et al. it is inside. It matters where samples repeat.

    Raises:
        InputError: The balls are of different k.
    """
    if real.k != fake.k:
        raise InputError(f"k is {real.k} for real and {fake.k} for generated samples; choose one")
    middle = _middle(real.points)
    reals = real.points - middle
    inside = torch.lt if strict else torch.le
    reach = _reach(reals, real.radii, strict)
    recall, coverage = torch.zeros(2, len(reals), dtype=torch.bool, device=reals.device)
    held_by = torch.empty(len(fake.points), dtype=torch.int64, device=reals.device)
    for rows, part, squares in _blocks(fake.points, reals, middle):
        held = inside(squares, reach)
        held_by[rows] = held.sum(1)
        coverage |= held.any(0)
        recall |= inside(squares, _reach(part, fake.radii[rows], strict)[:, None]).any(0)
    return Hits(held_by > 0, recall, held_by.double() / real.k, coverage)


def coverage_ideal(real: int, fake: int, k: int = 5) -> float:
    """Coverage of a perfect sampler on average, 1 - prod_i (n - 1 - i) / (n - 1 + m - i), i < k.

    That no generated sample is closer to a real one than its k nearest of n - 1 (Naeem et al.,
    2020, lemma 2). The density is 1 on average.

    Args:
        real: Number n of real samples.
        fake: Number m of generated samples.
        k: Of the balls.
    """
    missed = 1.0
    for i in range(k):
        missed *= (real - 1 - i) / (real - 1 + fake - i)
    return 1 - missed
