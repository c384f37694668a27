"""Who moves now: schedules from the clock to the turns of this batch."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, get_args

from lightning_gans.types import Clock, InputError, Player, Turn

__all__ = [
    "Accumulated",
    "Alternating",
    "BatchCount",
    "Order",
    "Phased",
    "Schedule",
    "Simultaneous",
    "Stages",
    "Window",
]

BatchCount = int | Literal["epoch"]
"""A number of batches, or all those of an epoch."""

Order = Literal["sequential", "simultaneous"]
"""Whether the second player's gradients are taken after or before the first one moves."""


class Window(NamedTuple):
    """The batches whose gradients one move averages.

    Attributes:
        batches: How many there are.
        filled: How many of them there are so far, this one included.
    """

    batches: int = 1
    filled: int = 1


class Schedule(ABC):
    """From the clock to the turns of this batch; every batch gives at least one turn."""

    gathers = False
    """Whether moves may average the gradients of several batches."""

    @abstractmethod
    def __call__(self, clock: Clock) -> tuple[Turn, ...]:
        """The turns of the batch at ``clock``, in order."""

    def window_at(self, clock: Clock) -> Window:
        """The window of the batch at ``clock``; players move on the batch that fills it."""
        return Window()

    def between(self, first: Player, second: Player) -> "Schedule":
        """The same for a game of these players, where the schedule does not name its own."""
        return self


@dataclass(frozen=True)
class _OfTwo(Schedule):
    """A schedule of two players, D and G, or the first and the second of another game.

    Args:
        players: Their names; None are the game's own: the encoder and the decoder of a VAE.
    """

    players: tuple[Player, Player] | None = field(default=None, kw_only=True)

    @property
    def pair(self) -> tuple[Player, Player]:
        """The names of the first and of the second."""
        return self.players or ("discriminator", "generator")

    def between(self, first: Player, second: Player) -> Schedule:
        """The same for these players, unless others are named."""
        return self if self.players else replace(self, players=(first, second))


def _at_least_one(schedule: Schedule, *names: str) -> None:
    for name in names:
        value, key = getattr(schedule, name), f"{type(schedule).__name__}.{name}"
        if isinstance(value, str) and value != "epoch":
            raise InputError(f"{key} is {value!r}; it must be a number of batches, or epoch")
        if value != "epoch" and value < 1:
            raise InputError(f"{key} is {value}; it must be at least 1")


@dataclass(frozen=True)
class Alternating(_OfTwo):
    """D moves on every batch, G on every ratio-th (Goodfellow et al., 2014, algorithm 1).

    Args:
        ratio: Discriminator moves for each generator move, each on a fresh batch.
        repeats: Moves of the generator when it is its turn, all with the same latents; two in a
            common DCGAN implementation, so that its discriminator does not win.

    Raises:
        InputError: A number is below 1.
    """

    ratio: int = 1
    repeats: int = 1

    def __post_init__(self) -> None:
        """Refuse a game in which nobody moves."""
        _at_least_one(self, "ratio", "repeats")

    def __call__(self, clock: Clock) -> tuple[Turn, ...]:
        """(D), and on every ratio-th batch (D)(G), with G repeated."""
        first, second = self.pair
        if (clock.batch + 1) % self.ratio:
            return ((first,),)
        return ((first,), *((second,),) * self.repeats)


@dataclass(frozen=True)
class Simultaneous(_OfTwo):
    """Both move at once, each against the other's weights before the move.

    The joint step of players who minimise the same loss, as a VAE's. In a GAN plain descent so
    spirals out of bilinear games (Mescheder et al., 2017); it is the schedule of extragradient
    and consensus there.
    """

    def __call__(self, clock: Clock) -> tuple[Turn, ...]:
        """(D G)."""
        return (self.pair,)


@dataclass(frozen=True)
class Accumulated(_OfTwo):
    """GEAN, accumulated: each player moves once a window, along its mean gradient over it.

    All gradients of a player in a window are taken at the same weights. With a window of one
    batch, sequential is `Alternating` and simultaneous is `Simultaneous`, bit for bit.

    Args:
        window: Batches that a move averages, or ``epoch`` for all those of the epoch.
        order: ``sequential``: D moves first, and G's gradients on the same batches are taken
            against the moved D. ``simultaneous``: both are taken before either moves.

    Raises:
        InputError: ``window`` is below 1, or ``order`` another.
    """

    window: BatchCount = "epoch"
    order: Order = "sequential"

    def __post_init__(self) -> None:
        """Refuse an empty window and an unknown order."""
        _at_least_one(self, "window")
        if self.order not in get_args(Order):
            raise InputError(
                f"Accumulated.order is {self.order!r}; choose {' or '.join(get_args(Order))}"
            )

    @property
    def gathers(self) -> bool:
        """Whether moves may average the gradients of several batches."""
        return self.window != 1

    def window_at(self, clock: Clock) -> Window:
        """Windows follow one another, over the ends of epochs too."""
        if self.window == "epoch":
            return Window(clock.batches_per_epoch, clock.batch_in_epoch + 1)
        return Window(self.window, clock.batch % self.window + 1)

    def __call__(self, clock: Clock) -> tuple[Turn, ...]:
        """(D G), or (D) and on the batch that fills the window (D)(G)."""
        if self.order == "simultaneous":
            return (self.pair,)
        first, second = self.pair
        batches, filled = self.window_at(clock)
        return ((first,),) if filled < batches else ((first,), (second,))


@dataclass(frozen=True)
class Phased(_OfTwo):
    """GEAN, phased: D moves on every batch of its windows, then G on every batch of its own.

    Args:
        discriminator: Windows in which D, the first player, moves; they come first.
        generator: Windows in which G, the second, moves, after those of D.
        window: Batches in a window, or ``epoch``.

    Raises:
        InputError: A number is below 1.
    """

    discriminator: int = 1
    generator: int = 1
    window: BatchCount = "epoch"

    def __post_init__(self) -> None:
        """Refuse a phase in which nobody moves."""
        _at_least_one(self, "discriminator", "generator", "window")

    def __call__(self, clock: Clock) -> tuple[Turn, ...]:
        """(D) in D's windows, then (G) in G's."""
        windows = clock.epoch if self.window == "epoch" else clock.batch // self.window
        place = windows % (self.discriminator + self.generator)
        first, second = self.pair
        return ((first if place < self.discriminator else second,),)

    def bilinear_gain(
        self, batches_per_epoch: int, discriminator_lr: float, generator_lr: float
    ) -> float:
        """K_D lr_D K_G lr_G, with K a player's moves in a phase.

        On the bilinear game theta psi, whose curvature is one, plain gradient steps in phases
        stay bounded if and only if this is below 4: the two phases, the discriminator's first,
        take (theta, psi) by [[1 - ab, -a], [b, 1]] with a = K_G lr_G and b = K_D lr_D.
        """
        batches = batches_per_epoch if self.window == "epoch" else self.window
        return (
            self.discriminator
            * batches
            * discriminator_lr
            * self.generator
            * batches
            * generator_lr
        )


@dataclass(frozen=True)
class Stages(Schedule):
    """The encoder and the decoder to the end, then a second pair (Dai and Wipf, 2019).

    Args:
        epochs: Of the first stage.

    Raises:
        InputError: It is below 1.
    """

    epochs: int

    def __post_init__(self) -> None:
        """Refuse a second stage without a first."""
        _at_least_one(self, "epochs")

    def __call__(self, clock: Clock) -> tuple[Turn, ...]:
        """(E D), then (E2 D2)."""
        if clock.epoch < self.epochs:
            return (("encoder", "decoder"),)
        return (("second_encoder", "second_decoder"),)
