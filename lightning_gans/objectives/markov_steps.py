"""The steps of Markov chains over a batch of sequences, in logarithms of any size."""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

__all__ = [
    "Lengths",
    "LogInitial",
    "LogStates",
    "LogTransition",
    "States",
    "Step",
    "backwards",
    "forwards",
    "in_parts",
]

LogInitial = Float64[Tensor, " states"]
LogTransition = Float64[Tensor, "states states"]
LogStates = Float64[Tensor, "batch time states"]
States = Float64[Tensor, "batch states"]
Stepping = Callable[[States], States]
Lengths = Int64[Tensor, " batch"]

_SMALL = 1e-260
"""Shares above it have lost nothing: floats are normal down to 2e-308."""
_AT_ONCE = 256


class Step:
    """log(exp(x) @ P) for logarithms x (batch, states).

    Attributes:
        lost: Which sequences (batch,) had states that became too small.
    """

    def __init__(self, log_transition: LogTransition) -> None:
        self.log_transition, self.transition = log_transition, log_transition.exp()
        self.possible = (log_transition > -torch.inf).to(log_transition.dtype)
        self.safe = bool((self.transition >= _SMALL).all())
        self.lost = torch.zeros(1, dtype=torch.bool, device=log_transition.device)

    def __call__(self, log_states: States) -> States:
        """The product, -inf for what is too small to be told."""
        shares, peak = self._shares(log_states)
        if not self.safe:
            small = shares < _SMALL
            self.lost = self.lost | (small & self._reached(log_states)).any(1)
            shares = shares.masked_fill(small, 0)
        return shares.log() + peak

    def at_most(self, log_states: States) -> States:
        """What the product cannot exceed."""
        shares, peak = self._shares(log_states)
        unknown = (shares < _SMALL) & self._reached(log_states)
        return shares.masked_fill(unknown, _SMALL).log() + peak

    def exactly(self, log_states: States) -> States:
        """The product, in logarithms."""
        parts = in_parts(log_states)
        return torch.cat([(x[:, :, None] + self.log_transition).logsumexp(1) for (x,) in parts])

    def _shares(self, log_states: Tensor) -> tuple[Tensor, Tensor]:
        peak = log_states.amax(1, keepdim=True).nan_to_num(neginf=0.0)
        return (log_states - peak).exp() @ self.transition, peak

    def _reached(self, log_states: Tensor) -> Tensor:
        return (log_states > -torch.inf).to(log_states.dtype) @ self.possible > 0


def forwards(step: Stepping, log_initial: LogInitial, log_emissions: LogStates) -> LogStates:
    """Log p(x_1..t, z_t) (batch, time, states), with this kind of step."""
    first, *rest = log_emissions.unbind(1)
    found = [log_initial + first]
    for emissions in rest:
        found.append(step(found[-1]) + emissions)
    return torch.stack(found).transpose(0, 1)


def backwards(step: Stepping, log_emissions: LogStates, lengths: Lengths) -> LogStates:
    """Log p(x_t+1.. | z_t) (batch, time, states), with this kind of step."""
    nothing = torch.zeros_like(log_emissions[:, 0])
    found = [nothing]
    for t in range(log_emissions.shape[1] - 1, 0, -1):
        before = step(log_emissions[:, t] + found[-1])
        found.append(torch.where((t < lengths)[:, None], before, nothing))
    return torch.stack(found[::-1]).transpose(0, 1)


def in_parts(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The same rows of each, so many that a square of states for each row fits in memory."""
    return zip(*(tensor.split(_AT_ONCE) for tensor in tensors), strict=True)
