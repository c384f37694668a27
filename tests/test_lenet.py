"""LeNet: its layers against the functions they stand for, and sizes counted by hand."""

import pytest
import torch
from torch.nn.functional import conv2d, cross_entropy, linear, max_pool2d, relu
from torch.testing import assert_close

from lightning_gans.networks import LeNet
from lightning_gans.types import InputError


@pytest.mark.parametrize(
    ("size", "channels", "classes", "flat"),
    [(28, 1, 10, 32 * 5 * 5), (32, 3, 7, 32 * 6 * 6), (16, 1, 2, 32 * 2 * 2), (8, 1, 10, 32 * 4)],
)
def test_sizes_are_those_counted_by_hand(size, channels, classes, flat):
    counted = 25 * channels * 16 + 16  # the first convolution and its biases
    counted += 25 * 16 * 32 + 32
    counted += flat * 120 + 120 + 120 * 84 + 84 + 84 * classes + classes
    network = LeNet(size, channels, classes)
    assert sum(parameter.numel() for parameter in network.parameters()) == counted


@pytest.mark.parametrize(("size", "padding"), [(28, 0), (16, 0), (15, 2)])
def test_it_is_the_published_chain(size, padding):
    network = LeNet(size, 2, 5)
    first, first_bias, second, second_bias, *dense = network.parameters()
    images = torch.randn(3, 2, size, size)
    x = max_pool2d(relu(conv2d(images, first, first_bias, padding=2)), 2)
    x = max_pool2d(relu(conv2d(x, second, second_bias, padding=padding)), 2).flatten(1)
    x = relu(linear(relu(linear(x, *dense[:2])), *dense[2:4]))
    assert x.shape == (3, network.num_features) == (3, 84)
    assert_close(network.features(images), x)
    assert_close(network(images), linear(x, *dense[4:]))
    assert x.min() == 0 < x.max()


@pytest.mark.parametrize("size", [*range(8, 21), 28, 31, 32, 64])
def test_every_size_from_8_on_is_told_and_taught(size):
    network = LeNet(size, 1, 3)
    logits = network(torch.rand(4, 1, size, size) * 2 - 1)
    assert logits.shape == (4, 3)
    cross_entropy(logits, torch.tensor([0, 1, 2, 0])).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 7}, "image_size is 7; it must be at least 8"),
        ({"channels": 0}, "channels is 0; it must be at least 1"),
        ({"classes": 0}, "classes is 0; it must be at least 1"),
    ],
)
def test_sizes_too_small_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        LeNet(**settings)
