"""Observations: the law of an event given what a decoder says of it."""

import math
from abc import ABC, abstractmethod
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.objectives.likelihood import bernoulli, discretised_logistic, gaussian
from lightning_gans.types import Events, InputError

__all__ = ["Bernoulli", "DiscretisedLogistic", "Gaussian", "Observation"]

Said = Float[Tensor, "batch outputs *event"]
"""What a decoder says: so many numbers for each value of an event."""

Binarise = Literal["draw", "threshold", "none"]
"""How values between -1 and 1 become one of the two."""

Spread = Literal["fixed", "shared", "each"]
"""Whose scale: a number given, one that is learned for all values, or each value its own."""


def _one_of(name: str, value: str, choices: object) -> None:
    if value not in get_args(choices):
        raise InputError(f"{name} is {value!r}; choose {', '.join(get_args(choices))}")


class Observation(nn.Module, ABC):
    """From what a decoder says, (batch, outputs, *event), to the law of an event."""

    outputs: int = 1
    """Numbers that the decoder must give for each value."""
    discrete: bool = False
    """Whether this is a probability of values on a grid, not a density."""
    in_bits: bool = True
    """Whether it can be told in bits a dimension of the data."""
    of: str = ""
    """What the likelihood is of, where `discrete` does not say it."""
    treatment: str = ""
    """What becomes of the values, in a few words, where anything does."""

    def observe(self, events: Events, source: torch.Generator) -> Events:
        """``events`` as the model sees them, drawn with ``source`` on the CPU where it draws."""
        return events

    def check(self, bin_width: float | None) -> None:
        """Refuse data whose values are ``bin_width`` apart, or on no grid if that is None."""

    @abstractmethod
    def log_prob(self, events: Events, said: Said) -> Float[Tensor, " batch"]:
        """Log-probability or log-density (batch,) of ``events``, in nats."""

    @abstractmethod
    def mean(self, said: Said) -> Events:
        """The expected event."""

    @abstractmethod
    def sample(self, said: Said, source: torch.Generator | None) -> Events:
        """Events drawn from the law, with ``source`` on the CPU; None draws from the global one."""


class Bernoulli(Observation):
    """Each value is -1 or 1 (Kingma and Welling, 2014); the decoder says the logit of 1.

    Args:
        binarise: What becomes of grey values: ``draw`` takes 1 with the probability
            (value + 1) / 2, anew for every batch of training (dynamic binarisation) and always the
            same in evaluation; ``threshold`` takes 1 above 0; ``none`` lets them be, and the
            cross-entropy that is left bounds the likelihood of what ``draw`` would give.

    Raises:
        InputError: ``binarise`` is another.
    """

    discrete = True

    def __init__(self, binarise: Binarise = "draw") -> None:
        super().__init__()
        _one_of("Bernoulli.binarise", binarise, Binarise)
        self.binarise = binarise
        self.treatment = f"binarise {binarise}"
        self.in_bits = binarise != "none"
        self.of = "of the probability of binarised values"
        if binarise == "none":
            self.of = "of greys as probabilities, a bound for images binarised by them"

    def observe(self, events: Events, source: torch.Generator) -> Events:
        """``events``, binarised.

        Raises:
            InputError: A value is not in [-1, 1], so its probability is not in [0, 1].
        """
        low, high = (extreme.item() for extreme in events.aminmax())
        # A little more than the rounding of bytes; false for what is not a number.
        if not -1.001 <= low <= high <= 1.001:
            raise InputError(
                f"model.likelihood Bernoulli takes values from -1 to 1 as probabilities from 0 to "
                f"1, and the data go from {low:.3g} to {high:.3g}; choose Gaussian"
            )
        if self.binarise == "none":
            return events
        likely = (events + 1) / 2
        if self.binarise == "threshold":
            return (likely > 0.5).to(events) * 2 - 1
        drawn = torch.rand(events.shape, generator=source).to(likely) < likely
        return drawn.to(events).mul_(2).sub_(1)

    def log_prob(self, events: Events, said: Said) -> Float[Tensor, " batch"]:
        """Log-probability (batch,) of ``events``."""
        return bernoulli(events, said[:, 0])

    def mean(self, said: Said) -> Events:
        """2 p - 1, which is tanh(logit / 2)."""
        return (said[:, 0] / 2).tanh()

    def sample(self, said: Said, source: torch.Generator | None) -> Events:
        """Each value 1 with its probability, else -1."""
        likely = said[:, 0].sigmoid()
        drawn = torch.rand(likely.shape, generator=source).to(likely) < likely
        return drawn.to(likely) * 2 - 1


class _Scaled(Observation):
    """A law with a mean and a scale.

    Args:
        scale: Of the law; where it is learned, at the beginning.
        spread: ``fixed`` keeps that, ``shared`` learns one for all values, ``each`` lets the
            decoder say it for each value, as a factor exp(.) of ``scale``: it needs two outputs.
    """

    def __init__(self, scale: float, spread: Spread) -> None:
        super().__init__()
        name = type(self).__name__
        if not 0 < scale < math.inf:
            raise InputError(f"{name}.scale is {scale}; it must be above 0")
        _one_of(f"{name}.spread", spread, Spread)
        log_scale = torch.tensor(math.log(scale))
        if spread == "shared":
            self.log_scale = nn.Parameter(log_scale)
        else:
            self.register_buffer("log_scale", log_scale)
        self.outputs = 2 if spread == "each" else 1

    def located(self, said: Said) -> tuple[Events, Tensor]:
        """The mean (batch, *event), and the logarithm of the scale () or (batch, *event)."""
        own = said[:, 1] if self.outputs == 2 else 0.0
        return said[:, 0], self.log_scale + own

    def mean(self, said: Said) -> Events:
        """As the decoder says."""
        return said[:, 0]


class Gaussian(_Scaled):
    """Each value is N(mean, scale^2) (Kingma and Welling, 2014); images get noise of a grey level.

    Args:
        scale: The standard deviation; where it is learned, at the beginning.
        spread: ``fixed`` keeps that, ``shared`` learns one for all values (Dai and Wipf, 2019,
            gamma is its square), ``each`` lets the decoder say it for each value, as a factor
            exp(.) of ``scale``: it needs two outputs.

    Raises:
        InputError: ``scale`` is not above 0, or ``spread`` another.
    """

    def __init__(self, scale: float = 1.0, spread: Spread = "shared") -> None:
        super().__init__(scale, spread)

    def log_prob(self, events: Events, said: Said) -> Float[Tensor, " batch"]:
        """Log-density (batch,) of ``events``."""
        return gaussian(events, *self.located(said))

    def sample(self, said: Said, source: torch.Generator | None) -> Events:
        """The mean, with normal noise."""
        mean, log_scale = self.located(said)
        return mean + torch.randn(mean.shape, generator=source).to(mean) * log_scale.exp()


class DiscretisedLogistic(_Scaled):
    """Each value is one of 256 levels, by a logistic law's mass there (Kingma et al., 2016).

    Args:
        scale: Of the logistic, in units of images, [-1, 1]; where it is learned, at the beginning.
        spread: ``fixed``, ``shared`` or ``each``, as of `Gaussian`.

    Raises:
        InputError: ``scale`` is not above 0, or ``spread`` another.
    """

    discrete = True
    levels = 256

    def __init__(self, scale: float = 0.1, spread: Spread = "shared") -> None:
        super().__init__(scale, spread)

    def check(self, bin_width: float | None) -> None:
        """Refuse data that are not images of bytes.

        Raises:
            InputError: They are not.
        """
        if bin_width != 2 / (self.levels - 1):
            raise InputError(
                f"model.likelihood DiscretisedLogistic is of {self.levels} levels from -1 to 1, as "
                "images of bytes have; these data have others: choose Gaussian"
            )

    def log_prob(self, events: Events, said: Said) -> Float[Tensor, " batch"]:
        """Log-probability (batch,) of ``events``."""
        return discretised_logistic(events, *self.located(said), self.levels)

    def sample(self, said: Said, source: torch.Generator | None) -> Events:
        """The level that is nearest to a draw of the logistic law; the end levels take the rest."""
        mean, log_scale = self.located(said)
        logits = torch.rand(mean.shape, generator=source, dtype=torch.float64).logit(1e-15)
        drawn = mean + logits.to(mean) * log_scale.exp()
        step = 2 / (self.levels - 1)
        return ((drawn.clamp(-1, 1) + 1) / step).round() * step - 1
