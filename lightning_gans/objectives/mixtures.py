"""Mixtures: what follows from log pi_k + log p_k(x), whatever the components are."""

import math
from collections.abc import Callable, Iterable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lightning_gans.objectives.covariances import Covariance, Density

__all__ = [
    "aic",
    "bic",
    "draw_components",
    "filled",
    "gaussian_expectations",
    "halved",
    "heirs",
    "posterior",
    "rows_at_once",
    "set_apart",
]

Points = Float[Tensor, "n d"]
Joint = Float[Tensor, "n K"]
Weights = Float[Tensor, " K"]

_BLOCK = 1 << 19
"""Numbers that are worked on at a time."""

_DEAD = 1e-3


def posterior(joint: Joint) -> tuple[Float[Tensor, " n"], Float[Tensor, "n K"]]:
    """Log-densities (n,) and responsibilities (n, K) by Bayes' rule (Dempster et al., 1977).

    Args:
        joint: log pi_k + log p_k(x), for each point and component.
    """
    top = joint.detach().amax(1, keepdim=True)
    parts = (joint - top).exp_()
    whole = parts.sum(1, keepdim=True)
    return (top + whole.log())[:, 0], parts / whole


def bic(log_likelihood: float, free: int, n: int) -> float:
    """Bayesian information criterion (Schwarz, 1978): less is better.

    Args:
        log_likelihood: Of all events together, in nats.
        free: Numbers that were fitted.
        n: Events.
    """
    return free * math.log(n) - 2 * log_likelihood


def aic(log_likelihood: float, free: int) -> float:
    """Akaike's information criterion (1974): less is better; arguments as of `bic`."""
    return 2 * free - 2 * log_likelihood


def rows_at_once(width: int) -> int:
    """Points to work on at a time, each ``width`` numbers: memory does not grow with their number.

    They fit a processor's cache.
    """
    return max(64, _BLOCK // width)


def gaussian_expectations(
    blocks: Iterable[Points], covariance: Covariance, log_weights: Weights, density: Density
) -> dict[str, Tensor]:
    """The E-turn of a mixture of Gaussians (Dempster et al., 1977), a block of points at a time.

    Args:
        blocks: Of points (n, d), in 64 bits.
        covariance: Its kind.
        log_weights: Logarithms of the components' weights (K,).
        density: Their log-densities.

    Returns:
        Sums over the points: ``events`` (), ``log_prob`` (), ``counts`` (K,) of responsibilities,
        and those of `Covariance.statistics`.
    """
    density = density._replace(constants=density.constants + log_weights)
    sums = {}
    for part in blocks:
        features = covariance.features(part)
        log_prob, shares = posterior(density(features))
        found = {
            "events": shares.new_tensor(len(part)),
            "log_prob": log_prob.sum(),
            "counts": shares.sum(0),
            **covariance.statistics(features, shares),
        }
        sums = {name: sums.get(name, 0) + value for name, value in found.items()}
    return sums


def heirs(counts: Weights) -> list[tuple[int, int]]:
    """Pairs of a dead component and of the one that is split in halves for it, in that order.

    A component is dead if it answers for less than a thousandth of an even share; whichever is the
    heaviest by then is split.

    Args:
        counts: Sums of responsibilities.
    """
    dead = (counts < _DEAD * counts.mean()).nonzero().flatten().tolist()
    left, pairs = counts.clone(), []
    for component in dead:
        heavy = int(left.argmax())
        left[heavy] = left[component] = left[heavy] / 2
        pairs.append((component, heavy))
    return pairs


def halved(statistics: Tensor, pairs: list[tuple[int, int]]) -> Tensor:
    """``statistics`` (K, ...) with those of each heavy component shared with its dead one."""
    statistics = statistics.clone()
    for dead, heavy in pairs:
        statistics[heavy] /= 2
        statistics[dead] = statistics[heavy]
    return statistics


def set_apart(means: Float[Tensor, "K d"], dead: int, heavy: int, variances: Tensor) -> None:
    """Move the halves of a component that was split, in place, along the value that varies most.

    Args:
        means: Those of all.
        dead: The half that was another component.
        heavy: The other half.
        variances: Of the values (d,) of the component that was split.
    """
    widest = variances.argmax()
    means[dead, widest] = means[heavy, widest] + variances[widest].sqrt()
    means[heavy, widest] -= variances[widest].sqrt()


def draw_components(log_weights: Weights, n: int, generator: torch.Generator | None) -> Tensor:
    """``n`` components (n,), drawn by their weights; on the CPU."""
    return torch.multinomial(log_weights.exp().cpu(), n, replacement=True, generator=generator)


def filled(
    points: Points,
    missing: Bool[Tensor, " d"],
    log_weights: Weights,
    means: Float[Tensor, "K d"],
    dense: Callable[[int], Float[Tensor, "d d"]],
    generator: torch.Generator | None = None,
) -> Points:
    """``points`` with their missing values by the conditional law of a mixture of Gaussians.

    Each component's is Gaussian (Anderson, 1958, section 2.5), weighted by how well it explains
    the values that are known.

    Args:
        points: (n, d); what stands in the place of missing values does not matter.
        missing: Which values are.
        log_weights: Logarithms of the components' weights (K,).
        means: (K, d).
        dense: A component's covariance (d, d).
        generator: Draws from that law, on the CPU; None takes its mean.
    """
    joint, fills, noises = [], [], []
    for component, mean in enumerate(means):
        covariance = dense(component)
        across = covariance[~missing][:, missing]
        factor = torch.linalg.cholesky(covariance[~missing][:, ~missing])
        offsets = points[:, ~missing] - mean[~missing]
        white = torch.linalg.solve_triangular(factor, offsets.T, upper=False)
        slopes = torch.linalg.solve_triangular(factor, across, upper=False)
        size = factor.diagonal().log().sum() + len(factor) / 2 * math.log(2 * math.pi)
        joint.append(log_weights[component] - size - white.square().sum(0) / 2)
        fills.append(mean[missing] + white.T @ slopes)
        noises.append(covariance[missing][:, missing] - slopes.T @ slopes)
    _, shares = posterior(torch.stack(joint, 1))
    result = points.clone()
    if generator is None:
        result[:, missing] = torch.einsum("nk,knm->nm", shares, torch.stack(fills))
        return result
    chosen = torch.multinomial(shares.cpu(), 1, generator=generator)[:, 0]
    for component in chosen.unique().tolist():
        own = chosen == component
        noise = torch.randn(int(own.sum()), int(missing.sum()), generator=generator)
        factor = torch.linalg.cholesky(noises[component])
        drawn = fills[component][own.to(points.device)] + noise.to(factor) @ factor.T
        result[own.to(points.device).nonzero(), missing.nonzero()[:, 0]] = drawn
    return result
