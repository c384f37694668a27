"""Encoders and decoders: perceptrons, and convolutions in the sizes of the DCGAN family."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.networks.layers import NORMS, Norm, at_least, doubling, halving, keep_size
from lightning_gans.networks.mlp import Activation, perceptron
from lightning_gans.types import Decoder, Encoder, Events, InputError, Latents

__all__ = ["DCGANDecoder", "DCGANEncoder", "MLPDecoder", "MLPEncoder"]

_SMALLEST = {28: 7, 32: 4, 64: 4, 128: 4}
"""Side of the smallest map of the images that can be made."""


class MLPEncoder(Encoder):
    """A perceptron from events to latents.

    Args:
        event_shape: Shape of one event, e.g. [2] or [1, 28, 28].
        latent_dim: Size of the latents.
        hidden: Sizes of the hidden layers; none makes it linear.
        activation: Between the layers; leaky_relu has slope 0.2.

    Raises:
        InputError: A size is below 1.
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        latent_dim: int = 20,
        hidden: Sequence[int] = (400,),
        activation: Activation = "relu",
    ) -> None:
        super().__init__(latent_dim)
        at_least(1, hidden=hidden)
        self.event_shape = tuple(event_shape)
        sizes = (math.prod(event_shape), *hidden, 2 * latent_dim)
        self.layers = nn.Sequential(nn.Flatten(), *perceptron(sizes, activation))

    def forward(self, events: Events) -> tuple[Latents, Latents]:
        """Mean and logarithm of the variance of each latent, both (batch, latent_dim)."""
        return self.layers(events).chunk(2, 1)


class MLPDecoder(Decoder):
    """A perceptron from latents to what is said of an event.

    Args:
        event_shape: Shape of one event, e.g. [2] or [1, 28, 28].
        latent_dim: Size of the latents.
        hidden: Sizes of the hidden layers; none makes it linear.
        activation: Between the layers; leaky_relu has slope 0.2.
        outputs: Numbers for each value: 1, or 2 where the decoder says scales, too.

    Raises:
        InputError: A size is below 1.
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        latent_dim: int = 20,
        hidden: Sequence[int] = (400,),
        activation: Activation = "relu",
        outputs: int = 1,
    ) -> None:
        super().__init__(latent_dim, outputs)
        at_least(1, hidden=hidden)
        self.event_shape = tuple(event_shape)
        sizes = (latent_dim, *hidden, outputs * math.prod(event_shape))
        self.layers = nn.Sequential(
            *perceptron(sizes, activation), nn.Unflatten(1, (outputs, *event_shape))
        )

    def forward(self, latents: Latents) -> Float[Tensor, "batch outputs *event"]:
        """What is said of each value: (batch, outputs, *event_shape)."""
        return self.layers(latents)


def _maps(image_size: int, channels: int, base_channels: int) -> tuple[list[int], int]:
    """Channels of the maps from image_size / 2 down, doubling, and the side of the smallest."""
    if image_size not in _SMALLEST:
        sizes = ", ".join(map(str, _SMALLEST))
        raise InputError(f"image_size is {image_size}; the autoencoders take {sizes} pixels")
    at_least(1, channels=channels, base_channels=base_channels)
    side = _SMALLEST[image_size]
    return [base_channels * 2**i for i in range((image_size // side).bit_length() - 1)], side


class DCGANEncoder(Encoder):
    """DCGAN's discriminator (Radford et al., 2016) that ends in latents instead of a logit.

    Args:
        image_size: 28, 32, 64 or 128 pixels a side.
        channels: Channels of the image.
        latent_dim: Size of the latents.
        base_channels: Channels of the map with the most pixels; each halving doubles them.
        hidden: Sizes of dense layers between the smallest map and the latents.
        norm: Of the maps but the first. Weights start so that maps keep their size (He et al.,
            2015).

    Raises:
        InputError: ``image_size`` is another, or another size below 1.
    """

    def __init__(
        self,
        image_size: int = 32,
        channels: int = 1,
        latent_dim: int = 20,
        base_channels: int = 32,
        hidden: Sequence[int] = (),
        norm: Norm = "none",
    ) -> None:
        super().__init__(latent_dim)
        self.event_shape = (channels, image_size, image_size)
        widths, side = _maps(image_size, channels, base_channels)
        at_least(1, hidden=hidden)
        maps = halving((channels, *widths), norm)
        dense = perceptron((widths[-1] * side * side, *hidden, 2 * latent_dim), "leaky_relu")
        self.layers = nn.Sequential(*maps, nn.Flatten(), *dense)
        keep_size(self)
        self.to(memory_format=torch.channels_last)

    def forward(self, events: Events) -> tuple[Latents, Latents]:
        """Mean and logarithm of the variance of each latent, both (batch, latent_dim)."""
        return self.layers(events).chunk(2, 1)


class DCGANDecoder(Decoder):
    """DCGAN's generator (Radford et al., 2016) without the bounds of its last layer.

    Args:
        image_size: 28, 32, 64 or 128 pixels a side.
        channels: Channels of the image.
        latent_dim: Size of the latents.
        base_channels: Channels of the hidden map with the most pixels; each halving doubles them.
        hidden: Sizes of dense layers between the latents and the smallest map.
        norm: Of the hidden maps. Weights start so that maps keep their size (He et al., 2015).
        outputs: Numbers for each value: 1, or 2 where the decoder says scales, too.

    Raises:
        InputError: ``image_size`` is another, or another size below 1.
    """

    def __init__(
        self,
        image_size: int = 32,
        channels: int = 1,
        latent_dim: int = 20,
        base_channels: int = 32,
        hidden: Sequence[int] = (),
        norm: Norm = "none",
        outputs: int = 1,
    ) -> None:
        super().__init__(latent_dim, outputs)
        self.event_shape = (channels, image_size, image_size)
        widths, side = _maps(image_size, channels, base_channels)
        at_least(1, hidden=hidden)
        widths = widths[::-1]
        self.layers = nn.Sequential(
            *perceptron((latent_dim, *hidden, widths[0] * side * side), "relu"),
            nn.Unflatten(1, (widths[0], side, side)),
            *NORMS[norm](widths[0]),
            nn.ReLU(),
            *doubling(widths, norm),
            nn.ConvTranspose2d(widths[-1], outputs * channels, 4, 2, 1),
        )
        keep_size(self)
        self.to(memory_format=torch.channels_last)

    def forward(self, latents: Latents) -> Float[Tensor, "batch outputs *event"]:
        """What is said of each value: (batch, outputs, channels, image_size, image_size)."""
        return self.layers(latents).unflatten(1, (self.outputs, -1))
