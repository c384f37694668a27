"""A decoder and the law of what it says; latents drawn from posteriors."""

import torch
from jaxtyping import Float
from torch import Tensor

from lightning_gans.objectives import Observation
from lightning_gans.types import Decoder, Events, Generator, InputError, Latents

__all__ = ["Observed", "drawn", "wide"]


class Observed(Generator):
    """A decoder and the law of what it says: latents to expected events, or to likelihoods.

    Args:
        decoder: Says what the law needs to know of each value.
        law: Of events.
        noise_in_samples: Whether samples are drawn from the law, or are its means.

    Raises:
        InputError: The decoder gives more or fewer outputs than the law takes.
    """

    def __init__(self, decoder: Decoder, law: Observation, noise_in_samples: bool = False) -> None:
        super().__init__(decoder.latent_dim)
        if decoder.outputs != law.outputs:
            raise InputError(
                f"model.decoder.outputs is {decoder.outputs}; model.likelihood "
                f"{type(law).__name__} takes {law.outputs} for each value"
            )
        self.decoder, self.law, self.event_shape = decoder, law, decoder.event_shape
        self.noise_in_samples = noise_in_samples

    def forward(self, latents: Latents) -> Events:
        """Expected events (batch, *event_shape); images in [-1, 1]."""
        return self._within(self.law.mean(self.decoder(latents)))

    def sample(self, latents: Latents, source: torch.Generator | None) -> Events:
        """Events drawn from p(x | z), or expected ones, as ``noise_in_samples`` says."""
        if not self.noise_in_samples:
            return self(latents)
        return self._within(self.law.sample(self.decoder(latents), source))

    def _within(self, events: Events) -> Events:
        return events.clamp(-1, 1) if len(self.event_shape) == 3 else events

    def log_prob(self, events: Events, latents: Latents) -> Float[Tensor, " batch"]:
        """Log p(x | z) (batch,) of events at their latents, in 32 bits at least."""
        return self.law.log_prob(events, wide(self.decoder(latents)))


def drawn(mean: Latents, log_variance: Latents, noise: Tensor) -> Tensor:
    """Latents of a posterior (..., latent), from noise N(0, I) (Kingma and Welling, 2014)."""
    return mean + noise * (0.5 * log_variance).exp()


def wide(x: Tensor) -> Tensor:
    """Sums over hundreds of values need more than 16 bits."""
    return x.float() if x.itemsize < 4 else x
