"""Work that several processes share: they pause together, stop together and fail together."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from lightning.pytorch import Trainer

__all__ = ["ALONE", "Pause", "in_step"]

Pause = Callable[[], None]
"""Called by all processes equally often: there they stop if one of them was asked to."""


def _go_on() -> None:
    """A process alone answers its signals at once."""


ALONE: AbstractContextManager[Pause] = nullcontext(_go_on)
"""Where one process does all the work."""


def in_step(trainer: Trainer) -> AbstractContextManager[Pause]:
    """Inside, each process does its part of one work, and where one fails all do.

    Reports are guarded: a process whose part has failed goes on training. The others must not wait
    for it in the middle of the report.

    Raises:
        FailedElsewhere: Another process has failed.
    """
    return trainer.strategy.in_step() if trainer.world_size > 1 else ALONE
