"""How different generated samples are from one another, as a whole and within classes."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import normalize

from lightning_gans.errors import InputError
from lightning_gans.metrics.functional.distances import Points, blocks, random_pairs

__all__ = ["Kinds", "ms_ssim", "ms_ssim_scales", "pairwise_distance", "vendi", "vendi_kernel"]

Images = Float[Tensor, "n channels height width"]
Classes = Int64[Tensor, " n"]

_BETAS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_WINDOW = 11
_AT_ONCE = 128


class Kinds(NamedTuple):
    """Means over pairs.

    Attributes:
        overall: Of any two different samples.
        within: Of the same class; nan if there are none.
        across: Of different classes; nan if there are none.
    """

    overall: float
    within: float
    across: float


def _refuse_few(n: int) -> None:
    if n < 2:
        raise InputError(f"there are {n} samples; pairs need at least 2")


def _mean(values: Tensor) -> float:
    return values.double().mean().item()


def pairwise_distance(
    features: Points, labels: Classes | None = None, pairs: int | None = None, seed: int = 0
) -> Kinds:
    """Mean Euclidean distance of two samples.

    Args:
        features: (n, d).
        labels: Their classes (n,); None: all of one.
        pairs: As many random pairs of each kind instead of all.
        seed: Of the random pairs.

    Raises:
        InputError: There are fewer than 2 samples.
    """
    _refuse_few(len(features))
    labels = torch.zeros(len(features), dtype=torch.int64) if labels is None else labels
    if pairs is not None:
        # The difference in the features' own precision, so that near twins keep their distance.
        chosen = _pairs_of_each_kind(labels, pairs, seed)
        return Kinds(*(_mean((features[a] - features[b]).norm(dim=1)) for a, b in chosen))
    sums, sizes = torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for first, squares in blocks(features):
        rows = len(squares)
        distances = squares.sqrt()
        # Each pair once: those inside the block are there twice.
        distances[:, :rows].triu_(1)
        same = labels[first : first + rows, None] == labels[first:]
        counted = torch.ones_like(same).triu_(1)
        for kind, chosen in enumerate((same & counted, ~same & counted)):
            sums[kind] += distances[chosen].sum()
            sizes[kind] += chosen.sum()
    return Kinds((sums.sum() / sizes.sum()).item(), *(sums / sizes).tolist())


def _pairs_of_each_kind(labels: Tensor, pairs: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Any pairs, pairs of one class and of two; fewer of the latter two if they are rare."""
    left, right = random_pairs(len(labels), 64 * pairs, seed)
    same = labels[left] == labels[right]
    kinds = torch.ones_like(same), same, ~same
    return [(left[kind][:pairs], right[kind][:pairs]) for kind in kinds]


def ms_ssim_scales(height: int, width: int) -> int:
    """How many of the five scales fit: 1 from 11 px, 2 from 22, 3 from 44, 4 from 99, 5 from 176.

    Raises:
        InputError: Not even one does.
    """
    size = min(height, width)
    if size < _WINDOW:
        raise InputError(
            f"MS-SSIM was given images of {height} x {width} px; they must be at least "
            f"{_WINDOW} x {_WINDOW}, the window"
        )
    # A window must fit at the last scale; torchmetrics also asks for (scales - 1)^2 windows.
    return max(s for s in range(1, 6) if size >= _WINDOW * max(2 ** (s - 1), (s - 1) ** 2))


def ms_ssim(
    images: Images, labels: Classes | None = None, pairs: int = 1000, seed: int = 0
) -> Kinds:
    """Mean MS-SSIM of random pairs (Wang et al., 2003; used so by Odena et al., 2017).

    1 for equal images; a generator that repeats itself has more than the data. Small images get
    the first `ms_ssim_scales` of the five scales, their exponents scaled to sum to 1, so that
    numbers are comparable at one image size only; a single scale is SSIM.

    Args:
        images: In [-1, 1], at least 11 x 11 px.
        labels: Their classes (n,); None: all of one.
        pairs: Of each kind.
        seed: Of the random pairs.

    Raises:
        InputError: There are fewer than 2 images, or they are too small.
    """
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    _refuse_few(len(images))
    betas = _BETAS[: ms_ssim_scales(*images.shape[-2:])]
    betas = tuple(beta / math.fsum(betas) for beta in betas)
    labels = torch.zeros(len(images), dtype=torch.int64) if labels is None else labels
    images = (images + 1) / 2

    def similarity(left: Tensor, right: Tensor) -> float:
        parts = zip(left.split(_AT_ONCE), right.split(_AT_ONCE), strict=True)
        values = [
            multiscale_structural_similarity_index_measure(
                images[a], images[b], reduction="none", data_range=1.0, betas=betas
            )
            for a, b in parts
            if len(a)
        ]
        return _mean(torch.cat(values)) if values else math.nan

    return Kinds(*(similarity(a, b) for a, b in _pairs_of_each_kind(labels, pairs, seed)))


def vendi_kernel(kernel: Float[Tensor, "n n"], q: float = 1.0) -> float:
    """Vendi score of a kernel with ones on its diagonal (Friedman and Dieng, 2023).

    The exponential of the Renyi entropy of order q of the eigenvalues of kernel / n.

    Args:
        kernel: Similarities, positive semidefinite.
        q: Order, at least 0; 1 is Shannon's entropy, infinity looks at the greatest alone.

    Raises:
        InputError: The order is negative.
    """
    return _renyi(torch.linalg.eigvalsh(kernel.double() / len(kernel)), q)


def _renyi(eigenvalues: Tensor, q: float) -> float:
    if not q >= 0:
        raise InputError(f"q is {q}; it must be at least 0")
    # Zeros come out as rounding errors, which small orders would count.
    shares = eigenvalues[eigenvalues > 1e-14 * len(eigenvalues)]
    if q == 1:
        return torch.special.entr(shares).sum().exp().item()
    if q == math.inf:
        return 1 / shares.max().item()
    return (shares.pow(q).sum().log() / (1 - q)).exp().item()


def vendi(features: Points, q: float = 1.0) -> float:
    """Vendi score by the cosine kernel (Friedman and Dieng, 2023): 1 to min(n, d).

    Args:
        features: (n, d), no row of zeros.
        q: Order, as in `vendi_kernel`.

    Raises:
        InputError: The order is negative.
    """
    rows = normalize(features.double(), dim=1)
    # Both products have the same eigenvalues but zeros.
    product = rows.T @ rows if len(rows) > rows.shape[1] else rows @ rows.T
    return _renyi(torch.linalg.eigvalsh(product / len(rows)), q)
