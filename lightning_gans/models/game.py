"""A game in turns: the base of every model. Who moves, how, and the counting of time."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lightning_gans.models.advice import reason_to_stop, warn_of_rules
from lightning_gans.models.checks import check_precision, make_scheduler
from lightning_gans.models.model import Model
from lightning_gans.models.mover import Mover
from lightning_gans.models.rounds import Round, rounds_of
from lightning_gans.models.rules import Rules
from lightning_gans.models.statistics import Statistics
from lightning_gans.models.team import Team
from lightning_gans.types import InputError, Player, Turn

__all__ = ["Game", "OptimizerFactory", "SchedulerFactory"]

OptimizerFactory = Callable[[Iterable], Optimizer]
SchedulerFactory = Callable[[Optimizer], LRScheduler]


class Game(Model, ABC):
    """Players that take turns on every batch, under manual optimisation.

    A subclass names its players, gives each a loss, and can sample. One ``training_step`` is one
    batch and counts as one step, however many optimizers moved.

    Args:
        rules: Who moves, how, and within what bounds.
    """

    compares: bool
    """Whether some player's loss needs the real events in a turn after the first."""
    shared: Sequence[tuple[Player, ...]] = ()
    """Players that minimise the same loss: in one turn, one pass gives all their gradients."""
    at_hand: Round | None = None
    """The round whose generated events need not be made again."""

    plain = Model.plain | {"at_hand", "rounds"}

    def __init__(self, rules: Rules) -> None:
        super().__init__()
        self.rules = rules
        self.schedule, self.update = rules.schedule, rules.update
        self.rounds: list[Round] = []
        self._saved: dict[str, Any] | None = None

    @property
    @abstractmethod
    def players(self) -> dict[Player, nn.Module]:
        """The network each player moves, by the player's name."""

    @property
    @abstractmethod
    def optimizer_factories(self) -> dict[Player, OptimizerFactory]:
        """Each player's optimizer, given its parameters."""

    @property
    def scheduler_factories(self) -> dict[Player, SchedulerFactory]:
        """Learning-rate schedulers, given the optimizer, of the players that have one."""
        return {}

    @abstractmethod
    def begin(self, turns: Sequence[Turn]) -> None:
        """A batch begins, with these turns."""

    @abstractmethod
    def loss(self, player: Player, played: Round, attached: bool = False) -> Tensor:
        """The mean loss () of ``player`` on a round at the present weights.

        Args:
            player: Whose loss.
            played: The round.
            attached: Whether the loss must be differentiable, twice, by every player's weights.
        """

    @abstractmethod
    def moved(self, player: Player) -> None:
        """``player``'s weights have changed."""

    @abstractmethod
    def forget(self, player: Player) -> None:
        """What ``player`` has made must not be used again."""

    @abstractmethod
    def end(self) -> None:
        """A batch has ended."""

    def told(self) -> dict[str, float]:
        """What else is logged with the losses, since the last time."""
        return {}

    def configure_optimizers(self) -> list[dict[str, Any]]:
        """One optimizer a player, in the order of ``players``, and its scheduler, if any.

        Raises:
            InputError: An optimizer refuses its settings.
        """
        configured = []
        for player, network in self.players.items():
            try:
                optimizer = self.optimizer_factories[player](network.parameters())
            except ValueError as error:
                raise InputError(f"model.{player}_optimizer: {error}") from error
            configured.append({"optimizer": optimizer})
            if factory := self.scheduler_factories.get(player):
                configured[-1]["lr_scheduler"] = make_scheduler(player, factory, optimizer)
        return configured

    def setup(self, stage: str) -> None:
        """Refuse what the precision cannot do, too."""
        super().setup(stage)
        check_precision(self.trainer.precision, self.rules)

    def on_fit_start(self) -> None:
        """Gather what every step needs once: each player's mover, the statistics to guard."""
        super().on_fit_start()
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        self.movers = {
            player: Mover(self, player, network, optimizer, self.rules.clipping, scaler)
            for (player, network), optimizer in zip(
                self.players.items(), self.trainer.strategy.optimizers, strict=True
            )
        }
        self._statistics = Statistics(self)

    def restore(self) -> None:
        """Go on with the run that is resumed, and the settings given now."""
        super().restore()
        if self._saved is not None:
            for good, saved in zip(self._statistics.good, self._saved["good"], strict=False):
                good.copy_(saved)
            self.rounds = [Round.load(state, self.device) for state in self._saved["rounds"]]
            for player, mover in self.movers.items():
                # Not earlier: Lightning clears the gradients before training starts.
                mover.load(self._saved["movers"][player])
                # The checkpoint brought the old settings back with the moments; only a scheduler
                # owns them.
                if player not in self.scheduler_factories:
                    mover.use_given_settings()
            self._saved = None

    def on_train_start(self) -> None:
        """Warn of what is likely to fail."""
        super().on_train_start()
        warn_of_rules(self.rules, self.movers, self.clock.batches_per_epoch, self.batches_planned)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Play every turn of this batch, then count it once."""
        events, _ = batch
        clock = self.clock
        turns = self.schedule(clock)
        self.window = self.schedule.window_at(clock)
        if self.window.filled == 1:
            self.rounds = []
            self._statistics.keep()
            for mover in self.movers.values():
                mover.begin()
        self.rounds += rounds_of(events, self.batches_seen, self.rules.accumulate)
        self.begin(turns)
        if self.window.filled < self.window.batches:
            self._gather(turns)
        else:
            for turn in turns:
                self.update(*self._teamed(turn))
        self.agree(self._statistics.buffers)
        self.end()
        for config in self.trainer.strategy.lr_scheduler_configs:
            config.scheduler.step()
        self.count(len(events))
        if any(mover.failed for mover in self.movers.values()):
            self._statistics.mend()
        if (every := self.trainer.log_every_n_steps) and self.batches_seen % every == 0:
            self._log_losses()

    def _teamed(self, turn: Turn) -> tuple[Turn, Mapping[Player, Mover | Team]]:
        """``turn`` and everybody's moves; who share a loss move under the first one's name."""
        moves: dict[Player, Mover | Team] = dict(self.movers)
        for sharers in self.shared:
            team = [player for player in turn if player in sharers]
            movers = [self.movers[player] for player in team]
            # Who has gathered more of the window than another needs a pass of its own.
            if len(team) > 1 and len({mover.gathered for mover in movers}) == 1:
                moves[team[0]] = Team(movers)
                turn = tuple(player for player in turn if player not in team[1:])
        return turn, moves

    def _gather(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            together, moves = self._teamed(turn)
            for player in together:
                moves[player].gather()
        gathering = {player for turn in turns for player in turn}
        if gathering == self.movers.keys() or not self.compares:
            # Those who gather later need only these rounds' latents, which can be drawn again.
            for played in self.rounds:
                played.events = None

    def step_optimizer(self, optimizer: Optimizer) -> None:
        """Step ``optimizer``; a step of training is a batch, not an optimizer's step.

        The strategy's hook runs the precision plugin and callbacks but, unlike
        LightningOptimizer, does not count.
        """
        self.trainer.strategy.optimizer_step(optimizer, lambda: None)

    @property
    def diverged(self) -> str | None:
        """Why training should stop, if it should."""
        return reason_to_stop(self.movers, self.rules.max_skipped, self.batches_seen)

    def _log_losses(self) -> None:
        """Mean losses since the last time; logging each step costs a step."""
        metrics = {
            f"train/{player}_loss": sum(mover.losses) / len(mover.losses)
            for player, mover in self.movers.items()
            if mover.losses
        }
        if not metrics:  # a window is filling
            return
        self.report(metrics | self.told())
        for mover in self.movers.values():
            mover.losses.clear()

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        """Add moves that are half prepared, and losses that are not logged yet."""
        super().on_save_checkpoint(checkpoint)
        pending = self.rounds if self.window.filled < self.window.batches else []
        own = {
            "rounds": [played.state() for played in pending],
            "movers": {player: mover.state() for player, mover in self.movers.items()},
            "good": [buffer.clone() for buffer in self._statistics.good] if pending else [],
        }
        checkpoint["game"] = self.gathered(own)

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        """Set the time; the rest follows when training starts."""
        super().on_load_checkpoint(checkpoint)
        self._saved = saved = self.own(checkpoint["game"])
        if len(checkpoint["game"]) != self.trainer.world_size:
            # Latents of what was gathered follow from the ranks: that window begins anew.
            saved["rounds"] = []
            for mover in saved["movers"].values():
                mover.update(gathered=0, gradients=[])
