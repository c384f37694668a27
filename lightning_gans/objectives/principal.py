"""Principal components, and what a mixture of factor analysers begins from."""

import torch
from jaxtyping import Float
from torch import Tensor

from lightning_gans.objectives.clustering import nearest, squared_distances
from lightning_gans.objectives.factors import Factors, Points, Pool

__all__ = ["factors_of", "principal"]


def principal(points: Points, factors: int) -> tuple[Float[Tensor, "d q"], float]:
    """Loadings and variance of the noise of likeliest principal components (Tipping, Bishop, 1999).

    Args:
        points: (n, d), of mean 0; with n up to ``factors`` some loadings are 0.
        factors: Their number q, below d.
    """
    n, d = points.shape
    _, sizes, axes = torch.linalg.svd(points, full_matrices=False)
    variances = sizes.square() / n
    noise = (variances[factors:].sum() / (d - factors)).item()
    loadings = points.new_zeros(d, factors)
    found = axes[:factors].T * (variances[:factors] - noise).clamp(min=0).sqrt()
    loadings[:, : found.shape[1]] = found
    return loadings, noise


def factors_of(
    points: Points, centres: Float[Tensor, "K d"], factors: int, noise: Pool, least: float
) -> Factors:
    """A guess: principal components of the points nearest to each centre.

    Args:
        points: (n, d).
        centres: (K, d).
        factors: Latents of each component, below d.
        noise: How the noise is bound.
        least: Its least variance.
    """
    told, enough = nearest(points, centres), min(len(points), 2 * factors + 2)
    means, loadings, variances = [], [], []
    for component, centre in enumerate(centres):
        own = points[told == component]
        if len(own) < enough:
            distances = squared_distances(points, centre[None])[:, 0]
            own = points[distances.topk(enough, largest=False).indices]
        means.append(own.mean(0))
        own = own - means[-1]
        loadings.append(principal(own, factors)[0])
        variances.append(own.square().mean(0) - loadings[-1].square().sum(1))
    counts = told.bincount(minlength=len(centres)).clamp(min=1).to(points)
    bound = noise(torch.stack(variances), counts).clamp(min=least)
    log_weights = (counts / counts.sum()).log()
    return Factors(log_weights, torch.stack(means), torch.stack(loadings), bound)
