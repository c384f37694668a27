"""Hidden Markov chains: what can be said of the states, given how likely each makes what is seen.

Pure functions of natural logarithms in 64 bits, over whole batches of sequences:

* ``log_initial`` (states,) and ``log_transition`` (states, states), from row to column; -inf where
  a step is forbidden;
* ``log_emissions`` (batch, time, states): of each observation from each state; of no meaning
  after a sequence's end, but numbers;
* ``lengths`` (batch,): steps of each sequence, 1 to time.

All numbers of a sequence are those it would get alone: what follows its end changes nothing. Each
step is a product of matrices of probabilities, shifted so that the largest is 1. That loses states
e^600 times less likely than the likeliest (-inf is found for them) which may still be all that is
left when what follows is impossible from all others. Where a bound does not exclude that, the
sequence is gone through again in logarithms alone, which takes some twenty times as long.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from lightning_gans.objectives.markov_steps import (
    Lengths,
    LogInitial,
    LogStates,
    LogTransition,
    States,
    Step,
    backwards,
    forwards,
    in_parts,
)
from lightning_gans.types import InputError

__all__ = [
    "Path",
    "backward",
    "expected_transitions",
    "forward",
    "log_likelihood",
    "next_states",
    "posteriors",
    "viterbi",
]

_LARGE = 600.0
"""Logarithm of a factor that a sum is safe with."""
_TOLERANCE = 1e-9


class Path(NamedTuple):
    """The likeliest states of each sequence.

    Attributes:
        states: (batch, time), from 0; -1 after a sequence's end.
        log_prob: (batch,), joint log-density of states and observations, in nats.
    """

    states: Int64[Tensor, "batch time"]
    log_prob: Float64[Tensor, " batch"]


def forward(
    log_initial: LogInitial, log_transition: LogTransition, log_emissions: LogStates
) -> LogStates:
    """Log p(x_1..t, z_t) (batch, time, states), the forward algorithm (Rabiner, 1989, eq. 20)."""
    step = Step(log_transition)
    found = forwards(step, log_initial, log_emissions)
    if (doubtful := step.lost.nonzero()[:, 0]).numel():
        bound = forwards(step.at_most, log_initial, log_emissions[doubtful])
        more = bound.logsumexp(2) - found[doubtful].logsumexp(2)
        wrong = doubtful[(more > _TOLERANCE).any(1)]
        found[wrong] = forwards(step.exactly, log_initial, log_emissions[wrong])
    return found


def backward(
    log_transition: LogTransition,
    log_emissions: LogStates,
    log_forward: LogStates,
    lengths: Lengths,
) -> LogStates:
    """Log p(x_t+1.. | z_t) (batch, time, states), the backward algorithm (Rabiner, 1989, eq. 25).

    It is 0 at a sequence's last step and after it.
    """
    step = Step(log_transition.T)
    found = backwards(step, log_emissions, lengths)
    if (doubtful := step.lost.nonzero()[:, 0]).numel():
        before, length = log_forward[doubtful], lengths[doubtful]
        # All that leads through a step is the whole, at every step, unless something was lost.
        whole = (before + found[doubtful]).logsumexp(2) - log_likelihood(before, length)[:, None]
        less = ~(whole > -_TOLERANCE) & _within(length, whole.shape[1])
        wrong = doubtful[less.any(1)]
        found[wrong] = backwards(step.exactly, log_emissions[wrong], lengths[wrong])
    return found


def log_likelihood(log_forward: LogStates, lengths: Lengths) -> Float64[Tensor, " batch"]:
    """Log p(x) (batch,) of each sequence from the last of its forward steps (Rabiner, 1989).

    -inf where a sequence is impossible.
    """
    return _at(log_forward, lengths - 1).logsumexp(1)


def posteriors(log_forward: LogStates, log_backward: LogStates, lengths: Lengths) -> LogStates:
    """P(z_t | x) (batch, time, states), 0 after a sequence's end (Rabiner, 1989, eq. 27).

    Raises:
        InputError: A sequence is impossible.
    """
    log_prob = _possible(log_likelihood(log_forward, lengths))[:, None]
    within = _within(lengths, log_forward.shape[1])
    # Step by step, here and below: what is at work stays in the processor's cache.
    states = [
        (before + after - log_prob).exp().masked_fill(~on[:, None], 0)
        for before, after, on in zip(
            log_forward.unbind(1), log_backward.unbind(1), within.unbind(1), strict=True
        )
    ]
    return torch.stack(states).transpose(0, 1)


def expected_transitions(
    log_transition: LogTransition,
    log_emissions: LogStates,
    log_forward: LogStates,
    log_backward: LogStates,
    lengths: Lengths,
) -> Float64[Tensor, "states states"]:
    """E[steps from one state to another | x], over all sequences (Rabiner, 1989, eq. 37).

    Raises:
        InputError: A sequence is impossible.
    """
    log_prob = _possible(log_likelihood(log_forward, lengths))[:, None]
    products, extremes = torch.zeros_like(log_transition), torch.zeros_like(log_transition)
    for t in range(1, log_forward.shape[1]):
        before = log_forward[:, t - 1]
        after = log_emissions[:, t] + log_backward[:, t] - log_prob
        # Where no path leads, what follows from there does not count, however likely it is.
        on = (t < lengths)[:, None] & (log_forward[:, t] > -torch.inf)
        after = torch.where(on, after, -torch.inf)
        peak = before.amax(1, keepdim=True).nan_to_num(neginf=0.0)
        left, right = before - peak, after + peak
        if (extreme := right.amax(1) > _LARGE).any():
            for one, two in in_parts(before[extreme], after[extreme]):
                extremes += (one[:, :, None] + log_transition + two[:, None]).exp().sum(0)
            right = right.masked_fill(extreme[:, None], -torch.inf)
        products += left.exp().T @ right.exp()
    return products * log_transition.exp() + extremes


def viterbi(
    log_initial: LogInitial,
    log_transition: LogTransition,
    log_emissions: LogStates,
    lengths: Lengths,
) -> Path:
    """The likeliest states of each sequence, all together (Viterbi, 1967).

    Of states that are equally likely the first is taken.

    Raises:
        InputError: A sequence is impossible.
    """
    first, *rest = log_emissions.unbind(1)
    best, came_from = log_initial + first, []
    unmoved = torch.arange(len(log_initial), device=best.device)
    for t, emissions in enumerate(rest, 1):
        reached, source = (best[:, :, None] + log_transition).max(1)
        on = (t < lengths)[:, None]
        best = torch.where(on, reached + emissions, best)
        came_from.append(torch.where(on, source, unmoved))
    log_prob, state = best.max(1)
    states = [state]
    for source in reversed(came_from):
        states.append(source.gather(1, states[-1][:, None])[:, 0])
    path = torch.stack(states[::-1], 1)
    return Path(path.masked_fill(~_within(lengths, path.shape[1]), -1), _possible(log_prob))


def next_states(log_transition: LogTransition, log_forward: LogStates, lengths: Lengths) -> States:
    """P(z_T+1 | x_1..T) of the state that follows each sequence (Rabiner, 1989).

    Raises:
        InputError: A sequence is impossible.
    """
    log_prob = _possible(log_likelihood(log_forward, lengths))[:, None]
    return (_at(log_forward, lengths - 1) - log_prob).exp() @ log_transition.exp()


def _at(log_states: LogStates, index: Lengths) -> States:
    """Each sequence's row of step ``index`` (batch,)."""
    return log_states[torch.arange(len(index), device=index.device), index]


def _within(lengths: Lengths, steps: int) -> Tensor:
    """Which of ``steps`` are part of each sequence (batch, time)."""
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def _possible(log_prob: Float64[Tensor, " batch"]) -> Float64[Tensor, " batch"]:
    if not log_prob.isfinite().all():
        index = int((~log_prob.isfinite()).nonzero()[0])
        raise InputError(
            f"sequence {index} of a batch has log-likelihood {log_prob[index]}: it is impossible "
            "to the model, so nothing can be said of its states"
        )
    return log_prob
