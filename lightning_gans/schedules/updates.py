"""How the movers move: updates act on the moves of one turn and know nothing of networks."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor

__all__ = ["Move", "Update", "descend"]


class Move(NamedTuple):
    """One player's chance to move.

    Attributes:
        parameters: What the player moves.
        backward: Set the parameters' gradients to those of the player's loss, at the present
            weights of all players; returns the loss, detached.
        step: Let the player's optimizer move the parameters along their gradients.
    """

    parameters: Sequence[Tensor]
    backward: Callable[[], Tensor]
    step: Callable[[], None]


Update = Callable[[Sequence[Move]], None]


def descend(moves: Sequence[Move]) -> None:
    """Gradient descent: every mover's gradient is taken before any mover's weights change."""
    for move in moves:
        move.backward()
    for move in moves:
        move.step()
