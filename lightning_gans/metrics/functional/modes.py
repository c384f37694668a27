"""How many modes are served, how well, and how evenly; and what a perfect sampler would get.

Counts are samples a mode (..., K): whole numbers, or the same as float; leading dimensions are
repetitions. Targets are the shares (K,) that counts are compared with and sum to 1. Divergences
are in nats; they are nan where no sample is in any mode.
"""

import math
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float64, Int64, Num
from torch import Tensor

from lightning_gans.errors import InputError

__all__ = [
    "Counts",
    "Modes",
    "Statistic",
    "Target",
    "captured",
    "captured_ideal",
    "forward_kl",
    "high_quality",
    "high_quality_ideal",
    "js",
    "least_served",
    "most_served",
    "multinomial",
    "perfect",
    "perfect_counts",
    "resampled",
    "reverse_kl",
    "spread_ideal",
    "squared_radius",
    "total_variation",
]

Counts = Num[Tensor, "*draws K"]
Target = Num[Tensor, " K"]
Statistic = Callable[[Tensor, Tensor], Tensor]
"""From counts (draws, K) and a target (K,) to numbers (draws,)."""


@runtime_checkable
class Modes(Protocol):
    """A law of which the modes are known, e.g. `Gaussians`."""

    means: Tensor
    weights: Tensor

    def likeliest(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Places (n, d), in standard deviations, in the modes (n,) they most probably come from."""


def _same_share(dimensions: int) -> float:
    """The chi-square quantile of what lies within 3 standard deviations in the plane."""
    from scipy.special import gammaincinv

    return 2 * float(gammaincinv(dimensions / 2, -math.expm1(-4.5)))


_SQUARED_RADII: dict[str, Callable[[int], float]] = {
    "chi2": _same_share,
    "3sigma": lambda dimensions: 9.0,
}


def squared_radius(rule: str, dimensions: int) -> float:
    """Up to which squared Mahalanobis distance from its mode a sample is of high quality.

    Args:
        rule: ``chi2``: the chi-square quantile at 1 - exp(-4.5) = 98.889 %, which is 9 in the plane
            and asks the same of a sampler in any dimension. ``3sigma``: 9, literally, which in ten
            dimensions few samples of the true law fulfil.
        dimensions: Of the points.

    Raises:
        InputError: There is no such rule.
    """
    if rule not in _SQUARED_RADII:
        accepted = " or ".join(_SQUARED_RADII)
        raise InputError(f"the rule of high quality is {rule!r}; it must be {accepted}")
    return _SQUARED_RADII[rule](dimensions)


def high_quality(law: Modes, points: Num[Tensor, "n d"], rule: str) -> Bool[Tensor, " n"]:
    """Which points lie near their mode (VEEGAN, Srivastava et al., 2017), by `squared_radius`."""
    places, _ = law.likeliest(points)
    return places.square().sum(1) <= squared_radius(rule, points.shape[1])


def high_quality_ideal(rule: str, dimensions: int) -> float:
    """Share of high quality among samples of the true law, exact where modes do not overlap.

    Where they do, a sample may be taken for another mode's, so it is a little more or less.
    """
    from scipy.special import gammainc

    return float(gammainc(dimensions / 2, squared_radius(rule, dimensions) / 2))


def spread_ideal(rule: str, dimensions: int) -> float:
    """Mean squared distance of high-quality samples of the true law, over the dimensions.

    Their law is a chi-square cut off at the radius r^2: P(chi2_{d+2} <= r^2) / P(chi2_d <= r^2).
    """
    from scipy.special import gammainc

    half = squared_radius(rule, dimensions) / 2
    return float(gammainc(dimensions / 2 + 1, half) / gammainc(dimensions / 2, half))


def captured(counts: Counts) -> Int64[Tensor, "*draws"]:
    """Modes with at least one sample (VEEGAN, Srivastava et al., 2017)."""
    return (counts > 0).sum(-1)


def captured_ideal(law: Target, n: int, quality: float = 1.0) -> float:
    """Modes that n samples of the true law meet on average, sum_i 1 - (1 - p w_i)^n.

    Args:
        law: Shares w (K,) of the modes.
        n: Samples.
        quality: Probability p that a sample counts.
    """
    return float(-torch.expm1(n * torch.log1p(-quality * law.double())).sum())


def _shares(counts: Counts) -> Float64[Tensor, "*draws K"]:
    counts = counts.double()
    return counts / counts.sum(-1, keepdim=True)


def _kl(left: Tensor, right: Tensor) -> Tensor:
    """sum_i left_i log(left_i / right_i), in which 0 log 0 = 0."""
    return (torch.xlogy(left, left) - torch.xlogy(left, right)).sum(-1)


def reverse_kl(counts: Counts, target: Target) -> Num[Tensor, "*draws"]:
    """KL(generated || target) of the modes' shares (PacGAN, Lin et al., 2018)."""
    return _kl(_shares(counts), target.double())


def forward_kl(counts: Counts, target: Target) -> Num[Tensor, "*draws"]:
    """KL(target || generated), finite by counts + 1/2 (Krichevsky and Trofimov, 1981)."""
    found = _kl(target.double(), _shares(counts.double() + 0.5))
    return found.masked_fill(counts.sum(-1) == 0, math.nan)


def js(counts: Counts, target: Target) -> Num[Tensor, "*draws"]:
    """Jensen-Shannon divergence (Lin, 1991), at most log 2."""
    shares, target = _shares(counts), target.double()
    middle = (shares + target) / 2
    return (_kl(shares, middle) + _kl(target, middle)) / 2


def total_variation(counts: Counts, target: Target) -> Num[Tensor, "*draws"]:
    """Share of the samples that would have to move, sum_i |q_i - p_i| / 2 in [0, 1]."""
    return (_shares(counts) - target.double()).abs().sum(-1) / 2


def least_served(counts: Counts, target: Target) -> Num[Tensor, "*draws"]:
    """The least ratio q_i / p_i of modes with p_i > 0: 0 if one is lost."""
    return (_shares(counts) / target.double())[..., target > 0].amin(-1)


def most_served(counts: Counts, target: Target) -> Num[Tensor, "*draws"]:
    """The greatest ratio q_i / p_i of modes with p_i > 0."""
    return (_shares(counts) / target.double())[..., target > 0].amax(-1)


def multinomial(
    n: int, law: Target, draws: int, generator: torch.Generator
) -> Float64[Tensor, "draws K"]:
    """Counts of ``n`` samples of ``law``, ``draws`` times: a chain of binomials, mode by mode."""
    left = torch.full((draws,), float(n), dtype=torch.float64)
    tails = law.double().flip(0).cumsum(0).flip(0)
    counts = []
    for share, tail in zip(law.tolist(), tails.tolist(), strict=True):
        chance = min(share / tail, 1.0) if tail > 0 else 0.0
        counts.append(torch.binomial(left, torch.full_like(left, chance), generator=generator))
        left = left - counts[-1]
    return torch.stack(counts, 1)


def perfect_counts(
    law: Target, n: int, draws: int = 2000, seed: int = 0
) -> Float64[Tensor, "draws K"]:
    """Counts (draws, K) of ``n`` samples of a perfect sampler, from an own random generator."""
    return multinomial(n, law, draws, torch.Generator().manual_seed(seed))


def perfect(
    statistic: Statistic, law: Target, target: Target, n: int, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Mean and standard deviation of a statistic for a perfect sampler.

    Args:
        statistic: e.g. `reverse_kl`.
        law: The data's shares (K,), which are drawn from.
        target: The shares (K,) that are compared with; stacked MNIST is compared with the uniform.
        n: Samples.
        draws: Repetitions.
        seed: Of an own random generator.
    """
    values = statistic(perfect_counts(law, n, draws, seed), target)
    return values.mean().item(), values.std().item()


def resampled(
    counts: Num[Tensor, " K"], draws: int = 1000, seed: int = 0
) -> Float64[Tensor, "draws K"]:
    """Counts drawn again with the shares that were found (the bootstrap, Efron, 1979)."""
    generator = torch.Generator().manual_seed(seed)
    total = int(counts.sum())
    return multinomial(total, counts / max(total, 1), draws, generator)
