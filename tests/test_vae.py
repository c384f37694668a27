"""The VAE: equal to a hand-written loop, exact where the truth is known, the same in any order."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.testing import assert_close

from lightning_gans.data import Digits, Ring
from lightning_gans.data.batches import Batches
from lightning_gans.errors import InputError
from lightning_gans.models import VAE
from lightning_gans.networks import DCGANDecoder, DCGANEncoder, MLPDecoder, MLPEncoder
from lightning_gans.objectives import Bernoulli, DiscretisedLogistic, Gaussian, Warmup
from lightning_gans.schedules import (
    Accumulated,
    Alternating,
    Consensus,
    Phased,
    Simultaneous,
    descend,
    extragradient,
)
from lightning_gans.seeds import Stream, seeded
from lightning_gans.types import Decoder, Encoder
from tests.conftest import label
from tests.test_models import fit

DOUBLE = torch.float64


def adam(parameters):
    return torch.optim.Adam(parameters, lr=1e-3)


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=1e-3)


def pixels(optimizer=adam, **options):
    """A tiny convolutional VAE of binarised digits."""
    torch.manual_seed(1)
    networks = DCGANEncoder(32, 1, 3, 4), DCGANDecoder(32, 1, 3, 4)
    both = {"encoder_optimizer": optimizer, "decoder_optimizer": optimizer}
    return VAE(*networks, **({"likelihood": Bernoulli()} | both | options))


def points(optimizer=sgd, **options):
    """A tiny VAE of points in the plane, in 64 bits."""
    torch.manual_seed(1)
    networks = MLPEncoder((2,), 2, (8,), "tanh"), MLPDecoder((2,), 2, (8,), "tanh")
    both = {"encoder_optimizer": optimizer, "decoder_optimizer": optimizer}
    model = VAE(*networks, **({"likelihood": Gaussian(0.5)} | both | options))
    return model.double()


def fit_points(model, batches, batch_size=8, **options):
    return fit(model, Ring(batch_size=batch_size), batches, precision="64-true", **options)


@pytest.mark.parametrize("schedule", [Simultaneous(), Alternating(2)], ids=repr)
def test_a_vae_is_the_loop_one_writes_by_hand_bit_for_bit(schedule):
    model = pixels(schedule=schedule, beta=2.0)
    encoder, decoder = copy.deepcopy(model.encoder), copy.deepcopy(model.generator.decoder)
    fit(model, Digits(batch_size=16), 6)

    adams = adam(encoder.parameters()), adam(decoder.parameters())
    batches = iter(Digits(batch_size=16).train_dataloader())

    def loss(events, noise):
        mean, log_variance = encoder(events)
        latents = mean + noise * (0.5 * log_variance).exp()
        missed = binary_cross_entropy_with_logits(
            decoder(latents)[:, 0], (events + 1) / 2, reduction="none"
        )
        kl = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1)
        return missed.flatten(1).sum(1).mean() + 2.0 * kl.mean(0).sum()

    for step in range(6):
        events, _ = next(batches)
        drawn = torch.rand(
            events.shape, generator=seeded(torch.Generator(), Stream.NOISE, 3, 0, step)
        )
        events = 2 * (drawn < (events + 1) / 2).float() - 1
        noise = torch.randn(
            16, 3, generator=seeded(torch.Generator(), Stream.LATENTS, 3, 0, step, 0)
        )
        joint = schedule == Simultaneous()
        for turn in (adams,) if joint else (adams[:1], adams[1:])[: 1 + step % 2]:
            for optimizer in adams:
                optimizer.zero_grad()
            loss(events, noise).backward()
            for optimizer in turn:
                optimizer.step()
    assert_close(model.encoder.state_dict(), encoder.state_dict(), rtol=0, atol=0)
    assert_close(model.generator.decoder.state_dict(), decoder.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("options", "passes"),
    [
        ({}, 4),
        ({"schedule": Alternating()}, 8),
        ({"schedule": Alternating(4)}, 5),
        ({"schedule": Phased(window=2)}, 4),
        ({"schedule": Accumulated(2, "simultaneous")}, 4),
        ({"schedule": Accumulated(2)}, 8),
        ({"accumulate": 2}, 8),
        ({"update": extragradient}, 8),
    ],
    ids=label,
)
def test_a_joint_move_is_one_pass_there_and_back(options, passes):
    model = points(**options)
    counted = {"encoder": 0, "decoder": 0, "backward": 0}
    backward = model.manual_backward

    def counting(*args, **kwargs):
        counted["backward"] += 1
        backward(*args, **kwargs)

    model.manual_backward = counting
    for name, network in {"encoder": model.encoder, "decoder": model.generator.decoder}.items():

        def count(*_, name=name):
            counted[name] += 1

        network.register_forward_hook(count)
    fit_points(model, 4)
    assert counted == {"encoder": passes, "decoder": passes, "backward": passes}


@pytest.mark.parametrize(
    ("schedule", "update"),
    [
        (Simultaneous(), descend),
        (Simultaneous(), extragradient),
        (Simultaneous(), Consensus(0.1)),
        (Accumulated(2, "simultaneous"), descend),
        (Accumulated(2), descend),
        (Alternating(2), descend),
    ],
    ids=label,
)
def test_one_pass_for_both_changes_nothing(schedule, update):
    options = {"schedule": schedule, "update": update, "optimizer": adam, "clip_norm": 3.0}
    together, apart = points(**options), points(**options)
    apart.shared = ()
    for model in (together, apart):
        fit_points(model, 5)
    assert_close(together.state_dict(), apart.state_dict(), rtol=1e-10, atol=1e-12)
    assert not torch.equal(together.encoder.layers[1].weight, points().encoder.layers[1].weight)


def test_joint_and_alternating_agree_on_the_first_move():
    moved = {}
    for name, schedule in {
        "joint": Simultaneous(),
        "encoder": Alternating(),
        "decoder": Alternating(players=("decoder", "encoder")),
    }.items():
        moved[name] = points(schedule=schedule)
        fit_points(moved[name], 1)
    joint = moved["joint"]
    assert_close(moved["encoder"].encoder.state_dict(), joint.encoder.state_dict(), rtol=0, atol=0)
    assert_close(
        moved["decoder"].generator.state_dict(), joint.generator.state_dict(), rtol=0, atol=0
    )
    # The second one goes against the weights that the first one has reached.
    second = moved["encoder"].generator.decoder.layers[0].weight
    assert not torch.equal(second, joint.generator.decoder.layers[0].weight)


@pytest.mark.parametrize("order", ["simultaneous", "sequential"])
def test_a_window_is_a_large_batch(order):
    """Of noise that is the same: the divergence and the posterior's mean need none."""
    small, large = (points(schedule=Accumulated(w, order)) for w in (4, 1))
    for model in (small, large):
        model.latents = lambda n, batch: torch.zeros(n, 2, dtype=DOUBLE)
    data = Ring(batch_size=8)
    rows = [events for (events, _), _ in zip(data.train_dataloader(), range(8), strict=False)]
    rows = [events.double() for events in rows]
    joined = Given([torch.cat(rows[i : i + 4]) for i in (0, 4)])
    fit(small, Given(rows), 8, precision="64-true")
    fit(large, joined, 2, precision="64-true")
    assert_close(small.state_dict(), large.state_dict(), rtol=1e-10, atol=1e-12)


class Rows(Batches):
    """Given batches, in their order."""

    def __init__(self, rows, order):
        self.rows, self.batch_sampler = rows, order

    def __iter__(self):
        for start in self.batch_sampler.starts():
            rows = self.rows[start // self.batch_sampler.size]
            yield rows, torch.zeros(len(rows))


class Given(Ring):
    """Points of which every batch is given."""

    def __init__(self, rows):
        n = len(rows[0])
        super().__init__(batch_size=n, batches_per_epoch=len(rows), held_out=n)
        self.rows, self.event_shape = rows, tuple(rows[0].shape[1:])

    def batches(self, split, order):
        return Rows(self.rows, order)


def test_the_parts_of_a_batch_are_the_batch():
    whole, parts = points(), points(accumulate=3)
    for model in (whole, parts):
        fit_points(model, 3)
    assert_close(whole.state_dict(), parts.state_dict(), rtol=1e-10, atol=1e-12)


class Exact(Encoder):
    """The posterior of x = W z + b + s e, by hand; ``off`` away from it."""

    def __init__(self, weight, bias, std, off=0.0):
        super().__init__(weight.shape[1])
        self.event_shape = (len(weight),)
        # Columns are orthogonal, so the posterior's covariance is diagonal.
        self.variance = 1 / (1 + weight.square().sum(0) / std**2)
        self.to_mean, self.bias = (self.variance / std**2)[:, None] * weight.T, bias
        self.off, self.unused = off, nn.Parameter(torch.zeros(1, dtype=DOUBLE))

    def forward(self, events):
        mean = (events - self.bias) @ self.to_mean.T + self.off
        return mean, (self.variance.log() + self.off).expand_as(mean)


class Linear(Decoder):
    """W z + b."""

    def __init__(self, weight, bias):
        super().__init__(weight.shape[1])
        self.event_shape, self.weight, self.bias = (len(weight),), nn.Parameter(weight), bias

    def forward(self, latents):
        return (latents @ self.weight.T + self.bias)[:, None]


def linear_gaussian(off):
    """A VAE whose likelihood is known, some events, and their true log-densities."""
    source = torch.Generator().manual_seed(2)
    orthogonal = torch.linalg.qr(torch.randn(4, 2, dtype=DOUBLE, generator=source)).Q
    weight = orthogonal * torch.tensor([2.0, 0.7], dtype=DOUBLE)
    bias, std = torch.randn(4, dtype=DOUBLE, generator=source), 0.5
    law = Gaussian(std, "fixed").double()
    law.log_scale.fill_(math.log(std))  # in 64 bits
    model = VAE(Exact(weight, bias, std, off), Linear(weight, bias), law)
    covariance = weight @ weight.T + std**2 * torch.eye(4, dtype=DOUBLE)
    truth = torch.distributions.MultivariateNormal(bias, covariance)
    events = torch.randn(40, 4, dtype=DOUBLE, generator=source) + bias
    return model, events, truth.log_prob(events)


def test_with_the_exact_posterior_every_sample_gives_the_likelihood():
    model, events, truth = linear_gaussian(off=0.0)
    for samples in (1, 7):
        assert_close(model.log_prob(events, samples), truth, rtol=0, atol=1e-10)


def test_the_bound_grows_with_its_samples_towards_the_likelihood():
    model, events, truth = linear_gaussian(off=0.3)
    source = torch.Generator().manual_seed(0)
    gaps = [
        (truth - model.log_prob(events, samples, source)).mean().item()
        for samples in (1, 5, 50, 5000)
    ]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 0.3 and abs(gaps[-1]) < 0.01
    elbo = torch.stack([model.elbo(events, source) for _ in range(300)]).mean(0)
    one = torch.stack([model.log_prob(events, 1, source) for _ in range(300)]).mean(0)
    assert (elbo - one).mean().abs() < 0.02
    # The gap of the bound is the divergence of the true posterior.
    mean, log_variance = model.posterior(events)
    exact = Exact.forward(model.encoder, events)[0] - 0.3, model.encoder.variance.sqrt()
    gap = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, (log_variance / 2).exp()),
        torch.distributions.Normal(exact[0], exact[1].expand_as(mean)),
    )
    assert (truth - elbo).mean().item() == pytest.approx(gap.sum(1).mean().item(), abs=0.03)


def test_a_linear_vae_reaches_probabilistic_pca():
    """Its optimum is that of PPCA (Lucas et al., 2019), known from eigenvalues (Tipping, 1999)."""
    source = torch.Generator().manual_seed(0)
    mixing = torch.randn(2, 5, generator=source, dtype=DOUBLE)
    data = torch.randn(64, 2, generator=source, dtype=DOUBLE) @ mixing
    data = data + 0.4 * torch.randn(64, 5, generator=source, dtype=DOUBLE) + 1.0
    values = torch.linalg.eigvalsh((data - data.mean(0)).T @ (data - data.mean(0)) / 64)
    noise = values[:3].mean()
    best = -0.5 * (5 * math.log(2 * math.pi) + values[3:].log().sum() + 3 * noise.log() + 5)

    torch.manual_seed(0)
    networks = MLPEncoder((5,), 2, ()), MLPDecoder((5,), 2, ())
    # Half-cosines of the rate let the noise of the gradient die out.
    rates = {
        f"{player}_{part}": made
        for player in ("encoder", "decoder")
        for part, made in {
            "optimizer": lambda parameters: torch.optim.Adam(parameters, lr=0.1),
            "scheduler": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 300),
        }.items()
    }
    model = VAE(*networks, likelihood=Gaussian(1.0), **rates).double()
    fit(model, Given([data] * 300), 300, precision="64-true")

    linear = model.generator.decoder.layers[0]
    std = model.generator.law.log_scale.exp()
    covariance = linear.weight @ linear.weight.T + std**2 * torch.eye(5, dtype=DOUBLE)
    marginal = torch.distributions.MultivariateNormal(linear.bias, covariance)
    reached = marginal.log_prob(data).mean()
    bound = model.elbo(data.repeat(50, 1), torch.Generator().manual_seed(1)).mean()
    assert best - 0.02 < reached < best + 1e-9
    assert reached - 0.05 < bound < reached + 0.01
    assert std.item() == pytest.approx(noise.sqrt().item(), rel=0.03)


def test_beta_and_free_bits_are_in_the_loss():
    def losses(beta=1.0, free_bits=0.0, seen=0):
        model = points(beta=beta, free_bits=free_bits)
        fit_points(model, 1)
        model.samples_seen = seen
        model.begin(())
        played = model.rounds[0]
        played.events = torch.ones(8, 2, dtype=DOUBLE)
        mean, log_variance = model.posterior(played.events)
        kl = 0.5 * (mean**2 + log_variance.exp() - log_variance - 1)
        return model.loss("encoder", played).item(), kl.mean(0)

    # All have moved differently but little: what differs is the charge.
    (none, kl), (one, _), (four, _) = losses(0.0), losses(1.0), losses(4.0)
    assert one - none == pytest.approx(kl.sum().item(), abs=0.02)
    assert four - none == pytest.approx(4 * kl.sum().item(), abs=0.05)
    assert losses(Warmup(100, 4.0), seen=0)[0] == pytest.approx(none, abs=1e-9)
    assert losses(Warmup(100, 4.0), seen=25)[0] == pytest.approx(one, abs=0.02)
    assert losses(1.0, free_bits=9.0)[0] - none == pytest.approx(18.0, abs=0.02)


def test_noise_is_by_position_and_leaves_training_untouched():
    model = pixels()
    fit(model, Digits(batch_size=16), 1)
    events = torch.rand(4, 1, 32, 32) * 2 - 1
    state = torch.get_rng_state()
    seen = [model.continuous(events, Stream.EVALUATION, i) for i in (0, 0, 1)]
    bounds = [model.evaluate(seen[0], "test", i) for i in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(seen[0], seen[1]) and not torch.equal(seen[0], seen[2])
    assert torch.equal(bounds[0], bounds[1]) and not torch.equal(bounds[0], bounds[2])


def test_grey_values_have_no_bits_under_a_bernoulli(capfd):
    """The cross-entropy of greys bounds that of binarised images; it is no probability of greys."""
    told = {}
    for binarise in ("draw", "none"):
        networks = MLPEncoder((1, 8, 8), 4, (8,)), MLPDecoder((1, 8, 8), 4, (8,))
        model = VAE(*networks, Bernoulli(binarise), test_samples=2)
        trainer = fit(model, Digits(8, batch_size=64), 1)
        (told[binarise],) = trainer.test(model, Digits(8), verbose=False)
        said = capfd.readouterr().out
        assert ("a bound for images binarised by them" in said) == (binarise == "none")
    assert "test/bits_per_dimension" in told["draw"]
    assert "test/nll" in told["none"] and "test/bits_per_dimension" not in told["none"]


@pytest.mark.parametrize(
    ("law", "outputs"),
    [(Gaussian(0.5), 1), (Gaussian(0.5, "each"), 2), (DiscretisedLogistic(0.2, "each"), 2)],
)
def test_every_law_is_learned_and_sampled(law, outputs):
    torch.manual_seed(0)
    networks = MLPEncoder((1, 16, 16), 4, (32,)), MLPDecoder((1, 16, 16), 4, (32,), outputs=outputs)
    model = VAE(*networks, law, encoder_optimizer=adam, decoder_optimizer=adam, test_samples=3)
    data = Digits(image_size=16, batch_size=64)
    before = fit(model, data, 1).validate(model, data, verbose=False)[0]
    trainer = fit(model, data, 60)
    after = trainer.validate(model, data, verbose=False)[0]
    assert after["val/nll"] < before["val/nll"] - 5
    tested = trainer.test(model, data, verbose=False)[0]
    expected = tested["test/nll"] / (256 * math.log(2))
    if not law.discrete:
        expected -= math.log2(2 / 255)
    assert tested["test/bits_per_dimension"] == pytest.approx(expected, abs=1e-4)
    samples = model.sample(5, torch.Generator().manual_seed(0))
    assert samples.shape == (5, 1, 16, 16) and samples.abs().max() <= 1
    again = model.sample(5, torch.Generator().manual_seed(0))
    assert_close(samples, again, rtol=0, atol=0)


def test_samples_have_the_laws_noise_where_it_is_wanted():
    """The same latents, and besides normal numbers of the law's scale; black and white images."""
    model = points(likelihood=Gaussian(0.5), noise_in_samples=True)
    noisy = model.sample(20_000, torch.Generator().manual_seed(0))
    model.generator.noise_in_samples = False
    expected = model.sample(20_000, torch.Generator().manual_seed(0))
    noise = (noisy - expected) / 0.5
    assert noise.std().item() == pytest.approx(1, abs=0.02)
    assert noise.mean().item() == pytest.approx(0, abs=0.02)
    assert torch.corrcoef(torch.cat((noise, expected), 1).T)[:2, 2:].abs().max() < 0.03
    image = pixels(noise_in_samples=True).sample(3, torch.Generator().manual_seed(0))
    assert set(image.unique().tolist()) == {-1.0, 1.0}


def test_a_test_is_tighter_than_a_validation():
    torch.manual_seed(0)
    networks = MLPEncoder((1, 8, 8), 4, (32,)), MLPDecoder((1, 8, 8), 4, (32,))
    model, data = VAE(*networks, Bernoulli(), test_samples=50), Digits(image_size=8)
    trainer = fit(model, data, 40)
    tested = trainer.test(model, data, verbose=False)[0]["test/nll"]
    loose = trainer.validate(model, data.test_dataloader(), verbose=False)[0]["val/nll"]
    assert 0 < tested < loose


def test_the_averaged_decoder_is_sampled_and_evaluated():
    model = pixels(ema_half_life=1e9)
    fit(model, Digits(batch_size=16), 5)
    now = model.generator(torch.zeros(1, 3))
    model.eval()
    events = model.continuous(torch.rand(4, 1, 32, 32), Stream.EVALUATION, 0)
    averaged = model.evaluate(events, "val", 0)
    model.generator_ema.load_state_dict(model.generator.state_dict())
    assert not torch.equal(averaged, model.evaluate(events, "val", 0))
    assert_close(model.sampled(torch.zeros(1, 3)), now)


def test_what_is_not_finite_is_neither_made_nor_logged():
    model = points()
    data = Ring(batch_size=8)
    rows = [events.double() for (events, _), _ in zip(data.train_dataloader(), "abc", strict=False)]
    rows[1] = rows[1] * math.nan
    reported = {}
    model.report = lambda metrics: reported.update(metrics)
    fit(model, Given(rows), 3, precision="64-true", log_every_n_steps=3)
    assert [mover.skipped for mover in model.movers.values()] == [1, 1]
    assert reported.keys() >= {"train/nll", "train/kl", "train/encoder_loss"}
    assert all(math.isfinite(value) for value in reported.values())
    assert all(value.isfinite().all() for value in model.state_dict().values())


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: VAE(MLPEncoder((2,), 3), MLPDecoder((2,), 2), Gaussian()), "latent_dim"),
        (lambda: VAE(MLPEncoder((3,), 2), MLPDecoder((2,), 2), Gaussian()), "event_shape"),
        (lambda: points(likelihood=Gaussian(1.0, "each")), r"decoder.outputs is 1; .*takes 2"),
        (lambda: points(beta=-1.0), "model.beta is -1"),
        (lambda: points(free_bits=-0.1), "model.free_bits is -0.1"),
        (lambda: points(test_samples=0), "model.test_samples is 0"),
        (lambda: fit_points(points(likelihood=DiscretisedLogistic()), 1), "256 levels"),
        (lambda: fit(pixels(), Ring(), 1), r"\(1, 32, 32\)"),
        (
            lambda: fit(
                VAE(MLPEncoder((2,), 2), MLPDecoder((2,), 2), Bernoulli()),
                Ring(batch_size=256),
                1,
            ),
            "Bernoulli takes values from -1 to 1",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make, key):
    with pytest.raises(InputError, match=key):
        make()
