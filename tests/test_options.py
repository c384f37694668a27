"""Options of every game: clipping, parts of batches, learning-rate schedules, two time scales."""

import copy
import math

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.plugins import MixedPrecision
from torch.optim.lr_scheduler import ExponentialLR, LinearLR, OneCycleLR, ReduceLROnPlateau
from torch.testing import assert_close

from lightning_gans.data import Ring
from lightning_gans.errors import InputError
from lightning_gans.models import GAN
from lightning_gans.models.checks import check_precision
from lightning_gans.models.rules import Clipping, Rules
from lightning_gans.networks import DCGANDiscriminator, DCGANGenerator, DiffAugment
from lightning_gans.objectives import non_saturating
from lightning_gans.schedules import (
    Accumulated,
    Alternating,
    Consensus,
    Simultaneous,
    Unrolled,
    extragradient,
)
from lightning_gans.types import Augmentation
from tests.conftest import label
from tests.games import DOUBLE, sgd, train
from tests.test_gean import ROWS, SaveAt, perceptrons, rows_in_batches, weights
from tests.test_models import fit, tiny_mlp

PLAYERS = ("discriminator", "generator")


def steps(model):
    """How far each player's parameters go in one batch, at learning rate 1."""
    before = copy.deepcopy(model)
    train(model, 1, data=[ROWS])
    return {
        player: torch.cat(
            [
                (old - new).detach().flatten()
                for old, new in zip(
                    getattr(before, player).parameters(),
                    getattr(model, player).parameters(),
                    strict=True,
                )
            ]
        )
        for player in PLAYERS
    }


def test_clipping_by_norm_shortens_what_is_longer():
    free = steps(perceptrons(lr=1.0))
    for bound in (0.01, 1e3):
        clipped = steps(perceptrons(lr=1.0, clip_norm=bound))
        # D moves first from the same place; G's gradient is taken at another D.
        length = free["discriminator"].norm()
        expected = free["discriminator"] * min(1, bound / length)
        assert_close(clipped["discriminator"], expected, rtol=0, atol=1e-12)
        norm = clipped["generator"].norm().item()
        assert norm == pytest.approx(bound, abs=1e-12) if bound < 1 else norm < bound
    assert 0.02 < length < 1e3


def test_clipping_by_value_bounds_every_entry():
    free, bound = steps(perceptrons(lr=1.0)), 0.005
    clipped = steps(perceptrons(lr=1.0, clip_value=bound))
    expected = free["discriminator"].clamp(-bound, bound)
    assert_close(clipped["discriminator"], expected, rtol=0, atol=1e-12)
    assert clipped["generator"].abs().max().item() == pytest.approx(bound, abs=1e-12)
    assert (free["discriminator"].abs() < bound).any() and free["generator"].abs().max() > bound


def test_clipping_by_value_comes_before_that_by_norm():
    both = steps(perceptrons(lr=1.0, clip_value=0.005, clip_norm=0.008))
    value = steps(perceptrons(lr=1.0, clip_value=0.005))["discriminator"]
    assert_close(both["discriminator"], value * 0.008 / value.norm(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("parts", [1, 3])
def test_the_whole_gradient_is_clipped_not_its_parts(parts):
    model = perceptrons(lr=1.0, clip_norm=0.01, accumulate=parts)
    whole = perceptrons(lr=1.0, clip_norm=0.01)
    assert_close(steps(model), steps(whole), rtol=0, atol=1e-12)


class Rates(Callback):
    def __init__(self):
        self.seen = []

    def on_train_batch_start(self, trainer, model, *_):
        groups = [mover.optimizer.param_groups[0] for mover in model.movers.values()]
        self.seen.append([group["lr"] for group in groups])


def scheduled(**options):
    return tiny_mlp(
        discriminator_optimizer=sgd(0.4),
        generator_optimizer=sgd(0.1),
        discriminator_scheduler=lambda optimizer: ExponentialLR(optimizer, 0.5),
        generator_scheduler=lambda optimizer: LinearLR(optimizer, 1.0, 0.0, total_iters=10),
        **options,
    )


def test_learning_rates_go_by_the_batch_each_player_on_its_own():
    rates = Rates()
    fit(scheduled(), Ring(batch_size=8), 5, callbacks=[rates])
    expected = [[0.4 * 0.5**i, 0.1 * (1 - i / 10)] for i in range(5)]
    assert_close(torch.tensor(rates.seen), torch.tensor(expected))


def test_a_learning_rate_goes_on_where_it_was(tmp_path):
    straight, resumed, rates = scheduled(), scheduled(), Rates()
    fit(straight, Ring(batch_size=8), 12, callbacks=[SaveAt(7, tmp_path / "7.ckpt")])
    fit(resumed, Ring(batch_size=8), 12, ckpt_path=tmp_path / "7.ckpt", callbacks=[rates])
    assert rates.seen[0] == pytest.approx([0.4 * 0.5**7, 0.03])
    assert_close(resumed.state_dict(), straight.state_dict(), rtol=0, atol=0)


def groups(parameters):
    first, *rest = parameters
    return torch.optim.SGD([{"params": [first], "lr": 0.3}, {"params": rest}], lr=0.1, momentum=0.5)


@pytest.mark.parametrize(
    "options",
    [
        {"generator_scheduler": lambda o: OneCycleLR(o, 0.2, total_steps=12)},
        {"generator_optimizer": groups, "discriminator_optimizer": groups},
    ],
    ids=["a scheduler of more than rates", "groups of their own rates"],
)
def test_settings_go_on_where_they_were(options, tmp_path):
    momentum = {"generator_optimizer": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)} | options
    straight, resumed = tiny_mlp(**momentum), tiny_mlp(**momentum)
    fit(straight, Ring(batch_size=8), 12, callbacks=[SaveAt(7, tmp_path / "7.ckpt")])
    fit(resumed, Ring(batch_size=8), 12, ckpt_path=tmp_path / "7.ckpt")
    assert_close(resumed.state_dict(), straight.state_dict(), rtol=0, atol=0)


def test_without_a_scheduler_the_rate_given_now_counts(tmp_path):
    first = tiny_mlp(generator_optimizer=sgd(0.1), discriminator_optimizer=sgd(0.4))
    fit(first, Ring(batch_size=8), 8, callbacks=[SaveAt(7, tmp_path / "7.ckpt")])
    rates = Rates()
    now = tiny_mlp(generator_optimizer=sgd(0.2), discriminator_optimizer=sgd(0.3))
    fit(now, Ring(batch_size=8), 9, ckpt_path=tmp_path / "7.ckpt", callbacks=[rates])
    assert rates.seen == [[0.3, 0.2]] * 2


def test_a_scheduler_without_what_it_needs_is_named():
    model = tiny_mlp(discriminator_scheduler=lambda optimizer: OneCycleLR(optimizer, 0.1))
    with pytest.raises(InputError, match="model.discriminator_scheduler: You must define"):
        model.configure_optimizers()


def test_a_scheduler_that_wants_a_metric_is_refused():
    model = tiny_mlp(generator_scheduler=lambda optimizer: ReduceLROnPlateau(optimizer))
    with pytest.raises(InputError, match="generator_scheduler.*ReduceLROnPlateau"):
        model.configure_optimizers()


@pytest.mark.parametrize("player", PLAYERS)
def test_two_time_scales(player):
    """A rate of 0 for one player leaves it where it was, and only it."""
    rates = {f"{name}_optimizer": sgd(0.0 if name == player else 0.3) for name in PLAYERS}
    moved = {name: step.norm().item() for name, step in steps(perceptrons(**rates)).items()}
    for name in PLAYERS:
        assert (moved[name] == 0) == (name == player)


@pytest.mark.parametrize("clipping", [Clipping(norm=1.0), Clipping(value=1.0)])
def test_clipping_scaled_gradients_is_refused(clipping):
    rules = Rules(Alternating(), clipping=clipping)
    with pytest.raises(InputError, match="clip_norm.*16-mixed.*bf16-mixed"):
        check_precision("16-mixed", rules)
    for precision in ("bf16-mixed", "32-true", "64-true"):
        check_precision(precision, rules)


def scaled(objective=non_saturating):
    """Three batches in 16-bit floats with scaled losses, as on a GPU; the model and the scaler."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=10**6)
    plugin = MixedPrecision("16-mixed", "cpu", scaler)
    model = tiny_mlp(objective=objective)
    fit(model, Ring(batch_size=64), 3, plugins=[plugin])
    return model, scaler


def test_scaled_gradients_are_reported_and_used_at_their_own_size():
    plain = tiny_mlp()
    fit(plain, Ring(batch_size=64), 3)
    model, scaler = scaled()
    assert scaler.get_scale() == 2.0**10
    for player in PLAYERS:
        assert model.movers[player].norm == pytest.approx(plain.movers[player].norm, rel=0.02)
        moved = weights(getattr(model, player)) - weights(getattr(tiny_mlp(), player))
        expected = weights(getattr(plain, player)) - weights(getattr(tiny_mlp(), player))
        assert_close(moved, expected, rtol=0, atol=0.02 * expected.abs().max().item())


def test_a_scaler_hears_of_what_is_not_finite():
    def bad(real, fake):
        losses = non_saturating(real, fake)
        return losses._replace(generator=losses.generator * math.inf)

    model, scaler = scaled(bad)
    assert scaler.get_scale() == 2.0**7  # halved three times
    assert (model.movers["generator"].skipped, model.movers["discriminator"].skipped) == (3, 0)
    assert (weights(model.generator) == weights(tiny_mlp().generator)).all()
    assert (weights(model.discriminator) != weights(tiny_mlp().discriminator)).any()


@pytest.mark.parametrize("update", [Consensus(), Unrolled()], ids=repr)
def test_second_derivatives_of_scaled_losses_are_refused(update):
    with pytest.raises(InputError, match=f"update {type(update).__name__}.*16-mixed"):
        check_precision("16-mixed", Rules(Alternating(), update))
    check_precision("16-mixed", Rules(Alternating(), extragradient))
    check_precision("bf16-mixed", Rules(Alternating(), update))


@pytest.mark.parametrize("schedule", [Simultaneous(), Accumulated(4, "simultaneous")], ids=repr)
def test_turns_of_two_players_with_scaled_losses_are_refused(schedule):
    """The first mover's step would change the scale of the other's gradient."""
    with pytest.raises(InputError, match="both players in one turn.*16-mixed"):
        check_precision("16-mixed", Rules(schedule))
    check_precision("16-mixed", Rules(Accumulated(4)))
    check_precision("32-true", Rules(schedule))


@pytest.mark.parametrize(
    "options",
    [
        {"clip_norm": 0.0},
        {"clip_value": -1.0},
        {"accumulate": 0},
        {"max_skipped": 0},
        {"clip_weights": 0.0},
        {"ema_half_life": -1.0},
        {"ema_half_life": math.nan},
        {"clip_norm": math.nan},
        {"clip_weights": math.nan},
    ],
    ids=label,
)
def test_an_option_out_of_range_is_refused(options):
    with pytest.raises(InputError, match=f"model.{next(iter(options))}"):
        tiny_mlp(**options)


class Flat(Augmentation):
    def forward(self, events):
        return events.flatten()


def test_an_augmentation_that_cannot_take_the_events_is_refused():
    before = torch.get_rng_state()
    with pytest.raises(InputError, match=r"model.augment DiffAugment cannot take events \(2,\)"):
        tiny_mlp(augment=DiffAugment())
    with pytest.raises(InputError, match=r"Flat makes \(\) of events \(2,\).*keep their shape"):
        tiny_mlp(augment=Flat())
    model = GAN(DCGANGenerator(32, 1, 8, 4), DCGANDiscriminator(32, 1, 4), augment=DiffAugment())
    assert model.augment is not None and not torch.equal(before, torch.get_rng_state())


def test_clipped_weights_stay_inside_also_when_looking_ahead():
    model = perceptrons(lr=0.5, clip_weights=0.1, schedule=Simultaneous(), update=extragradient)
    train(model, 10, data=rows_in_batches(6))
    largest = weights(model.discriminator).abs().max().item()
    assert largest == pytest.approx(0.1, abs=1e-12)
    assert weights(model.generator).abs().max() > 0.2 and weights(model).dtype == DOUBLE
