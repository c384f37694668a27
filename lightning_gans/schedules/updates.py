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
    def step(self) -> None:
        """Let the player's optimizer move the parameters along their gradients."""

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
    descend(turn, moves)
    for player in turn:
        moves[player].backward()
    for player in turn:
        moves[player].put(before[player])
    for player in turn:
        moves[player].step()


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
        if self.weight < 0:
            raise InputError(f"update.weight is {self.weight}; it must be at least 0")

    def __call__(self, turn: Turn, moves: Mapping[Player, Move]) -> None:
        """Move the players of ``turn``."""
        gradients = {
            player: torch.autograd.grad(
                moves[player].loss(), moves[player].parameters, create_graph=True
            )
            for player in turn
        }
        penalty = 0.5 * sum(g.square().sum() for all_g in gradients.values() for g in all_g)
        movers = [p for player in turn for p in moves[player].parameters]
        pulls = torch.autograd.grad(penalty, movers, allow_unused=True, materialize_grads=True)
        ours = [g for player in turn for g in gradients[player]]
        for parameter, gradient, pull in zip(movers, ours, pulls, strict=True):
            parameter.grad = gradient.detach() + self.weight * pull
        for player in turn:
            moves[player].step()


@dataclass(frozen=True)
class Unrolled(UpdateRule):
    """Unrolled GAN: a player's loss against a rival that has answered (Metz et al., 2017).

    The rival takes ``steps`` gradient steps on the batch in thought; the player's gradient goes
    through them; the rival's weights are those of before. The rival itself moves by plain
    descent. The thought steps are gradient steps as in the paper's equations; its experiments
    unrolled Adam. Running statistics of batch norm do see the passes in thought.

    Args:
        steps: Steps in thought; 0 is descent.
        learning_rate: Of the steps in thought.
        rival: The player that is unrolled.

    Raises:
        InputError: ``steps`` is negative or ``learning_rate`` is not positive.
    """

    steps: int = 5
    learning_rate: float = 1e-3
    rival: Player = "discriminator"

    def __post_init__(self) -> None:
        """Refuse to think backwards."""
        if self.steps < 0:
            raise InputError(f"update.steps is {self.steps}; it must be at least 0")
        if self.learning_rate <= 0:
            raise InputError(f"update.learning_rate is {self.learning_rate}; it must be above 0")

    def __call__(self, turn: Turn, moves: Mapping[Player, Move]) -> None:
        """Move the players of ``turn``."""
        if self.rival not in moves:
            raise InputError(f"update.rival is {self.rival!r}; the players are {', '.join(moves)}")
        for player in turn:
            if player == self.rival or self.steps == 0:
                moves[player].backward()
            else:
                self._backward_through(moves[self.rival], moves[player])
        for player in turn:
            moves[player].step()

    def _backward_through(self, rival: Move, move: Move) -> None:
        """Set ``move``'s gradients to those of its loss against the rival that has answered."""
        weights = list(rival.parameters)
        for _ in range(self.steps):
            with rival.at(weights):
                gradients = torch.autograd.grad(rival.loss(), weights, create_graph=True)
            weights = [w - self.learning_rate * g for w, g in zip(weights, gradients, strict=True)]
        with rival.at(weights):
            gradients = torch.autograd.grad(move.loss(), move.parameters)
        for parameter, gradient in zip(move.parameters, gradients, strict=True):
            parameter.grad = gradient
