"""Objectives against the textbook formulas, by hand-computed numbers and by autograd."""

import inspect
import math

import pytest
import torch
from torch.testing import assert_close

import lightning_gans.objectives as objectives
from lightning_gans.models.checks import compares_logits
from lightning_gans.objectives import adversarial
from lightning_gans.types import InputError

REAL = torch.tensor([-1.5, 0.0, 0.3, 2.0], dtype=torch.float64)
FAKE = torch.tensor([0.7, -2.0, 0.0, 1.1], dtype=torch.float64)


def sigmoid(x):
    return 1 / (1 + (-x).exp())


TEXTBOOK = {
    "minimax": (
        lambda r, f: -sigmoid(r).log() - (1 - sigmoid(f)).log(),
        lambda r, f: (1 - sigmoid(f)).log(),
    ),
    "non_saturating": (
        lambda r, f: -sigmoid(r).log() - (1 - sigmoid(f)).log(),
        lambda r, f: -sigmoid(f).log(),
    ),
    "least_squares": (
        lambda r, f: ((r - 1) ** 2 + f**2) / 2,
        lambda r, f: (f - 1) ** 2 / 2,
    ),
    "wasserstein": (lambda r, f: f - r, lambda r, f: -f),
    "hinge": (
        lambda r, f: (1 - r).clamp(min=0) + (1 + f).clamp(min=0),
        lambda r, f: -f,
    ),
    "relativistic_paired": (
        lambda r, f: -sigmoid(r - f).log(),
        lambda r, f: -sigmoid(f - r).log(),
    ),
    "relativistic_average": (
        lambda r, f: -sigmoid(r - f.mean()).log() - (1 - sigmoid(f - r.mean())).log(),
        lambda r, f: -sigmoid(f - r.mean()).log() - (1 - sigmoid(r - f.mean())).log(),
    ),
    "hybrid": (
        lambda r, f: -sigmoid(r).log() - (1 - sigmoid(f)).log(),
        lambda r, f: (1 - sigmoid(f)) ** 2,
    ),
    "LeastSquares": (
        lambda r, f: ((r - 1) ** 2 + f**2) / 2,
        lambda r, f: (f - 1) ** 2 / 2,
    ),
    "Smoothed": (
        lambda r, f: (
            -0.9 * sigmoid(r).log() - 0.1 * (1 - sigmoid(r)).log() - (1 - sigmoid(f)).log()
        ),
        lambda r, f: -sigmoid(f).log(),
    ),
}

ALL = [name for name in adversarial.__all__ if name != "Configured"]


def of(name):
    """The objective called ``name``, with its own settings if it has any."""
    found = getattr(objectives, name)
    return found() if inspect.isclass(found) else found


def test_every_objective_has_a_textbook_formula():
    assert set(TEXTBOOK) == set(ALL)


@pytest.mark.parametrize("player", ["discriminator", "generator"])
@pytest.mark.parametrize("name", ALL)
def test_values_and_gradients_are_the_textbooks(name, player):
    results = []
    for formula in (
        lambda r, f: getattr(of(name)(r, f), player),
        TEXTBOOK[name][player == "generator"],
    ):
        real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
        loss = formula(real, fake)
        gradients = torch.autograd.grad(
            loss.sum(), (real, fake), materialize_grads=True, allow_unused=True
        )
        results.append((loss, *gradients))
    ours, textbook = results
    assert ours[0].shape == (4,)
    assert_close(ours, textbook, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "discriminator", "generator"),
    [
        ("minimax", 2 * math.log(2), -math.log(2)),
        ("non_saturating", 2 * math.log(2), math.log(2)),
        ("least_squares", 0.5, 0.5),
        ("wasserstein", 0.0, 0.0),
        ("hinge", 2.0, 0.0),
        ("relativistic_paired", math.log(2), math.log(2)),
        ("relativistic_average", 2 * math.log(2), 2 * math.log(2)),
        ("hybrid", 2 * math.log(2), 0.25),
        ("LeastSquares", 0.5, 0.5),
        ("Smoothed", 2 * math.log(2), math.log(2)),
    ],
)
def test_values_at_a_discriminator_that_cannot_tell(name, discriminator, generator):
    zero = torch.zeros(1, dtype=torch.float64)
    losses = of(name)(zero, zero)
    assert losses.discriminator.item() == pytest.approx(discriminator, abs=1e-12)
    assert losses.generator.item() == pytest.approx(generator, abs=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_values_and_gradients_are_finite_at_extreme_logits(name):
    for r in (-1e4, 1e4):
        for f in (-1e4, 1e4):
            real, fake = (torch.tensor([x], requires_grad=True) for x in (r, f))
            losses = of(name)(real, fake)
            for loss in losses:
                assert loss.isfinite().all()
            gradients = torch.autograd.grad(sum(losses).sum(), (real, fake))
            assert all(g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("name", ALL)
def test_better_logits_lower_each_players_loss(name):
    """D gains when real rises and fake falls, G when fake rises: a swapped sign shows here."""
    objective = of(name)
    worse = objective(torch.tensor([0.2]), torch.tensor([0.1]))
    better = objective(torch.tensor([0.3]), torch.tensor([0.0]))
    assert better.discriminator < worse.discriminator
    better = objective(torch.tensor([0.2]), torch.tensor([0.2]))
    assert better.generator < worse.generator


@pytest.mark.parametrize("name", ALL)
def test_only_the_relativistic_generator_looks_at_real_logits(name):
    assert compares_logits(of(name)) == name.startswith("relativistic")


def test_least_squares_targets():
    losses = objectives.least_squares(REAL, FAKE, a=-1.0, b=2.0, c=0.5)
    assert_close(losses.discriminator, ((REAL - 2) ** 2 + (FAKE + 1) ** 2) / 2)
    assert_close(losses.generator, (FAKE - 0.5) ** 2 / 2)


def test_relativistic_average_by_hand():
    """Means are 1 and 0, so the logits enter as (0, 2) and (-2, 0)."""
    losses = objectives.relativistic_average(torch.tensor([0.0, 2.0]), torch.tensor([-1.0, 1.0]))
    low, half = math.log(1 + math.exp(-2)), math.log(2)
    assert_close(losses.discriminator, torch.tensor([half + low, low + half]))
    assert_close(losses.generator, torch.tensor([2 + low + half, half + 2 + low]))


def test_least_squares_with_settings_is_the_function():
    ours = objectives.LeastSquares(a=-1.0, b=1.0, c=0.0)(REAL, FAKE)
    assert_close(ours.discriminator, ((REAL - 1) ** 2 + (FAKE + 1) ** 2) / 2)
    assert_close(ours.generator, FAKE**2 / 2)


@pytest.mark.parametrize(("real", "fake"), [(0.0, 1.0), (1.0, 0.0), (0.7, 0.2)])
def test_smoothed_is_torchs_cross_entropy(real, fake):
    ours = objectives.Smoothed(real, fake)(REAL, FAKE)
    cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits
    expected = cross_entropy(REAL, torch.full_like(REAL, real), reduction="none")
    expected += cross_entropy(FAKE, torch.full_like(FAKE, fake), reduction="none")
    assert_close(ours.discriminator, expected)
    assert_close(ours.generator, objectives.non_saturating(REAL, FAKE).generator)


def test_without_smoothing_smoothed_is_non_saturating():
    ours = objectives.Smoothed(real=1.0, fake=0.0)(REAL, FAKE)
    assert_close(ours, objectives.non_saturating(REAL, FAKE))


def test_the_discriminators_best_answer_to_smoothing_is_the_target():
    """At sigmoid(x) = 0.9 the loss on real samples is flat, below it falls, above it rises."""
    best = math.log(0.9 / 0.1)
    real = torch.tensor([best - 0.1, best, best + 0.1], dtype=torch.float64, requires_grad=True)
    loss = objectives.Smoothed()(real, torch.zeros_like(real)).discriminator
    (slopes,) = torch.autograd.grad(loss.sum(), real)
    assert slopes[0] < 0 < slopes[2]
    assert_close(slopes[1], torch.tensor(0.0, dtype=torch.float64), atol=1e-15, rtol=0)


@pytest.mark.parametrize("targets", [{"real": 1.1}, {"real": -0.1}, {"fake": 2.0}, {"fake": -1.0}])
def test_smoothing_targets_are_probabilities(targets):
    with pytest.raises(InputError, match=rf"Smoothed.{next(iter(targets))} .* \[0, 1\]"):
        objectives.Smoothed(**targets)


def test_shapes_are_checked_in_tests():
    with pytest.raises(Exception, match="type|shape"):
        objectives.non_saturating(torch.zeros(8), torch.zeros(8, 1))
