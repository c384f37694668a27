"""Who moves now: schedules from the clock to the turns of this batch."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from lightning_gans.types import Clock, InputError, Turn

__all__ = ["Alternating", "Schedule"]


class Schedule(ABC):
    """From the clock to the turns of this batch; every batch gives at least one turn."""

    @abstractmethod
    def __call__(self, clock: Clock) -> tuple[Turn, ...]:
        """The turns of the batch at ``clock``, in order."""


@dataclass(frozen=True)
class Alternating(Schedule):
    """D moves on every batch, G on every ratio-th (Goodfellow et al., 2014, algorithm 1).

    Args:
        ratio: Discriminator moves for each generator move, each on a fresh batch.

    Raises:
        InputError: ``ratio`` is below 1.
    """

    ratio: int = 1

    def __post_init__(self) -> None:
        """Refuse a game in which nobody moves."""
        if self.ratio < 1:
            raise InputError(f"schedule.ratio is {self.ratio}; it must be at least 1")

    def __call__(self, clock: Clock) -> tuple[Turn, ...]:
        """(D), and on every ratio-th batch (D)(G)."""
        if (clock.batch + 1) % self.ratio:
            return (("discriminator",),)
        return (("discriminator",), ("generator",))
