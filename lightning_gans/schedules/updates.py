"""How the movers move: updates act on the moves of one turn and know nothing of networks."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_gans.types import InputError, Player, Turn

__all__ = [
    "Consensus",
    "Move",
    "Unrolled",
    "Update",
    "UpdateRule",
    "descend",
    "extragradient",
]


class Move(ABC):
    """One player's chance to move.

    Attributes:
        parameters: What the player moves.
    """

    parameters: Sequence[Tensor]

    @abstractmethod
    def backward(self) -> None:
        """Set the parameters' gradients to those of the player's loss at all present weights."""

    @abstractmethod
    def loss(self) -> Tensor:
        """The player's loss () at all present weights, differentiable by every player's."""

    @abstractmethod
    def take(self, loss: Tensor, gradients: Sequence[Tensor]) -> None:
        """Set the parameters' gradients to ``gradients``, made from ``loss`` ()."""

    def agreed(self, gradients: Sequence[Tensor]) -> Sequence[Tensor]:
        """The means of ``gradients``, which may carry a graph, over the processes that move."""
        return gradients

    @abstractmethod
    def step(self, look_ahead: bool = False) -> None:
        """Let the player's optimizer move the parameters along their gradients.

        Args:
            look_ahead: Whether the parameters will be put back.
        """

    @abstractmethod
    def put(self, values: Sequence[Tensor]) -> None:
        """Set the parameters to ``values``."""

    @abstractmethod
    def at(self, values: Sequence[Tensor]) -> AbstractContextManager:
        """Inside, ``values``, which may carry a graph, stand in the parameters' place."""


class UpdateRule(ABC):
    """An update with settings, which a config gives by ``class_path`` and ``init_args``."""

    @abstractmethod
    def __call__(self, turn: Turn, moves: Mapping[Player, Move]) -> None:
        """Move the players of ``turn``."""


Update = Callable[[Turn, Mapping[Player, Move]], None] | UpdateRule
"""From the players of a turn and everybody's moves to moved weights."""


def descend(turn: Turn, moves: Mapping[Player, Move]) -> None:
    """Gradient descent: every mover's gradient is taken before any mover's weights change."""
    for player in turn:
        moves[player].backward()
    for player in turn:
        moves[player].step()


def extragradient(turn: Turn, moves: Mapping[Player, Move]) -> None:
    """Look ahead one step, return, and step along the gradient found there (Korpelevich, 1976).

    With Adam this is ExtraAdam (Gidel et al., 2019, algorithm 4): its moments advance twice. Both
    gradients use the same batch and latents. Weights are brought back, running statistics of
    batch norm are not. For games, play it `Simultaneous`.
    """
    before = {player: [p.detach().clone() for p in moves[player].parameters] for player in turn}
    for player in turn:
        moves[player].backward()
    for player in turn:
        moves[player].step(look_ahead=True)
    for player in turn:
        moves[player].backward()
    for player in turn:
        moves[player].put(before[player])
    for player in turn:
        moves[player].step()


def _gradients(
    loss: Tensor, parameters: Sequence[Tensor], create_graph: bool = False
) -> Sequence[Tensor]:
    """Gradients of ``loss`` (), zeros where it does not depend on a parameter."""
    return torch.autograd.grad(
        loss, parameters, create_graph=create_graph, allow_unused=True, materialize_grads=True
    )


@dataclass(frozen=True)
class Consensus(UpdateRule):
    """Consensus optimisation: descend each loss + weight/2 |all gradients|^2 (Mescheder, 2017).

    The gradients are those of the players of the turn: play it `Simultaneous`.

    Args:
        weight: Of the penalty, gamma in the paper.

    Raises:
        InputError: ``weight`` is negative.
    """

    weight: float = 10.0

    def __post_init__(self) -> None:
        """Refuse to seek large gradients."""
        if not self.weight >= 0:
            raise InputError(f"update.weight is {self.weight}; it must be at least 0")

    def __call__(self, turn: Turn, moves: Mapping[Player, Move]) -> None:
        """Move the players of ``turn``."""
        losses = {player: moves[player].loss() for player in turn}
        gradients = {
            player: moves[player].agreed(
                _gradients(losses[player], moves[player].parameters, create_graph=True)
            )
            for player in turn
        }
        penalty = 0.5 * sum(g.square().sum() for all_g in gradients.values() for g in all_g)
        pulls = iter(_gradients(penalty, [p for player in turn for p in moves[player].parameters]))
        for player in turn:
            pulled = [g.detach() + self.weight * next(pulls) for g in gradients[player]]
            moves[player].take(losses[player].detach(), pulled)
        for player in turn:
            moves[player].step()


@dataclass(frozen=True)
class Unrolled(UpdateRule):
    """Unrolled GAN: the generator against a D that has answered (Metz et al., 2017).

    The discriminator takes ``steps`` gradient steps on the batch in thought; the generator's
    gradient goes through them; the discriminator's weights are those of before. It moves itself by
    plain descent. The thought steps are gradient steps as in the paper's equations; its
    experiments unrolled Adam. Running statistics of batch norm do see the passes in thought.

    Args:
        steps: Steps in thought; 0 is descent.
        learning_rate: Of the steps in thought.

    Raises:
        InputError: ``steps`` is negative or ``learning_rate`` is not positive.
    """

    steps: int = 5
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        """Refuse to think backwards."""
        if self.steps < 0:
            raise InputError(f"update.steps is {self.steps}; it must be at least 0")
        if not self.learning_rate > 0:
            raise InputError(f"update.learning_rate is {self.learning_rate}; it must be above 0")

    def __call__(self, turn: Turn, moves: Mapping[Player, Move]) -> None:
        """Move the players of ``turn``."""
        for player in turn:
            if player == "generator" and self.steps > 0:
                self._backward_through(moves["discriminator"], moves[player])
            else:
                moves[player].backward()
        for player in turn:
            moves[player].step()

    def _backward_through(self, rival: Move, move: Move) -> None:
        """Set ``move``'s gradients to those of its loss against the rival that has answered."""
        weights = list(rival.parameters)
        for _ in range(self.steps):
            with rival.at(weights):
                gradients = rival.agreed(_gradients(rival.loss(), weights, create_graph=True))
            weights = [w - self.learning_rate * g for w, g in zip(weights, gradients, strict=True)]
        with rival.at(weights):
            loss = move.loss()
            move.take(loss.detach(), _gradients(loss, move.parameters))
