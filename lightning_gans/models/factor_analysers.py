"""A mixture of factor analysers: a Gaussian mixture for images, without d x d covariances."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lightning_gans.models.em import ExpectationMaximisation, Sums
from lightning_gans.models.mixture import Mixture, Points
from lightning_gans.objectives import factors as analysis
from lightning_gans.objectives.factors import Factors, Pool, each_value
from lightning_gans.objectives.mixtures import halved, set_apart
from lightning_gans.objectives.principal import factors_of
from lightning_gans.schedules import BatchCount
from lightning_gans.types import Events, InputError

__all__ = ["MixtureOfFactorAnalysers"]

_SPLIT = ("counts", "x", "squares", "z", "xz", "zz")


class MixtureOfFactorAnalysers(Mixture, ExpectationMaximisation):
    """A mixture of factor analysers by expectation-maximisation (Ghahramani and Hinton, 1996).

    Each component is a Gaussian that varies freely along ``factors`` directions, and by noise along
    all. With one component and spherical noise it is probabilistic principal component analysis
    (Tipping and Bishop, 1999). All is in 64 bits.

    Args:
        event_shape: Of one event; its values are taken as one vector of d numbers.
        components: Number of Gaussians.
        factors: Latents of each, below d.
        noise: `objectives.factors.each_value`, ``shared`` by all components, or ``spherical``.
        least_noise: Least variance of the noise, so that constant values are no spikes.
        noise_in_samples: Whether `sample` adds the noise, as the model's law has it. Without,
            images are smooth (so did Richardson and Weiss, 2018), but no samples of that law.
        restarts: Beginnings of the k-means that guesses the centres; the best is kept.
        window: Batches between two M-turns, or ``epoch``: the classical algorithm.
        decay: The k-th window's statistics enter a running mean with the weight (k + 1)^-decay;
            None takes each window's alone.
        tolerance: Training ends when the mean log-likelihood changes by less than this share.
        initial_events: Events that k-means, and the first factors, are found from.

    Raises:
        InputError: A number is out of range.
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        components: int,
        factors: int,
        noise: Pool = each_value,
        least_noise: float = 1e-6,
        noise_in_samples: bool = True,
        restarts: int = 3,
        window: BatchCount = "epoch",
        decay: float | None = None,
        tolerance: float = 1e-6,
        initial_events: int = 10_000,
    ) -> None:
        super().__init__(window, decay, tolerance, initial_events)
        self._describe(event_shape, components, restarts)
        if not 1 <= factors < self.dimension:
            raise InputError(
                f"model.factors is {factors}; it must be 1 to {self.dimension - 1}, below the "
                "number of values in an event"
            )
        if not least_noise > 0:
            raise InputError(f"model.least_noise is {least_noise}; it must be above 0")
        self.pool, self.least_noise = noise, least_noise
        self.noise_in_samples = noise_in_samples
        shape, double = (components, self.dimension), {"dtype": torch.float64}
        uniform = torch.full((components,), -math.log(components), **double)
        self.register_buffer("log_weights", uniform)
        self.register_buffer("means", torch.zeros(shape, **double))
        self.register_buffer("loadings", torch.zeros(*shape, factors, **double))
        self.register_buffer("noise", torch.ones(shape, **double))

    @property
    def factors(self) -> Factors:
        """The parameters, about ``shift``."""
        return Factors(self.log_weights, self.means, self.loadings, self.noise)

    @property
    def free(self) -> int:
        """Of weights, means, loadings up to a rotation, and noise."""
        k, d, q = self.loadings.shape
        one = torch.arange(k * d, dtype=torch.float64).view(k, d)
        noise = len(self.pool(one, torch.ones(k, dtype=torch.float64)).unique())
        return k - 1 + k * d + k * (d * q - q * (q - 1) // 2) + noise

    def joint(self, points: Points) -> Float[Tensor, "n K"]:
        """Joint log-densities log pi_k + log N(x; mu_k, A_k A_k^T + N_k)."""
        return analysis.joint(points, self.factors)

    def drawn(self, components: Tensor, generator: torch.Generator | None) -> Points:
        """Latents, and noise if it is wanted."""
        _, means, loadings, noise = (part.cpu() for part in self.factors)
        n, q = len(components), loadings.shape[2]
        latents = torch.randn(n, q, generator=generator, dtype=torch.float64)
        points = torch.randn(n, self.dimension, generator=generator, dtype=torch.float64)
        for component in components.unique().tolist():
            own = components == component
            points[own] *= noise[component].sqrt() * self.noise_in_samples
            points[own] += means[component] + latents[own] @ loadings[component].T
        return points

    def completed(
        self, points: Points, missing: Bool[Tensor, " d"], generator: torch.Generator | None
    ) -> Points:
        """By the latents that explain the known values."""
        return analysis.filled(points, missing, self.factors, generator)

    def initialise(self, events: Events) -> None:
        """By k-means, and the principal components about each centre."""
        points, centres = self.centres(events)
        q = self.loadings.shape[2]
        self._take(factors_of(points, centres, q, self.pool, self.least_noise))

    def expect(self, events: Events) -> Sums:
        """Responsibilities and latents, and the values and products that they weight."""
        factors = self.factors
        return analysis.expectations(self.blocks(events, factors.width), factors)

    def maximise(self, sums: Sums) -> None:
        """Means, loadings and noise; the dead live again."""
        pairs = self.revived(sums["counts"])
        sums = sums | {name: halved(sums[name], pairs) for name in _SPLIT}
        found = analysis.maximised(sums, self.pool, self.least_noise)
        for dead, heavy in pairs:
            variances = found.loadings[heavy].square().sum(1) + found.noise[heavy]
            set_apart(found.means, dead, heavy, variances)
        self._take(found)

    def _take(self, found: Factors) -> None:
        for mine, new in zip(self.factors, found, strict=True):
            mine.copy_(new)
