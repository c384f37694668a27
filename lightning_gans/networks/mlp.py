"""Perceptrons for events of any shape: points, vectors, small images."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import nn

from lightning_gans.networks.layers import ScaledSigmoid, normalise_spectra
from lightning_gans.networks.minibatch import Minibatch, with_minibatch
from lightning_gans.types import Discriminator, Events, Generator, InputError, Latents, Logits

__all__ = ["Activation", "MLPDiscriminator", "MLPGenerator", "perceptron"]

Activation = Literal["leaky_relu", "relu", "tanh"]
Output = Literal["linear", "sigmoid", "tanh"]


_ACTIVATIONS = {"leaky_relu": lambda: nn.LeakyReLU(0.2), "relu": nn.ReLU, "tanh": nn.Tanh}
_OUTPUTS = {"linear": nn.Identity, "sigmoid": ScaledSigmoid, "tanh": nn.Tanh}


def perceptron(
    sizes: Sequence[int], activation: Activation, minibatch: Minibatch = "none"
) -> list[nn.Module]:
    """Linear layers through ``sizes`` with ``activation`` between them."""
    if min(sizes) < 1:
        raise InputError(f"the sizes of a perceptron's layers are {list(sizes)}; each must be >= 1")
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes[:-1]):
        layers += [nn.Linear(fan_in, fan_out), _ACTIVATIONS[activation]()]
    beside, width = with_minibatch(minibatch, sizes[-2])
    return [*layers, *beside, nn.Linear(width, sizes[-1])]


def _orthogonal(network: nn.Module, gain: float | None) -> None:
    """Weights orthogonal (Saxe et al., 2014) times ``gain``, biases 0; None changes nothing."""
    if gain is not None:
        for module in network.layers:
            if isinstance(module, nn.Linear):
                nn.init.orthogonal_(module.weight, gain)
                nn.init.zeros_(module.bias)


class MLPGenerator(Generator):
    """A perceptron from latents to events.

    Args:
        event_shape: Shape of one event, e.g. [2] or [1, 28, 28].
        latent_dim: Size of the latents.
        hidden: Sizes of the hidden layers.
        activation: Between the layers; leaky_relu has slope 0.2.
        output: Of the last layer; sigmoid is stretched to [-1, 1].
        gain: Start with orthogonal weights of this gain and biases 0; None starts as torch does.

    Raises:
        InputError: A size is below 1.
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        latent_dim: int = 100,
        hidden: Sequence[int] = (128, 256),
        activation: Activation = "leaky_relu",
        output: Output = "tanh",
        gain: float | None = None,
    ) -> None:
        super().__init__(latent_dim)
        self.event_shape = tuple(event_shape)
        sizes = (latent_dim, *hidden, math.prod(event_shape))
        self.layers = nn.Sequential(*perceptron(sizes, activation), _OUTPUTS[output]())
        _orthogonal(self, gain)

    def forward(self, latents: Latents) -> Events:
        """Events (batch, *event_shape)."""
        return self.layers(latents).unflatten(1, self.event_shape)


class MLPDiscriminator(Discriminator):
    """A perceptron from events to logits.

    Args:
        event_shape: Shape of one event, e.g. [2] or [1, 28, 28].
        hidden: Sizes of the hidden layers.
        activation: Between the layers; leaky_relu has slope 0.2.
        spectral_norm: Divide every weight by its largest singular value (Miyato et al., 2018).
        minibatch: What the last layer sees of the other samples (`networks.minibatch`); then
            samples are not judged one by one.
        packing: Events judged at once (PacGAN, Lin et al., 2018), by all their coordinates.
        gain: Start with orthogonal weights of this gain and biases 0; None starts as torch does.

    Raises:
        InputError: A size is below 1.
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        hidden: Sequence[int] = (256, 128),
        activation: Activation = "leaky_relu",
        spectral_norm: bool = False,
        minibatch: Minibatch = "none",
        packing: int = 1,
        gain: float | None = None,
    ) -> None:
        super().__init__(packing)
        self.event_shape = tuple(event_shape)
        sizes = (packing * math.prod(event_shape), *hidden, 1)
        self.layers = nn.Sequential(*perceptron(sizes, activation, minibatch))
        _orthogonal(self, gain)
        if spectral_norm:
            normalise_spectra(self)

    def forward(self, events: Events) -> Logits:
        """Logits (batch / packing,)."""
        return self.layers(self.pack(events).flatten(1)).squeeze(1)
