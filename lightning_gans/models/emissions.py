"""What the states of a hidden Markov model emit: how likely, how fitted, how drawn."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from lightning_gans.errors import InputError
from lightning_gans.models.em import Sums
from lightning_gans.seeds import Stream, seeded

__all__ = ["Categorical", "Emission", "EmissionFactory", "Steps", "Weights"]

Steps = Float[Tensor, "n dimension"]
Weights = Float[Tensor, "n states"]


class Emission(nn.Module, ABC):
    """From each state to a law of observations (dimension,), fitted to weighted observations.

    Parameters are buffers in 64 bits: they are fitted in closed form, not along gradients.
    Statistics may be sums or means; only their ratios matter, but ``events`` says of how many.

    Args:
        states: Number of states.
        dimension: Numbers in an observation.
    """

    discrete = False
    """Whether `log_prob` is of a probability, not of a density."""

    def __init__(self, states: int, dimension: int) -> None:
        super().__init__()
        self.states, self.dimension = states, dimension

    @property
    @abstractmethod
    def expected(self) -> Float[Tensor, "states ..."]:
        """What each state's observations are on average; of symbols, their probabilities."""

    @abstractmethod
    def guess(self, steps: Steps, seed: int) -> Weights:
        """First weights of the states for observations, from which all else is fitted.

        Raises:
            InputError: The observations cannot be modelled.
        """

    @abstractmethod
    def log_prob(self, steps: Steps) -> Weights:
        """Log-density of each observation from each state, in nats."""

    @abstractmethod
    def statistics(self, steps: Steps, weights: Weights) -> Sums:
        """Sufficient statistics of observations that belong to the states by ``weights``."""

    @abstractmethod
    def maximise(self, sums: Sums) -> None:
        """Take the parameters that fit the statistics best; a state without any keeps its own."""

    @abstractmethod
    def sample(self, states: Int64[Tensor, " n"], generator: torch.Generator | None) -> Steps:
        """An observation from each of ``states``; all on the CPU."""


EmissionFactory = Callable[[int, int], Emission]
"""From the numbers of states and of dimensions to an emission."""


class Categorical(Emission):
    """Each state emits whole numbers 0, 1, ..., one in each column, independently.

    Args:
        states: Number of states.
        dimension: Columns.
        symbols: How many numbers there are.
        smoothing: Added to each expected count for every sequence, so that what was never seen
            is not impossible; 0 adds nothing.

    Raises:
        InputError: A number is out of range.
    """

    discrete = True

    def __init__(
        self, states: int, dimension: int, symbols: int = 2, smoothing: float = 0.0
    ) -> None:
        super().__init__(states, dimension)
        if symbols < 1:
            raise InputError(f"model.emission.symbols is {symbols}; it must be at least 1")
        if smoothing < 0:
            raise InputError(f"model.emission.smoothing is {smoothing}; it must be at least 0")
        self.symbols, self.smoothing = symbols, smoothing
        equal = torch.full((states, dimension, symbols), 1 / symbols, dtype=torch.float64)
        self.register_buffer("probabilities", equal)

    @property
    def expected(self) -> Float[Tensor, "states dimension symbols"]:
        """The probabilities of the symbols."""
        return self.probabilities

    def guess(self, steps: Steps, seed: int) -> Weights:
        """Each symbol of each column divided among the states at random; columns multiply.

        Raises:
            InputError: No column has two symbols.
        """
        symbols = self._symbols(steps)
        if (symbols == symbols[0]).all():
            raise InputError("all columns of the observations are constant: no state can be told")
        source = seeded(torch.Generator(), Stream.LATENTS, seed)
        size = self.dimension, self.symbols, self.states
        shares = -torch.rand(size, generator=source, dtype=torch.float64).log()
        logs = shares.log().to(steps)
        both = [part[seen] for part, seen in zip(logs, symbols.unbind(1), strict=True)]
        return torch.stack(both).sum(0).softmax(1)

    def log_prob(self, steps: Steps) -> Weights:
        """Log-probability of each observation from each state, in nats."""
        table = self.probabilities.log().permute(1, 2, 0).contiguous()
        columns = self._symbols(steps).unbind(1)
        return torch.stack([part[seen] for part, seen in zip(table, columns, strict=True)]).sum(0)

    def statistics(self, steps: Steps, weights: Weights) -> Sums:
        """How often each symbol (column, symbol, state) is expected."""
        counts = weights.new_zeros(self.dimension, self.symbols, self.states)
        for column, seen in zip(counts, self._symbols(steps).unbind(1), strict=True):
            column.index_add_(0, seen, weights)
        return {"symbols": counts}

    def maximise(self, sums: Sums) -> None:
        """The symbols' shares of each state's expected counts."""
        counts = sums["symbols"].permute(2, 0, 1) + self.smoothing * sums["events"]
        totals = counts.sum(2, keepdim=True)
        self.probabilities.copy_(torch.where(totals > 0, counts / totals, self.probabilities))

    def sample(self, states: Int64[Tensor, " n"], generator: torch.Generator | None) -> Steps:
        """An observation from each of ``states``; all on the CPU."""
        rows = self.probabilities.cpu()[states].flatten(0, 1)
        drawn = torch.multinomial(rows, 1, generator=generator)
        return drawn.view(len(states), self.dimension).double()

    def _symbols(self, steps: Steps) -> Int64[Tensor, "n dimension"]:
        symbols = steps.long()
        wrong = (symbols != steps) | (symbols < 0) | (symbols >= self.symbols)
        if wrong.any():
            raise InputError(
                f"the observations hold {steps[wrong][0]:g}; with model.emission.symbols "
                f"{self.symbols} they must be whole numbers from 0 to {self.symbols - 1}"
            )
        return symbols
