"""Packing: a discriminator of m samples at once, against packs that are made by hand."""

import copy
import math

import pytest
import torch
from lightning.pytorch import Trainer
from torch.nn.functional import softplus
from torch.testing import assert_close
from torch.utils.data import DataLoader

from lightning_gans import networks
from lightning_gans.data import Ring
from lightning_gans.errors import InputError
from lightning_gans.models import GAN
from lightning_gans.networks import MLPDiscriminator, MLPGenerator
from lightning_gans.objectives import (
    DRAGAN,
    R1,
    R2,
    Annealed,
    GradientPenalty,
    Lazy,
    LeCam,
    relativistic_average,
    relativistic_paired,
)
from lightning_gans.objectives.penalties import Judged
from lightning_gans.seeds import Stream, seeded
from lightning_gans.types import Discriminator

# Each discriminator by (channels of an image or features of a point, packing), and a shape.
MAKES = {
    "DCGANDiscriminator": (lambda c, m: networks.DCGANDiscriminator(32, c, 4, packing=m), (32, 32)),
    "Conv28Discriminator": (lambda c, m: networks.Conv28Discriminator(c, packing=m), (28, 28)),
    "InfoGANDiscriminator": (
        lambda c, m: networks.InfoGANDiscriminator(12, c, packing=m),
        (12, 12),
    ),
    "MLPDiscriminator": (lambda c, m: networks.MLPDiscriminator((c, 3), (8,), packing=m), (3,)),
    "PacGANDiscriminator": (
        lambda c, m: networks.PacGANDiscriminator((c,), (8, 8), 3, packing=m),
        (),
    ),
    "ResNetDiscriminator": (
        lambda c, m: networks.ResNetDiscriminator(32, c, 4, True, packing=m),
        (32, 32),
    ),
    "TinyDiscriminator": (lambda c, m: networks.TinyDiscriminator(c, packing=m), (28, 28)),
}
PACKABLE = [name for name in networks.__all__ if issubclass(getattr(networks, name), Discriminator)]


def by_hand(events, m):
    """Packs (n / m, m channels, ...), one after the other."""
    return torch.stack([torch.cat(list(events[i : i + m])) for i in range(0, len(events), m)])


class Packed(Discriminator):
    """D(X) = X^T A X / 2 + w.X of a pack X of points, in 64 bits; it keeps what it was given."""

    def __init__(self, features, packing):
        super().__init__(packing)
        self.event_shape = (features,)
        size = features * packing
        self.a = torch.nn.Parameter(torch.randn(size, size, dtype=torch.float64))
        self.w = torch.nn.Parameter(torch.randn(size, dtype=torch.float64))
        self.given = []

    def forward(self, events):
        self.given.append(events)
        packs = self.pack(events)
        return ((packs @ self.a) * packs).sum(1) / 2 + packs @ self.w

    def slopes(self, events):
        """||dD/dX|| in closed form, for each pack."""
        packs = by_hand(events, self.packing)
        return (packs @ (self.a + self.a.T) / 2 + self.w).norm(dim=1)


def judge(discriminator, n=12, shift=1.0):
    real, fake = torch.randn(2, n, *discriminator.event_shape, dtype=torch.float64)
    real, fake = real.requires_grad_(), (fake + shift).requires_grad_()
    judged = Judged(discriminator, real, fake, discriminator(real), discriminator(fake))
    discriminator.given.clear()
    return judged


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1)


def game(packing=2, **options):
    torch.manual_seed(1)
    options = {"generator_optimizer": sgd, "discriminator_optimizer": sgd} | options
    generator = MLPGenerator((2,), 4, (8,), "tanh", "linear")
    return GAN(generator, MLPDiscriminator((2,), (8,), "tanh", packing=packing), **options)


def trainer(batches=4, **options):
    quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    options = dict.fromkeys(quiet, False) | options
    return Trainer(max_steps=batches, accelerator="cpu", num_sanity_val_steps=0, **options)


def fit(model, batches=4, batch_size=8):
    torch.manual_seed(3)
    trainer(batches, precision="64-true").fit(
        model.double(), datamodule=Ring(batch_size=batch_size)
    )


def test_every_discriminator_of_events_packs():
    assert set(MAKES) == set(PACKABLE)


@pytest.mark.parametrize("m", [1, 2, 3])
@pytest.mark.parametrize("shape", [(2,), (3, 4), (2, 4, 5)])
def test_packs_are_neighbours_joined_along_the_first_axis(shape, m):
    discriminator = MLPDiscriminator(shape, packing=m)
    events = torch.randn(6, *shape)
    assert_close(discriminator.pack(events), by_hand(events, m), rtol=0, atol=0)
    channels_last = torch.randn(6, 2, 4, 5).to(memory_format=torch.channels_last)
    assert_close(discriminator.pack(channels_last), by_hand(channels_last, m), rtol=0, atol=0)


@pytest.mark.parametrize("m", [2, 3])
@pytest.mark.parametrize("name", MAKES)
def test_a_packed_network_is_the_one_for_events_of_more_channels(name, m):
    """Same parameters, same logits; its events keep their shape."""
    make, rest = MAKES[name]
    packed, wide = make(2, m).eval(), make(2 * m, 1).eval()
    wide.load_state_dict(packed.state_dict())
    assert packed.event_shape == (2, *rest)
    assert packed.packing == m and wide.packing == 1
    events = torch.randn(4 * m, 2, *rest)
    logits = packed(events)
    assert logits.shape == (4,)
    assert_close(logits, wide(by_hand(events, m)), rtol=1e-5, atol=1e-6)
    assert logits.unique().numel() == 4


def test_packs_that_are_not_full_are_refused():
    with pytest.raises(InputError, match=r"5 events do not fill packs of 2.*data\.batch_size"):
        MLPDiscriminator((2,), packing=2)(torch.randn(5, 2))
    with pytest.raises(InputError, match="packing is 0; it must be at least 1"):
        MLPDiscriminator((2,), packing=0)


@pytest.mark.parametrize("m", [1, 2, 3])
@pytest.mark.parametrize(
    ("penalty", "value"),
    [
        (R1(3.0), lambda d, j, points: 1.5 * (d.slopes(j.real) ** 2).mean()),
        (R2(3.0), lambda d, j, points: 1.5 * (d.slopes(j.fake) ** 2).mean()),
        (Lazy(R1(3.0), 4), lambda d, j, points: 6 * (d.slopes(j.real) ** 2).mean()),
        (Annealed(R1(3.0), 4, 0.5), lambda d, j, points: 1.5 * (d.slopes(j.real) ** 2).mean()),
        (GradientPenalty(), lambda d, j, points: 10 * ((d.slopes(points) - 1) ** 2).mean()),
        (DRAGAN(), lambda d, j, points: 10 * ((d.slopes(points) - 1) ** 2).mean()),
    ],
    ids=lambda given: type(given).__name__,
)
def test_penalties_are_of_the_slope_by_a_whole_pack(penalty, value, m):
    discriminator = Packed(2, m)
    judged = judge(discriminator)
    term = penalty(judged)
    points = discriminator.given[0].detach() if discriminator.given else None
    expected = value(discriminator, judged, points)
    assert_close(term, expected, rtol=1e-12, atol=1e-12)
    parameters = [discriminator.a, discriminator.w]
    assert_close(
        torch.autograd.grad(term, parameters),
        torch.autograd.grad(expected, parameters),
        rtol=1e-10,
        atol=1e-12,
    )


def test_r1_of_packs_by_hand():
    """D(X) = w.X with w = (3, 4, 12, 0): |w|^2 = 169 for each pack, though 25 and 144 by event."""
    discriminator = Packed(2, 2)
    discriminator.a.data.zero_()
    discriminator.w.data = torch.tensor([3.0, 4.0, 12.0, 0.0], dtype=torch.float64)
    assert R1(2.0)(judge(discriminator)).item() == pytest.approx(169.0, rel=1e-12)


def test_lecam_takes_the_logits_of_packs():
    judged = judge(Packed(2, 3))
    real, fake = judged.real_logits.detach(), judged.fake_logits.detach()
    expected = ((real - fake.mean()) ** 2).mean() + ((fake - real.mean()) ** 2).mean()
    assert_close(LeCam(0.3).double()(judged), 0.3 * expected)


def test_wgan_gp_looks_at_a_point_of_the_segment_between_two_packs():
    """One e for all events of a pack: else the point would lie beside the segment."""
    discriminator = Packed(2, 3)
    judged = judge(discriminator, 3000, shift=3.0)
    GradientPenalty()(judged)
    real, fake, points = (
        by_hand(x.detach(), 3) for x in (judged.real, judged.fake, discriminator.given[0])
    )
    along = ((points - fake) * (real - fake)).sum(1) / (real - fake).square().sum(1)
    assert_close(points, fake + along[:, None] * (real - fake), rtol=1e-10, atol=1e-10)
    assert len(along.unique()) == 1000
    assert along.mean().item() == pytest.approx(0.5, abs=0.04)
    assert along.var().item() == pytest.approx(1 / 12, abs=0.01)


def test_dragan_shares_its_e_within_a_pack():
    """E[e^2] E[u]^2 = 1/12 between two events of a pack, 1/16 between two packs."""
    discriminator = Packed(1, 2)
    judged = judge(discriminator, 8000)
    DRAGAN(noise=1.0)(judged)
    spread = judged.real.detach().std(correction=0)
    parts = ((discriminator.given[0] - judged.real).detach() / spread).reshape(-1, 2)
    assert (parts[:, 0] * parts[:, 1]).mean().item() == pytest.approx(1 / 12, abs=0.008)
    assert (parts[1:, 0] * parts[:-1, 1]).mean().item() == pytest.approx(1 / 16, abs=0.008)


@pytest.mark.parametrize("compares", [False, True])
def test_training_is_the_loop_one_writes_by_hand(compares):
    model = game(**({"objective": relativistic_paired} if compares else {})).double()
    g, layers = copy.deepcopy(model.generator), copy.deepcopy(model.discriminator.layers)
    fit(model)

    def d(events):
        return layers(torch.cat([events[0::2], events[1::2]], 1)).squeeze(1)

    g_sgd, d_sgd = sgd(g.parameters()), sgd(layers.parameters())
    batches = iter(Ring(batch_size=8).train_dataloader())
    for step in range(4):
        real = next(batches)[0].double()
        source = seeded(torch.Generator(), Stream.LATENTS, 3, 0, step, 0)
        fake = g(torch.randn(8, 4, generator=source, dtype=torch.float64))
        d_real, d_fake = d(real), d(fake.detach())
        apart = softplus(d_fake - d_real) if compares else softplus(-d_real) + softplus(d_fake)
        d_sgd.zero_grad()
        apart.mean().backward()
        d_sgd.step()
        closer = softplus((d(real) if compares else 0) - d(fake))
        g_sgd.zero_grad()
        closer.mean().backward()
        g_sgd.step()
    assert_close(model.generator.state_dict(), g.state_dict(), rtol=1e-12, atol=1e-12)
    assert_close(model.discriminator.layers.state_dict(), layers.state_dict(), rtol=1e-12, atol=0)
    assert [len(logits) for logits in model.judged] == [4, 4]


def test_parts_of_a_batch_are_whole_packs():
    """So a split batch gives the gradient of the whole."""
    whole, split = game(penalties=[R1(0.1)]), game(penalties=[R1(0.1)], accumulate=2)
    fit(whole, batch_size=8)
    fit(split, batch_size=8)
    for one, other in zip(whole.parameters(), split.parameters(), strict=True):
        assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "batch_size", "message"),
    [
        ({"packing": 2}, 9, r"data\.batch_size is 9.*multiple of model\.discriminator\.packing 2$"),
        ({"packing": 3, "accumulate": 2}, 9, r"packing 3 times model\.accumulate 2$"),
    ],
)
def test_a_batch_that_is_not_whole_packs_is_refused_before_training(options, batch_size, message):
    model = game(**options)
    with pytest.raises(InputError, match=message):
        fit(model, batch_size=batch_size)
    assert model.batches_seen == 0


@pytest.mark.parametrize("objective", [relativistic_paired, relativistic_average])
def test_a_remainder_that_fills_no_pack_is_left_out_of_the_held_out_losses(objective):
    """Of 7 and of 2 events in packs of 3, the losses are those of the first 6 of the first."""
    model = game(packing=3, objective=objective)
    events = torch.randn(9, 2)
    batches = [(events[:7], torch.zeros(7)), (events[7:], torch.zeros(2))]
    runner = trainer()
    loader = DataLoader(batches, batch_size=None, collate_fn=lambda batch: batch)
    runner.validate(model, loader, verbose=False)
    with torch.no_grad():
        source = seeded(torch.Generator(), Stream.EVALUATION, 0)
        fake = model.generator(torch.randn(6, 4, generator=source))
        d = model.discriminator.layers
        real, fake = d(by_hand(events[:6], 3)).squeeze(1), d(by_hand(fake, 3)).squeeze(1)
        losses = objective(real, fake)
    assert runner.callback_metrics["val/discriminator_loss"].item() == pytest.approx(
        losses.discriminator.mean().item(), rel=1e-5
    )
    assert runner.callback_metrics["val/generator_loss"].item() == pytest.approx(
        losses.generator.mean().item(), rel=1e-5
    )


@pytest.mark.parametrize("n", [1, 2, 3, 6, 7])
def test_predictions_give_each_event_the_logit_of_its_pack(n):
    model, events, labels = game(packing=3), torch.randn(n, 2), torch.arange(n)
    predicted = model.predict_step((events, labels), 0)
    rows = list(events)
    rows += [rows[i % n] for i in range(math.ceil(n / 3) * 3 - n)]
    packs = model.discriminator.layers(by_hand(torch.stack(rows), 3)).squeeze(1)
    assert predicted["logits"].shape == (n,)
    assert_close(predicted["logits"], torch.stack([packs[i // 3] for i in range(n)]))
    assert predicted["labels"] is labels


def test_a_user_writes_one_word(lightning):
    answer = lightning(
        "fit",
        "--config=configs/ring_gan.yaml",
        "--model.discriminator.packing=4",
        "--model.discriminator.minibatch=std",
        "--model.accumulate=2",
        "--data.batch_size=16",
        "--data.held_out=18",
        "--trainer.max_steps=3",
        "--trainer.accelerator=cpu",
    )
    assert answer.code == 0, answer.err
    answer = lightning(
        "fit",
        "--config=configs/ring_gan.yaml",
        "--model.discriminator.packing=3",
        "--trainer.max_steps=3",
        "--trainer.accelerator=cpu",
    )
    assert answer.code != 0
    assert "data.batch_size is 512" in answer.err and "Traceback" not in answer.err
