"""Networks: shapes, ranges, that gradients reach everything, and sizes counted by hand."""

import copy

import pytest
import torch

import lightning_gans.networks as networks
from lightning_gans.errors import InputError

PAIRS = {
    f"dcgan{size}x{channels}": (
        networks.DCGANGenerator(size, channels, latent_dim=10, base_channels=4),
        networks.DCGANDiscriminator(size, channels, base_channels=4),
    )
    for size in (32, 64, 128)
    for channels in (1, 3, 4)
}
PAIRS |= {
    f"conv28x{channels}": (
        networks.Conv28Generator(channels, latent_dim=10),
        networks.Conv28Discriminator(channels),
    )
    for channels in (1, 3)
}
PAIRS |= {
    f"mlp{shape}{activation}{output}": (
        networks.MLPGenerator(shape, 10, (16, 32), activation, output),
        networks.MLPDiscriminator(shape, (32, 16), activation),
    )
    for shape in ((2,), (1, 28, 28), (3, 4))
    for activation in ("relu", "leaky_relu", "tanh")
    for output in ("linear", "tanh", "sigmoid")
}


@pytest.mark.parametrize("name", PAIRS)
def test_pair(name):
    generator, discriminator = PAIRS[name]
    events = generator(torch.randn(5, generator.latent_dim))
    assert events.shape == (5, *generator.event_shape)
    logits = discriminator(events)
    assert logits.shape == (5,)
    logits.square().sum().backward()
    for network in (generator, discriminator):
        for parameter_name, parameter in network.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", [name for name in PAIRS if "linear" not in name])
def test_images_stay_in_range(name):
    generator = copy.deepcopy(PAIRS[name][0])
    weight, latents = generator.layers[-2].weight.data, torch.randn(50, generator.latent_dim)
    # Both signs: a few non-negative features may push every output to one end.
    weight.mul_(1e4)
    events = [generator(latents)]
    weight.neg_()
    events = torch.cat([*events, generator(latents)])
    assert -1 <= events.min() < -0.5 and 0.5 < events.max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
def test_one_sample_in_evaluation_equals_the_same_in_a_batch(channels):
    generator = networks.DCGANGenerator(32, channels, 10, 4).eval()
    latents = torch.randn(7, 10)
    torch.testing.assert_close(generator(latents)[3:4], generator(latents[3:4]))


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_sizes_counted_by_hand():
    # Perceptron A: 100-128-256-784 and 784-256-128-1, weights and biases.
    assert count(networks.MLPGenerator((1, 28, 28), 100, (128, 256))) == (
        100 * 128 + 128 + 128 * 256 + 256 + 256 * 784 + 784
    )
    assert count(networks.MLPDiscriminator((1, 28, 28), (256, 128))) == (
        784 * 256 + 256 + 256 * 128 + 128 + 128 + 1
    )
    # Radford's 64-pixel generator, 512-256-128-64-3: 4 x 4 kernels without biases but the last.
    assert count(networks.DCGANGenerator(64, 3, 100, 64)) == 16 * (
        100 * 512 + 512 * 256 + 256 * 128 + 128 * 64 + 64 * 3
    ) + 3 + 2 * (512 + 256 + 128 + 64)
    assert count(networks.DCGANDiscriminator(64, 3, 64)) == 16 * (
        3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512
    ) + 64 + 1 + 2 * (128 + 256 + 512)
    # The 28-pixel pair: dense to 7 x 7 x 256, kernels 5 x 5.
    assert count(networks.Conv28Generator(1, 100)) == (
        101 * 12544 + 2 * 12544 + 25 * (256 * 128 + 128 * 128 + 128) + 1 + 2 * 2 * 128
    )
    assert count(networks.Conv28Discriminator(1)) == 25 * 64 + 64 + 25 * 64 * 64 + 64 + 3136 + 1


def test_dcgan_starts_as_radford_says():
    generator = networks.DCGANGenerator(64, 3, 100, 64)
    weight = generator.layers[0].weight
    assert abs(weight.std().item() - 0.02) < 2e-4 and abs(weight.mean().item()) < 2e-4
    scale = torch.cat([m.weight for m in generator.layers if isinstance(m, torch.nn.BatchNorm2d)])
    assert abs(scale.mean().item() - 1) < 4e-3 and abs(scale.std().item() - 0.02) < 3e-3


@pytest.mark.parametrize("size", [16, 28, 48, 256])
def test_a_size_the_network_cannot_make_is_refused(size):
    for network in (networks.DCGANGenerator, networks.DCGANDiscriminator):
        with pytest.raises(InputError, match="32, 64, 128"):
            network(image_size=size)


def test_an_empty_layer_is_refused():
    with pytest.raises(InputError, match="perceptron"):
        networks.MLPGenerator((2,), hidden=(0,))
