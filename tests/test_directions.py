"""Directions against the closed forms and finite termination of shared/references/dynamics.md."""

import copy
import inspect
import io
import math

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam
from torch.testing import assert_close

from lightning_gans.errors import InputError
from lightning_gans.schedules import (
    ConjugateAdam,
    ConjugateDirection,
    OptimisticAdam,
    OptimisticSGD,
)
from lightning_gans.schedules.directions import BETAS
from tests.conftest import label

RULES = list(BETAS)
ALL = [OptimisticSGD, OptimisticAdam, ConjugateDirection, ConjugateAdam]
CONJUGATE = [ConjugateDirection, ConjugateAdam]
exactly = {"rtol": 0, "atol": 0}


def vector(*values):
    return torch.tensor(values, dtype=torch.float64)


def parameter(*values):
    return nn.Parameter(vector(*values))


def net():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1)).double()


def train(model, optimizer, steps, start=0, set_to_none=True):
    """Fit a wave on batches that are a function of the step."""
    for step in range(start, start + steps):
        x = torch.randn(16, 3, generator=torch.Generator().manual_seed(step)).double()
        optimizer.zero_grad(set_to_none)
        (model(x).squeeze(-1) - (3 * x[:, 0]).sin()).square().mean().backward()
        optimizer.step()
    return [p.detach().clone() for p in model.parameters()]


def step_along(optimizer, *gradients):
    """One step, each parameter with the gradient given."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for p, gradient in zip(parameters, gradients, strict=True):
        p.grad = gradient
    optimizer.step()


# Optimism


def play(steps, eta, set_to_none=True):
    """(theta, psi) after simultaneous steps of min over theta, max over psi of theta * psi."""
    theta, psi = parameter(1.0), parameter(0.0)
    theta.grad, psi.grad = torch.zeros_like(theta), torch.zeros_like(psi)
    optimizers = [OptimisticSGD([theta], lr=eta), OptimisticSGD([psi], lr=eta)]
    for _ in range(steps):
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none)
        (theta * psi).sum().backward()
        psi.grad.neg_()
        for optimizer in optimizers:
            optimizer.step()
    return torch.cat([theta, psi]).detach()


@pytest.mark.parametrize("set_to_none", [True, False])
def test_optimism_on_the_bilinear_game(set_to_none):
    """Gradients zeroed in place must not overwrite the previous step (dynamics.md 4)."""
    expected = vector(-0.44978125, -0.41383318)
    assert_close(play(100, 0.1, set_to_none), expected, rtol=0, atol=1e-8)


def growth(eta):
    """Spectral radius of one step, from steps of the optimizer at each basis state."""
    columns = []
    for basis in torch.eye(4, dtype=torch.float64):
        theta, psi = (nn.Parameter(x.reshape(1).clone()) for x in basis[:2])
        optimizer = OptimisticSGD([theta, psi], lr=eta)
        for p, step in zip((theta, psi), basis[2:], strict=True):
            optimizer.state[p]["previous_step"] = step.reshape(1).clone()
        step_along(optimizer, psi.detach().clone(), -theta.detach().clone())
        steps = [optimizer.state[p]["previous_step"] for p in (theta, psi)]
        columns.append(torch.cat([theta.detach(), psi.detach(), *steps]))
    return torch.linalg.eigvals(torch.stack(columns, dim=1)).abs().max().item()


@pytest.mark.parametrize(
    "eta, table", [(0.1, 0.994936), (0.3, 0.948683), (0.577, 0.999090), (0.58, 1.006861)]
)
def test_optimism_contracts_up_to_the_root_of_a_third(eta, table):
    if eta <= 0.5:
        exact = math.sqrt((1 + math.sqrt(1 - 4 * eta**2)) / 2)
    else:
        exact = math.sqrt(1 / 4 + (eta + math.sqrt(4 * eta**2 - 1) / 2) ** 2)
    assert growth(eta) == pytest.approx(exact, abs=1e-10)
    assert growth(eta) == pytest.approx(table, abs=1e-6)


def test_optimistic_adam_is_the_papers_loop():
    torch.manual_seed(0)
    gradients = torch.randn(30, 5, dtype=torch.float64)
    w = parameter(0.3, -0.2, 1.0, 2.0, -4.0)
    lr, (b1, b2), eps = 0.01, (0.5, 0.9), 1e-6
    optimizer = OptimisticAdam([w], lr=lr, betas=(b1, b2), eps=eps)
    expected, m, v, previous = w.detach().clone(), 0.0, 0.0, 0.0
    for t, g in enumerate(gradients, 1):
        step_along(optimizer, g.clone())
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        ratio = (m / (1 - b1**t)) / ((v / (1 - b2**t)).sqrt() + eps)
        expected = expected - 2 * lr * ratio + lr * previous
        previous = ratio
        assert_close(w.detach(), expected, rtol=0, atol=1e-13)


# Conjugate directions


def descend_exactly(rule, eigenvalues, steps):
    """The iterates and residuals on a quadratic, each step to the minimum along its direction."""
    torch.manual_seed(2)
    n = len(eigenvalues)
    q, _ = torch.linalg.qr(torch.randn(n, n, dtype=torch.float64))
    a, b = q @ torch.diag(vector(*eigenvalues)) @ q.T, torch.randn(n, dtype=torch.float64)
    # In two tensors, for beta is global.
    x, y = nn.Parameter(torch.zeros_like(b[:1])), nn.Parameter(torch.zeros_like(b[1:]))
    optimizer = ConjugateDirection([x, y], lr=1.0, rule=rule)
    iterates, residuals = [], []
    for _ in range(steps):
        point = torch.cat([x, y]).detach()
        g = a @ point - b
        x.grad, y.grad = g[:1].clone(), g[1:].clone()
        d = torch.cat(optimizer.directions())
        optimizer.param_groups[0]["lr"] = (-g.dot(d) / d.dot(a @ d)).item()
        optimizer.step()
        iterates.append(torch.cat([x, y]).detach())
        residuals.append((a @ iterates[-1] - b).norm().item())
    return torch.stack(iterates), residuals


@pytest.mark.parametrize(
    "eigenvalues",
    [
        [1.0, 4.0],
        [1.0, 1.0, 1.0, 1.0],
        [1.0, 2.0, 2.0, 7.0, 7.0, 7.0],
        [0.5, 1.0, 2.0, 3.0, 5.0, 8.0],
        [1.0, 3.0, 3.0, 4.0, 4.0, 4.0, 9.0, 9.0, 10.0, 10.0],
    ],
    ids=label,
)
def test_exact_line_search_ends_in_as_many_steps_as_there_are_eigenvalues(eigenvalues):
    distinct = len(set(eigenvalues))
    reference, _ = descend_exactly("FR", eigenvalues, distinct)
    for rule in RULES:
        iterates, residuals = descend_exactly(rule, eigenvalues, distinct)
        assert_close(iterates, reference, rtol=0, atol=1e-10)
        assert residuals[-1] < 1e-11
        assert all(residual > 1e-3 for residual in residuals[:-1])
    _, residuals = descend_exactly(0.0, eigenvalues, distinct)
    assert (residuals[-1] > 1e-3) == (distinct > 1), "steepest descent does not end"


@pytest.mark.parametrize("rule, beta", [("FR", 2.0), ("PR+", 1.8), ("HS", 2.25), ("DY", 2.5)])
def test_beta_by_hand(rule, beta):
    g, g_prev, d_prev = [[vector(x), vector(y)] for x, y in [(3, -1), (1, 2), (-1, -2)]]
    assert_close(BETAS[rule](g, g_prev, d_prev), torch.tensor(beta, dtype=torch.float64))


def test_polak_ribiere_is_cut_at_zero():
    g, g_prev = [vector(0.5, 1.0)], [vector(1.0, 2.0)]  # uncut, -0.25
    assert BETAS["PR+"](g, g_prev, g_prev) == 0


@pytest.mark.parametrize("rule", RULES)
def test_a_zero_denominator_gives_zero(rule):
    g, zero = [vector(1.0, 2.0)], [vector(0.0, 0.0)]
    assert BETAS[rule](g, zero, zero) == 0
    assert BETAS[rule](zero, zero, zero) == 0
    if rule in ("HS", "DY"):
        assert BETAS[rule](g, g, [vector(3.0, 4.0)]) == 0


@pytest.mark.parametrize("rule", [*RULES, 0.9])
def test_gradients_of_zero_leave_everything_finite(rule):
    w = parameter(1.0, 2.0)
    optimizer = ConjugateDirection([w], lr=0.1, rule=rule)
    for gradient in [0.0, 0.0, 1.0, 1.0, 0.0, 1.0]:
        step_along(optimizer, torch.full_like(w, gradient))
        assert w.isfinite().all()
    assert (w < vector(1.0, 2.0)).all()


@pytest.mark.parametrize(
    "second, with_restart, without",
    [
        (2.0, -6.0, -6.0),  # g.d = -12: kept
        (-3.0, 3.0, -6.0),  # g.d = 18
        (-1.0, 1.0, 0.0),  # g.d = 0
    ],
)
def test_restart_when_the_direction_does_not_descend(second, with_restart, without):
    for restart, expected in ((True, with_restart), (False, without)):
        w = parameter(0.0)
        optimizer = ConjugateDirection([w], lr=0.1, rule="FR", restart=restart)
        step_along(optimizer, vector(1.0))
        w.grad = vector(second)
        assert_close(optimizer.directions(), [vector(expected)])
        optimizer.step()
        assert_close(w.detach(), vector(-0.1 + 0.1 * expected))


@pytest.mark.parametrize("restart", [True, False])
@pytest.mark.parametrize("ours, torchs", [(ConjugateDirection, SGD), (ConjugateAdam, Adam)])
def test_beta_zero_is_torchs_own(ours, torchs, restart):
    a, b = net(), net()
    expected = train(a, torchs(a.parameters(), lr=0.1), 50)
    optimizer = ours(b.parameters(), lr=0.1, rule=0.0, restart=restart)
    assert_close(train(b, optimizer, 50), expected, **exactly)


def test_constant_beta_is_heavy_ball_momentum():
    a, b, c = net(), net(), net()
    heavy = train(a, SGD(a.parameters(), lr=0.1, momentum=0.9), 50)
    ours = ConjugateDirection(b.parameters(), lr=0.1, rule=0.9, restart=False)
    assert_close(train(b, ours, 50), heavy, **exactly)
    restarted = ConjugateDirection(c.parameters(), lr=0.1, rule=0.9, restart=True)
    assert not torch.equal(train(c, restarted, 50)[0], heavy[0])


@pytest.mark.parametrize("rule", RULES)
def test_conjugate_adam_is_adam_of_the_negative_direction(rule):
    a, b = parameter(1.0, 2.0, 3.0), parameter(1.0, 2.0, 3.0)
    ours, adam = ConjugateAdam([a], rule=rule), Adam([b])
    for gradient in torch.randn(10, 3, dtype=torch.float64):
        a.grad = gradient.clone()
        b.grad = -ours.directions()[0]
        given = a.grad
        ours.step()
        adam.step()
        assert_close(a, b, **exactly)
        assert a.grad is given, "the gradient is the user's again"
        assert_close(a.grad, gradient, **exactly)


@pytest.mark.parametrize("wrong", ["PR", 1.0, -1.5, math.nan])
def test_an_unknown_rule(wrong):
    for cls in CONJUGATE:
        init = inspect.unwrap(cls.__init__)  # past the type checker of the tests
        with pytest.raises(InputError, match=r"rule is .*FR, PR\+, HS, DY.* between -1 and 1"):
            init(cls.__new__(cls), [parameter(0.0)], lr=0.1, rule=wrong)


# All four


@pytest.mark.parametrize("cls", ALL)
def test_torch_refuses_its_own_settings(cls):
    with pytest.raises(ValueError, match="learning rate"):
        cls([parameter(0.0)], lr=-0.1)


@pytest.mark.parametrize(
    "cls, settings",
    [(OptimisticSGD, {}), (OptimisticAdam, {})]
    + [(cls, {"rule": rule}) for cls in CONJUGATE for rule in [*RULES, 0.5]],
)
def test_resumed_is_uninterrupted(cls, settings):
    a, b = net(), net()
    expected = train(a, cls(a.parameters(), lr=0.02, **settings), 20)
    first = cls(b.parameters(), lr=0.02, **settings)
    train(b, first, 7)
    file = io.BytesIO()
    torch.save({"model": b.state_dict(), "optimizer": first.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    c = net()
    c.load_state_dict(saved["model"])
    second = cls(c.parameters(), lr=0.02, **settings)
    second.load_state_dict(saved["optimizer"])
    assert_close(train(c, second, 13, start=7), expected, **exactly)


@pytest.mark.parametrize("cls", ALL)
def test_a_copy_goes_the_same_way(cls):
    a = net()
    optimizer = cls(a.parameters(), lr=0.02)
    train(a, optimizer, 5)
    b, copied = copy.deepcopy((a, optimizer))
    assert_close(train(b, copied, 5, start=5), train(a, optimizer, 5, start=5), **exactly)


@pytest.mark.parametrize("cls", ALL)
def test_gradients_zeroed_in_place_change_nothing(cls):
    a, b = net(), net()
    optimizer = cls(a.parameters(), lr=0.02)
    in_place = train(a, optimizer, 10, set_to_none=False)
    assert_close(in_place, train(b, cls(b.parameters(), lr=0.02), 10), **exactly)
    for p, state in optimizer.state.items():
        kept = {value.data_ptr() for value in state.values()}
        assert len(kept) == len(state) and not kept & {p.data_ptr(), p.grad.data_ptr()}


@pytest.mark.parametrize("cls", ALL)
def test_parameters_without_a_gradient_stay(cls):
    w, idle, alone = parameter(1.0, 2.0), parameter(3.0), parameter(1.0, 2.0)
    both, one = cls([w, idle], lr=0.1), cls([alone], lr=0.1)
    both.step()
    assert not both.state
    for gradient in torch.randn(5, 2, dtype=torch.float64):
        step_along(both, gradient.clone(), None)
        step_along(one, gradient.clone())
    assert_close(w, alone, **exactly)
    assert_close(idle, parameter(3.0), **exactly)
    assert idle not in both.state
    step_along(both, torch.ones_like(w), torch.ones_like(idle))
    assert idle < 3


@pytest.mark.parametrize("cls", ALL)
def test_groups_share_one_direction_and_have_their_own_rate(cls):
    a, b = net(), net()
    weights, biases = [[p for p in a.parameters() if p.dim() == dim] for dim in (2, 1)]
    grouped = cls([{"params": weights}, {"params": biases, "lr": 0.02}], lr=0.02)
    whole = cls(b.parameters(), lr=0.02)
    # Sums over the parameters are taken in another order.
    assert_close(train(a, grouped, 5), train(b, whole, 5), rtol=1e-10, atol=1e-13)

    a.zero_grad()
    before = [p.detach().clone() for p in biases]
    frozen = cls([{"params": weights}, {"params": biases, "lr": 0.0}], lr=0.02)
    train(a, frozen, 2)
    assert_close([p.detach() for p in biases], before, **exactly)


@pytest.mark.parametrize("cls", ALL)
def test_a_scheduler_sets_the_rate(cls):
    by_hand, w = parameter(0.0), parameter(0.0)
    expected, scheduled = cls([by_hand], lr=0.1), cls([w], lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(scheduled, 1, gamma=0.5)
    for rate in (0.1, 0.05, 0.025):
        expected.param_groups[0]["lr"] = rate
        step_along(expected, vector(1.0))
        step_along(scheduled, vector(1.0))
        scheduler.step()
    assert_close(w, by_hand, **exactly)
    constant = parameter(0.0)
    unscheduled = cls([constant], lr=0.1)
    for _ in range(3):
        step_along(unscheduled, vector(1.0))
    assert constant < w - 0.01


@pytest.mark.parametrize("cls", ALL)
def test_closures_and_hooks_run_once(cls):
    w, calls = parameter(1.0), []
    torch.optim.SGD([w]), torch.optim.Adam([w])  # torch decorates a class's step on first use
    optimizer = cls([w], lr=0.1)
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))

    def closure():
        calls.append("closure")
        optimizer.zero_grad()
        loss = w.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 1
    assert calls == ["before", "closure", "after"]
    assert w < 1


@pytest.mark.parametrize(
    "cls, settings",
    [(OptimisticSGD, {}), (OptimisticAdam, {})]
    + [(cls, {"rule": rule}) for cls in CONJUGATE for rule in [*RULES, 0.5]],
)
def test_the_host_never_waits_for_the_device(cls, settings):
    """A tensor without data cannot be read: whoever asks for its value gets an error."""
    w = nn.Parameter(torch.empty(3, device="meta"))
    optimizer = cls([w], lr=0.1, **settings)
    for _ in range(3):
        step_along(optimizer, torch.empty_like(w))


RING = ["fit", "--config=configs/ring.yaml", "--trainer.accelerator=cpu", "--trainer.max_steps=5"]
G, D = "--model.generator_optimizer", "--model.discriminator_optimizer"


def test_from_the_command_line(lightning):
    g = [G, "lightning_gans.schedules.ConjugateDirection", f"{G}.lr=0.01", f"{G}.rule=PR+"]
    d = [D, "lightning_gans.schedules.ConjugateAdam", f"{D}.rule=0.5", f"{D}.betas=[0.5, 0.9]"]
    answer = lightning(*RING, *g, *d)
    assert answer.code == 0, answer.err


@pytest.mark.parametrize("rule", ["XX", "3"])
def test_a_wrong_rule_on_the_command_line(lightning, rule):
    g = [G, "lightning_gans.schedules.ConjugateDirection", f"{G}.lr=0.01", f"{G}.rule={rule}"]
    answer = lightning(*RING, *g)
    assert answer.code == 2
    assert answer.err.count("error:") == 1 and "PR+" in answer.err
    assert "Traceback" not in answer.err
