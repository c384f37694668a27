"""What a discriminator sees of a batch's diversity, against loops over its samples."""

import math
from functools import partial

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn
from torch.testing import assert_close

from lightning_gans import networks
from lightning_gans.data import Ring
from lightning_gans.errors import InputError
from lightning_gans.models import GAN
from lightning_gans.networks import MinibatchDiscrimination, MinibatchStd

LAYERS = {
    "std": lambda features: MinibatchStd(),
    "discrimination": lambda features: MinibatchDiscrimination(features, 3, 2),
}
SWITCHED = {
    "dcgan": partial(networks.DCGANDiscriminator, 32, 1, 4, "none"),
    "conv28": partial(networks.Conv28Discriminator, dropout=0.0),
    "infogan": partial(networks.InfoGANDiscriminator, 12, 1, False),
    "mlp": partial(networks.MLPDiscriminator, (2,), (8,), "tanh"),
    "resnet": partial(networks.ResNetDiscriminator, 32, 1, 4),
}


@pytest.mark.parametrize("shape", [(5,), (3, 2, 4)])
@pytest.mark.parametrize(
    ("n", "group_size", "group"),
    [(8, 4, 4), (6, 4, 3), (7, 4, 1), (9, 4, 3), (2, 4, 2), (1, 4, 1), (8, 2, 2), (10, 100, 10)],
)
def test_the_spread_is_that_of_a_loop(shape, n, group_size, group):
    x = torch.randn(n, *shape, dtype=torch.float64)
    ours = MinibatchStd(group_size)(x)
    flat = x.flatten(1)
    for i in range(n):
        members = [j for j in range(n) if j % (n // group) == i % (n // group)]
        assert len(members) == group
        spread = 0.0
        for feature in range(flat.shape[1]):
            values = [flat[j, feature].item() for j in members]
            mean = sum(values) / group
            variance = sum((value - mean) ** 2 for value in values) / group
            spread += math.sqrt(variance + 1e-8) / flat.shape[1]
        assert_close(ours[i, -1], torch.full_like(ours[i, -1], spread))
    assert_close(ours[:, :-1], x, rtol=0, atol=0)
    assert ours.shape == (n, shape[0] + 1, *shape[1:])


@pytest.mark.parametrize("shape", [(5,), (3, 2, 4)])
@pytest.mark.parametrize("n", [1, 2, 6])
def test_nearness_is_that_of_a_loop(shape, n):
    features = math.prod(shape)
    layer = MinibatchDiscrimination(features, kernels=3, dimensions=2).double()
    x = torch.randn(n, *shape, dtype=torch.float64)
    ours = layer(x)
    tensor = layer.rows.weight.T.reshape(features, 3, 2)
    rows = [torch.einsum("a,abc->bc", sample, tensor) for sample in x.flatten(1)]
    for i in range(n):
        for b in range(3):
            near = sum(
                math.exp(-(rows[i][b] - rows[j][b]).abs().sum().item()) for j in range(n) if j != i
            )
            channel = ours[i, shape[0] + b]
            assert_close(channel, torch.full_like(channel, near))
    assert_close(ours[:, : shape[0]], x, rtol=0, atol=0)
    assert ours.shape == (n, shape[0] + 3, *shape[1:])


@pytest.mark.parametrize("shape", [(3,), (2, 2, 1)])
@pytest.mark.parametrize("name", LAYERS)
def test_gradients_and_their_gradients(name, shape):
    layer = LAYERS[name](math.prod(shape)).double()
    x = torch.randn(6, *shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))
    assert torch.autograd.gradgradcheck(layer, (x,))


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_are_finite_where_all_samples_are_equal(name):
    x = torch.ones(4, 3, requires_grad=True)
    layer = LAYERS[name](3)
    (first,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    assert first.isfinite().all() and second.isfinite().all()


def test_equal_samples_have_the_least_spread_and_are_the_nearest():
    x = torch.ones(8, 5)
    assert_close(MinibatchStd()(x)[:, 5], torch.full((8,), 1e-4))
    near = MinibatchDiscrimination(5, 3)(x)[:, 5:]
    assert_close(near, torch.full((8, 3), 7.0))


def test_spread_of_16_bits_is_computed_in_32():
    """1e-8 is no number of float16."""
    x = torch.ones(4, 3, dtype=torch.float16)
    appended = MinibatchStd()(x)
    assert appended.dtype == torch.float16
    assert appended[0, 3].item() == pytest.approx(1e-4, rel=1e-2)


@pytest.mark.parametrize("name", SWITCHED)
@pytest.mark.parametrize("minibatch", ["none", *LAYERS])
def test_a_collapsed_batch_is_seen(name, minibatch):
    """The logit of one sample beside others, and beside copies of itself: equal without a layer."""
    discriminator = SWITCHED[name](minibatch=minibatch).double().eval()
    diverse = torch.randn(8, *discriminator.event_shape, dtype=torch.float64)
    collapsed = diverse[:1].expand(diverse.shape)
    logits = discriminator(diverse)
    assert logits.shape == (8,)
    change = (logits[0] - discriminator(collapsed)[0]).abs().item()
    assert change < 1e-12 if minibatch == "none" else change > 1e-6


def test_nearness_follows_any_permutation():
    layer, x = LAYERS["discrimination"](3), torch.randn(8, 3)
    order = torch.randperm(8)
    assert_close(layer(x[order]), layer(x)[order])


def test_spread_follows_permutations_that_keep_the_groups():
    """Of 8 samples in groups of 4, even and odd ones are groups."""
    layer, x = MinibatchStd(4), torch.randn(8, 3)
    for order in ([6, 1, 0, 5, 2, 7, 4, 3], [1, 0, 3, 2, 5, 4, 7, 6]):
        assert_close(layer(x[order]), layer(x)[order])
    mixed = [1, 0, 2, 3, 4, 5, 6, 7]
    assert (layer(x[mixed]) - layer(x)[mixed])[:, 3].abs().min() > 1e-4


@pytest.mark.parametrize("name", SWITCHED)
@pytest.mark.parametrize("minibatch", LAYERS)
def test_other_batch_sizes_are_judged(name, minibatch):
    discriminator = SWITCHED[name](minibatch=minibatch).eval()
    for n in (1, 3, 5):
        logits = discriminator(torch.randn(n, *discriminator.event_shape))
        assert logits.shape == (n,) and logits.isfinite().all()


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "std", "features"),
    # The last layer sees a channel more: 16 weights of DCGAN's 4 x 4 kernel, 1 elsewhere.
    [
        ("dcgan", 16, 16 * 4 * 4),
        ("conv28", 1, 3136),
        ("infogan", 1, 1024),
        ("mlp", 1, 8),
        ("resnet", 1, 4),
    ],
)
def test_sizes_counted_by_hand(name, std, features):
    plain, with_std, with_kernels = (
        count(SWITCHED[name](minibatch=minibatch)) for minibatch in ("none", *LAYERS)
    )
    assert with_std - plain == std
    assert with_kernels - plain == features * 100 * 5 + 100 * std


def test_spectral_norm_bounds_the_rows_too():
    discriminator = networks.MLPDiscriminator((2,), (8,), "tanh", True, "discrimination")
    (layer,) = (m for m in discriminator.modules() if isinstance(m, MinibatchDiscrimination))
    for _ in range(50):
        discriminator(torch.randn(4, 2))
    assert torch.linalg.matrix_norm(layer.rows.weight, 2).item() == pytest.approx(1, rel=1e-3)


def test_rows_start_with_columns_of_length_one():
    lengths = MinibatchDiscrimination(4096, 20).rows.weight.norm(dim=1)
    assert lengths.mean().item() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("packing", [1, 2])
@pytest.mark.parametrize("minibatch", ["none", *LAYERS])
def test_a_split_batch_shows_its_parts(minibatch, packing):
    """Without a layer a game in two parts is that of the whole; with one it is another."""
    weights = []
    for accumulate in (1, 2):
        torch.manual_seed(1)
        sgd = partial(torch.optim.SGD, lr=0.1)
        model = GAN(
            networks.MLPGenerator((2,), 4, (8,), "tanh", "linear"),
            networks.MLPDiscriminator((2,), (8,), "tanh", False, minibatch, packing),
            generator_optimizer=sgd,
            discriminator_optimizer=sgd,
            accumulate=accumulate,
        ).double()
        torch.manual_seed(3)
        trainer = Trainer(
            max_steps=2,
            accelerator="cpu",
            precision="64-true",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        trainer.fit(model, datamodule=Ring(batch_size=16))
        weights.append(nn.utils.parameters_to_vector(model.players["discriminator"].parameters()))
    change = (weights[0] - weights[1]).abs().max().item()
    assert change < 1e-12 if minibatch == "none" else change > 1e-7


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MinibatchStd(1), "group_size is 1; it must be at least 2"),
        (lambda: MinibatchDiscrimination(0), "features is 0"),
        (lambda: MinibatchDiscrimination(3, kernels=0), "kernels is 0"),
        (lambda: MinibatchDiscrimination(3, dimensions=0), "dimensions is 0"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
