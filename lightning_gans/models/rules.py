"""What a game is played by: who moves, how, and within what bounds."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_gans.schedules import Schedule, Update, UpdateRule, descend
from lightning_gans.types import InputError

__all__ = ["Clipping", "Rules", "total_norm"]


def total_norm(tensors: Sequence[Tensor]) -> float:
    """The norm of all entries of ``tensors`` together; waits for the device."""
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(tensors))).item()


@dataclass(frozen=True)
class Clipping:
    """Bounds on a player's gradient before it moves; None bounds nothing.

    Args:
        norm: Largest norm of the whole gradient; a longer one is shortened to it.
        value: Largest size of each entry; clipped first.

    Raises:
        InputError: A bound is not positive.
    """

    norm: float | None = None
    value: float | None = None

    def __post_init__(self) -> None:
        """Refuse bounds that leave nothing."""
        for name, bound in {"clip_norm": self.norm, "clip_value": self.value}.items():
            if bound is not None and not bound > 0:
                raise InputError(f"model.{name} is {bound}; it must be above 0, or null")

    def __call__(self, gradients: list[Tensor], norm: float) -> None:
        """Clip ``gradients``, whose norm is ``norm``, in place."""
        if self.value is not None:
            torch._foreach_clamp_min_(gradients, -self.value)
            torch._foreach_clamp_max_(gradients, self.value)
            norm = total_norm(gradients)
        if self.norm is not None and norm > self.norm:
            torch._foreach_mul_(gradients, self.norm / norm)


@dataclass(frozen=True)
class Rules:
    """Who moves, how, and within what bounds.

    Args:
        schedule: Who moves on which batch.
        update: How the movers of one turn move.
        accumulate: Parts a batch is split into, to need less memory; every part enters the move
            with its weight, so the gradient is that of the whole, but for what depends on the
            rest of the batch: batch norm, relativistic averages, DRAGAN's spread.
        clipping: Bounds on each player's gradient.
        max_skipped: Moves of one player on end that may be skipped because their loss or gradient
            is not finite, before the run is stopped.

    Raises:
        InputError: A number is below 1, or the update cannot be used with the schedule.
    """

    schedule: Schedule
    update: Update = descend
    accumulate: int = 1
    clipping: Clipping = Clipping()
    max_skipped: int = 20

    def __post_init__(self) -> None:
        """Refuse what no game can be played by."""
        for name in ("accumulate", "max_skipped"):
            if (value := getattr(self, name)) < 1:
                raise InputError(f"model.{name} is {value}; it must be at least 1")
        if self.schedule.gathers and self.update is not descend:
            raise InputError(
                "model.schedule averages gradients over several batches, which only model.update "
                "descend can follow: the others need the batches again; use window 1 or descend"
            )
        if self.accumulate > 1 and isinstance(self.update, UpdateRule):
            raise InputError(
                f"model.accumulate saves no memory under model.update "
                f"{type(self.update).__name__}, which needs all parts at once; use 1"
            )
