"""Hidden Markov models, fitted by expectation-maximisation."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lightning_gans.data.chains import draw_states
from lightning_gans.data.sequences import lengths_of
from lightning_gans.models.em import ExpectationMaximisation, Sums
from lightning_gans.models.emissions import EmissionFactory
from lightning_gans.models.gaussian_emissions import DiagonalGaussian
from lightning_gans.objectives.markov import (
    Path,
    backward,
    expected_transitions,
    forward,
    log_likelihood,
    next_states,
    posteriors,
    viterbi,
)
from lightning_gans.schedules import BatchCount
from lightning_gans.types import Events, InputError

__all__ = ["HMM", "Next"]

_STEPS_AT_ONCE = 4096


class Next(NamedTuple):
    """What follows each sequence.

    Attributes:
        states: Probabilities (batch, states) of the next state.
        expected: The next observation (batch, dimension) on average; of symbols, their
            probabilities (batch, dimension, symbols).
    """

    states: Float[Tensor, "batch states"]
    expected: Float[Tensor, "batch *observation"]


class _Seen(NamedTuple):
    """Sequences (batch, time, dimension) in 64 bits, 0 after their ends, and their lengths."""

    sequences: Float[Tensor, "batch time dimension"]
    lengths: Int64[Tensor, " batch"]


class HMM(ExpectationMaximisation):
    """Hidden Markov model (Rabiner, 1989), trained by the algorithm of Baum and Welch (1970).

    An event is a sequence (time, dimension), nan after the end of shorter ones; or an image
    (channels, height, width), read as a sequence of rows from top to bottom.

    Args:
        event_shape: That of the data.
        states: Number of hidden states.
        emission: What each state's observations are like.
        smoothing: Added to each expected count of first states and of transitions for every
            sequence, so that what was never seen is not impossible; 0 adds nothing.
        window: Batches between two M-turns, or ``epoch`` for all those of the epoch.
        decay: The k-th window's mean statistics (from 0) enter a running mean with the weight
            (k + 1)^-decay; None takes each window's alone.
        tolerance: Training ends when the mean log-likelihood of a window differs from the one
            before by less than this share of it; 0 goes on to the end.
        initial_events: Sequences that the parameters are first guessed from.

    Raises:
        InputError: A number is out of range, or events are neither sequences nor images.
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        states: int = 10,
        emission: EmissionFactory = DiagonalGaussian,
        smoothing: float = 0.0,
        window: BatchCount = "epoch",
        decay: float | None = None,
        tolerance: float = 1e-6,
        initial_events: int = 1000,
    ) -> None:
        super().__init__(window, decay, tolerance, initial_events)
        self.event_shape = tuple(event_shape)
        if len(self.event_shape) not in (2, 3) or min(self.event_shape) < 1:
            raise InputError(
                f"model.event_shape is {self.event_shape}; it must be (time, dimension) of "
                "sequences or (channels, height, width) of images"
            )
        if states < 1:
            raise InputError(f"model.states is {states}; it must be at least 1")
        if not 0 <= smoothing < math.inf:
            raise InputError(f"model.smoothing is {smoothing}; it must be at least 0")
        self.states, self.smoothing = states, smoothing
        self.steps = self.event_shape[-2]
        dimension = self.event_shape[-1] * (self.event_shape[0] if self._images else 1)
        self.emission = emission(states, dimension)
        self.discrete = self.emission.discrete
        equal = torch.full((states, states), 1 / states, dtype=torch.float64)
        self.register_buffer("initial", equal[0].clone())
        self.register_buffer("transition", equal)

    @torch.no_grad()
    def initialise(self, events: Events) -> None:
        """The M-turn of a first guess: of each observation by itself, whatever came before it."""
        sequences, lengths = self._seen(events)
        within = torch.arange(sequences.shape[1], device=lengths.device) < lengths[:, None]
        if (steps := int(lengths.sum())) < self.states:
            raise InputError(
                f"model.states is {self.states}, but the sequences have only {steps} steps"
            )
        states = sequences.new_zeros(*within.shape, self.states)
        states[within] = self.emission.guess(sequences[within], self.seed)
        pairs = states[:, :-1].flatten(0, 1).T @ states[:, 1:].flatten(0, 1)
        self.maximise(self._sums(sequences, states, pairs))

    @torch.no_grad()
    def expect(self, events: Events) -> Sums:
        """Expected counts of states, transitions and what the emission needs."""
        sequences, lengths = self._seen(events)
        log_transition, log_emissions = self.transition.log(), self._log_emissions(sequences)
        before = forward(self.initial.log(), log_transition, log_emissions)
        after = backward(log_transition, log_emissions, before, lengths)
        states = posteriors(before, after, lengths)
        pairs = expected_transitions(log_transition, log_emissions, before, after, lengths)
        log_prob = log_likelihood(before, lengths).sum()
        return self._sums(sequences, states, pairs) | {"log_prob": log_prob}

    @torch.no_grad()
    def maximise(self, sums: Sums) -> None:
        """Expected counts as probabilities; a state that was never left keeps its transitions."""
        extra = self.smoothing * sums["events"]
        counts = torch.cat([sums["initial"][None], sums["transitions"]]) + extra
        totals = counts.sum(1, keepdim=True)
        kept = torch.cat([self.initial[None], self.transition])
        found = torch.where(totals > 0, counts / totals, kept)
        self.initial.copy_(found[0])
        self.transition.copy_(found[1:])
        self.emission.maximise(sums)

    @torch.no_grad()
    def log_prob(self, events: Events) -> Float[Tensor, " batch"]:
        """Log-density (batch,) of each sequence, in nats; -inf where it is impossible."""
        sequences, lengths = self._seen(events)
        return log_likelihood(self._forward(sequences), lengths)

    @torch.no_grad()
    def posteriors(self, events: Events) -> Float[Tensor, "batch time states"]:
        """Probabilities of the state at each step, given the sequence; 0 after its end."""
        sequences, lengths = self._seen(events)
        log_transition, log_emissions = self.transition.log(), self._log_emissions(sequences)
        before = forward(self.initial.log(), log_transition, log_emissions)
        after = backward(log_transition, log_emissions, before, lengths)
        return posteriors(before, after, lengths)

    @torch.no_grad()
    def decode(self, events: Events) -> Path:
        """The likeliest states of each sequence, all together, and their log-density."""
        sequences, lengths = self._seen(events)
        emissions = self._log_emissions(sequences)
        return viterbi(self.initial.log(), self.transition.log(), emissions, lengths)

    @torch.no_grad()
    def predict_next(self, events: Events) -> Next:
        """What follows each sequence."""
        sequences, lengths = self._seen(events)
        states = next_states(self.transition.log(), self._forward(sequences), lengths)
        return Next(states, torch.tensordot(states, self.emission.expected, 1))

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """``n`` events (n, *event_shape), sequences as long as the longest of the data.

        Drawn on the CPU, so a seed gives the same ones on every device.
        """
        states = draw_states(self.initial.cpu(), self.transition.cpu(), n, self.steps, generator)
        drawn = self.emission.sample(states.flatten(), generator).float().to(self.device)
        if not self._images:
            return drawn.view(n, *self.event_shape)
        channels, height, width = self.event_shape
        return drawn.view(n, height, channels, width).transpose(1, 2).contiguous()

    def predict_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Log-densities (batch,), the likeliest states (batch, time) and the next observation."""
        events, _ = batch
        path, following = self.decode(events), self.predict_next(events)
        found = super().predict_step(batch, batch_idx)
        return {**found, "states": path.states, "next": following.expected}

    def _evaluate(self, batch: tuple[Tensor, Tensor], batch_idx: int, split: str) -> Tensor:
        nats, lengths = super()._evaluate(batch, batch_idx, split), self._seen(batch[0]).lengths
        steps = int(lengths.sum())
        self.log(
            f"{split}/nll_per_step", nats * len(lengths) / steps, batch_size=steps, sync_dist=True
        )
        return nats

    @property
    def _images(self) -> bool:
        return len(self.event_shape) == 3

    def _seen(self, events: Events) -> _Seen:
        """Sequences with their lengths.

        Raises:
            InputError: One is empty, or a number before its end is not finite.
        """
        rows = events.transpose(1, 2).flatten(2) if self._images else events
        return _Seen(rows.double().nan_to_num(), lengths_of(rows))

    def _log_emissions(self, sequences: Tensor) -> Float[Tensor, "batch time states"]:
        # One step of all sequences lies together, as all that follows goes step by step.
        steps = sequences.transpose(0, 1).flatten(0, 1)
        found = [self.emission.log_prob(part) for part in steps.split(_STEPS_AT_ONCE)]
        batch, time, _ = sequences.shape
        return torch.cat(found).view(time, batch, -1).transpose(0, 1)

    def _forward(self, sequences: Tensor) -> Float[Tensor, "batch time states"]:
        emissions = self._log_emissions(sequences)
        return forward(self.initial.log(), self.transition.log(), emissions)

    def _sums(self, sequences: Tensor, states: Tensor, transitions: Tensor) -> Sums:
        steps, weights = (part.transpose(0, 1).flatten(0, 1) for part in (sequences, states))
        return {
            "events": torch.tensor(float(len(states)), dtype=torch.float64, device=states.device),
            "initial": states[:, 0].sum(0),
            "transitions": transitions,
            **self.emission.statistics(steps, weights),
        }
