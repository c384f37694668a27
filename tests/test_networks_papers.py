"""What the papers say of their networks: first weights, blocks, maxout, spectral norm."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import lightning_gans.networks as networks


def spectra(network):
    """The largest singular value of each weight as it is used."""
    return {
        name: torch.linalg.matrix_norm(module.weight.flatten(1), 2).item()
        for name, module in network.eval().named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }


@pytest.mark.parametrize(
    ("make", "weights"),
    [
        (lambda on: networks.MLPDiscriminator((2,), (32, 16), spectral_norm=on), 3),
        (lambda on: networks.DCGANDiscriminator(32, 1, 4, "none", on), 4),
        (lambda on: networks.DCGANDiscriminator(64, 3, 4, "batch", on), 5),
        # Three a block, two where the shortcut is the identity, and the linear layer.
        (lambda on: networks.ResNetDiscriminator(32, 3, 4, on), 3 + 3 + 2 + 2 + 1),
        (lambda on: networks.ResNetDiscriminator(32, 1, 4, on, depth=1), 5 + 5 + 2 + 2 + 1),
        (lambda on: networks.ResNetDiscriminator(64, 3, 2, on), 5 * 3 + 1),
    ],
)
def test_spectral_norm_is_one(make, weights):
    network = make(True)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:  # far from the first estimate
                parameter.normal_(0.0, 3.0)
        for _ in range(50):
            network(torch.randn(2, *network.event_shape))
    values = spectra(network)
    assert len(values) == weights
    assert values == pytest.approx(dict.fromkeys(values, 1.0), abs=1e-2)
    assert max(abs(value - 1) for value in spectra(make(False)).values()) > 0.1


def test_spectral_norm_moves_in_training_alone():
    network = networks.MLPDiscriminator((2,), (32, 16), spectral_norm=True)
    with torch.no_grad():
        network.layers[2].parametrizations.weight.original.normal_()
    events = torch.randn(4, 2)
    network.eval()
    assert torch.equal(network(events), network(events))
    network.train()
    assert not torch.equal(network(events), network(events))


def test_maxout_is_the_largest_of_its_pieces():
    layer = networks.PacGANDiscriminator((3,), (4,), pieces=5).layers[0]
    nn.init.normal_(layer.linear.bias)
    x = torch.randn(6, 3)
    weight, bias = layer.linear.weight, layer.linear.bias
    by_hand = torch.tensor(
        [
            [
                max((weight[5 * i + j] @ x[n] + bias[5 * i + j]).item() for j in range(5))
                for i in range(4)
            ]
            for n in range(6)
        ]
    )
    torch.testing.assert_close(layer(x), by_hand)


def test_infogan_starts_as_in_compare_gan():
    discriminator, generator = networks.InfoGANDiscriminator(4, 3), networks.InfoGANGenerator(4, 3)
    conv = discriminator.layers[2].weight
    assert 0.0395 < conv.abs().max() <= 0.04
    # The deviation of a normal cut at two deviations.
    assert conv.std().item() == pytest.approx(0.8796 * 0.02, rel=0.01)
    for layer in (discriminator.layers[6], generator.layers[3], generator.layers[7]):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.01)
        assert layer.weight.abs().max() > 0.06
    assert all(m.eps == 1e-3 for m in generator.modules() if isinstance(m, nn.BatchNorm1d))
    assert not discriminator.layers[0].bias.any() and not generator.layers[-2].bias.any()


def test_pacgan_starts_as_its_authors_say():
    for network in (networks.PacGANGenerator(), networks.PacGANDiscriminator()):
        weights = torch.cat([p.flatten() for p in network.parameters() if p.ndim == 2])
        assert weights.std().item() == pytest.approx(0.02, rel=0.01)
        assert not network.layers[-1].bias.any()


def test_residual_networks_start_as_in_chainer():
    generator = networks.ResNetGenerator(64, 3, 8, 4)
    discriminator = networks.ResNetDiscriminator(64, 3, 4)
    block = generator.layers[2]
    for conv, gain, fans in (
        (block.residual[3], math.sqrt(2), 9 * (64 + 32)),
        (block.residual[6], math.sqrt(2), 9 * (32 + 32)),
        (block.shortcut[0], 1, 64 + 32),
        (generator.layers[0], 1, 8 + 64 * 16),
        (discriminator.blocks[4].residual[1], math.sqrt(2), 9 * (32 + 32)),
        (discriminator.blocks[4].shortcut[1], 1, 32 + 64),
    ):
        bound = gain * math.sqrt(6 / fans)
        assert 0.97 * bound < conv.weight.abs().max() <= bound
    assert not any(m.bias.any() for m in discriminator.modules() if isinstance(m, nn.Conv2d))


def conv(module, x):
    return F.conv2d(x, module.weight, module.bias, padding=module.weight.shape[-1] // 2)


def test_a_generator_block_is_the_authors():
    """Theirs doubles the resolution before the shortcut's convolution, ours after it."""
    block = networks.ResNetGenerator(64, 3, 8, 2).layers[2]
    norm, _, _, first, second_norm, _, second = block.residual
    nn.init.normal_(norm.weight)
    nn.init.normal_(second_norm.bias)
    x = torch.randn(5, 32, 4, 4)
    pixels = torch.arange(8) // 2
    h = conv(first, norm(x).relu()[:, :, pixels][..., pixels])
    h = conv(second, second_norm(h).relu())
    expected = h + conv(block.shortcut[0], x[:, :, pixels][..., pixels])
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize(("index", "side"), [(0, 64), (1, 32), (4, 4)])
def test_a_discriminator_block_is_the_authors(index, side):
    """Theirs halves the resolution after the shortcut's convolution but in the first block."""
    block = networks.ResNetDiscriminator(64, 3, 2).blocks[index]
    first, second = (m for m in block.residual if isinstance(m, nn.Conv2d))
    for module in (first, second, block.shortcut[1]):
        nn.init.normal_(module.bias)
    x = torch.randn(2, first.in_channels, side, side)
    h = conv(second, conv(first, x if index == 0 else x.relu()).relu()) + conv(block.shortcut[1], x)
    expected = h.unflatten(3, (-1, 2)).mean(4).unflatten(2, (-1, 2)).mean(3)
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize(("size", "ups", "downs", "level"), [(32, 3, 2, 2), (64, 4, 5, 0)])
def test_depth_adds_blocks_and_changes_no_shape(size, ups, downs, level, depth):
    generator = networks.ResNetGenerator(size, 2, 8, 2, depth)
    discriminator = networks.ResNetDiscriminator(size, 2, 2, depth=depth)
    sides = []

    def note(module, inputs, output):
        if hasattr(module, "shortcut"):
            sides.append(output.shape[-1])

    for network in (generator, discriminator):
        for module in network.modules():
            module.register_forward_hook(note)
    discriminator(generator(torch.randn(2, 8)))
    doubled = [4 * 2**i for i in range(1, ups + 1) for _ in range(1 + depth)]
    halved = [size // 2**i for i in range(1, downs + 1) for _ in range(1 + depth)]
    assert sides == doubled + halved + [size // 4] * level


def test_the_logit_is_of_the_sum_over_pixels():
    network = networks.ResNetDiscriminator(32, 1, 4)
    nn.init.normal_(network.head.bias)
    events = torch.randn(3, 1, 32, 32)
    features = events
    for block in network.blocks[:4]:
        features = block(features)
    sums = features.clamp(min=0).mean((2, 3)) * 8 * 8
    expected = sums @ network.head.weight[0] + network.head.bias
    torch.testing.assert_close(network(events), expected)


@pytest.mark.parametrize("size", [28, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_papers_sizes_fit(size, channels):
    """At full width, on no device: shapes only."""
    with torch.device("meta"):
        pairs = [
            (
                networks.InfoGANGenerator(size, channels),
                networks.InfoGANDiscriminator(size, channels),
            )
        ]
        if size != 28:
            pairs.append(
                (
                    networks.ResNetGenerator(size, channels),
                    networks.ResNetDiscriminator(size, channels),
                )
            )
        for generator, discriminator in pairs:
            events = generator(torch.randn(2, generator.latent_dim))
            assert events.shape == (2, channels, size, size)
            assert discriminator(events).shape == (2,)


def test_the_default_dcgan_keeps_its_names():
    """Checkpoints of earlier runs load."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    assert list(networks.DCGANDiscriminator(32, 1, 4).state_dict()) == [
        "layers.0.weight",
        "layers.0.bias",
        "layers.2.weight",
        *(f"layers.3.{name}" for name in norm),
        "layers.5.weight",
        *(f"layers.6.{name}" for name in norm),
        "layers.8.weight",
        "layers.8.bias",
    ]
