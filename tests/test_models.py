"""Models: equal to hand-written loops, no pass too many, time counted once, sampling harmless."""

import copy

import pytest
import torch
from lightning.pytorch import Trainer
from torch.nn.functional import softplus
from torch.testing import assert_close

from lightning_gans.data import Digits, Ring
from lightning_gans.errors import InputError
from lightning_gans.models import DRAGAN, GAN, GEAN, LSGAN, R3GAN, SNGAN, WGAN, WGANGP
from lightning_gans.models.checks import compares_logits
from lightning_gans.models.ema import Average, ema_decay
from lightning_gans.networks import (
    DCGANDiscriminator,
    DCGANGenerator,
    InstanceNoise,
    MLPDiscriminator,
    MLPGenerator,
)
from lightning_gans.objectives import R1, Lazy, hinge, minimax, relativistic_paired
from lightning_gans.schedules import (
    Alternating,
    Phased,
    Simultaneous,
    Unrolled,
    extragradient,
)
from lightning_gans.seeds import Stream, mix, seeded
from lightning_gans.types import Losses
from tests.conftest import label


def adam(parameters):
    return torch.optim.Adam(parameters, lr=1e-3, betas=(0.5, 0.999))


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1)


def tiny_dcgan(model=GAN, **options):
    torch.manual_seed(1)
    options = {"generator_optimizer": adam, "discriminator_optimizer": adam} | options
    return model(DCGANGenerator(32, 1, 8, 4), DCGANDiscriminator(32, 1, 4), **options)


def tiny_mlp(model=GAN, **options):
    torch.manual_seed(1)
    options = {"generator_optimizer": sgd, "discriminator_optimizer": sgd} | options
    generator = MLPGenerator((2,), 4, (8,), "tanh", "linear")
    return model(generator, MLPDiscriminator((2,), (8,), "tanh"), **options)


def fit(model, data, batches, seed=3, ckpt_path=None, **options):
    torch.manual_seed(seed)
    trainer = Trainer(
        max_steps=batches,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        **options,
    )
    trainer.fit(model, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
    return trainer


def test_a_gan_is_the_loop_one_writes_by_hand_bit_for_bit():
    model = tiny_dcgan()
    g, d = copy.deepcopy(model.generator), copy.deepcopy(model.discriminator)
    fit(model, Digits(batch_size=16), 12)

    g_adam, d_adam = adam(g.parameters()), adam(d.parameters())
    batches = iter(Digits(batch_size=16).train_dataloader())
    for step in range(12):
        real, _ = next(batches)
        latents = torch.randn(
            16, 8, generator=seeded(torch.Generator(), Stream.LATENTS, 3, 0, step, 0)
        )
        fake = g(latents)
        d_loss = (softplus(-d(real)) + softplus(d(fake.detach()))).mean()
        d_adam.zero_grad()
        d_loss.backward()
        d_adam.step()
        g_loss = softplus(-d(fake)).mean()
        g_adam.zero_grad()
        g_loss.backward()
        g_adam.step()
    assert_close(model.generator.state_dict(), g.state_dict(), rtol=0, atol=0)
    assert_close(model.discriminator.state_dict(), d.state_dict(), rtol=0, atol=0)


def test_three_critic_steps_are_the_loop_one_writes_by_hand():
    model = tiny_mlp(objective=hinge, schedule=Alternating(3)).double()
    g, d = copy.deepcopy(model.generator), copy.deepcopy(model.discriminator)
    fit(model, Ring(batch_size=16), 9, precision="64-true")

    g_sgd, d_sgd = sgd(g.parameters()), sgd(d.parameters())
    batches = iter(Ring(batch_size=16).train_dataloader())
    for step in range(9):
        real = next(batches)[0].double()
        source = seeded(torch.Generator(), Stream.LATENTS, 3, 0, step, 0)
        fake = g(torch.randn(16, 4, generator=source, dtype=torch.float64))
        d_loss = ((1 - d(real)).relu() + (1 + d(fake.detach())).relu()).mean()
        d_sgd.zero_grad()
        d_loss.backward()
        d_sgd.step()
        if step % 3 == 2:
            g_sgd.zero_grad()
            (-d(fake).mean()).backward()
            g_sgd.step()
    assert_close(model.generator.state_dict(), g.state_dict(), rtol=1e-12, atol=1e-12)
    assert_close(model.discriminator.state_dict(), d.state_dict(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "batches", "generator", "discriminator"),
    [
        # A batch of the alternating game: G once; D on real, on fake, and on fake for G.
        ({}, 4, 4, 12),
        ({"objective": minimax}, 4, 4, 12),
        # Only D moves on two batches of three.
        ({"schedule": Alternating(3)}, 6, 6, 14),
        # A generator that compares itself with the real batch needs one pass more.
        ({"objective": relativistic_paired}, 4, 4, 16),
        ({"model": LSGAN}, 4, 4, 12),
        ({"model": WGAN}, 5, 5, 11),
        ({"model": SNGAN}, 5, 5, 11),
        # Slopes between and around the events are a pass more; R1 and R2 read those that are made.
        ({"model": WGANGP}, 5, 5, 16),
        ({"model": DRAGAN}, 4, 4, 16),
        ({"model": R3GAN}, 4, 4, 16),
        ({"penalties": [Lazy(R1(), 4)], "augment": InstanceNoise(0.1)}, 4, 4, 12),
        # G's part of a window comes when D has moved: all but the last fakes are made again.
        ({"model": GEAN, "window": 4}, 8, 14, 24),
        ({"model": GEAN, "window": 4, "order": "simultaneous"}, 8, 8, 24),
        ({"model": GEAN, "window": 1}, 4, 4, 12),
        ({"schedule": Phased(1, 1, window=2)}, 4, 4, 6),
        ({"schedule": Simultaneous()}, 4, 4, 12),
        ({"schedule": Simultaneous(), "update": extragradient}, 4, 8, 24),
        # In each turn of G: a pass over both batches a step in thought.
        ({"update": Unrolled(3)}, 4, 4, 4 * (3 + 2 * 3)),
        ({"accumulate": 2}, 4, 12, 24),
    ],
    ids=label,
)
def test_network_passes_are_those_of_a_loop_written_by_hand(
    options, batches, generator, discriminator
):
    model = tiny_mlp(**options)
    passes = {"generator": 0, "discriminator": 0}
    for name in passes:

        def count(*_, name=name):
            passes[name] += 1

        getattr(model, name).register_forward_hook(count)
    fit(model, Ring(batch_size=8), batches)
    assert passes == {"generator": generator, "discriminator": discriminator}


def test_gradients_are_computed_for_the_mover_alone():
    """After the generator's turn the discriminator's gradients are still those of its own turn."""
    model = tiny_mlp(objective=minimax)
    seen = []
    model.on_before_optimizer_step = lambda optimizer: seen.append(
        [None if p.grad is None else p.grad.clone() for p in model.discriminator.parameters()]
    )
    fit(model, Ring(batch_size=8), 1)
    assert_close(seen[0], seen[1], rtol=0, atol=0)


def test_one_batch_is_one_step_whoever_moved():
    model = tiny_mlp(schedule=Alternating(3))
    trainer = fit(model, Ring(batch_size=8, batches_per_epoch=4), 10)
    assert trainer.global_step == 10
    assert (model.batches_seen, model.samples_seen) == (10, 80)
    assert trainer.fit_loop.total_batch_idx + 1 == 10


def test_wgan_clamps_its_critic_and_only_it():
    model = tiny_mlp(WGAN)
    assert any(p.abs().max() > 0.01 for p in model.discriminator.parameters())
    fit(model, Ring(batch_size=8), 5)
    assert max(p.abs().max().item() for p in model.discriminator.parameters()) <= 0.01 + 1e-9
    assert max(p.abs().max().item() for p in model.generator.parameters()) > 0.01


def test_presets_change_defaults_only():
    assert set(vars(LSGAN)) - {"__init__"} <= {
        "__module__",
        "__doc__",
        "__annotations__",
        "__parameters__",
        "__abstractmethods__",
        "_abc_impl",
    }
    model = tiny_mlp(WGAN)
    assert model.schedule == Alternating(5) and model.clip_weights == 0.01
    for optimizer in WGAN(model.generator, model.discriminator).configure_optimizers():
        assert type(optimizer["optimizer"]) is torch.optim.RMSprop
        assert optimizer["optimizer"].defaults["lr"] == 5e-5


def test_an_option_that_does_not_exist_is_refused():
    with pytest.raises(TypeError, match="clip_weigths"):
        tiny_mlp(WGAN, clip_weigths=0.1)


def test_average_of_the_weights():
    half = ema_decay(samples=100, half_life=100.0, samples_seen=10_000)
    assert half == pytest.approx(0.5, abs=1e-12)
    assert ema_decay(50, 100.0, 10_000) ** 2 == pytest.approx(half, abs=1e-12)
    # Early on the half-life is a twentieth of the samples seen.
    assert ema_decay(64, 1e6, 1280) == pytest.approx(0.5, abs=1e-12)
    assert ema_decay(64, 100.0, 0) == 0.0
    average, network = torch.nn.BatchNorm1d(3), torch.nn.BatchNorm1d(3)
    network.weight.data.fill_(3.0)
    network.running_var.fill_(5.0)
    network.num_batches_tracked.fill_(7)
    Average(average, network).update(0.75)
    assert_close(average.weight.data, torch.full((3,), 1.5))
    assert_close(average.running_var, torch.full((3,), 2.0))
    assert average.num_batches_tracked == 7


def test_the_average_follows_the_generator_by_samples():
    model = tiny_mlp(ema_half_life=1e-3)
    fit(model, Ring(batch_size=8), 5)
    assert_close(model.generator_ema.state_dict(), model.generator.state_dict())
    model = tiny_mlp(ema_half_life=1e9)
    start = copy.deepcopy(model.generator)
    fit(model, Ring(batch_size=8), 5)
    # Half-lives of 5 % of the samples seen: the average is near the generator, but behind it.
    for average, now, first in zip(
        model.generator_ema.parameters(),
        model.generator.parameters(),
        start.parameters(),
        strict=True,
    ):
        assert 0 < (average - now).norm() < (first - now).norm()


def test_without_an_average_the_generator_is_sampled():
    model = tiny_mlp(ema_half_life=None)
    assert model.generator_ema is None
    assert model.sample(3).shape == (3, 2)


def test_sampling_leaves_training_untouched():
    model = tiny_dcgan(ema_half_life=None).train()
    before, rng = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    samples = model.sample(300, torch.Generator().manual_seed(5))
    assert samples.shape == (300, 1, 32, 32) and not samples.requires_grad
    assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), rng)
    assert model.generator.training
    again = model.sample(300, torch.Generator().manual_seed(5))
    assert_close(again, samples, rtol=0, atol=0)
    first = model.sample(64, torch.Generator().manual_seed(6))
    assert not torch.equal(first, samples[:64])


def test_the_noise_of_the_data_is_not_that_of_the_latents():
    places = [(0, 0, 0, 0), (0, 0, 5, 0), (1, 0, 0, 0)]
    draws = {mix(stream, *place) for stream in Stream for place in places}
    assert len(draws) == len(Stream) * len(places)


@pytest.mark.parametrize(
    "generator",
    [
        lambda real, fake: (real.detach() - fake).exp(),
        lambda real, fake: fake - real.mean().detach(),
        lambda real, fake: (real - fake).relu(),
        lambda real, fake: -fake * real.sigmoid(),
        lambda real, fake: -fake / (1 + real.std()),
        lambda real, fake: (real - fake - 6).relu(),
        lambda real, fake: (fake - real).clamp(min=90.0),
    ],
)
def test_an_objective_that_compares_is_found_however_it_is_written(generator):
    assert compares_logits(
        lambda real, fake: Losses(discriminator=-real, generator=generator(real, fake))
    )


def test_latents_differ_by_batch_and_seed():
    model = tiny_mlp()
    fit(model, Ring(batch_size=8), 1)
    drawn = [model.latents(4, 0), model.latents(4, 1)]
    model.seed += 1
    drawn.append(model.latents(4, 1))
    assert all(not torch.equal(a, b) for i, a in enumerate(drawn) for b in drawn[i + 1 :])
    assert_close(model.latents(4, 1), drawn[2], rtol=0, atol=0)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="must be the same"):
        GAN(MLPGenerator((2,)), MLPDiscriminator((3,)))
    with pytest.raises(InputError, match=r"\(1, 32, 32\)"):
        fit(tiny_mlp(), Digits(), 1)


@pytest.mark.parametrize("options", [{"ema_half_life": 0.0}, {"clip_weights": -1.0}])
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(InputError, match=next(iter(options))):
        tiny_mlp(**options)


def test_a_ring_is_learned():
    """A wrong sign anywhere leaves the points far from the circle."""
    generator = MLPGenerator((2,), 16, (64, 64), "relu", "linear")
    discriminator = MLPDiscriminator((2,), (64, 64), "relu")
    torch.manual_seed(0)
    optimizers = {"generator_optimizer": adam, "discriminator_optimizer": adam}
    model = GAN(generator, discriminator, penalties=[R1(0.1)], **optimizers)
    fit(model, Ring(std=0.05, batch_size=64), 1500)
    points = model.sample(2000, torch.Generator().manual_seed(0))
    radius = points.norm(dim=1)
    assert 0.9 < radius.median() < 1.1
    centres = Ring().law.means.float()
    nearest = torch.cdist(points, centres).min(dim=1)
    assert len(nearest.indices.unique()) >= 6
    assert (nearest.values < 0.3).float().mean() > 0.6
