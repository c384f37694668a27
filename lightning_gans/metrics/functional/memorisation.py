"""Whether generated samples are copies of training samples, and what that tells of membership."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn.functional import normalize

from lightning_gans.errors import InputError
from lightning_gans.metrics.functional.checks import check_samples
from lightning_gans.metrics.functional.distances import nearest
from lightning_gans.metrics.functional.measured import Measured, binomial_interval
from lightning_gans.metrics.functional.neighbours import Nearest, nearest_real
from lightning_gans.objectives.clustering import kmeans

__all__ = [
    "authenticity",
    "data_copying",
    "membership_auc",
    "memorisation_penalty",
    "mifid",
]

_ROWS = 256
_FEW = 20
_NORMAL = 1.959963984540054  # 97.5 % of the normal law lie below


def memorisation_penalty(
    train: Float[Tensor, "n d"], fake: Float[Tensor, "m d"], epsilon: float = 0.1
) -> float:
    """Mean cosine distance of generated samples from the training set (MiFID, Bai et al., 2021).

    The mean over generated x of min over training y of 1 - |cos(x, y)|, in [0, epsilon); from
    epsilon on, no memorisation, it is 1. Rows of zeros have no direction and are left out.

    Args:
        train: Features (n, d) of the training set.
        fake: Generated features (m, d).
        epsilon: Depends on the features; 0.1 was chosen for those of Inception.

    Raises:
        InputError: A side has nothing but rows of zeros, or some are not finite.
    """
    sides = []
    for samples, kind in ((train, "training"), (fake, "generated")):
        check_samples(samples, 1, kind)
        directed = samples[samples.any(1)].double()
        if not len(directed):
            raise InputError(f"all {len(samples)} {kind} samples are zero; they have no direction")
        sides.append(normalize(directed, dim=1, eps=0.0))
    train, fake = sides
    closest = [(part @ train.T).abs_().amax(1) for part in fake.split(_ROWS)]
    distance = (1 - torch.cat(closest).clamp(max=1)).mean().item()
    return distance if distance < epsilon else 1.0


def mifid(frechet: float, penalty: float) -> float:
    """Frechet distance over `memorisation_penalty` (Bai et al., 2021), as they add 1e-14 to it."""
    return frechet / (penalty + 1e-14)


def authenticity(fakes: Nearest, own: Float64[Tensor, " m"]) -> Measured:
    """Share of generated samples that are no noisy copies (Alaa et al., 2022).

    A sample is authentic if it is farther from its nearest training sample than that is from its
    own nearest. In d dimensions a perfect sampler has a share 1 - 1 / (2 - I_{3/4}((d + 1)/2, 1/2))
    on average: 0.333, 0.379 ... towards 0.5. Those of the data are mostly unknown: no ideal.

    Args:
        fakes: The training sample nearest to each generated one (`nearest_real`).
        own: Distance (m,) of those training samples from their nearest others (`nearest_other`).
    """
    authentic = int((fakes.distance > own).sum())
    n = len(fakes.distance)
    return Measured(authentic / n, None, n, *binomial_interval(authentic, n))


def _below(scores: Tensor, others: Tensor) -> Tensor:
    """Share of the others below each score (n,); equal ones count half."""
    scores, ordered = scores.double().contiguous(), others.double().sort().values
    ends = (torch.searchsorted(ordered, scores, right=right) for right in (False, True))
    return sum(ends).double() / (2 * len(others))


def membership_auc(
    train_scores: Float[Tensor, " n"], held_out_scores: Float[Tensor, " m"]
) -> Measured:
    """P(a training sample scores above a held-out one), ties 1/2 (Mann and Whitney, 1947).

    0.5 if scores tell nothing of membership. The interval is that of DeLong et al. (1988), cut at 0
    and 1; it has no width where the scores separate the two without error.

    Args:
        train_scores: (n,), higher where membership is likelier; infinite ones are allowed.
        held_out_scores: (m,).

    Returns:
        The area under the curve, with n + m as its n.

    Raises:
        InputError: A side has fewer than 2 scores, or some are nan.
    """
    for scores, kind in ((train_scores, "training"), (held_out_scores, "held-out")):
        if len(scores) < 2 or scores.isnan().any():
            raise InputError(f"{len(scores)} {kind} scores; at least 2 are needed, and none nan")
    above, below = _below(train_scores, held_out_scores), _below(held_out_scores, train_scores)
    area = above.mean().item()
    error = (above.var() / len(above) + below.var() / len(below)).sqrt().item()
    low, high = max(0.0, area - _NORMAL * error), min(1.0, area + _NORMAL * error)
    return Measured(area, 0.5, len(above) + len(below), low, high)


def data_copying(
    train: Float[Tensor, "train d"],
    test: Float[Tensor, "test d"],
    fake: Float[Tensor, "fake d"],
    cells: int = 5,
    seed: int = 0,
) -> Measured:
    """C_T: far below 0 for a generator that copies, above for a bad one (Meehan et al., 2020).

    In each cell of k-means on the training set, generated and test samples are ranked by their
    distance to the nearest training sample of the cell, and the Mann-Whitney statistic of the
    generated ones is made a z score. C_T is its mean, weighted by the cells' test samples. Cells
    with at most 20 generated samples are left out as in the paper, and those with no test or
    training sample. Ties count half; the paper's program adds 1/2 to each U as well.

    Args:
        train: Features (n, d) of the training set; the authors reduce images to few dimensions.
        test: Those of a held-out set.
        fake: Generated ones.
        cells: Of k-means.
        seed: Of k-means.

    Returns:
        C_T, ideally 0, and 1.96 standard deviations of a perfect sampler to each side: 95 % of
        perfect samplers have 0 in between.

    Raises:
        InputError: All cells are left out, there are fewer training samples than cells, or some
            samples are not finite.
    """
    sides = []
    for samples, kind in ((train, "training"), (test, "test"), (fake, "generated")):
        check_samples(samples, 1, kind)
        sides.append(samples.double())
    centres = kmeans(sides[0], cells, seed)
    told = [nearest(side, centres) for side in sides]
    scores, weights = [], []
    for cell in range(cells):
        known, held, made = (side[where == cell] for side, where in zip(sides, told, strict=True))
        if len(known) and len(held) and len(made) > _FEW:
            n, m = len(held), len(made)
            far = _below(nearest_real(made, known).distance, nearest_real(held, known).distance)
            scores.append((far.mean() - 0.5) * (12 * n * m / (n + m + 1)) ** 0.5)
            weights.append(n)
    if not scores:
        raise InputError(
            f"none of {cells} cells has a test sample and more than {_FEW} generated ones; "
            "choose fewer cells or more samples"
        )
    shares = torch.tensor(weights, dtype=torch.float64) / sum(weights)
    value = (shares.to(fake.device) * torch.stack(scores)).sum().item()
    reach = _NORMAL * shares.norm().item()
    return Measured(value, 0.0, len(fake), value - reach, value + reach)
