"""The residual pair of spectral normalisation (Miyato et al., 2018), for 32 and 64 pixels.

As in the authors' code (sngan_projection, for Chainer), for 64 pixels too, without its classes;
its discriminator for 32 pixels has no last bias, ours has one.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from lightning_gans.networks.layers import at_least, normalise_spectra
from lightning_gans.networks.minibatch import Minibatch, with_minibatch
from lightning_gans.types import Discriminator, Events, Generator, InputError, Latents, Logits

__all__ = ["ResNetDiscriminator", "ResNetGenerator"]

# By image size: the authors' base_channels, and the multiples of it after each stage.
_GENERATOR = {32: (256, (1, 1, 1, 1)), 64: (64, (16, 8, 4, 2, 1))}
_DISCRIMINATOR = {32: (128, (1, 1, 1, 1)), 64: (64, (1, 2, 4, 8, 16))}
_HALVINGS = {32: 2, 64: 5}


def _widths(
    image_size: int,
    base_channels: int | None,
    authors: dict[int, tuple[int, tuple[int, ...]]],
) -> list[int]:
    """Channels after each stage."""
    if image_size not in authors:
        raise InputError(
            f"image_size is {image_size}; the residual networks make "
            f"{', '.join(map(str, authors))} pixels"
        )
    base, multiples = authors[image_size]
    if base_channels is not None:
        base = base_channels
    at_least(1, base_channels=base)
    return [base * multiple for multiple in multiples]


def _conv(fan_in: int, fan_out: int, size: int, gain: float = 1.0, bias: bool = True) -> nn.Conv2d:
    """A convolution that keeps the resolution, its weight Glorot's uniform, its bias 0."""
    conv = nn.Conv2d(fan_in, fan_out, size, padding=size // 2, bias=bias)
    nn.init.xavier_uniform_(conv.weight, gain)
    if bias:
        nn.init.zeros_(conv.bias)
    return conv


def _linear(fan_in: int, fan_out: int) -> nn.Linear:
    """A linear layer, its weight Glorot's uniform, its bias 0."""
    linear = nn.Linear(fan_in, fan_out)
    nn.init.xavier_uniform_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


class _Residual(nn.Module):
    """The sum of two paths; an empty shortcut is the identity."""

    def __init__(self, residual: Sequence[nn.Module], shortcut: Sequence[nn.Module]) -> None:
        super().__init__()
        self.residual, self.shortcut = nn.Sequential(*residual), nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """Both paths of ``x``."""
        return self.residual(x) + self.shortcut(x)


def _generator_block(fan_in: int, fan_out: int, up: bool) -> _Residual:
    """A block that may double the resolution; batch norm cancels all biases, so it has none.

    A 1 x 1 convolution commutes with repeating pixels and is cheaper before it.
    """
    upsample = [nn.Upsample(scale_factor=2)] if up else []
    residual = [
        nn.BatchNorm2d(fan_in),
        nn.ReLU(),
        *upsample,
        _conv(fan_in, fan_out, 3, math.sqrt(2), bias=False),
        nn.BatchNorm2d(fan_out),
        nn.ReLU(),
        _conv(fan_out, fan_out, 3, math.sqrt(2), bias=False),
    ]
    shortcut = [_conv(fan_in, fan_out, 1, bias=False), *upsample] if up else []
    return _Residual(residual, shortcut)


def _discriminator_block(fan_in: int, fan_out: int, down: bool, first: bool = False) -> _Residual:
    """A block that may halve the resolution; the first one meets pixels, which no ReLU may cut.

    A 1 x 1 convolution commutes with the mean of pixels and is cheaper after it.
    """
    hidden = fan_out if first else fan_in
    pool = [nn.AvgPool2d(2)] if down else []
    residual = [
        *([] if first else [nn.ReLU()]),
        _conv(fan_in, hidden, 3, math.sqrt(2)),
        nn.ReLU(),
        _conv(hidden, fan_out, 3, math.sqrt(2)),
        *pool,
    ]
    return _Residual(residual, [*pool, _conv(fan_in, fan_out, 1)] if down else [])


class ResNetGenerator(Generator):
    """Residual generator (Miyato et al., 2018): nearest-pixel upsampling, batch norm, ReLU, tanh.

    Args:
        image_size: 32 or 64 pixels a side.
        channels: Channels of the image.
        latent_dim: Size of the latents.
        base_channels: Channels of the hidden map with the most pixels; null takes the authors':
            256 for 32 pixels, where all maps have them, 64 for 64, where each halving doubles them.
        depth: Residual blocks added after each block that doubles the resolution; 0 is the
            authors' network.

    Raises:
        InputError: ``image_size`` is another, ``depth`` below 0 or another size below 1.
    """

    def __init__(
        self,
        image_size: int = 32,
        channels: int = 3,
        latent_dim: int = 128,
        base_channels: int | None = None,
        depth: int = 0,
    ) -> None:
        super().__init__(latent_dim)
        widths = _widths(image_size, base_channels, _GENERATOR)
        at_least(1, channels=channels)
        at_least(0, depth=depth)
        self.event_shape = (channels, image_size, image_size)
        layers = [_linear(latent_dim, widths[0] * 4 * 4), nn.Unflatten(1, (widths[0], 4, 4))]
        for fan_in, fan_out in pairwise(widths):
            layers.append(_generator_block(fan_in, fan_out, up=True))
            layers += [_generator_block(fan_out, fan_out, up=False) for _ in range(depth)]
        layers += [nn.BatchNorm2d(widths[-1]), nn.ReLU(), _conv(widths[-1], channels, 3), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.to(memory_format=torch.channels_last)

    def forward(self, latents: Latents) -> Events:
        """Images (batch, channels, image_size, image_size) in [-1, 1]."""
        return self.layers(latents)


class ResNetDiscriminator(Discriminator):
    """Residual discriminator (Miyato et al., 2018): mean pooling, ReLU, a sum over pixels.

    For 32 pixels two blocks that halve the resolution and two that do not, for 64 five that do.

    Args:
        image_size: 32 or 64 pixels a side.
        channels: Channels of the image.
        base_channels: Channels of the hidden map with the most pixels; null takes the authors':
            128 for 32 pixels, where all maps have them, 64 for 64, where each halving doubles them.
        spectral_norm: Divide every weight by its largest singular value; SNGAN does.
        depth: Residual blocks added after each block that halves the resolution; 0 is the
            authors' network.
        minibatch: What the last layer sees of the other samples (`networks.minibatch`); then
            samples are not judged one by one.
        packing: Images judged at once (PacGAN, Lin et al., 2018), by all their channels.

    Raises:
        InputError: ``image_size`` is another, ``depth`` below 0 or another size below 1.
    """

    def __init__(
        self,
        image_size: int = 32,
        channels: int = 3,
        base_channels: int | None = None,
        spectral_norm: bool = False,
        depth: int = 0,
        minibatch: Minibatch = "none",
        packing: int = 1,
    ) -> None:
        super().__init__(packing)
        widths = _widths(image_size, base_channels, _DISCRIMINATOR)
        at_least(1, channels=channels)
        at_least(0, depth=depth)
        self.event_shape = (channels, image_size, image_size)
        blocks = []
        for i, (fan_in, fan_out) in enumerate(pairwise([packing * channels, *widths])):
            down = i < _HALVINGS[image_size]
            blocks.append(_discriminator_block(fan_in, fan_out, down, first=i == 0))
            if down:
                blocks += [_discriminator_block(fan_out, fan_out, False) for _ in range(depth)]
        self.blocks = nn.Sequential(*blocks, nn.ReLU())
        beside, width = with_minibatch(minibatch, widths[-1])
        self.beside, self.head = nn.Sequential(*beside), _linear(width, 1)
        self.to(memory_format=torch.channels_last)
        if spectral_norm:
            normalise_spectra(self)

    def forward(self, events: Events) -> Logits:
        """Logits (batch / packing,)."""
        return self.head(self.beside(self.blocks(self.pack(events)).sum((2, 3)))).squeeze(1)
