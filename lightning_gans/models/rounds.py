"""Rounds: the batches, or parts of them, whose gradients enter one move."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from lightning_gans.types import Events

__all__ = ["Round", "rounds_of"]


@dataclass
class Round:
    """A batch, or a part of one, whose gradient enters a move.

    Attributes:
        events: Real events (size, *event); None once nobody needs them any more.
        batch: The number of the batch, from which its latents follow.
        part: The rows of the batch that this is.
        batch_size: Rows of the whole batch.
    """

    events: Events | None
    batch: int
    part: slice
    batch_size: int

    @property
    def size(self) -> int:
        """Its rows."""
        return self.part.stop - self.part.start

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold of it."""
        part = (self.part.start, self.part.stop)
        return {**vars(self), "part": part}

    @classmethod
    def load(cls, state: dict[str, Any], device: torch.device) -> "Round":
        """The round of `state`."""
        events = state["events"]
        moved = None if events is None else events.to(device)
        return cls(**{**state, "part": slice(*state["part"]), "events": moved})


def rounds_of(events: Events, batch: int, parts: int) -> list[Round]:
    """``events``, the ``batch``-th batch, in ``parts`` rounds as equal as may be."""
    n = len(events)
    if parts == 1:
        return [Round(events, batch, slice(0, n), n)]
    ends = sorted({n * i // parts for i in range(parts + 1)})
    return [Round(events[start:end], batch, slice(start, end), n) for start, end in pairwise(ends)]
