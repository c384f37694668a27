"""GEAN: windows against one large batch, against alternation, and gone on from half way."""

import pytest
import torch
from lightning.pytorch import Callback
from torch.testing import assert_close

from lightning_gans import objectives
from lightning_gans.data import Digits
from lightning_gans.errors import InputError
from lightning_gans.models import GAN, GEAN
from lightning_gans.networks import (
    DCGANDiscriminator,
    DCGANGenerator,
    MLPDiscriminator,
    MLPGenerator,
)
from lightning_gans.objectives import R1, GradientPenalty, LeCam, relativistic_paired
from lightning_gans.schedules import (
    Accumulated,
    Alternating,
    Consensus,
    Simultaneous,
    Unrolled,
    extragradient,
)
from tests.conftest import label
from tests.games import DOUBLE, sgd, train
from tests.test_models import adam, fit

PER_SAMPLE = ["minimax", "non_saturating", "least_squares", "wasserstein", "hinge", "hybrid"]
PER_SAMPLE += ["relativistic_paired"]
"""Objectives that are means over samples; relativistic_average compares with a batch's mean."""

ROWS = torch.randn(24, 2, dtype=DOUBLE, generator=torch.Generator().manual_seed(5))
LATENTS = torch.randn(24, 3, dtype=DOUBLE, generator=torch.Generator().manual_seed(6))


class Fixed(GAN):
    """The k-th batch of n gets latents k n to (k + 1) n of a table, however large n is."""

    def latents(self, n, batch):
        rows = torch.arange(batch * n, (batch + 1) * n) % len(LATENTS)
        return LATENTS[rows]


def perceptrons(model=Fixed, lr=0.3, **options):
    torch.manual_seed(1)
    generator = MLPGenerator((2,), 3, (8,), "tanh", "linear")
    discriminator = MLPDiscriminator((2,), (8,), "tanh")
    options = {"generator_optimizer": sgd(lr), "discriminator_optimizer": sgd(lr)} | options
    return model(generator, discriminator, ema_half_life=None, **options).double()


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def rows_in_batches(n):
    return [ROWS[i : i + n] for i in range(0, len(ROWS), n)]


@pytest.mark.parametrize("objective", PER_SAMPLE)
@pytest.mark.parametrize("order", ["sequential", "simultaneous"])
@pytest.mark.parametrize("parts", [1, 3])
def test_a_window_of_batches_is_one_large_batch(objective, order, parts):
    objective = getattr(objectives, objective)
    windows = perceptrons(objective=objective, schedule=Accumulated(4, order), accumulate=parts)
    train(windows, 3 * 8, data=rows_in_batches(3))
    plain = {"sequential": Alternating(), "simultaneous": Simultaneous()}[order]
    large = perceptrons(objective=objective, schedule=plain)
    train(large, 6, data=rows_in_batches(12))
    assert_close(weights(windows), weights(large), rtol=0, atol=1e-12)
    assert (weights(large) - weights(perceptrons())).abs().max() > 1e-3


def test_an_epochs_window_is_the_whole_data():
    windows = perceptrons(schedule=Accumulated("epoch"))
    train(windows, 24, per_epoch=8, data=rows_in_batches(3))
    large = perceptrons()
    train(large, 3, data=[ROWS])
    assert_close(weights(windows), weights(large), rtol=0, atol=1e-12)


def test_penalties_enter_the_window_like_the_loss():
    penalties = [R1(0.5)]
    windows = perceptrons(schedule=Accumulated(4), penalties=penalties)
    train(windows, 8, data=rows_in_batches(3))
    large = perceptrons(penalties=penalties)
    train(large, 2, data=rows_in_batches(12))
    assert_close(weights(windows), weights(large), rtol=0, atol=1e-12)


def test_the_orders_differ_as_derived():
    """Simultaneous: G's gradient at the old D; sequential: at the D that has moved."""
    runs = {}
    for order in ("simultaneous", "sequential"):
        runs[order] = perceptrons(schedule=Accumulated(2, order))
        train(runs[order], 2, data=rows_in_batches(3))
    old = perceptrons()
    assert_close(
        runs["simultaneous"].discriminator.state_dict(),
        runs["sequential"].discriminator.state_dict(),
        rtol=0,
        atol=0,
    )
    for order, discriminator in (
        ("simultaneous", old.discriminator),
        ("sequential", runs["sequential"].discriminator),
    ):
        generator = perceptrons().generator
        fake = discriminator(generator(LATENTS[:6]))
        loss = objectives.non_saturating(fake, fake).generator.mean()
        gradients = torch.autograd.grad(loss, list(generator.parameters()))
        for before, gradient, after in zip(
            generator.parameters(), gradients, runs[order].generator.parameters(), strict=True
        ):
            assert_close(after, before - 0.3 * gradient, rtol=0, atol=1e-12)
    assert (weights(runs["simultaneous"]) - weights(runs["sequential"])).abs().max() > 1e-4


def dcgan(model=GAN, seed=1, **options):
    torch.manual_seed(seed)
    options = {"generator_optimizer": adam, "discriminator_optimizer": adam} | options
    return model(DCGANGenerator(32, 1, 8, 4), DCGANDiscriminator(32, 1, 4), **options)


@pytest.mark.parametrize("objective", ["non_saturating", "relativistic_paired"])
def test_a_window_of_one_batch_is_the_alternating_gan_bit_for_bit(objective):
    options = {"objective": getattr(objectives, objective)}
    gean, gan = dcgan(GEAN, window=1, **options), dcgan(**options)
    fit(gean, Digits(batch_size=16), 50)
    fit(gan, Digits(batch_size=16), 50)
    assert_close(gean.state_dict(), gan.state_dict(), rtol=0, atol=0)
    assert (weights(gan) - weights(dcgan())).abs().max() > 1e-2


def test_nothing_moves_before_the_window_is_full():
    gean = dcgan(GEAN, window=7)
    with pytest.warns(UserWarning, match="Nobody will move: the window of 7 .* the run of 6"):
        fit(gean, Digits(batch_size=16), 6)
    before = dcgan()
    assert (weights(gean.discriminator) == weights(before.discriminator)).all()
    assert (weights(gean.generator) == weights(before.generator)).all()


@pytest.mark.parametrize("update", [extragradient, Consensus(), Unrolled()], ids=label)
def test_updates_that_need_the_batches_again_are_refused(update):
    with pytest.raises(InputError, match="model.update"):
        dcgan(GEAN, window=2, update=update)
    dcgan(GEAN, window=1)


class SaveAt(Callback):
    def __init__(self, batch, path):
        self.batch, self.path = batch, path

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.batch:
            trainer.save_checkpoint(self.path)


@pytest.mark.parametrize(
    "options",
    [
        {"schedule": Accumulated(4)},
        {"schedule": Accumulated(4), "objective": relativistic_paired},
        {"schedule": Accumulated(4, "simultaneous"), "objective": relativistic_paired},
        {"schedule": Accumulated("epoch"), "penalties": [GradientPenalty()]},
    ],
    ids=label,
)
def test_a_window_goes_on_where_it_was_killed(options, tmp_path):
    straight = dcgan(**options)
    fit(straight, Digits(batch_size=64), 70)
    # 28 batches an epoch: inside both windows.
    fit(dcgan(**options), Digits(batch_size=64), 70, callbacks=[SaveAt(38, tmp_path / "half.ckpt")])
    resumed = dcgan(seed=2, **options)
    fit(resumed, Digits(batch_size=64), 70, ckpt_path=tmp_path / "half.ckpt")
    assert_close(resumed.state_dict(), straight.state_dict(), rtol=0, atol=0)


def test_another_window_begins_where_the_last_one_was_killed(tmp_path):
    """A half-full window of 4 goes on as one of 3: its batches count, each once, in the mean."""
    saver = SaveAt(5, tmp_path / "five.ckpt")  # one batch of the second window of 4
    train(perceptrons(schedule=Accumulated(4)), 6, data=[ROWS[:3]], callbacks=[saver])
    resumed = perceptrons(schedule=Accumulated(3))
    train(resumed, 6, data=[ROWS[:3]], ckpt_path=tmp_path / "five.ckpt")
    large = perceptrons()
    train(large, 1, data=[ROWS[:3].repeat(4, 1)])
    second = perceptrons()
    second.load_state_dict(large.state_dict())
    second.batches_seen = 2  # whose latents, by sixes, are those of batches 4 and 5 by threes
    train(second, 1, data=[ROWS[:3].repeat(2, 1)])
    assert_close(weights(resumed), weights(second), rtol=0, atol=1e-12)


@pytest.mark.parametrize("bad", range(4, 8))
@pytest.mark.parametrize("order", ["sequential", "simultaneous"])
def test_a_bad_batch_costs_its_window_and_nothing_else(order, bad):
    """Batch norm and LeCam have seen it before anyone can know."""
    images = torch.rand(16, 4, 1, 32, 32, dtype=DOUBLE)
    images[bad, 0, 0, 0, 0] = torch.nan
    model = dcgan(schedule=Accumulated(4, order), penalties=[LeCam()]).double()
    train(model, 16, data=list(images))
    assert model.movers["discriminator"].skipped == 1
    # In the sequential order G looks at generated images alone.
    assert model.movers["generator"].skipped == 0
    assert len(model.movers["discriminator"].losses) == 3
    for name, tensor in model.state_dict().items():
        assert tensor.isfinite().all(), name


@pytest.mark.parametrize("parts", [2, 3, 16, 100])
def test_parts_of_a_batch_are_the_whole(parts):
    split, whole = perceptrons(accumulate=parts), perceptrons()
    train(split, 6, data=rows_in_batches(12))
    train(whole, 6, data=rows_in_batches(12))
    assert_close(weights(split), weights(whole), rtol=0, atol=1e-12)
