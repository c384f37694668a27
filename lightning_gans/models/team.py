"""Players who minimise the same loss, moving as one."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from torch import Tensor

from lightning_gans.models.mover import Mover
from lightning_gans.schedules import Move

__all__ = ["Team"]


class Team(Move):
    """Movers of one turn that minimise the same loss: one pass gives all their gradients.

    To an update they are one player; each steps along its own gradient by its own optimizer.

    Args:
        movers: Two or more, which have gathered the same rounds.
    """

    def __init__(self, movers: Sequence[Mover]) -> None:
        self._movers = movers
        self._lead, *self._partners = movers
        self.parameters = [p for mover in movers for p in mover.parameters]

    def gather(self) -> None:
        """Add the gradients of the rounds that are new; the players move on a later batch."""
        self._lead.gather(self._partners)

    def backward(self) -> None:
        """Set all gradients to the mean over the window, at all present weights."""
        self._lead.backward(self._partners)

    def loss(self) -> Tensor:
        """The loss () on this batch at all present weights, differentiable by every player's."""
        return self._lead.loss()

    def take(self, loss: Tensor, gradients: Sequence[Tensor]) -> None:
        """Set the gradients, made from ``loss`` ()."""
        for mover, own in self._shared_out(gradients):
            mover.take(loss, own)

    def agreed(self, gradients: Sequence[Tensor]) -> Sequence[Tensor]:
        """The means over the processes of ``gradients``, which may carry a graph."""
        return self._lead.agreed(gradients)

    def step(self, look_ahead: bool = False) -> None:
        """Let each move."""
        for mover in self._movers:
            mover.step(look_ahead)

    def put(self, values: Sequence[Tensor]) -> None:
        """Set the parameters to ``values``."""
        for mover, own in self._shared_out(values):
            mover.put(own)

    @contextmanager
    def at(self, values: Sequence[Tensor]) -> Iterator[None]:
        """Inside, ``values``, which may carry a graph, stand in the parameters' place."""
        with ExitStack() as stack:
            for mover, own in self._shared_out(values):
                stack.enter_context(mover.at(own))
            yield

    def _shared_out(self, tensors: Sequence[Tensor]) -> Iterator[tuple[Mover, Sequence[Tensor]]]:
        rest = iter(tensors)
        for mover in self._movers:
            yield mover, [next(rest) for _ in mover.parameters]
