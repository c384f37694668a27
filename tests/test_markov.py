"""Hidden Markov chains: equal to all paths enumerated, to hmmlearn, and to each sequence alone."""

import itertools
import math

import numpy as np
import pytest
import torch
from hmmlearn import _hmmc
from torch.testing import assert_close

from lightning_gans.errors import InputError
from lightning_gans.objectives.markov import (
    backward,
    expected_transitions,
    forward,
    log_likelihood,
    next_states,
    posteriors,
    viterbi,
)
from lightning_gans.objectives.markov_steps import Step, backwards, forwards

STATES, TIME = 3, 5
FULL = torch.ones(STATES, STATES)
LEFT_TO_RIGHT = torch.tensor([[1.0, 1, 0], [0, 1, 1], [0, 0, 1]])


def exactly(actual, expected, atol=1e-10):
    assert_close(actual, expected, rtol=1e-10, atol=atol)


def law(allowed=FULL, states=STATES):
    transition = torch.rand(states, states, dtype=torch.float64) * allowed
    initial = torch.rand(states, dtype=torch.float64) * allowed[0]
    return (initial / initial.sum()).log(), (transition / transition.sum(1, keepdim=True)).log()


def all_paths(log_initial, log_transition, log_emissions):
    """Every path of one sequence (time, states), with its log-density."""
    time, states = log_emissions.shape
    paths = list(itertools.product(range(states), repeat=time))
    log_probs = []
    for path in paths:
        log_prob = log_initial[path[0]] + log_emissions[0, path[0]]
        for t in range(1, time):
            log_prob = log_prob + log_transition[path[t - 1], path[t]] + log_emissions[t, path[t]]
        log_probs.append(log_prob)
    return torch.tensor(paths), torch.stack(log_probs)


def everything(log_initial, log_transition, log_emissions, lengths):
    before = forward(log_initial, log_transition, log_emissions)
    after = backward(log_transition, log_emissions, before, lengths)
    return {
        "log_prob": log_likelihood(before, lengths),
        "forward": before,
        "backward": after,
        "posteriors": posteriors(before, after, lengths),
        "transitions": expected_transitions(log_transition, log_emissions, before, after, lengths),
        "path": viterbi(log_initial, log_transition, log_emissions, lengths),
        "next": next_states(log_transition, before, lengths),
    }


@pytest.mark.parametrize("allowed", [FULL, LEFT_TO_RIGHT], ids=["full", "left to right"])
@pytest.mark.parametrize("spread", [1.0, 3000.0], ids=["alike", "far apart"])
def test_all_is_as_if_every_path_were_counted(allowed, spread):
    log_initial, log_transition = law(allowed)
    log_emissions = spread * torch.randn(4, TIME, STATES, dtype=torch.float64)
    lengths = torch.tensor([TIME, 1, 3, TIME])
    found = everything(log_initial, log_transition, log_emissions, lengths)
    transitions = torch.zeros(STATES, STATES, dtype=torch.float64)
    for i, length in enumerate(lengths.tolist()):
        seen = log_emissions[i, :length]
        paths, log_probs = all_paths(log_initial, log_transition, seen)
        exactly(found["log_prob"][i], log_probs.logsumexp(0))
        shares = (log_probs - log_probs.logsumexp(0)).exp()
        for t in range(length):
            prefixes, log_prefix = all_paths(log_initial, log_transition, seen[: t + 1])
            for state in range(STATES):
                own = log_prefix[prefixes[:, t] == state].logsumexp(0)
                here = paths[:, t] == state
                exactly(found["posteriors"][i, t, state], shares[here].sum())
                # Of what follows, from here: as if a chain began in this state.
                start = torch.full((STATES,), -math.inf, dtype=torch.float64)
                start[state] = 0.0
                silent = torch.cat([torch.zeros(1, STATES, dtype=torch.float64), seen[t + 1 :]])
                follow = all_paths(start, log_transition, silent)[1].logsumexp(0)
                if spread == 1.0 or found["posteriors"][i, t, state] > 0:
                    exactly(found["forward"][i, t, state], own)
                    exactly(found["backward"][i, t, state], follow)
        for source, target in itertools.pairwise(range(length)):
            for a, b in itertools.product(range(STATES), repeat=2):
                both = (paths[:, source] == a) & (paths[:, target] == b)
                transitions[a, b] += shares[both].sum()
        best = log_probs.argmax()
        assert found["path"].states[i].tolist() == [*paths[best], *[-1] * (TIME - length)]
        exactly(found["path"].log_prob[i], log_probs[best])
        following = torch.stack([shares[paths[:, -1] == s].sum() for s in range(STATES)])
        exactly(found["next"][i], following @ log_transition.exp())
        assert not found["posteriors"][i, length:].any()
    exactly(found["transitions"], transitions)
    assert not transitions[allowed == 0].any()


def test_each_sequence_is_as_if_it_were_alone():
    log_initial, log_transition = law(torch.ones(6, 6), 6)
    lengths = torch.tensor([40, 1, 17, 40, 2])
    log_emissions = torch.randn(5, 40, 6, dtype=torch.float64)
    together = everything(log_initial, log_transition, log_emissions, lengths)
    total = torch.zeros(6, 6, dtype=torch.float64)
    for i, length in enumerate(lengths.tolist()):
        own = log_emissions[i : i + 1, :length]
        alone = everything(log_initial, log_transition, own, lengths[i : i + 1])
        for name in ("forward", "backward", "posteriors"):
            exactly(together[name][i, :length], alone[name][0])
        for name in ("log_prob", "next"):
            exactly(together[name][i], alone[name][0])
        assert torch.equal(together["path"].states[i, :length], alone["path"].states[0])
        total += alone["transitions"]
    exactly(together["transitions"], total)


def test_long_sequences_are_hmmlearns():
    states, time = 12, 5000
    log_initial, log_transition = law(torch.ones(states, states), states)
    log_emissions = 5 * torch.randn(1, time, states, dtype=torch.float64) - 20
    found = everything(log_initial, log_transition, log_emissions, torch.tensor([time]))
    initial, transition = log_initial.exp().numpy(), log_transition.exp().numpy()
    seen = np.ascontiguousarray(log_emissions[0].numpy())
    log_prob, before = _hmmc.forward_log(initial, transition, seen)
    after = _hmmc.backward_log(initial, transition, seen)
    pairs = np.exp(_hmmc.compute_log_xi_sum(before, transition, after, seen))
    best, path = _hmmc.viterbi(initial, transition, seen)
    near = {"rtol": 1e-10, "atol": 1e-8}
    np.testing.assert_allclose(found["log_prob"][0], log_prob, **near)
    np.testing.assert_allclose(found["forward"][0], before, **near)
    np.testing.assert_allclose(found["backward"][0], after, **near)
    np.testing.assert_allclose(found["transitions"], pairs, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(found["path"].log_prob[0], best, **near)
    assert found["path"].states[0].tolist() == path.tolist()
    exactly(found["posteriors"].sum(2), torch.ones(1, time, dtype=torch.float64), 1e-8)


@pytest.mark.parametrize("rare", [1e-30, 1e-280, 1e-310])
def test_no_path_is_lost_however_rare(rare):
    """The likeliest path leads through a state that was e^2000 times less likely at first."""
    transition = torch.tensor([[1 - rare, rare], [0.0, 1.0]], dtype=torch.float64)
    log_initial = torch.tensor([0.5, 0.5], dtype=torch.float64).log()
    log_emissions = torch.tensor([[0.0, -2000.0], [-3000.0, 0.0]], dtype=torch.float64)[None]
    found = everything(log_initial, transition.log(), log_emissions, torch.tensor([2]))
    paths, log_probs = all_paths(log_initial, transition.log(), log_emissions[0])
    exactly(found["log_prob"][0], log_probs.logsumexp(0))
    shares = log_probs.softmax(0)
    assert shares.max() > 0.99
    exactly(found["transitions"], shares.view(2, 2))
    exactly(found["posteriors"][0, 0], shares.view(2, 2).sum(1))


def test_the_likelihoods_slope_is_the_posterior():
    log_initial, log_transition = law()
    log_emissions = torch.randn(2, 8, STATES, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([8, 5])
    log_prob = log_likelihood(forward(log_initial, log_transition, log_emissions), lengths)
    (slope,) = torch.autograd.grad(log_prob.sum(), log_emissions)
    exactly(slope, everything(log_initial, log_transition, log_emissions, lengths)["posteriors"])


def test_an_impossible_sequence_is_refused_not_nan():
    log_initial, log_transition = law(LEFT_TO_RIGHT)
    log_emissions = torch.zeros(2, 3, STATES, dtype=torch.float64)
    log_emissions[1, 0, :2] = -math.inf  # the third state cannot be the first
    lengths = torch.tensor([3, 3])
    before = forward(log_initial, log_transition, log_emissions)
    after = backward(log_transition, log_emissions, before, lengths)
    assert log_likelihood(before, lengths)[1] == -math.inf
    for ask in (
        lambda: posteriors(before, after, lengths),
        lambda: expected_transitions(log_transition, log_emissions, before, after, lengths),
        lambda: viterbi(log_initial, log_transition, log_emissions, lengths),
        lambda: next_states(log_transition, before, lengths),
    ):
        with pytest.raises(InputError, match="sequence 1 of a batch .* impossible"):
            ask()


def test_what_is_let_go_matters_to_nothing():
    """Forbidden and rare steps, and emissions thousands of nats apart, beside logarithms alone."""
    let_go = 0
    for seed in range(8):
        torch.manual_seed(seed)
        states, time = 4 + seed, 15
        allowed = (torch.rand(states, states) < 0.4) | torch.eye(states, dtype=torch.bool)
        rare = 10.0 ** -torch.randint(0, 250, (states, states)).double()
        log_initial, log_transition = law(allowed * (rare if seed % 2 else 1.0), states)
        log_emissions = 10.0 ** (1 + seed % 4) * torch.randn(10, time, states, dtype=torch.float64)
        lengths = torch.randint(1, time + 1, (10,))
        found = everything(log_initial, log_transition, log_emissions, lengths)
        step = Step(log_transition).exactly
        before = forwards(step, log_initial, log_emissions)
        after = backwards(Step(log_transition.T).exactly, log_emissions, lengths)
        log_prob = log_likelihood(before, lengths)
        exactly(found["log_prob"], log_prob)
        exactly(found["posteriors"], posteriors(before, after, lengths), 1e-9)
        transitions = torch.zeros(states, states, dtype=torch.float64)
        for i, length in enumerate(lengths.tolist()):
            for t in range(1, length):
                onward = (log_emissions[i, t] + after[i, t])[None]
                pairs = before[i, t - 1][:, None] + log_transition + onward - log_prob[i]
                transitions += pairs.exp()
        exactly(found["transitions"], transitions, 1e-9)
        let_go += int((found["forward"].isneginf() & ~before.isneginf()).sum())
    assert let_go > 0
