"""Updates on real networks: against hand-written loops and brute-force differentiation."""

import copy
import math

import pytest
import torch
from lightning.pytorch import Callback
from torch.func import functional_call
from torch.testing import assert_close

from lightning_gans import objectives
from lightning_gans.errors import InputError
from lightning_gans.objectives import R1, R2, GradientPenalty, Judged
from lightning_gans.schedules import Alternating, Consensus, Simultaneous, Unrolled, extragradient
from tests.games import DOUBLE, play, train
from tests.test_gean import LATENTS, ROWS, perceptrons, rows_in_batches, weights

REAL = ROWS[:12]


def adam(parameters):
    return torch.optim.Adam(parameters, lr=0.01, betas=(0.5, 0.9))


def losses(objective, g, d, latents):
    fake = g(latents)
    both = objective(d(REAL), d(fake))
    return both.discriminator.mean(), both.generator.mean()


@pytest.mark.parametrize("objective", ["minimax", "least_squares", "relativistic_paired"])
def test_extragradient_with_adam_is_extra_adam(objective):
    """Gidel et al. (2019), algorithm 4, written out: two Adam steps a batch, one is kept."""
    objective = getattr(objectives, objective)
    options = {"generator_optimizer": adam, "discriminator_optimizer": adam}
    model = perceptrons(
        objective=objective, schedule=Simultaneous(), update=extragradient, **options
    )
    g, d = copy.deepcopy(model.generator), copy.deepcopy(model.discriminator)
    train(model, 6, data=[REAL])

    players = {"d": (d, adam(d.parameters())), "g": (g, adam(g.parameters()))}
    for batch in range(6):
        latents = LATENTS[torch.arange(batch * 12, (batch + 1) * 12) % 24]
        kept = {name: copy.deepcopy(net.state_dict()) for name, (net, _) in players.items()}
        for look_ahead in (True, False):
            d_loss, g_loss = losses(objective, g, d, latents)
            d_gradients = torch.autograd.grad(d_loss, list(d.parameters()), retain_graph=True)
            g_gradients = torch.autograd.grad(g_loss, list(g.parameters()))
            for net, gradients in ((d, d_gradients), (g, g_gradients)):
                for parameter, gradient in zip(net.parameters(), gradients, strict=True):
                    parameter.grad = gradient
            for name, (net, optimizer) in players.items():
                if not look_ahead:
                    net.load_state_dict(kept[name])
                optimizer.step()
    assert_close(model.generator.state_dict(), g.state_dict(), rtol=0, atol=1e-12)
    assert_close(model.discriminator.state_dict(), d.state_dict(), rtol=0, atol=1e-12)
    assert (weights(model) - weights(perceptrons())).abs().max() > 1e-2


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_consensus_descends_the_squared_gradients_too(weight):
    model = perceptrons(schedule=Simultaneous(), update=Consensus(weight), lr=0.1)
    g, d = copy.deepcopy(model.generator), copy.deepcopy(model.discriminator)
    train(model, 1, data=[REAL])
    both = losses(objectives.non_saturating, g, d, LATENTS[:12])
    parameters = [*d.parameters(), *g.parameters()]
    own = [
        *torch.autograd.grad(both[0], list(d.parameters()), create_graph=True),
        *torch.autograd.grad(both[1], list(g.parameters()), create_graph=True),
    ]
    energy = sum((gradient**2).sum() for gradient in own) / 2
    pull = torch.autograd.grad(energy, parameters)
    expected = [p - 0.1 * (o + weight * e) for p, o, e in zip(parameters, own, pull, strict=True)]
    found = [*model.discriminator.parameters(), *model.generator.parameters()]
    for theirs, ours in zip(expected, found, strict=True):
        assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_unrolling_no_steps_is_plain():
    unrolled, plain = perceptrons(update=Unrolled(0)), perceptrons()
    train(unrolled, 10, data=rows_in_batches(6))
    train(plain, 10, data=rows_in_batches(6))
    assert_close(unrolled.state_dict(), plain.state_dict(), rtol=0, atol=0)


class Seeded(Callback):
    """The same random points for the penalties of every run."""

    def on_train_batch_start(self, *_):
        torch.manual_seed(0)


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("penalty", [None, R1(0.5), R2(0.5), GradientPenalty(0.3)], ids=repr)
def test_unrolled_gradient_is_that_of_the_rivals_answer(steps, penalty):
    """By finite differences of G's loss against the D that has answered each G.

    All that D's answer depends on counts, so its penalties of generated events too.
    """
    penalties = [] if penalty is None else [penalty]
    eta = 0.4
    model = perceptrons(
        objective=objectives.minimax, update=Unrolled(steps, eta), penalties=penalties
    )
    before = copy.deepcopy(model.generator)
    train(model, 1, data=[REAL], callbacks=[Seeded()])
    d = model.discriminator  # has made its plain move; G's turn came after

    def answered(flat):
        torch.nn.utils.vector_to_parameters(flat, before.parameters())
        names, now = zip(*d.named_parameters(), strict=True)
        now = [p.detach().clone().requires_grad_() for p in now]
        torch.manual_seed(0)
        torch.rand(12 if penalty == GradientPenalty(0.3) else 0, dtype=DOUBLE)  # of D's own move
        for _ in range(steps):

            def call(x, w=now):
                return functional_call(d, dict(zip(names, w, strict=True)), (x,))

            real, fake = REAL.clone().requires_grad_(), before(LATENTS[:12])
            judged = Judged(call, real, fake, call(real), call(fake))
            loss = objectives.minimax(*judged[3:5]).discriminator.mean()
            if penalty is not None:
                loss = loss + penalty(judged)
            gradients = torch.autograd.grad(loss, now)
            now = [
                (p - eta * g).detach().requires_grad_() for p, g in zip(now, gradients, strict=True)
            ]
        fake = functional_call(d, dict(zip(names, now, strict=True)), (before(LATENTS[:12]),))
        return objectives.minimax(fake, fake).generator.mean().item()

    start = torch.nn.utils.parameters_to_vector(perceptrons().generator.parameters()).detach()
    moved = torch.nn.utils.parameters_to_vector(model.generator.parameters()).detach()
    found = (start - moved) / 0.3
    unit, size = torch.eye(len(start), dtype=DOUBLE), 1e-5
    brute = [(answered(start + size * e) - answered(start - size * e)) / (2 * size) for e in unit]
    assert_close(found, torch.tensor(brute, dtype=DOUBLE), rtol=0, atol=1e-8)
    plain = perceptrons(objective=objectives.minimax, penalties=penalties)
    train(plain, 1, data=[REAL], callbacks=[Seeded()])
    assert_close(model.discriminator.state_dict(), plain.discriminator.state_dict())
    assert (weights(model.generator) - weights(plain.generator)).abs().max() > 1e-3


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_unrolled_bilinear_game(steps):
    """theta (psi + k eta theta) has the gradient psi + 2 k eta theta; D moves first, plainly."""
    points = play((1, 0.5), 20, 0.1, schedule=Alternating(), update=Unrolled(steps, 0.2))
    theta, psi = 1.0, 0.5
    for found in points[1:].tolist():
        psi += 0.1 * theta
        theta -= 0.1 * (psi + 2 * steps * 0.2 * theta)
        assert found == pytest.approx((theta, psi), abs=1e-12)


@pytest.mark.parametrize("update", [extragradient, Consensus()], ids=["extragradient", "consensus"])
def test_looking_ahead_alone_is_warned_of(update):
    name = getattr(update, "__name__", type(update).__name__)
    with pytest.warns(UserWarning, match=f"model.update {name} .*Alternating.*Simultaneous"):
        train(perceptrons(update=update), 1, data=[REAL])


@pytest.mark.parametrize("update", [Consensus(), Unrolled()], ids=repr)
def test_parts_of_a_batch_that_save_nothing_are_refused(update):
    with pytest.raises(InputError, match="model.accumulate.*needs all parts"):
        perceptrons(update=update, accumulate=2)


def test_a_parameter_that_no_loss_needs_stays():
    for update in (Consensus(0.1), Unrolled(1, 0.1)):
        model = perceptrons(update=update, schedule=Simultaneous())
        model.generator.idle = torch.nn.Parameter(torch.ones(3, dtype=DOUBLE))
        train(model, 2, data=[REAL])
        assert (model.generator.idle == 1).all()


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: Unrolled(-1), "update.steps"),
        (lambda: Unrolled(learning_rate=0.0), "update.learning_rate"),
        (lambda: Consensus(-1.0), "update.weight"),
        (lambda: Consensus(math.nan), "update.weight"),
        (lambda: Unrolled(learning_rate=math.nan), "update.learning_rate"),
    ],
)
def test_numbers_out_of_range_are_refused(make, key):
    with pytest.raises(InputError, match=key):
        make()
