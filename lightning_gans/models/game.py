"""A game in turns: the base of every model. Who moves, how, and the counting of time."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_gans.schedules import Move, Schedule, Update
from lightning_gans.types import Clock, Events, InputError, Player, Turn

__all__ = ["Game", "OptimizerFactory"]

OptimizerFactory = Callable[[Iterable], Optimizer]


class Game(LightningModule, ABC):
    """Players that take turns on every batch, under manual optimisation.

    A subclass names its players, gives each a loss, and can sample. One ``training_step`` is one
    batch and counts as one step, however many optimizers moved.

    Args:
        schedule: Who moves on which batch.
        update: How the movers of one turn move.
    """

    event_shape: tuple[int, ...]
    """Shape of one sample."""

    def __init__(self, schedule: Schedule, update: Update) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.schedule, self.update = schedule, update
        self.batches_seen = self.samples_seen = 0
        self.seed = 0
        self._rng_state: dict[str, Tensor] | None = None
        self._unlogged: dict[Player, list[float]] = {}

    @property
    @abstractmethod
    def players(self) -> dict[Player, nn.Module]:
        """The network each player moves, by the player's name."""

    @property
    @abstractmethod
    def optimizer_factories(self) -> dict[Player, OptimizerFactory]:
        """Each player's optimizer, given its parameters."""

    @abstractmethod
    def begin(self, events: Events, turns: Sequence[Turn]) -> None:
        """Take a batch of real events as the board of the ``turns`` that follow."""

    @abstractmethod
    def loss(self, player: Player) -> Tensor:
        """The mean loss () of ``player`` on this batch at the present weights."""

    @abstractmethod
    def moved(self, player: Player) -> None:
        """``player``'s weights have changed."""

    def configure_optimizers(self) -> list[Optimizer]:
        """One optimizer a player, in the order of ``players``.

        Raises:
            InputError: An optimizer refuses its settings.
        """
        optimizers = []
        for player, network in self.players.items():
            try:
                optimizers.append(self.optimizer_factories[player](network.parameters()))
            except ValueError as error:
                raise InputError(f"model.{player}_optimizer: {error}") from error
        return optimizers

    def setup(self, stage: str) -> None:
        """Refuse data whose shape the model does not make."""
        data = self.trainer.datamodule
        if data is not None and tuple(data.event_shape) != tuple(self.event_shape):
            raise InputError(
                f"the data are {tuple(data.event_shape)} (data.image_size, channels), the model "
                f"makes {tuple(self.event_shape)}; choose the same shape for both"
            )

    def on_fit_start(self) -> None:
        """Gather what every step needs once: seed, parameters, sums of losses."""
        if self.batches_seen == 0:
            self.seed = torch.initial_seed()
            self._unlogged = {player: [] for player in self.players}
        self._parameters_of = {
            player: [p for p in network.parameters() if p.requires_grad]
            for player, network in self.players.items()
        }
        self._optimizer_of = dict(zip(self.players, self.trainer.strategy.optimizers, strict=True))
        self._losses = {
            player: [torch.tensor(loss, device=self.device) for loss in losses]
            for player, losses in self._unlogged.items()
        }

    def on_train_start(self) -> None:
        """Go on with the random numbers of the run that is resumed, and the settings given now."""
        if self._rng_state is not None:
            torch.set_rng_state(self._rng_state["cpu"].cpu())
            if self.device.type == "cuda" and "cuda" in self._rng_state:
                torch.cuda.set_rng_state(self._rng_state["cuda"].cpu(), self.device)
            for optimizer in self.trainer.strategy.optimizers:
                # The checkpoint brought the old settings back with the moments.
                for group in optimizer.param_groups:
                    group.update(optimizer.defaults)
            self._rng_state = None

    @property
    def clock(self) -> Clock:
        """The time at the start of this batch."""
        progress = self.trainer.fit_loop.epoch_loop.batch_progress.current
        return Clock(
            batch=self.batches_seen,
            epoch=self.trainer.current_epoch,
            batch_in_epoch=progress.ready - 1,
            batches_per_epoch=int(self.trainer.num_training_batches),
            samples=self.samples_seen,
        )

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Play every turn of this batch, then count it once."""
        events, _ = batch
        turns = self.schedule(self.clock)
        self.begin(events, turns)
        for turn in turns:
            self.update([self.move(player) for player in turn])
        self._count(len(events))

    def move(self, player: Player) -> Move:
        """``player``'s chance to move on this batch."""
        parameters = self._parameters_of[player]

        def backward() -> Tensor:
            for parameter in parameters:
                parameter.grad = None
            loss = self.loss(player)
            # Only the mover's gradients are computed: no toggling, nothing to restore.
            self.manual_backward(loss, inputs=parameters)
            loss = loss.detach()
            self._losses[player].append(loss)
            return loss

        def step() -> None:
            # The strategy's hook runs the precision plugin and callbacks but, unlike
            # LightningOptimizer, does not count: a step is a batch, not an optimizer's step.
            self.trainer.strategy.optimizer_step(self._optimizer_of[player], lambda: None)
            self.moved(player)

        return Move(parameters, backward, step)

    def _count(self, samples: int) -> None:
        progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        progress.increment_ready()
        progress.increment_completed()
        self.batches_seen += 1
        self.samples_seen += samples * self.trainer.world_size
        every = self.trainer.log_every_n_steps
        if every and self.batches_seen % every == 0:
            self._log_losses()

    def _log_losses(self) -> None:
        """Mean losses since the last time, in one transfer; logging each step costs a step."""
        players = [player for player, losses in self._losses.items() if losses]
        means = torch.stack([torch.stack(self._losses[player]).mean() for player in players])
        names = [f"train/{player}_loss" for player in players]
        metrics = dict(zip(names, means.tolist(), strict=True))
        self.log_dict(metrics, prog_bar=True, logger=False)
        # Written now, not after the batch, so that a checkpoint of this batch finds the row there.
        for logger in self.trainer.loggers:
            logger.log_metrics({**metrics, "epoch": self.current_epoch}, self.batches_seen - 1)
        for losses in self._losses.values():
            losses.clear()

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        """Add the time, the seed and the state of the random numbers."""
        checkpoint["clock"] = {
            "batches_seen": self.batches_seen,
            "samples_seen": self.samples_seen,
            "seed": self.seed,
            "losses": {
                player: [loss.item() for loss in losses] for player, losses in self._losses.items()
            },
        }
        checkpoint["rng_state"] = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            checkpoint["rng_state"]["cuda"] = torch.cuda.get_rng_state(self.device)

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        """Set the time; the random numbers follow when training starts."""
        clock = checkpoint["clock"]
        self.batches_seen, self.samples_seen = clock["batches_seen"], clock["samples_seen"]
        self.seed = clock["seed"]
        self._rng_state = checkpoint["rng_state"]
        self._unlogged = clock["losses"]

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """``n`` events (n, *event_shape), drawn with ``generator``, leaving training untouched."""
