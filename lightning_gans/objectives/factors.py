"""Mixtures of factor analysers: Gaussians of low rank plus noise, never as d x d matrices."""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lightning_gans.objectives.covariances import weighted_sums
from lightning_gans.objectives.mixtures import posterior, rows_at_once

__all__ = [
    "Pool",
    "Factors",
    "each_value",
    "expectations",
    "filled",
    "joint",
    "maximised",
    "shared",
    "spherical",
]

Points = Float[Tensor, "n d"]
Variances = Float[Tensor, "K d"]


class Factors(NamedTuple):
    """x = mean_k + loadings_k z + noise, with z ~ N(0, I) in q dimensions (all in 64 bits).

    Attributes:
        log_weights: Logarithms of the components' weights (K,).
        means: (K, d).
        loadings: (K, d, q).
        noise: Variances of the noise (K, d), above 0.
    """

    log_weights: Float[Tensor, " K"]
    means: Float[Tensor, "K d"]
    loadings: Float[Tensor, "K d q"]
    noise: Variances

    @property
    def width(self) -> int:
        """Numbers that each point becomes: its values, or its latents in all components."""
        return max(self.means.shape[1], self.loadings[:, 0].numel())


class _Density(NamedTuple):
    """What the log-densities of `Factors` are computed from.

    With I + A^T N^-1 A = L L^T for loadings A and noise N, the covariance's inverse is
    N^-1 - W W^T, W = N^-1 A L^-T (Woodbury), and its determinant |N| |L|^2 (Sylvester). So q + 2
    numbers a component take the place of d^2: u = W^T (x - mean), and what is linear in x and x^2.
    Components come first, since products of matrices are faster so.
    """

    values: Float[Tensor, "rows d"]
    squares: Float[Tensor, "K d"]
    constants: Float[Tensor, "K 1"]
    offsets: Float[Tensor, "K q 1"]
    inner: Float[Tensor, "K q q"]

    def __call__(
        self, points: Points, squares: Points
    ) -> tuple[Float[Tensor, "K n"], Float[Tensor, "K q n"]]:
        """The joint log-densities, and u, by which the latents are known: E[z|x] = L^-T u."""
        k, q, _ = self.inner.shape
        values = self.values @ points.T
        u = values[k:].view(k, q, -1) - self.offsets
        logs = torch.addmm(self.constants, self.squares, squares.T) + values[:k]
        return logs + u.square().sum(1) / 2, u


def _density(factors: Factors) -> _Density:
    log_weights, means, loadings, noise = factors
    scaled = loadings / noise[:, :, None]
    inner = torch.eye(loadings.shape[2]).to(loadings) + loadings.mT @ scaled
    inner = torch.linalg.cholesky(inner)
    w = torch.linalg.solve_triangular(inner, scaled.mT, upper=False)
    sizes = inner.diagonal(dim1=1, dim2=2).log().sum(1) + (2 * math.pi * noise).log().sum(1) / 2
    slopes = means / noise
    return _Density(
        values=torch.cat([slopes, w.flatten(0, 1)]),
        squares=-0.5 / noise,
        constants=(log_weights - sizes - (slopes * means).sum(1) / 2)[:, None],
        offsets=w @ means[:, :, None],
        inner=inner,
    )


def joint(points: Points, factors: Factors) -> Float[Tensor, "n K"]:
    """Joint log-densities log pi_k + log p_k(x) (Ghahramani and Hinton, 1996)."""
    density = _density(factors)
    parts = points.split(rows_at_once(factors.width))
    return torch.cat([density(part, part.square())[0] for part in parts], 1).T


def expectations(blocks: Iterable[Points], factors: Factors) -> dict[str, Tensor]:
    """The E-turn of a mixture of factor analysers (Ghahramani and Hinton, 1996).

    Args:
        blocks: Of points (n, d), in 64 bits.
        factors: The mixture.

    Returns:
        Sums over the points, of responsibilities r and latents z: ``events`` (), ``log_prob`` (),
        ``counts`` (K,), ``x`` (K, d), ``squares`` (K, d), ``z`` (K, q), ``xz`` (K, d, q) and
        ``zz`` (K, q, q).
    """
    density, sums = _density(factors), {}
    k, d, q = factors.loadings.shape
    for part in blocks:
        squared = part.square()
        logs, u = density(part, squared)
        log_prob, shares = posterior(logs.T)
        shares = shares.T
        weighted = shares[:, None] * u
        plain = weighted_sums(shares, torch.cat([part, squared], 1))
        found = {
            "events": shares.new_tensor(len(part)),
            "log_prob": log_prob.sum(),
            "counts": shares.sum(1),
            "x": plain[:, :d],
            "squares": plain[:, d:],
            "z": weighted.sum(2),
            "xz": weighted_sums(weighted.flatten(0, 1), part).view(k, q, d),
            "zz": weighted @ u.mT,
        }
        sums = {name: sums.get(name, 0) + value for name, value in found.items()}
    # From u to z = L^-T u, whose posterior covariance is (L L^T)^-1 at every point.
    back = torch.linalg.inv(density.inner)
    sums["z"] = (sums["z"][:, None] @ back)[:, 0]
    sums["xz"] = sums["xz"].mT @ back
    sums["zz"] = (
        back.mT @ (sums["zz"] + sums["counts"][:, None, None] * torch.eye(q).to(back)) @ back
    )
    return sums


def each_value(variances: Variances, counts: Float[Tensor, " K"]) -> Variances:
    """Noise of its own for each value of each component (Ghahramani and Hinton, 1996)."""
    return variances


def shared(variances: Variances, counts: Float[Tensor, " K"]) -> Variances:
    """Noise of its own for each value, the same in all components (Ghahramani and Hinton, 1996)."""
    return ((counts / counts.sum()) @ variances).expand_as(variances)


def spherical(variances: Variances, counts: Float[Tensor, " K"]) -> Variances:
    """Noise as large for every value: as in probabilistic PCA (Tipping and Bishop, 1999)."""
    return variances.mean(1, keepdim=True).expand_as(variances)


Pool = Callable[[Variances, Float[Tensor, " K"]], Variances]
"""From the noise of each value of each component, and their counts (K,), to what is bound."""


def maximised(sums: dict[str, Tensor], noise: Pool, least: float) -> Factors:
    """The M-turn of a mixture of factor analysers (Ghahramani and Hinton, 1996).

    A mean is the loading of a latent that is always 1, so both have one equation.

    Args:
        sums: Those of `expectations`; counts are above 0.
        noise: How the noise is bound.
        least: Its least variance.
    """
    counts, z = sums["counts"], sums["z"][:, :, None]
    xz = torch.cat([sums["xz"], sums["x"][:, :, None]], 2)
    corner = counts[:, None, None]
    zz = torch.cat([torch.cat([sums["zz"], z], 2), torch.cat([z.mT, corner], 2)], 1)
    loadings = torch.linalg.solve(zz, xz.mT).mT
    variances = (sums["squares"] - (loadings * xz).sum(2)) / counts[:, None]
    return Factors(
        (counts / counts.sum()).log(),
        loadings[:, :, -1].contiguous(),
        loadings[:, :, :-1].contiguous(),
        noise(variances, counts).clamp(min=least),
    )


def filled(
    points: Points,
    missing: Bool[Tensor, " d"],
    factors: Factors,
    generator: torch.Generator | None = None,
) -> Points:
    """``points`` with their missing values by the conditional law (Ghahramani and Hinton, 1996).

    The known values are of a mixture of factor analysers, too, whose latents explain the others.

    Args:
        points: (n, d); what stands in the place of missing values does not matter.
        missing: Which values are.
        factors: The mixture.
        generator: Draws from that law, on the CPU; None takes its mean.
    """
    log_weights, means, loadings, noise = factors
    known = Factors(log_weights, *(part[:, ~missing] for part in (means, loadings, noise)))
    density = _density(known)
    points_known = points[:, ~missing]
    logs, u = density(points_known, points_known.square())
    _, shares = posterior(logs.T)
    back = torch.linalg.inv(density.inner)
    z = torch.einsum("kpn,kpq->nkq", u, back)
    means, loadings, result = means[:, missing], loadings[:, missing], points.clone()
    if generator is None:
        weighted = (shares[:, :, None] * z).flatten(1)
        result[:, missing] = shares @ means + weighted @ loadings.mT.flatten(0, 1)
        return result
    chosen = torch.multinomial(shares.cpu(), 1, generator=generator)[:, 0].to(points.device)
    draw = torch.randn(*z[:, 0].shape, generator=generator, dtype=z.dtype).to(z)
    grain = torch.randn(len(points), means.shape[1], generator=generator, dtype=z.dtype).to(z)
    for component in chosen.unique().tolist():
        own = (chosen == component).nonzero()
        rows = own[:, 0]
        latents = z[rows, component] + draw[rows] @ back[component]
        values = means[component] + latents @ loadings[component].T
        values = values + noise[component, missing].sqrt() * grain[rows]
        result[own, missing.nonzero()[:, 0]] = values
    return result
