"""Who moves on which batch, as text."""

import pytest
import torch
from torch.testing import assert_close

from lightning_gans.errors import InputError
from lightning_gans.schedules import Alternating, Move, descend
from lightning_gans.types import Clock


def as_text(schedule, batches: int) -> str:
    """One group of letters a batch; turns of one batch follow one another."""
    return " ".join(
        "".join("+".join(player[0].upper() for player in turn) for turn in schedule(Clock(batch=b)))
        for b in range(batches)
    )


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(1, "DG DG DG DG DG DG"), (2, "D DG D DG D DG"), (3, "D D DG D D DG"), (5, "D D D D DG D")],
)
def test_alternating(ratio, text):
    assert as_text(Alternating(ratio), 6) == text


@pytest.mark.parametrize("ratio", [0, -1])
def test_a_ratio_below_one_is_refused(ratio):
    with pytest.raises(InputError, match="schedule.ratio"):
        Alternating(ratio)


def bilinear_moves(theta, psi, step_size):
    """min over theta, max over psi of theta psi, as moves."""

    def move(parameter, sign):
        def backward():
            loss = sign * theta * psi
            parameter.grad = torch.autograd.grad(loss, parameter)[0]
            return loss.detach()

        def step():
            with torch.no_grad():
                parameter.sub_(step_size * parameter.grad)

        return Move([parameter], backward, step)

    return move(theta, 1), move(psi, -1)


def test_descend_takes_every_gradient_before_any_step():
    """Simultaneous descent grows by sqrt(1 + eta^2) a step; a wrong order would stay bounded."""
    theta, psi = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (1.0, 0.0))
    for _ in range(100):
        descend(bilinear_moves(theta, psi, 0.1))
    assert_close(theta.item(), -1.40884698, rtol=0, atol=1e-8)
    assert_close(psi.item(), -0.84850693, rtol=0, atol=1e-8)


def test_descend_in_turns_keeps_the_invariant_of_alternation():
    theta, psi = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (1.0, 1.0))
    g, d = bilinear_moves(theta, psi, 0.3)
    for _ in range(1000):
        descend([d])
        descend([g])
    eta = 0.3
    invariant = eta * theta**2 + eta * psi**2 + eta * eta * theta * psi
    assert_close(invariant.item(), 0.69, rtol=0, atol=1e-10)
