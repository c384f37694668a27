"""The names every stage shares: players, turns, the clock, networks, generative models.

Conventions of the whole package: images are float in [-1, 1], shape (batch, channels, height,
width); latents are (batch, latent); logits are (packs,), higher for real, one for each event, or
for each pack where a discriminator judges several events at once; time is counted in batches and
in samples seen.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.errors import InputError

__all__ = [
    "Augmentation",
    "Clock",
    "Decoder",
    "Discriminator",
    "Encoder",
    "Events",
    "Generative",
    "Generator",
    "InputError",
    "Latents",
    "Logits",
    "Losses",
    "Player",
    "Turn",
]

Events = Float[Tensor, "batch *event"]
Latents = Float[Tensor, "batch latent"]
Logits = Float[Tensor, " packs"]

Player = str
"""A player's name, e.g. ``generator``: players are named, never numbered."""

Turn = tuple[Player, ...]
"""The players that move at the same time; turns follow one another."""


class Clock(NamedTuple):
    """The time a schedule may read: batches seen, in all and in this epoch, and samples seen."""

    batch: int = 0
    epoch: int = 0
    batch_in_epoch: int = 0
    batches_per_epoch: int = 1
    samples: int = 0


class Losses(NamedTuple):
    """Each player's loss, one value per logit; every player minimises its own entry."""

    discriminator: Logits
    generator: Logits


class Generator(nn.Module, ABC):
    """A network from latents (batch, latent_dim) to events (batch, *event_shape).

    Args:
        latent_dim: Size of the latents.

    Raises:
        InputError: It is below 1.
    """

    event_shape: tuple[int, ...]

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        if latent_dim < 1:
            raise InputError(f"latent_dim is {latent_dim}; it must be at least 1")
        self.latent_dim = latent_dim

    @abstractmethod
    def forward(self, latents: Latents) -> Events:
        """Events made from ``latents``."""

    def sample(self, latents: Latents, source: torch.Generator | None) -> Events:
        """The same, with noise drawn with ``source`` on the CPU where samples have noise."""
        return self(latents)


class Discriminator(nn.Module, ABC):
    """A network from events (batch, *event_shape) to logits (batch / packing,), higher for real.

    Args:
        packing: Events that are judged at once (PacGAN, Lin et al., 2018), each pack with one
            logit: where a generator collapses, its packs are less diverse than real ones. 1
            judges events one by one.

    Raises:
        InputError: ``packing`` is below 1.
    """

    event_shape: tuple[int, ...]
    """Shape of one event, whatever ``packing`` is."""

    def __init__(self, packing: int = 1) -> None:
        super().__init__()
        if packing < 1:
            raise InputError(f"packing is {packing}; it must be at least 1")
        self.packing = packing

    def pack(self, events: Events) -> Float[Tensor, "packs ..."]:
        """Neighbours joined along their first axis: (batch / packing, packing * channels, ...).

        Raises:
            InputError: ``packing`` does not divide the batch.
        """
        if self.packing == 1:
            return events
        if len(events) % self.packing:
            raise InputError(
                f"{len(events)} events do not fill packs of {self.packing}: data.batch_size must "
                "be a multiple of model.discriminator.packing"
            )
        return events.unflatten(0, (-1, self.packing)).flatten(1, 2)

    @abstractmethod
    def forward(self, events: Events) -> Logits:
        """Logits of packs of neighbouring ``events`` being real; no sigmoid."""


class Encoder(nn.Module, ABC):
    """A network from events (batch, *event_shape) to the law of each one's latents.

    Args:
        latent_dim: Size of the latents.

    Raises:
        InputError: It is below 1.
    """

    event_shape: tuple[int, ...]

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        if latent_dim < 1:
            raise InputError(f"latent_dim is {latent_dim}; it must be at least 1")
        self.latent_dim = latent_dim

    @abstractmethod
    def forward(self, events: Events) -> tuple[Latents, Latents]:
        """Mean and logarithm of the variance of each latent, both (batch, latent_dim)."""


class Decoder(nn.Module, ABC):
    """A network from latents to what an observation needs to know of each value of an event.

    Args:
        latent_dim: Size of the latents.
        outputs: Numbers for each value: 1, or 2 where the decoder says scales, too.

    Raises:
        InputError: One is below 1.
    """

    event_shape: tuple[int, ...]

    def __init__(self, latent_dim: int, outputs: int = 1) -> None:
        super().__init__()
        for name, size in {"latent_dim": latent_dim, "outputs": outputs}.items():
            if size < 1:
                raise InputError(f"{name} is {size}; it must be at least 1")
        self.latent_dim, self.outputs = latent_dim, outputs

    @abstractmethod
    def forward(self, latents: Latents) -> Float[Tensor, "batch outputs *event"]:
        """What is said of each value, without bounds: (batch, outputs, *event_shape)."""


class Augmentation(nn.Module, ABC):
    """Events (batch, *event_shape) changed at random, differentiably, their shape kept."""

    @abstractmethod
    def forward(self, events: Events) -> Events:
        """Events of the same shape."""


@runtime_checkable
class Generative(Protocol):
    """All that callbacks and metrics may know of a model."""

    event_shape: tuple[int, ...]
    samples_seen: int

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """``n`` events (n, *event_shape), drawn with ``generator``, leaving training untouched."""
