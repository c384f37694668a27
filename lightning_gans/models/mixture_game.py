"""A mixture of Gaussians that moves along gradients: a game with one player."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lightning_gans.models.game import Game, OptimizerFactory, SchedulerFactory
from lightning_gans.models.gaussians import Gaussians
from lightning_gans.models.rounds import Round
from lightning_gans.models.rules import Clipping, Rules
from lightning_gans.objectives.covariances import Covariance
from lightning_gans.objectives.matrices import Full
from lightning_gans.schedules import Schedule
from lightning_gans.seeds import Stream
from lightning_gans.types import Clock, InputError, Player, Turn

__all__ = ["GaussianMixtureByGradient"]

_PLAYER = "mixture"


@dataclass(frozen=True)
class _Alone(Schedule):
    """The mixture moves on every batch."""

    def __call__(self, clock: Clock) -> tuple[Turn, ...]:
        """(mixture)."""
        return ((_PLAYER,),)


class _Numbers(nn.Module):
    """What moves: numbers of any size, in 64 bits, that weights and covariances are made of."""

    def __init__(self, components: int, dimension: int, covariance: Covariance) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(components, dtype=torch.float64))
        self.means = nn.Parameter(torch.zeros(components, dimension, dtype=torch.float64))
        self.spreads = nn.Parameter(covariance.unbound(covariance.unit(components, dimension)))


class GaussianMixtureByGradient(Gaussians, Game):
    """A mixture of Gaussians by descent on the negative log-likelihood (Hosseini and Sra, 2015).

    The density is `GaussianMixture`'s. Weights are a softmax, covariances are made of their
    logarithms or Cholesky factors, with ``reg_covar`` added.

    Args:
        event_shape: Of one event; its values are taken as one vector.
        components: Number of Gaussians.
        covariance: `Spherical`, `Diagonal`, `Tied` or `Full`.
        reg_covar: Added to every variance, so that no Gaussian can shrink to a point.
        restarts: Beginnings of the k-means that guesses the centres; the best is kept.
        initial_events: Events that k-means looks at.
        mixture_optimizer: In which direction it moves.
        mixture_scheduler: Its learning rate, stepped once a batch.
        clip_norm: Largest norm of the gradient; None clips nothing.
        max_skipped: Moves on end that may be skipped because something is not finite.

    Raises:
        InputError: A number is out of range.
    """

    compares = False

    def __init__(
        self,
        event_shape: Sequence[int],
        components: int,
        covariance: Covariance = Full(),
        reg_covar: float = 1e-6,
        restarts: int = 3,
        initial_events: int = 10_000,
        mixture_optimizer: OptimizerFactory = torch.optim.Adam,
        mixture_scheduler: SchedulerFactory | None = None,
        clip_norm: float | None = None,
        max_skipped: int = 20,
    ) -> None:
        rules = Rules(_Alone(), clipping=Clipping(clip_norm), max_skipped=max_skipped)
        super().__init__(rules)
        self._describe(event_shape, components, restarts)
        self._bind(covariance, reg_covar)
        if initial_events < 1:
            raise InputError(f"model.initial_events is {initial_events}; it must be at least 1")
        self.initial_events = initial_events
        self.numbers = _Numbers(components, self.dimension, covariance)
        self._optimizer, self._scheduler = mixture_optimizer, mixture_scheduler

    @property
    def log_weights(self) -> Tensor:
        """By softmax."""
        return self.numbers.logits.log_softmax(0)

    @property
    def means(self) -> Tensor:
        """As they are."""
        return self.numbers.means

    @property
    def covariances(self) -> Tensor:
        """With ``reg_covar`` in every variance."""
        return self.covariance.widened(self.covariance.bound(self.numbers.spreads), self.reg_covar)

    @property
    def players(self) -> dict[Player, nn.Module]:
        """The mixture."""
        return {_PLAYER: self.numbers}

    @property
    def optimizer_factories(self) -> dict[Player, OptimizerFactory]:
        """Its optimizer."""
        return {_PLAYER: self._optimizer}

    @property
    def scheduler_factories(self) -> dict[Player, SchedulerFactory]:
        """That of its learning rate, if there is one."""
        return {} if self._scheduler is None else {_PLAYER: self._scheduler}

    @torch.no_grad()
    def on_train_start(self) -> None:
        """A new run guesses its parameters by k-means."""
        super().on_train_start()
        if self.batches_seen == 0:
            log_weights, means, covariances = self.guess(self.first_events(self.initial_events))
            self.numbers.logits.copy_(log_weights)
            self.numbers.means.copy_(means)
            self.numbers.spreads.copy_(self.covariance.unbound(covariances))
            for tensor in self.state_dict().values():  # every process begins with the first one's
                tensor.copy_(self.trainer.strategy.broadcast(tensor))

    def begin(self, turns: Sequence[Turn]) -> None:
        """Nothing is to be made before."""

    def loss(self, player: Player, played: Round, attached: bool = False) -> Tensor:
        """Mean negative log-likelihood (), in nats an event."""
        keys = (self.seed, self.global_rank, played.batch + 1)
        return -self.log_prob(self.continuous(played.events, Stream.NOISE, *keys)).mean()

    def moved(self, player: Player) -> None:
        """Nothing follows from it."""

    def forget(self, player: Player) -> None:
        """It has made nothing."""

    def end(self) -> None:
        """Nothing is left."""
