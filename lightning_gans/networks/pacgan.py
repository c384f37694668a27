"""The perceptrons of PacGAN's two-dimensional experiments (Lin et al., 2018), for any events."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from lightning_gans.networks.layers import at_least
from lightning_gans.types import Discriminator, Events, Generator, Latents, Logits

__all__ = ["PacGANDiscriminator", "PacGANGenerator"]


class _LinearMaxout(nn.Module):
    """Maxout (Goodfellow et al., 2013): each output is the largest of some linear ones.

    Args:
        fan_in: Size of the input.
        fan_out: Size of the output.
        pieces: Linear functions an output is the maximum of.
    """

    def __init__(self, fan_in: int, fan_out: int, pieces: int) -> None:
        super().__init__()
        self.linear, self.pieces = nn.Linear(fan_in, fan_out * pieces), pieces

    def forward(self, x: Tensor) -> Tensor:
        """The maxima (batch, fan_out); the pieces of one output are neighbours in ``linear``."""
        return self.linear(x).unflatten(1, (-1, self.pieces)).amax(2)


def _initialise(network: nn.Module) -> None:
    """Weights N(0, 0.02), biases 0 (the authors' configuration)."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class PacGANGenerator(Generator):
    """PacGAN generator for points (Lin et al., 2018): a perceptron, batch norm, ReLU, linear out.

    Args:
        event_shape: Shape of one event, e.g. [2].
        latent_dim: Size of the latents.
        hidden: Sizes of the hidden layers.

    Raises:
        InputError: A size is below 1.
    """

    def __init__(
        self,
        event_shape: Sequence[int] = (2,),
        latent_dim: int = 2,
        hidden: Sequence[int] = (400, 400, 400, 400),
    ) -> None:
        super().__init__(latent_dim)
        at_least(1, event_shape=event_shape, hidden=hidden)
        self.event_shape = tuple(event_shape)
        sizes = (latent_dim, *hidden)
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(sizes):
            layers += [
                nn.Linear(fan_in, fan_out, bias=False),
                nn.BatchNorm1d(fan_out, eps=1e-4, momentum=0.05),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], math.prod(event_shape)))
        _initialise(self)

    def forward(self, latents: Latents) -> Events:
        """Events (batch, *event_shape), unbounded."""
        return self.layers(latents).unflatten(1, self.event_shape)


class PacGANDiscriminator(Discriminator):
    """PacGAN discriminator for points (Lin et al., 2018): maxout layers.

    Args:
        event_shape: Shape of one event, e.g. [2].
        hidden: Sizes of the maxout layers.
        pieces: Linear functions each maxout unit is the maximum of.
        packing: Events judged at once, by all their coordinates; 2 is the paper's PacGAN2.

    Raises:
        InputError: A size is below 1.
    """

    def __init__(
        self,
        event_shape: Sequence[int] = (2,),
        hidden: Sequence[int] = (200, 200, 200),
        pieces: int = 5,
        packing: int = 1,
    ) -> None:
        super().__init__(packing)
        at_least(1, event_shape=event_shape, hidden=hidden, pieces=pieces)
        self.event_shape = tuple(event_shape)
        sizes = (packing * math.prod(event_shape), *hidden)
        maxouts = [_LinearMaxout(*fans, pieces) for fans in pairwise(sizes)]
        self.layers = nn.Sequential(*maxouts, nn.Linear(sizes[-1], 1))
        _initialise(self)

    def forward(self, events: Events) -> Logits:
        """Logits (batch / packing,)."""
        return self.layers(self.pack(events).flatten(1)).squeeze(1)
