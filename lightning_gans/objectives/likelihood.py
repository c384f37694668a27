"""How likely events are, and what a variational autoencoder minimises: pure functions.

Log-probabilities are in nats and summed over an event's values, one (batch,) for each event, which
are in [-1, 1] where they are images. A posterior is N(mean, exp(log_variance)), independent in
each latent.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from lightning_gans.types import Events, Latents

__all__ = [
    "bernoulli",
    "discretised_logistic",
    "free_bits",
    "gaussian",
    "importance_weighted",
    "kl_to_prior",
    "latent_log_ratio",
]

LogProbs = Float[Tensor, " batch"]
"""One number of nats for each event."""
_LOG_2PI = math.log(2 * math.pi)


def bernoulli(events: Events, logits: Events) -> LogProbs:
    """Log-probability (batch,) of values that are -1 or 1 (Kingma and Welling, 2014, appendix C.1).

    Values between count as the expectation over one drawn with the probability (value + 1) / 2 of
    being 1: minus the cross-entropy, which bounds the log-probability of such drawn values.
    """
    likely = (events + 1) / 2
    return -binary_cross_entropy_with_logits(logits, likely, reduction="none").flatten(1).sum(1)


def gaussian(events: Events, mean: Events, log_scale: Tensor) -> LogProbs:
    """Log-density (batch,) of N(mean, exp(log_scale)^2) (Kingma and Welling, 2014, appendix C.2).

    Args:
        events: (batch, *event).
        mean: (batch, *event).
        log_scale: Of the standard deviation: one for all () or one for each value.
    """
    squares = ((events - mean) * (-log_scale).exp()).square()
    return -(0.5 * (squares + _LOG_2PI) + log_scale).flatten(1).sum(1)


def discretised_logistic(
    events: Events, mean: Events, log_scale: Tensor, levels: int = 256
) -> LogProbs:
    """Log-probability (batch,) of the levels of values in [-1, 1] (Kingma et al., 2016, IAF).

    A level has the logistic distribution's mass within half a step of it; the first and the last
    have the tails, too. With a and b the ends in units of the scale, that mass is
    sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - exp(a - b)), which never underflows.

    Args:
        events: Values on ``levels`` equal steps from -1 to 1.
        mean: (batch, *event).
        log_scale: Of the logistic's scale: one for all () or one for each value.
        levels: At least 2; bytes have 256.
    """
    half = 1 / (levels - 1)
    inverse = (-log_scale).exp()
    below = logsigmoid((events - mean + half) * inverse)
    above = logsigmoid((mean - events + half) * inverse)
    within = below + above + (-torch.expm1(-2 * half * inverse)).log()
    first_or_within = torch.where(events < half - 1, below, within)
    return torch.where(events > 1 - half, above, first_or_within).flatten(1).sum(1)


def kl_to_prior(mean: Latents, log_variance: Latents) -> Latents:
    """KL(N(mean, variance) || N(0, 1)) of each latent (Kingma and Welling, 2014, appendix B)."""
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1)


def free_bits(kl: Latents, least: float) -> Tensor:
    """The divergence (), each latent's at least ``least`` (Kingma et al., 2016, IAF, eq. 15).

    Args:
        kl: Of each event and latent (batch, latent).
        least: Nats that a latent may take, in the mean over the batch, without being charged for
            more; 0 charges for all.
    """
    return kl.mean(0).clamp(min=least).sum()


def latent_log_ratio(latents: Tensor, noise: Tensor, log_variance: Tensor) -> Tensor:
    """Log N(z; 0, 1) - log q(z | x), z = mean + deviation noise (Kingma and Welling, 2014).

    Args:
        latents: z (..., latent).
        noise: What they were drawn with (..., latent).
        log_variance: Of the posterior (..., latent).

    Returns:
        The sum over latents (...).
    """
    return 0.5 * (noise.square() + log_variance - latents.square()).sum(-1)


def importance_weighted(log_weights: Float[Tensor, "samples batch"]) -> LogProbs:
    """Log mean over k samples of p(x, z) / q(z | x) (Burda et al., 2016, eq. 8): a lower bound.

    It grows with k, in expectation, towards log p(x); with one sample it is the ELBO.
    """
    return log_weights.logsumexp(0) - math.log(len(log_weights))
