"""The page on theory: what it states in closed form is the code's."""

import math
import re

import pytest
import torch
from torch.distributions import Normal
from torch.nn.functional import mse_loss
from torch.testing import assert_close

from lightning_gans import objectives
from lightning_gans.metrics.functional import Moments, frechet_distance, high_quality_ideal
from lightning_gans.metrics.functional.modes import spread_ideal
from lightning_gans.objectives import LeastSquares, Smoothed, factors, hinge
from lightning_gans.objectives.likelihood import gaussian
from lightning_gans.schedules import Alternating, Unrolled
from tests.conftest import ROOT, label
from tests.games import matrix, radius
from tests.pages import links

PAGE = ROOT / "docs" / "theory.md"
DOUBLE = torch.float64


def test_every_objective_and_penalty_is_on_the_page():
    told = {text.strip("`") for text, _, _ in links(PAGE)}
    laws = {"Bernoulli", "DiscretisedLogistic", "Gaussian", "Warmup"}
    assert set(objectives.__all__) - laws <= told


def test_formulas_survive_markdown():
    """GitHub takes | in a table for a border, and eats a backslash before punctuation."""
    for line in PAGE.read_text().splitlines():
        formulas = re.findall(r"(?<!\$)\$([^$]+)\$(?!\$)", re.sub(r"`[^`]*`", "", line))
        wrong = [formula for formula in formulas if re.search(r"\||\\[^a-zA-Z]", formula)]
        assert not wrong, line


# The best discriminator, on laws of four points

P = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=DOUBLE)
Q = torch.tensor([0.35, 0.3, 0.3, 0.05], dtype=DOUBLE)
M = (P + Q) / 2


def mean_loss(objective, player, logits, p=P, q=Q):
    """Expected loss () of a player, all pairs of a real and a generated point being weighed."""
    k = len(logits)
    losses = objective(logits.repeat_interleave(k), logits.repeat(k))
    return (getattr(losses, player) * torch.outer(p, q).flatten()).sum()


def kl(left, right):
    return (left * (left / right).log()).sum()


def jsd(left, right):
    return (kl(left, (left + right) / 2) + kl(right, (left + right) / 2)) / 2


def entropy(s):
    return -(s * s.log() + (1 - s) * (1 - s).log())


RATIO = (P / Q).log()
SHANNON = 2 * math.log(2) - 2 * jsd(P, Q)
PAIRS = torch.outer(P, Q).flatten(), torch.outer(Q, P).flatten()
SMOOTH = (0.9 * P + 0.2 * Q) / (P + Q)

BEST = [
    (objectives.minimax, RATIO, SHANNON),
    (objectives.non_saturating, RATIO, SHANNON),
    (objectives.hybrid, RATIO, SHANNON),
    (objectives.least_squares, P / (P + Q), (P * Q / (P + Q)).sum() / 2),
    (
        LeastSquares(-0.5, 2.0, 0.3),
        (2 * P - 0.5 * Q) / (P + Q),
        2.5**2 * (P * Q / (P + Q)).sum() / 2,
    ),
    (objectives.relativistic_paired, RATIO + 7.0, math.log(2) - jsd(*PAIRS)),
    (Smoothed(0.9, 0.2), SMOOTH.logit(), ((P + Q) * entropy(SMOOTH)).sum()),
]


@pytest.mark.parametrize(
    ("objective", "best", "value"), BEST, ids=[label(case[0]) for case in BEST]
)
def test_the_best_discriminator(objective, best, value):
    logits = best.clone().requires_grad_()
    loss = mean_loss(objective, "discriminator", logits)
    assert_close(loss, value, rtol=0, atol=1e-14)
    (slopes,) = torch.autograd.grad(loss, logits)
    assert_close(slopes, torch.zeros_like(slopes), rtol=0, atol=1e-15)
    for way in torch.eye(4, dtype=DOUBLE):
        for size in (-0.5, 0.5):
            assert mean_loss(objective, "discriminator", best + size * way) > value + 1e-3


def test_the_best_hinge_discriminator():
    value = 2 - (P - Q).abs().sum()
    for free in (-1.0, 0.2, 1.0):  # where both are as likely
        best = torch.where(P == Q, free, (P - Q).sign())
        assert_close(mean_loss(hinge, "discriminator", best), value, rtol=0, atol=1e-14)
    for way in torch.eye(4, dtype=DOUBLE)[P != Q]:
        for size in (-0.5, 0.5):
            assert mean_loss(hinge, "discriminator", best + size * way) > value + 1e-3


HALF = 2 * entropy(torch.tensor(0.45, dtype=DOUBLE)).item()


@pytest.mark.parametrize(
    ("objective", "logit", "discriminator", "generator"),
    [
        (objectives.minimax, 0.0, 2 * math.log(2), -math.log(2)),
        (objectives.non_saturating, 0.0, 2 * math.log(2), math.log(2)),
        (objectives.hybrid, 0.0, 2 * math.log(2), 1 / 4),
        (objectives.least_squares, 0.5, 1 / 4, 1 / 8),
        (LeastSquares(-1.0, 1.0, 0.0), 0.0, 1.0, 0.0),
        (objectives.wasserstein, 3.0, 0.0, -3.0),
        (hinge, 0.7, 2.0, -0.7),
        (objectives.relativistic_paired, -2.0, math.log(2), math.log(2)),
        (objectives.relativistic_average, -2.0, 2 * math.log(2), 2 * math.log(2)),
        (Smoothed(), math.log(0.45 / 0.55), HALF, -math.log(0.45)),
    ],
    ids=label,
)
def test_the_equilibrium(objective, logit, discriminator, generator):
    """With p = q, at the best logit: flat for the discriminator, too."""
    logits = torch.full((4,), logit, dtype=DOUBLE, requires_grad=True)
    loss = mean_loss(objective, "discriminator", logits, P, P)
    assert loss.item() == pytest.approx(discriminator, abs=1e-14)
    assert mean_loss(objective, "generator", logits, P, P).item() == pytest.approx(generator)
    if objective is not objectives.relativistic_average:  # whose batch is not weighed here
        (slopes,) = torch.autograd.grad(loss, logits)
        assert_close(slopes, torch.zeros_like(slopes), rtol=0, atol=1e-15)


def test_the_equilibrium_of_smoothing_in_numbers():
    assert pytest.approx((1.376, 0.799), abs=5e-4) == (HALF, -math.log(0.45))


SLOPES = [
    (objectives.minimax, lambda r, f: -f.sigmoid()),
    (objectives.non_saturating, lambda r, f: -(-f).sigmoid()),
    (LeastSquares(c=0.3), lambda r, f: f - 0.3),
    (objectives.wasserstein, lambda r, f: -torch.ones_like(f)),
    (hinge, lambda r, f: -torch.ones_like(f)),
    (objectives.relativistic_paired, lambda r, f: -(r - f).sigmoid()),
    (objectives.hybrid, lambda r, f: -2 * f.sigmoid() * (-f).sigmoid() ** 2),
    (Smoothed(), lambda r, f: -(-f).sigmoid()),
    (
        objectives.relativistic_average,
        lambda r, f: -(r.mean() - f).sigmoid() - (r - f.mean()).sigmoid().mean(),
    ),
]


@pytest.mark.parametrize(("objective", "slope"), SLOPES, ids=[label(case[0]) for case in SLOPES])
def test_the_generators_slope(objective, slope):
    fake = torch.tensor([-30.0, -2.0, 0.0, 1.5], dtype=DOUBLE, requires_grad=True)
    real = torch.tensor([1.0, 0.0, -1.0, 2.0], dtype=DOUBLE)
    (found,) = torch.autograd.grad(objective(real, fake).generator.sum(), fake)
    assert_close(found, slope(real, fake.detach()), rtol=1e-12, atol=1e-15)


def test_what_the_non_saturating_generator_descends():
    """At a fixed best discriminator: KL(q || p) - 2 JSD, which is not the JSD."""
    numbers = Q.log().requires_grad_()

    def slopes(loss):
        return torch.autograd.grad(loss(numbers.softmax(0)), numbers)[0]

    found = slopes(lambda q: mean_loss(objectives.non_saturating, "generator", RATIO, q=q))
    assert_close(found, slopes(lambda q: kl(q, P) - 2 * jsd(P, q)), rtol=0, atol=1e-15)
    saturating = slopes(lambda q: mean_loss(objectives.minimax, "generator", RATIO, q=q))
    assert_close(saturating, slopes(lambda q: 2 * jsd(P, q)), rtol=0, atol=1e-15)


def test_pearsons_chi_squared():
    """A real sample's (D - c)^2 is no term of the loss: the generator cannot change it."""
    best, c = (P - Q) / (P + Q), 0.0
    fake = 2 * mean_loss(LeastSquares(-1.0, 1.0, c), "generator", best)
    of_both = (P * (best - c) ** 2).sum() + fake
    assert_close(of_both, ((P - Q) ** 2 / (P + Q)).sum(), rtol=0, atol=1e-15)
    assert_close(of_both, ((P + Q - 2 * Q) ** 2 / (P + Q)).sum(), rtol=0, atol=1e-15)


# Dynamics


@pytest.mark.parametrize(("steps", "size", "a", "b"), [(3, 0.2, 0.1, 0.2), (3, 1.2, 0.3, 0.3)])
def test_the_unrolled_radius(steps, size, a, b):
    found = matrix(1, lr=(a, b), schedule=Alternating(), update=Unrolled(steps, size))
    c = 2 * a * steps * size
    expected = torch.tensor([[1 - a * b - c, -a], [b, 1.0]], dtype=DOUBLE)
    assert_close(found, expected, rtol=0, atol=1e-12)
    stable = a * (b + 4 * steps * size) < 4
    assert (radius(found) < 1) == stable
    if stable:
        assert radius(found) == pytest.approx(math.sqrt(1 - c), abs=1e-12)


# Latents and likelihoods


def test_latents_of_factor_analysers():
    source = torch.Generator().manual_seed(3)

    def normal(*shape):
        return torch.randn(*shape, dtype=DOUBLE, generator=source)

    law = factors.Factors(
        torch.tensor([0.3, 0.7], dtype=DOUBLE).log(),
        normal(2, 4),
        normal(2, 4, 2),
        normal(2, 4) ** 2,
    )
    points = normal(20, 4)
    sums = factors.expectations(iter(points.split(7)), law)
    shares = factors.joint(points, law).softmax(1)
    for k, (mean, loadings, noise) in enumerate(zip(*law[1:], strict=True)):
        inverse = torch.linalg.inv(torch.eye(2, dtype=DOUBLE) + loadings.T / noise @ loadings)
        z = (points - mean) / noise @ loadings @ inverse
        both = inverse + z[:, :, None] * z[:, None]
        r = shares[:, k]
        assert_close(sums["z"][k], r @ z, rtol=0, atol=1e-10)
        assert_close(sums["xz"][k], points.T @ (r[:, None] * z), rtol=0, atol=1e-10)
        assert_close(sums["zz"][k], torch.einsum("n,nij->ij", r, both), rtol=0, atol=1e-10)


def test_squared_error_is_a_gaussian_of_variance_one_half():
    x, mean = torch.randn(2, 5, 7, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    log_scale = torch.tensor(0.5, dtype=DOUBLE).log() / 2
    found = -gaussian(x, mean, log_scale)
    squares = (x - mean).square().sum(1)
    assert_close(found - squares, torch.full_like(found, 3.5 * math.log(math.pi)))
    assert_close(found, -Normal(mean, math.sqrt(0.5)).log_prob(x).sum(1))
    assert_close(mse_loss(x, mean) * 7, squares.mean())


# What is measured


def test_high_quality_in_the_plane():
    left = math.exp(-4.5)
    assert spread_ideal("3sigma", 2) == pytest.approx(1 - 4.5 * left / (1 - left), abs=1e-12)
    assert spread_ideal("chi2", 2) == pytest.approx(0.949, abs=5e-4)
    assert high_quality_ideal("3sigma", 1) == pytest.approx(0.9973, abs=5e-5)
    assert high_quality_ideal("3sigma", 10) == pytest.approx(0.468, abs=5e-4)


def test_frechet_of_covariances_that_do_not_commute():
    left = torch.tensor([[2.0, 0.9], [0.9, 1.0]], dtype=DOUBLE)
    right = torch.tensor([[1.0, -0.6], [-0.6, 3.0]], dtype=DOUBLE)
    mean = torch.tensor([0.3, -1.0], dtype=DOUBLE)
    found = frechet_distance(Moments(100, mean, left), Moments(100, 0 * mean, right))
    without = mean.square().sum() + left.trace() + right.trace()
    common = ((left @ right).trace() + 2 * (left.det() * right.det()).sqrt()).sqrt()
    assert found == pytest.approx((without - 2 * common).item(), abs=1e-12)

    def root(covariance):
        values, vectors = torch.linalg.eigh(covariance)
        return vectors * values.sqrt() @ vectors.T

    assert (root(left) @ root(right)).trace() < common - 5e-3
