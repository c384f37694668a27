"""Schedules and updates against the closed forms of the bilinear game and of the Dirac-GAN."""

import math

import pytest
import torch
from torch.testing import assert_close

from lightning_gans.objectives import R1, GradientPenalty, minimax, non_saturating
from lightning_gans.schedules import (
    Accumulated,
    Alternating,
    Consensus,
    OptimisticSGD,
    Phased,
    Schedule,
    Simultaneous,
    extragradient,
)
from lightning_gans.types import Augmentation
from tests.conftest import label
from tests.games import DOUBLE, alternating_radius, matrix, play, radius

TIGHT = {"rtol": 0, "atol": 1e-10}


class GeneratorFirst(Schedule):
    """(G)(D), as Mescheder et al. play."""

    def __call__(self, clock):
        return (("generator",), ("discriminator",))


def optimistic(lr):
    return lambda parameters: OptimisticSGD(parameters, lr=lr)


HUNDRED = {
    "simultaneous": ({}, (-1.40884698, -0.84850693)),
    "theta first": ({"schedule": GeneratorFirst()}, (-0.86420503, -0.54820212)),
    "psi first": ({"schedule": Alternating()}, (-0.80938483, -0.54820212)),
    "extragradient": ({"update": extragradient}, (-0.48697073, -0.36415340)),
    "optimistic": ({"optimizer": optimistic}, (-0.44978125, -0.41383318)),
}


@pytest.mark.parametrize("scheme", HUNDRED)
def test_a_hundred_steps(scheme):
    options, end = HUNDRED[scheme]
    assert_close(
        play((1, 0), 100, **options)[-1], torch.tensor(end, dtype=DOUBLE), rtol=0, atol=1e-8
    )


@pytest.mark.parametrize("eta", [0.1, 0.3, 0.5, 0.9])
def test_growth_a_step(eta):
    """Exact at every step, not only in the long run."""
    grown = {
        "simultaneous": math.sqrt(1 + eta**2),
        "extragradient": math.sqrt(1 - eta**2 + eta**4),
        "consensus": math.hypot(1 - eta, eta),
    }
    points = {
        "simultaneous": play((1, 0.5), 20, eta),
        "extragradient": play((1, 0.5), 20, eta, update=extragradient),
        "consensus": play((1, 0.5), 20, eta, update=Consensus(1.0)),
    }
    for scheme, factor in grown.items():
        norms = points[scheme].norm(dim=1)
        assert_close(norms[1:] / norms[:-1], torch.full((20,), factor, dtype=DOUBLE), **TIGHT)


def test_consensus_after_a_hundred_steps():
    norm = play((1, 0), 100, update=Consensus(1.0))[-1].norm().item()
    assert abs(norm - 4.905605e-05) < 1e-11
    assert abs(norm - (0.9**2 + 0.1**2) ** 50) < 1e-15


@pytest.mark.parametrize(("a", "b"), [(0.3, 0.3), (0.3, 0.2), (1.9, 1.9), (0.5, 3.0)])
def test_the_invariant_of_alternation_tells_who_moves_first(a, b):
    points = {
        -1: play((1, 1), 300, (a, b), schedule=GeneratorFirst()),
        1: play((1, 1), 300, (a, b), schedule=Alternating()),
    }
    for sign, (theta, psi) in ((sign, points[sign].T) for sign in points):
        q = {s: b * theta**2 + a * psi**2 + s * a * b * theta * psi for s in (-1, 1)}
        assert_close(q[sign], q[sign][:1].expand(301), rtol=0, atol=1e-9)
        assert (q[-sign] - q[-sign][0]).abs().max() > 0.05


@pytest.mark.parametrize(("eta", "ab"), [(1.9, 3.61), (2.1, 4.41)])
def test_alternation_is_bounded_up_to_four(eta, ab):
    assert abs(radius(matrix(1, lr=eta, schedule=Alternating())) - alternating_radius(ab)) < 1e-10
    assert (alternating_radius(ab) > 1) == (ab > 4)


PHASES = [(5, 5), (7, 3), (19, 19), (21, 21), (22, 22), (30, 30), (40, 9), (40, 11)]


@pytest.mark.parametrize(("k_g", "k_d"), PHASES)
def test_a_phase_of_k_steps_is_one_of_size_k(k_g, k_d):
    """Two-sided about ab = 4, with a = K_G eta_G and b = K_D eta_D."""
    cycle = {"batches": k_g + k_d, "schedule": Phased(k_d, k_g, window=1)}
    found, (a, b) = matrix(**cycle), (k_g * 0.1, k_d * 0.1)
    assert_close(found, torch.tensor([[1 - a * b, -a], [b, 1.0]], dtype=DOUBLE), **TIGHT)
    assert abs(radius(found) - alternating_radius(a * b)) < 1e-10
    assert (radius(found) > 1.5) == (a * b > 4)


def test_unequal_rates_are_not_swapped():
    theta, psi = play((1, 1), 10 * 100, (0.1, 0.2), schedule=Phased(3, 7, window=1))[::10].T
    a, b = 0.7, 0.6
    assert_close(
        b * theta**2 + a * psi**2 + a * b * theta * psi,
        torch.full((101,), a + b + a * b, dtype=DOUBLE),
        rtol=0,
        atol=1e-10,
    )


def test_at_the_edge_growth_is_linear():
    points = play((1, 0), 40 * 30, schedule=Phased(20, 20, window=1))[::40]
    edge = torch.tensor([[-3.0, -2.0], [2.0, 1.0]], dtype=DOUBLE)
    expected = [torch.linalg.matrix_power(edge, n)[:, 0] for n in range(31)]
    assert_close(points, torch.stack(expected), rtol=0, atol=1e-9)
    # M + 1 is nilpotent, so each cycle adds as much as the one before, with the other sign.
    added = (points[1:] + points[:-1]).norm(dim=1)
    assert_close(added, torch.full((30,), 8**0.5, dtype=DOUBLE), rtol=0, atol=1e-9)


def test_phases_by_epoch_freeze_the_other_player():
    points = play((1, 1), 1010, per_epoch=5, schedule=Phased())
    theta, psi = points.T
    for cycle in range(0, 1000, 10):
        assert (theta[cycle : cycle + 6] == theta[cycle]).all()
        assert (psi[cycle + 5 : cycle + 11] == psi[cycle + 5]).all()
    assert points[5].tolist() == pytest.approx((1, 1.5), abs=1e-12)
    # From D's epoch on, G's and D's in turn are the cycle whose end is known from (1, 1).
    start = play((1, 1), 1005, per_epoch=5, schedule=Phased(), lr=0.1)
    a = b = 0.5
    cycle = torch.tensor([[1 - a * b, -a], [b, 1.0]], dtype=DOUBLE)
    expected = torch.linalg.matrix_power(cycle, 100) @ torch.ones(2, dtype=DOUBLE)
    assert_close(start[1000], expected, rtol=0, atol=1e-10)


def test_phases_are_not_played_against_a_snapshot():
    """Freezing both at the start of a cycle would grow by sqrt(1 + ab): the named wrong answer."""
    wrong = 1.25**5
    assert 1.0 < play((1, 0), 100, schedule=Phased(5, 5, window=1))[::10].norm(dim=1).max() < 1.4
    snapshots = play((1, 0), 10, 0.5, schedule=Accumulated(1, "simultaneous"))
    assert snapshots[-1].norm().item() == pytest.approx(wrong, abs=1e-10)
    assert snapshots[-1].tolist() == pytest.approx((-0.2314453125, -3.04296875), abs=1e-10)


def r1_radius(k_d, k_g, eta, gamma):
    alpha = (1 - eta * gamma) ** k_d
    a, beta = k_g * eta, (1 - alpha) / gamma
    return radius(torch.tensor([[1, -a], [beta, alpha - a * beta]], dtype=DOUBLE))


@pytest.mark.parametrize(
    ("k_d", "k_g", "gamma", "expected"),
    [
        (1, 1, 0.5, 0.974679),
        (10, 10, 0.5, 0.773781),
        (100, 9, 0.5, 0.775791),
        (100, 10, 0.5, 0.976173),
        (100, 11, 0.5, 1.176020),
        (400, 19, 1.0, 0.9),  # D solved: stable up to K_G eta_G = 2 gamma
        (400, 21, 1.0, 1.1),
    ],
)
def test_phases_with_r1(k_d, k_g, gamma, expected):
    found = radius(
        matrix(k_d + k_g, schedule=Phased(k_d, k_g, window=1), penalties=[R1(float(gamma))])
    )
    assert abs(found - r1_radius(k_d, k_g, 0.1, gamma)) < 1e-10
    assert abs(found - expected) < 1e-6


@pytest.mark.parametrize("window", [1, 2, 5])
@pytest.mark.parametrize("order", ["sequential", "simultaneous"])
def test_a_window_is_one_step_of_the_plain_game(window, order):
    """The mean of equal gradients is the gradient: the bound does not shift with the window."""
    plain = {"sequential": Alternating(), "simultaneous": Simultaneous()}[order]
    moves = play((1, 0.3), 40, (0.3, 0.2), schedule=plain)
    windows = play((1, 0.3), 40 * window, (0.3, 0.2), schedule=Accumulated(window, order))
    assert_close(windows[::window], moves, **TIGHT)
    for i in range(window):  # nothing moves before the window is full
        assert (windows[i:-1:window] == windows[:-1:window]).all()


@pytest.mark.parametrize("eta", [0.1, 0.3, 0.577, 0.58])
def test_optimism_converges_below_one_over_root_three(eta):
    points = play((1, 0), 800 if eta > 0.5 else 300, eta, optimizer=optimistic)
    root = math.sqrt(abs(1 - 4 * eta**2))
    expected = math.sqrt((1 + root) / 2) if eta < 0.5 else math.hypot(0.5, eta + root / 2)
    # z_t obeys a recurrence z_{t+1} = A z_t + B z_{t-1}: solve it exactly from the end of the run.
    z = torch.complex(points[:, 0], points[:, 1])[:8]
    solution = torch.linalg.solve(torch.stack([z[2:4], z[1:3]], 1), z[3:5])
    roots = torch.linalg.eigvals(torch.stack([solution, torch.tensor([1, 0]).to(solution)]))
    assert abs(roots.abs().max().item() - expected) < 1e-10
    assert (points[-1].norm() < points[100].norm()) == (eta < 1 / math.sqrt(3))


class Shaken(Augmentation):
    """Instance noise of the right second moment, which is all that counts at the equilibrium."""

    def __init__(self, std):
        super().__init__()
        self.std = std

    def forward(self, events):
        signs = torch.tensor([[1.0], [-1.0]], dtype=events.dtype)
        return events + self.std * signs


@pytest.mark.parametrize("objective", [minimax, non_saturating])
@pytest.mark.parametrize(
    ("options", "h", "expected"),
    [
        ({}, 0.2, 1.00499),
        ({"penalties": [R1(0.3)]}, 0.2, 0.97468),
        ({"penalties": [R1(1.0)]}, 0.2, 0.9),
        ({"penalties": [R1(0.3)]}, 1.1, 0.98615),
        ({"penalties": [R1(0.3)]}, 1.3, 1.01612),
    ],
    ids=label,
)
def test_dirac_gan_at_its_equilibrium(objective, options, h, expected):
    found = radius(matrix(1, 1e-5, lr=h, objective=objective, **options))
    gamma = options["penalties"][0].gamma if options else 0.0
    eigenvalues = torch.linalg.eigvals(torch.tensor([[0, -0.5], [0.5, -gamma]], dtype=DOUBLE))
    # A double root (gamma 1) is only good to the square root of the rounding.
    assert abs(found - (1 + h * eigenvalues).abs().max().item()) < (1e-5 if gamma == 1 else 1e-8)
    assert abs(found - expected) < 1e-5


def test_instance_noise_damps_the_dirac_gan():
    two = [torch.zeros(2, 1, dtype=DOUBLE)]
    options = {"objective": minimax, "augment": Shaken(0.7), "data": two}
    assert abs(radius(matrix(1, 1e-4, lr=0.2, **options)) - 0.980306) < 1e-6


def test_full_dirac_gan_with_r1_contracts_as_measured():
    norms = play((0.01, 0.01), 600, 0.2, objective=minimax, penalties=[R1(0.3)]).norm(dim=1)
    # The trajectory turns inside the window, so this is the prediction to 5e-4 only.
    assert abs((norms[600] / norms[300]).item() ** (1 / 300) - 0.97468) < 5e-4


def test_wgan_gp_oscillates_about_the_dirac_equilibrium():
    """psi is driven to +-target, where theta is driven on: no convergence, no divergence."""
    points = play((1, 1), 500, 0.2, penalties=[GradientPenalty(0.35, 1.0)])
    theta, psi = 1.0, 1.0
    for found in points[1:].tolist():
        pull = 0.7 * (abs(psi) - 1) * (1 if psi > 0 else -1)
        theta, psi = theta - 0.2 * psi, psi + 0.2 * (theta - pull)
        assert found == pytest.approx((theta, psi), abs=1e-8)
    assert points[300:].norm(dim=1).min() > 0.1 and points.norm(dim=1).max() < 3
