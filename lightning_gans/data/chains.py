"""Sequences from hidden Markov models that are known, drawn once by seed."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lightning_gans.data.images import SPLITS, Labels
from lightning_gans.data.sequences import Padded, SequenceSet
from lightning_gans.errors import InputError
from lightning_gans.seeds import Stream, seeded

__all__ = ["CategoricalChain", "Chain", "GaussianChain", "draw_states"]


def draw_states(
    initial: Float[Tensor, " states"],
    transition: Float[Tensor, "states states"],
    n: int,
    steps: int,
    generator: torch.Generator | None,
) -> Int64[Tensor, "n steps"]:
    """States of ``n`` Markov chains, whose next state hangs on the present one alone.

    Args:
        initial: Probabilities of the first state, on the CPU.
        transition: Probabilities of the next state (column) after each (row).
        n: Number of chains.
        steps: Of each.
        generator: On the CPU; None draws from the global one.
    """
    drawn = torch.rand(steps, n, 1, generator=generator, dtype=torch.float64)

    def edges(probabilities: Tensor) -> Tensor:
        """Where the unit interval is cut; the impossible has no width, be it the last state."""
        sums = probabilities.cumsum(-1)
        return (sums / sums[..., -1:])[..., :-1].contiguous()

    states = [(drawn[0] >= edges(initial)).sum(1)]
    following = edges(transition)
    for uniform in drawn[1:]:
        states.append((uniform >= following[states[-1]]).sum(1))
    return torch.stack(states, 1)


class Chain(SequenceSet):
    """Sequences from a known hidden Markov model: the same ones in every epoch.

    Args:
        transition: Probabilities of the next state (column) after each (row).
        initial: Probabilities of the first state; None makes them equal.
        sequences: For training.
        length: Steps of the longest sequences.
        shortest: Steps of the shortest; lengths are drawn evenly. None makes all equally long.
        held_out: Sequences in the validation and in the test set.
        batch_size: Sequences in a batch of one process.
        seed: Seed of every draw.

    Raises:
        InputError: The shapes disagree, or a number is out of range.
    """

    def __init__(
        self,
        transition: Sequence[Sequence[float]],
        initial: Sequence[float] | None,
        sequences: int,
        length: int,
        shortest: int | None,
        held_out: int,
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__(batch_size, seed)
        self.transition = _probabilities("transition", transition, 2)
        states = len(self.transition)
        given = [1 / states] * states if initial is None else initial
        self.initial = _probabilities("initial", given, 1)
        if self.transition.shape != (states, states) or self.initial.shape != (states,):
            raise InputError(
                f"data.transition is {tuple(self.transition.shape)} and data.initial "
                f"{tuple(self.initial.shape)}; they must be (states, states) and (states,)"
            )
        for name, value in {"sequences": sequences, "length": length, "held_out": held_out}.items():
            if value < 1:
                raise InputError(f"data.{name} is {value}; it must be at least 1")
        self.shortest = length if shortest is None else shortest
        if not 1 <= self.shortest <= length:
            raise InputError(
                f"data.shortest is {shortest}; it must be 1 to data.length {length}, or null"
            )
        self.sequences, self.length, self.held_out = sequences, length, held_out

    @abstractmethod
    def observe(self, states: Tensor, generator: torch.Generator) -> Padded:
        """Observations (n, time, dimension) of states (n, time), drawn with ``generator``."""

    def read(self) -> dict[str, tuple[Padded, Labels]]:
        """Sequences (n, length, dimension) of every split; labels (n,) are 0."""
        sizes = (self.sequences, self.held_out, self.held_out)
        return {
            name: (self._draw(n, split), torch.zeros(n, dtype=torch.long))
            for split, (name, n) in enumerate(zip(SPLITS, sizes, strict=True))
        }

    def _draw(self, n: int, split: int) -> Padded:
        source = seeded(torch.Generator(), Stream.DRAW, self.seed, split)
        states = draw_states(self.initial, self.transition, n, self.length, source)
        observed = self.observe(states, source)
        lengths = torch.randint(self.shortest, self.length + 1, (n, 1), generator=source)
        after = torch.arange(self.length) >= lengths
        return observed.float().masked_fill(after[..., None], torch.nan)


class GaussianChain(Chain):
    """Sequences from a hidden Markov model whose states are seen as Gaussians.

    Args:
        transition: Probabilities of the next state (column) after each (row).
        means: Centre of each state's observations.
        stds: Standard deviations along each axis, of each state; or one number for all.
        initial: Probabilities of the first state; None makes them equal.
        sequences: For training.
        length: Steps of the longest sequences.
        shortest: Steps of the shortest; lengths are drawn evenly. None makes all equally long.
        held_out: Sequences in the validation and in the test set.
        batch_size: Sequences in a batch of one process.
        seed: Seed of every draw.

    Raises:
        InputError: The shapes disagree, or a number is out of range.
    """

    def __init__(
        self,
        transition: Sequence[Sequence[float]],
        means: Sequence[Sequence[float]],
        stds: float | Sequence[Sequence[float]] = 1.0,
        initial: Sequence[float] | None = None,
        sequences: int = 1000,
        length: int = 100,
        shortest: int | None = None,
        held_out: int = 200,
        batch_size: int = 250,
        seed: int = 0,
    ) -> None:
        super().__init__(
            transition, initial, sequences, length, shortest, held_out, batch_size, seed
        )
        self.means = _table("means", means, 2)
        equal = isinstance(stds, (int, float))
        self.stds = torch.full_like(self.means, stds) if equal else _table("stds", stds, 2)
        shape = (len(self.initial), self.means.shape[1])
        if self.means.shape != shape or self.stds.shape != shape or not bool((self.stds > 0).all()):
            raise InputError(
                f"data.means and data.stds must have a list for each of {shape[0]} states, all of "
                "a length, and data.stds be above 0"
            )
        self.event_shape = (length, shape[1])

    def observe(self, states: Tensor, generator: torch.Generator) -> Padded:
        """Observations (n, time, dimension) of states (n, time), drawn with ``generator``."""
        noise = torch.randn(*states.shape, self.event_shape[1], generator=generator).double()
        return self.means[states] + self.stds[states] * noise


class CategoricalChain(Chain):
    """Sequences of whole numbers from a hidden Markov model, each state with its frequencies.

    Args:
        transition: Probabilities of the next state (column) after each (row).
        symbols: Probabilities of the numbers 0, 1, ... (column) in each state (row).
        initial: Probabilities of the first state; None makes them equal.
        sequences: For training.
        length: Steps of the longest sequences.
        shortest: Steps of the shortest; lengths are drawn evenly. None makes all equally long.
        held_out: Sequences in the validation and in the test set.
        batch_size: Sequences in a batch of one process.
        seed: Seed of every draw.

    Raises:
        InputError: The shapes disagree, or a number is out of range.
    """

    bin_width = 1.0

    def __init__(
        self,
        transition: Sequence[Sequence[float]],
        symbols: Sequence[Sequence[float]],
        initial: Sequence[float] | None = None,
        sequences: int = 1000,
        length: int = 100,
        shortest: int | None = None,
        held_out: int = 200,
        batch_size: int = 250,
        seed: int = 0,
    ) -> None:
        super().__init__(
            transition, initial, sequences, length, shortest, held_out, batch_size, seed
        )
        self.symbols = _probabilities("symbols", symbols, 2)
        if len(self.symbols) != len(self.initial):
            raise InputError(
                f"data.symbols has {len(self.symbols)} lists; it must have one for each of "
                f"{len(self.initial)} states"
            )
        self.event_shape = (length, 1)

    def observe(self, states: Tensor, generator: torch.Generator) -> Padded:
        """Observations (n, time, 1) of states (n, time), drawn with ``generator``."""
        drawn = torch.multinomial(self.symbols[states.flatten()], 1, generator=generator)
        return drawn.view(*states.shape, 1).double()


def _table(name: str, given: Sequence, ndim: int) -> Tensor:
    """Nested lists as a tensor of ``ndim`` dimensions in 64 bits."""
    try:
        found = torch.tensor(given, dtype=torch.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"data.{name} must be lists of numbers, all of a length") from error
    if found.ndim != ndim or found.numel() == 0 or not bool(found.isfinite().all()):
        what = {1: "a list", 2: "a list, one for each state, of lists"}[ndim]
        raise InputError(f"data.{name} must be {what} of finite numbers")
    return found


def _probabilities(name: str, given: Sequence, ndim: int) -> Tensor:
    """As `_table`, the last axis summing to 1."""
    found = _table(name, given, ndim)
    sums = found.sum(-1, keepdim=True)
    if not bool((found >= 0).all()) or not torch.allclose(sums, torch.ones_like(sums), atol=1e-6):
        raise InputError(f"data.{name} must be probabilities: each list at least 0, and sum to 1")
    return found / sums
