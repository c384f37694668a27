"""One player at its move: its gradient, clipping, and what is not finite."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_gans.models.rounds import Round
from lightning_gans.models.rules import Clipping, total_norm
from lightning_gans.schedules import Move, Window
from lightning_gans.types import InputError, Player

__all__ = ["Board", "Mover"]


@runtime_checkable
class Board(Protocol):
    """What a mover asks of its game."""

    rounds: list[Round]
    at_hand: Round | None
    window: Window
    """Of the batch that is played."""

    def loss(self, player: Player, played: Round, attached: bool = False) -> Tensor:
        """The mean loss () of ``player`` on a round."""

    def manual_backward(self, loss: Tensor, **kwargs: Any) -> None:
        """``loss.backward`` under Lightning's precision."""

    def step_optimizer(self, optimizer: Optimizer) -> None:
        """Step, without counting it as one of training's."""

    def moved(self, player: Player) -> None:
        """``player``'s weights have changed."""

    def forget(self, player: Player) -> None:
        """What ``player`` has made must not be used again."""

    def agree(self, tensors: Sequence[Tensor]) -> None:
        """Let ``tensors`` be their means over the processes."""

    def agreed(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """The means over the processes of ``tensors``, differentiable."""


class Mover(Move):
    """A player's move under Lightning.

    Args:
        board: The game, with the rounds that are played.
        player: Its name.
        network: What it moves.
        optimizer: In which direction.
        clipping: Bounds on the gradient.
        scaler: What scales the losses of 16-bit floats, if anything does.

    Attributes:
        norm: Norm of the last gradient, before clipping.
        losses: Those of the moves since they were last logged.
        skipped: Moves not made because the loss or the gradient was not finite.
        skipped_on_end: How many of them since the last move that was made.
        failed: Whether something was not finite in this window.
        gathered: Rounds of this window whose gradients are there already.
    """

    def __init__(
        self,
        board: Board,
        player: Player,
        network: nn.Module,
        optimizer: Optimizer,
        clipping: Clipping,
        scaler: torch.amp.GradScaler | None = None,
    ) -> None:
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self._board, self._player, self._network = board, player, network
        self.optimizer, self._clipping, self._scaler = optimizer, clipping, scaler
        self._given = [
            {key: value for key, value in group.items() if key != "params"}
            for group in optimizer.param_groups
        ]
        self.norm = math.nan
        self.losses: list[float] = []
        self.skipped = self.skipped_on_end = 0
        self.failed = False
        self.gathered = 0
        self._loss: Tensor | float | None = None

    @property
    def gradients(self) -> list[Tensor]:
        """Those there are."""
        return [p.grad for p in self.parameters if p.grad is not None]

    def begin(self) -> None:
        """A new window begins; nothing is gathered yet."""
        self.gathered, self.failed = 0, False

    def use_given_settings(self) -> None:
        """Let the optimizer go by what it was made with, whatever a checkpoint brought back."""
        for group, given in zip(self.optimizer.param_groups, self._given, strict=True):
            group.update(given)

    def gather(self, partners: Sequence["Mover"] = ()) -> None:
        """Add the gradients of the rounds that are new; the player moves on a later batch.

        Args:
            partners: Others that minimise the same loss and have gathered the same rounds: one
                pass gives their gradients, too.
        """
        self._add(self._board.rounds[self.gathered :], partners)
        for mover in (self, *partners):
            mover.gathered, mover._loss = len(self._board.rounds), self._loss

    def backward(self, partners: Sequence["Mover"] = ()) -> None:
        """Set the gradients, those of ``partners`` too, to the mean over the window.

        They are taken at all present weights; ``partners`` as in `gather`.
        """
        rounds = self._board.rounds[self.gathered :]
        # Begin where the player before ended: what that round generated need not be made again.
        self._add(rounds[::-1] if rounds[-1] is self._board.at_hand else rounds, partners)
        if self._board.window.batches > 1:
            batches = len({played.batch for played in self._board.rounds})
            for mover in (self, *partners):
                torch._foreach_div_(mover.gradients, batches)
            self._loss /= batches
        movers = (self, *partners)
        self._board.agree([*(g for mover in movers for g in mover.gradients), self._loss])
        for mover in movers:
            mover.gathered, mover._loss = 0, self._loss

    def _add(self, rounds: list[Round], partners: Sequence["Mover"]) -> None:
        parameters = self.parameters + [p for mover in partners for p in mover.parameters]
        if not self.gathered:
            self._loss = None
            for parameter in parameters:
                parameter.grad = None
        for played in rounds:
            loss = self._weighted(played, attached=False)
            if not loss.requires_grad:
                raise InputError(
                    f"the {self._player}'s loss does not depend on its weights: see model.objective"
                )
            # Only the movers' gradients are computed: no toggling, nothing to restore.
            self._board.manual_backward(loss, inputs=parameters)
            loss = loss.detach()
            self._loss = loss if self._loss is None else self._loss + loss

    def _weighted(self, played: Round, attached: bool) -> Tensor:
        loss = self._board.loss(self._player, played, attached)
        return loss if played.size == played.batch_size else loss * played.size / played.batch_size

    def loss(self) -> Tensor:
        """The loss () on this batch at all present weights, differentiable by every player's."""
        return sum(self._weighted(played, attached=True) for played in self._board.rounds)

    def take(self, loss: Tensor, gradients: Sequence[Tensor]) -> None:
        """Set the gradients, made from ``loss`` ()."""
        self._loss = loss.clone()  # others may be given the same, and it becomes a mean in place
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        self._board.agree([*self.gradients, self._loss])

    def agreed(self, gradients: Sequence[Tensor]) -> Sequence[Tensor]:
        """The means over the processes of ``gradients``, which may carry a graph."""
        return self._board.agreed(gradients)

    def step(self, look_ahead: bool = False) -> None:
        """Move, unless the loss or the gradient is not finite: that would enter the weights.

        A step that only looks ahead is neither logged nor counted.
        """
        gradients = self.gradients
        scale = 1.0 if self._scaler is None else self._scaler.get_scale()
        self.norm, loss = total_norm(gradients) / scale, float(self._loss)
        finite = math.isfinite(self.norm + loss)
        self.failed |= not finite
        if not look_ahead:
            self._record(loss, finite)
        if finite:
            self._clipping(gradients, self.norm)
        if finite or self._scaler is not None:
            # A scaler must be told of what is not finite: it skips the move, and scales less.
            self._board.step_optimizer(self.optimizer)
        # A move that is skipped has used up what was computed, too.
        (self._board.moved if finite else self._board.forget)(self._player)

    def _record(self, loss: float, finite: bool) -> None:
        self.skipped += not finite
        self.skipped_on_end = 0 if finite else self.skipped_on_end + 1
        if finite:
            self.losses.append(loss)

    @torch.no_grad()
    def put(self, values: Sequence[Tensor]) -> None:
        """Set the parameters to ``values``."""
        torch._foreach_copy_(self.parameters, list(values))
        self._board.moved(self._player)

    @contextmanager
    def at(self, values: Sequence[Tensor]) -> Iterator[None]:
        """Inside, ``values``, which may carry a graph, stand in the parameters' place."""
        stand_in = {id(p): value for p, value in zip(self.parameters, values, strict=True)}
        places = [
            (module._parameters, name, parameter)
            for module in self._network.modules()
            for name, parameter in module._parameters.items()
            if id(parameter) in stand_in
        ]
        try:
            for slots, name, parameter in places:
                slots[name] = stand_in[id(parameter)]
            yield
        finally:
            for slots, name, parameter in places:
                slots[name] = parameter

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold for the next move to be the same."""
        return {
            "losses": list(self.losses),
            "skipped": self.skipped,
            "skipped_on_end": self.skipped_on_end,
            "gathered": self.gathered,
            "gathered_loss": float(self._loss) if self.gathered else 0.0,
            "gradients": [p.grad for p in self.parameters] if self.gathered else [],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.losses = list(state["losses"])
        self.skipped, self.skipped_on_end = state["skipped"], state["skipped_on_end"]
        self.gathered, self._loss = state["gathered"], state["gathered_loss"]
        for parameter, gradient in zip(self.parameters, state["gradients"], strict=False):
            parameter.grad = None if gradient is None else gradient.to(parameter)
