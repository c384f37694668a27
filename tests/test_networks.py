"""Networks: shapes, ranges, that gradients reach everything, and sizes counted by hand."""

import copy
import inspect
import io
import re
from itertools import pairwise

import pytest
import torch
from torch import nn

import lightning_gans.networks as networks
from lightning_gans.errors import InputError
from lightning_gans.types import Generator

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
PAIRS |= {
    f"dcgan{size}x{channels}{norm}{spectral}": (
        networks.DCGANGenerator(size, channels, 10, 4),
        networks.DCGANDiscriminator(size, channels, 4, norm, spectral),
    )
    for size, channels, norm, spectral in (
        (32, 1, "none", False),
        (32, 3, "none", True),
        (64, 1, "batch", True),
    )
}
PAIRS |= {
    f"mlp{shape}spectral_linear": (
        networks.MLPGenerator(shape, 10, (16,), output="linear"),
        networks.MLPDiscriminator(shape, (32, 16), spectral_norm=True),
    )
    for shape in ((2,), (3, 4))
}
PAIRS |= {
    f"infogan{size}x{channels}norm={batch_norm}": (
        networks.InfoGANGenerator(size, channels, 10),
        networks.InfoGANDiscriminator(size, channels, batch_norm),
    )
    for size, channels, batch_norm in ((4, 1, True), (4, 4, False), (12, 3, False))
}
PAIRS |= {
    f"pacgan{shape}linear": (
        networks.PacGANGenerator(shape, 3, (16, 16)),
        networks.PacGANDiscriminator(shape, (8, 8), 3),
    )
    for shape in ((2,), (3, 4))
}
PAIRS |= {
    f"resnet{size}x{channels}depth{depth}{spectral}": (
        networks.ResNetGenerator(size, channels, 10, 4, depth),
        networks.ResNetDiscriminator(size, channels, 4, spectral, depth),
    )
    for size, channels, depth, spectral in (
        (32, 1, 0, False),
        (32, 3, 1, True),
        (32, 4, 2, True),
        (64, 3, 0, True),
        (64, 1, 1, False),
        (64, 3, 2, False),
    )
}
PAIRS |= {
    f"tiny{channels}x{width}norm={norm}": (
        networks.TinyGenerator(channels, 10),
        networks.TinyDiscriminator(channels, width, norm),
    )
    for channels, width, norm in ((3, 2, "batch"), (1, 4, "none"))
}
CRITICS = [
    name
    for name, (_, discriminator) in PAIRS.items()
    if not any(
        isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d | nn.Dropout) for m in discriminator.modules()
    )
]
"""Those whose logit of a sample depends on that sample alone."""


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
    weighted = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    weight = [m for m in generator.modules() if isinstance(m, weighted)][-1].weight.data
    latents = torch.randn(50, generator.latent_dim)
    # Both signs: a few non-negative features may push every output to one end.
    weight.mul_(1e4)
    events = [generator(latents)]
    weight.neg_()
    events = torch.cat([*events, generator(latents)])
    assert -1 <= events.min() < -0.5 and 0.5 < events.max() <= 1


@pytest.mark.parametrize("name", PAIRS)
def test_64_bits_agree_with_32(name):
    generator, discriminator = (copy.deepcopy(network).eval() for network in PAIRS[name])
    latents = torch.randn(3, generator.latent_dim)
    events, logits = generator(latents), discriminator(generator(latents))
    wide = generator.double()(latents.double())
    assert wide.dtype == discriminator.double()(wide).dtype == torch.float64
    torch.testing.assert_close(wide, events.double(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(discriminator(wide), logits.double(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", PAIRS)
def test_a_copy_is_apart_and_a_checkpoint_restores(name):
    for network in PAIRS[name]:
        network = copy.deepcopy(network)
        generates = isinstance(network, Generator)
        inputs = torch.randn(3, *((network.latent_dim,) if generates else network.event_shape))
        network(inputs)  # moves what training moves besides the weights
        file = io.BytesIO()
        torch.save(network.state_dict(), file)
        file.seek(0)
        before = network.eval()(inputs)
        twin = copy.deepcopy(network)
        with torch.no_grad():
            for parameter in twin.parameters():
                parameter.add_(torch.randn_like(parameter))
            twin.train()(inputs)
        assert torch.equal(network(inputs), before)
        assert not torch.equal(twin.eval()(inputs), before)
        twin.load_state_dict(torch.load(file, weights_only=True))
        assert torch.equal(twin(inputs), before)


@pytest.mark.parametrize("name", CRITICS)
def test_a_gradient_penalty_has_the_right_gradient(name):
    """R1 by two backward passes against a difference of R1 along a direction."""
    critic = copy.deepcopy(PAIRS[name][1]).double().eval()  # spectral norm's vectors stay
    events = torch.randn(3, *critic.event_shape, dtype=torch.float64, requires_grad=True)
    parameters = list(critic.parameters())

    def penalty():
        (slope,) = torch.autograd.grad(critic(events).sum(), events, create_graph=True)
        return slope.square().sum()

    gradients = torch.autograd.grad(penalty(), parameters, allow_unused=True)
    direction = [torch.randn_like(p) * p.abs().mean() for p in parameters]
    expected = sum(
        (g * d).sum() for g, d in zip(gradients, direction, strict=True) if g is not None
    )
    ends, step = [], 1e-9  # small, so that no ReLU turns on the way
    for sign in (1, -2):
        with torch.no_grad():
            for p, d in zip(parameters, direction, strict=True):
                p.add_(d, alpha=sign * step)
        ends.append(penalty().detach())
    torch.testing.assert_close((ends[0] - ends[1]) / (2 * step), expected, rtol=1e-3, atol=0)


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
    # Without batch norm a bias in each convolution.
    assert count(networks.DCGANDiscriminator(64, 3, 64, "none")) == 16 * (
        3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512
    ) + (64 + 128 + 256 + 512 + 1)
    # Spectral norm adds buffers, no parameters.
    assert count(networks.MLPDiscriminator((2,), (8,), spectral_norm=True)) == 2 * 8 + 8 + 8 + 1


def full_size(network, *args):
    """The number of parameters, at full width on no device."""
    with torch.device("meta"):
        return count(network(*args))


def test_sizes_of_the_papers_networks_counted_by_hand():
    # Lucic et al. (2018) on MNIST: 64-1024-7*7*128-64-1 and back, about 6.5 million each.
    assert full_size(networks.InfoGANGenerator) == (
        64 * 1024 + 2 * 1024 + 1024 * 6272 + 2 * 6272 + 16 * 128 * 64 + 2 * 64 + 16 * 64 + 1
    )
    assert full_size(networks.InfoGANDiscriminator) == (
        16 * 64 + 64 + 16 * 64 * 128 + 2 * 128 + 6272 * 1024 + 2 * 1024 + 1024 + 1
    )
    assert full_size(networks.InfoGANDiscriminator, 64, 3, False) == (
        16 * 3 * 64 + 64 + 16 * 64 * 128 + 128 + 128 * 16 * 16 * 1024 + 1024 + 1024 + 1
    )
    # PacGAN for points: 2-400-400-400-400-2, and 200 units of 5 pieces three times.
    assert full_size(networks.PacGANGenerator) == 800 + 3 * 400**2 + 4 * 2 * 400 + 400 * 2 + 2
    assert full_size(networks.PacGANDiscriminator) == 3 * 1000 + 2 * 201 * 1000 + 201
    # PacGAN's small pair, 256-4*4*64-32-16-8-3: scales and shifts in place of biases.
    assert full_size(networks.TinyGenerator) == (
        256 * 1024 + 9 * (64 * 32 + 32 * 16 + 16 * 8 + 8 * 3) + 3 + 2 * (64 + 32 + 16 + 8)
    )
    for width, packing in ((2, 1), (2, 3), (4, 2)):
        assert full_size(networks.TinyDiscriminator, 3, width, "batch", packing) == (
            9 * (3 * packing * width + 2 * width**2 + 8 * width**2)
            + 2 * (1 + 2 + 4) * width
            + (64 * width + 1)
        )
    assert full_size(networks.TinyDiscriminator, 3, 2, "none") == (
        9 * (3 * 2 + 2 * 4 + 4 * 8) + (2 + 4 + 8) + 128 + 1
    )
    # Miyato et al. (2018) for CIFAR: three blocks of 256 and batch norm; four of 128.
    assert full_size(networks.ResNetGenerator) == (
        129 * 4096 + 3 * (19 * 256**2 + 4 * 256) + 2 * 256 + 9 * 256 * 3 + 3
    )
    assert full_size(networks.ResNetDiscriminator) == (
        (28 * 128 + (9 * 128 + 1) * 128 + 4 * 128)
        + (2 * (9 * 128 + 1) * 128 + 129 * 128)
        + 2 * (2 * (9 * 128 + 1) * 128)
        + 129
    )
    # The same for 64 pixels: 1024-512-256-128-64 and back.
    halves = list(pairwise((1024, 512, 256, 128, 64)))
    assert (
        full_size(networks.ResNetGenerator, 64)
        == (129 * 16384 + sum(10 * a * b + 9 * b * b + 2 * (a + b) for a, b in halves))
        + 2 * 64
        + 9 * 64 * 3
        + 3
    )
    assert full_size(networks.ResNetDiscriminator, 64) == (
        (28 * 64 + (9 * 64 + 1) * 64 + 4 * 64)
        + sum((9 * a + 1) * a + (9 * a + 1) * b + (a + 1) * b for b, a in halves)
        + 1025
    )


def test_dcgan_starts_as_radford_says():
    generator = networks.DCGANGenerator(64, 3, 100, 64)
    weight = generator.layers[0].weight
    assert abs(weight.std().item() - 0.02) < 2e-4 and abs(weight.mean().item()) < 2e-4
    scale = torch.cat([m.weight for m in generator.layers if isinstance(m, torch.nn.BatchNorm2d)])
    assert abs(scale.mean().item() - 1) < 4e-3 and abs(scale.std().item() - 0.02) < 3e-3


@pytest.mark.parametrize("size", [16, 28, 48, 256])
def test_a_size_the_network_cannot_make_is_refused(size):
    for network in (networks.DCGANGenerator, networks.DCGANDiscriminator):
        with pytest.raises(InputError, match="image_size is .*32, 64, 128"):
            network(image_size=size)
    for network in (networks.ResNetGenerator, networks.ResNetDiscriminator):
        with pytest.raises(InputError, match="image_size is .*32, 64 pixels"):
            network(image_size=size)
    for network in (networks.InfoGANGenerator, networks.InfoGANDiscriminator):
        for wrong in (size + 2, 0, -size):
            with pytest.raises(InputError, match=f"image_size is {wrong}.*28, 32, 64"):
                network(image_size=wrong)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        (name, key, value)
        for name in networks.__all__
        for key, value in {
            "channels": 0,
            "latent_dim": 0,
            "base_channels": -1,
            "depth": -1,
            "pieces": 0,
            "width": 0,
            "packing": 0,
            "hidden": (3, 0),
        }.items()
        if key in inspect.signature(getattr(networks, name)).parameters
        and (name, key) not in {("MLPGenerator", "hidden"), ("MLPDiscriminator", "hidden")}
    ],
)
def test_a_size_too_small_is_refused_by_name(name, key, value):
    shape = {"event_shape": (2,)} if name.startswith("MLP") else {}
    with pytest.raises(InputError, match=rf"{key} is {re.escape(str(value))}; .* at least [01]"):
        getattr(networks, name)(**shape, **{key: value})


def test_an_empty_layer_is_refused():
    with pytest.raises(InputError, match="perceptron"):
        networks.MLPGenerator((2,), hidden=(0,))


def test_perceptrons_may_start_orthogonal():
    networks_ = (
        networks.MLPGenerator((2,), 6, (8, 8), "tanh", "linear", gain=1.4),
        networks.MLPDiscriminator((2,), (8, 8), "tanh", gain=1.4),
    )
    for network in networks_:
        for layer in network.modules():
            if isinstance(layer, nn.Linear):
                sizes = torch.linalg.svdvals(layer.weight)
                assert (sizes - 1.4).abs().max().item() < 1e-5 and not layer.bias.any()
    free = networks.MLPGenerator((2,), 6, (8, 8), "tanh", "linear")
    assert torch.linalg.svdvals(free.layers[0].weight).std().item() > 0.01


def test_a_generator_without_norm_keeps_the_size_of_its_maps():
    torch.manual_seed(0)
    network, maps = networks.DCGANGenerator(64, 3, 64, 32, norm="none"), []
    for layer in network.layers[:-1]:
        if isinstance(layer, nn.ConvTranspose2d):
            layer.register_forward_hook(lambda _, __, out: maps.append(out.square().mean().item()))
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in network.layers)
    network(torch.randn(256, 64))
    # He: the square of a map is 2, twice the half that a ReLU lets through; borders sum less.
    assert maps[0] == pytest.approx(2, rel=0.1) and all(1.2 < size < 2.4 for size in maps)
